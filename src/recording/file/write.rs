//! Writes a recording while it grows: the file itself, and what the sampler tells.
//!
//! Sampler and load write into one file, each on a thread of its own and batch by batch; a lock lets one transaction go after
//! the other. What the load tells is written by `write_traffic`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::super::samples::Cursor;
use super::super::traffic::log::{Batch, LoadHead};
use super::super::{Phase, Recording, Run};
use super::{APPLICATION, FileError, SCHEMA, TABLES, database, write_traffic};
use crate::interned::Id;

/// A recording file that is being written. Clones write into the same file.
#[derive(Clone, Debug)]
pub struct RecordingFile {
    path: PathBuf,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    written: Written,
}

/// How much of what was sampled is in the file.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    threads: usize,
    frames: usize,
    stacks: usize,
    waits: usize,
    samples: Cursor,
    cpu: usize,
    phases: usize,
}

impl RecordingFile {
    /// Makes a new, empty file. A symlink is not followed.
    ///
    /// # Errors
    ///
    /// When the file exists, or cannot be made there.
    pub fn create(path: &Path, run: &Run) -> Result<Self, FileError> {
        Self::make(path, &run.target, run.started, run.rate, run.mode.name())
    }

    /// The same for a run that only sends load; `started` is the wall time of moment zero.
    ///
    /// # Errors
    ///
    /// When the file exists, or cannot be made there.
    pub fn create_for_load(path: &Path, target: &str, started: SystemTime) -> Result<Self, FileError> {
        Self::make(path, target, started, 0, "none")
    }

    fn make(path: &Path, target: &str, started: SystemTime, rate: u32, mode: &str) -> Result<Self, FileError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Exists(path.into()));
        }
        let make = || {
            // Symlinks in the path to the folder are fine; one in the place of the file is not, and SQLite refuses both.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let path = match (folder.canonicalize(), path.file_name()) {
                (Ok(folder), Some(name)) => folder.join(name),
                _ => path.to_path_buf(),
            };
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NOFOLLOW
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            // What the kernel has is safe from a killed pyperf; waiting for the disk would make the recorder late, and sampling
            // begin up to seconds later.
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "application_id", APPLICATION)?;
            connection.pragma_update(None, "user_version", SCHEMA)?;
            connection.execute_batch(TABLES)?;
            connection.execute(
                "INSERT INTO run VALUES (?1, ?2, ?3, ?4, 0, 0, 0, 0)",
                params![target, wall_nanos(started), rate, mode],
            )?;
            Ok(connection)
        };
        let connection = make().map_err(database("create", path))?;
        let open = Open { connection, written: Written::default() };
        Ok(Self { path: path.into(), open: Arc::new(Mutex::new(open)) })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what came to the recording since the last call, in one transaction.
    ///
    /// # Errors
    ///
    /// When the disk is full or the file is gone; what was written before stays.
    pub fn append(&mut self, recording: &Recording) -> Result<(), FileError> {
        let Open { connection, written } = &mut *self.open();
        let mut add = || {
            let transaction = connection.transaction()?;
            insert_new(&transaction, recording, *written)?;
            upsert_small(&transaction, recording, *written)?;
            transaction.commit()
        };
        add().map_err(database("write", &self.path))?;
        *written = Written {
            threads: recording.threads.len(),
            frames: recording.stacks.frames().len(),
            stacks: recording.stacks.stacks().len(),
            waits: recording.waits.len(),
            samples: recording.samples.end(),
            cpu: recording.timeline.cpu.len(),
            phases: recording.timeline.phases.len(),
        };
        Ok(())
    }

    /// Writes what is known of a load when it begins. Its batches come after it, and its phases are then the file's: a
    /// recording that is appended beside them has none.
    ///
    /// # Errors
    ///
    /// When the disk is full or the file is gone.
    pub fn begin_traffic(&mut self, head: &LoadHead) -> Result<(), FileError> {
        self.transact(|transaction| write_traffic::begin(transaction, head))
    }

    /// Writes a batch of traffic, in one transaction.
    ///
    /// # Errors
    ///
    /// When the disk is full or the file is gone; what was written before stays.
    pub fn append_traffic(&mut self, batch: &Batch) -> Result<(), FileError> {
        self.transact(|transaction| write_traffic::append(transaction, batch))
    }

    fn transact(&self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), FileError> {
        let mut open = self.open();
        let add = || {
            let transaction = open.connection.transaction()?;
            write(&transaction)?;
            transaction.commit()
        };
        add().map_err(database("write", &self.path))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // A transaction that was not committed is rolled back as it goes.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert_new(to: &Transaction<'_>, recording: &Recording, written: Written) -> rusqlite::Result<()> {
    let mut frame = to.prepare_cached("INSERT INTO frame VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (id, new) in (0_i64..).zip(recording.stacks.frames().iter()).skip(written.frames) {
        frame.execute(params![id, new.function, new.file, new.short_file, new.line])?;
    }
    let mut stack = to.prepare_cached("INSERT INTO stack VALUES (?1, ?2, ?3)")?;
    for (id, new) in (0_i64..).zip(recording.stacks.stacks().iter()).skip(written.stacks) {
        stack.execute(params![id, new.caller.index(), new.frame.map(Id::index)])?;
    }
    let mut wait = to.prepare_cached("INSERT INTO wait VALUES (?1, ?2, ?3)")?;
    for (id, new) in (0_i64..).zip(recording.waits.iter()).skip(written.waits) {
        wait.execute(params![id, &*new.call, new.on.as_deref()])?;
    }
    let mut sample = to.prepare_cached("INSERT INTO sample VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for new in recording.samples.since(written.samples) {
        sample.execute(params![
            signed(new.moment.as_nanos()),
            new.thread.index(),
            new.stack.index(),
            new.state as u8,
            new.gil,
            new.wait.map(Id::index),
            (!new.cpu.is_zero()).then(|| i64::try_from(new.cpu.as_micros()).unwrap_or(i64::MAX)),
        ])?;
    }
    let mut thread = to.prepare_cached("INSERT INTO thread VALUES (?1, ?2, ?3, NULL, NULL)")?;
    for (id, new) in (0_i64..).zip(recording.threads.iter()).skip(written.threads) {
        // A thread's ident is an address: its 64 bits are kept as they are.
        thread.execute(params![id, new.process.index(), new.ident.cast_signed()])?;
    }
    let mut cpu = to.prepare_cached("INSERT INTO cpu VALUES (?1, ?2, ?3)")?;
    for new in recording.timeline.cpu.iter().skip(written.cpu) {
        cpu.execute(params![new.process.index(), signed(new.moment.as_nanos()), nanos(new.used)])?;
    }
    Ok(())
}

/// The tables that are short and change: written anew each time.
fn upsert_small(to: &Transaction<'_>, recording: &Recording, written: Written) -> rusqlite::Result<()> {
    let mut label = to.prepare_cached(
        "UPDATE thread SET name = ?2, os_id = ?3 WHERE id = ?1 AND (name IS NOT ?2 OR os_id IS NOT ?3)",
    )?;
    for (id, known) in (0_i64..).zip(&recording.thread_labels) {
        label.execute(params![id, known.name, known.os_id])?;
    }
    let mut process = to.prepare_cached("INSERT OR REPLACE INTO process VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for (id, now) in (0_i64..).zip(&recording.processes) {
        process.execute(params![
            id,
            now.id.pid,
            signed(now.id.started),
            now.role.name(),
            now.root,
            now.python,
            signed(now.born.as_nanos()),
            now.died.map(|died| signed(died.as_nanos()))
        ])?;
    }
    let phases = &recording.timeline.phases;
    if !phases.is_empty() || written.phases > 0 {
        upsert_phases(to, phases)?;
    }
    for (kind, count) in recording.losses.named() {
        to.execute("INSERT OR REPLACE INTO loss VALUES (?1, ?2)", params![kind, signed(count)])?;
    }
    to.execute(
        "UPDATE run SET length = ?1, stopped = ?2, reads = ?3, sampler_cpu = ?4",
        params![
            nanos(recording.length),
            nanos(recording.stopped),
            signed(recording.reads),
            nanos(recording.sampler_cpu)
        ],
    )?;
    Ok(())
}

pub(super) fn upsert_phases(to: &Transaction<'_>, phases: &[Phase]) -> rusqlite::Result<()> {
    let mut phase = to.prepare_cached("INSERT OR REPLACE INTO phase VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (id, now) in (0_i64..).zip(phases) {
        let [began, ended] = [now.began, now.ended].map(|moment| signed(moment.as_nanos()));
        phase.execute(params![id, now.name, now.arrivals, began, ended])?;
    }
    let count = i64::try_from(phases.len()).unwrap_or(i64::MAX);
    to.execute("DELETE FROM phase WHERE id >= ?1", [count])?;
    Ok(())
}

/// SQLite has signed integers only; nanoseconds since 1970 fit until 2262.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn nanos(length: Duration) -> i64 {
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

fn wall_nanos(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, nanos)
}

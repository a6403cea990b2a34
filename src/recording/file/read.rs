//! Reads a recording back, and believes nothing that it says.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use super::super::{
    CpuReading, Frame, Losses, Mode, Phase, Process, ProcessId, Recording, Role, Run, StackTable, Thread,
};
use super::{APPLICATION, FileError, OLDEST, SCHEMA, database, samples};
use crate::clock::Moment;
use crate::interned::Id;

/// Reads a whole recording.
///
/// # Errors
///
/// When the file is missing, is no recording, comes from another version, or contradicts itself.
pub fn read(path: &Path) -> Result<Recording, FileError> {
    let (connection, schema) = open(path)?;
    read_tables(&connection, schema).map_err(|fault| fault.of(path))
}

/// Opens a recording, and tells its schema.
pub(super) fn open(path: &Path) -> Result<(Connection, i32), FileError> {
    let foreign = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => FileError::Foreign(path.into()),
        _ => database("open", path)(source),
    };
    // A run that was killed leaves a journal, which only a connection that may write can roll back.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
        .map_err(foreign)?;
    connection.pragma_update(None, "trusted_schema", "OFF").map_err(foreign)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    if pragma("application_id").map_err(foreign)? != APPLICATION {
        return Err(FileError::Foreign(path.into()));
    }
    let found = pragma("user_version").map_err(foreign)?;
    if !(OLDEST..=SCHEMA).contains(&found) {
        return Err(FileError::Version { path: path.into(), found });
    }
    // A view in the place of a table could compute rows without end.
    let query = "SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index')";
    let others = connection.query_row(query, [], |row| row.get::<_, i64>(0));
    if others.map_err(database("read", path))? > 0 {
        return Err(damaged("it holds more than tables").of(path));
    }
    Ok((connection, found))
}

/// The deepest stack that py-spy reads.
const DEEPEST: u32 = 4096;

/// Why rows could not be taken over.
pub(super) enum Fault {
    Database(rusqlite::Error),
    Damaged(String),
}

impl Fault {
    /// The same of the file.
    pub(super) fn of(self, path: &Path) -> FileError {
        match self {
            Self::Database(source) => database("read", path)(source),
            Self::Damaged(what) => FileError::Damaged { path: path.into(), what },
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

pub(super) fn damaged(what: impl Into<String>) -> Fault {
    Fault::Damaged(what.into())
}

fn read_tables(from: &Connection, schema: i32) -> Result<Recording, Fault> {
    let mut recording = read_run(from)?;
    recording.losses = read_losses(from)?;
    recording.processes = read_processes(from)?;
    read_threads(from, &mut recording)?;
    recording.stacks = read_stacks(from)?;
    samples::read(from, schema, &mut recording)?;
    if schema >= 2 {
        recording.sampler_cpu = from.query_row("SELECT sampler_cpu FROM run", [], |row| row.get(0).map(nanos))?;
        recording.timeline.phases = read_phases(from)?;
        recording.timeline.cpu = read_cpu(from, &recording)?;
    }
    Ok(recording)
}

fn read_run(from: &Connection) -> Result<Recording, Fault> {
    let query = "SELECT target, started, rate, mode, length, stopped, reads FROM run";
    let recording = from.query_row(query, [], |row| {
        let mode: String = row.get(3)?;
        let mut recording = Recording::new(Run {
            target: row.get(0)?,
            started: UNIX_EPOCH + nanos(row.get(1)?),
            rate: row.get(2)?,
            mode: if mode == Mode::Blocking.name() { Mode::Blocking } else { Mode::NonBlocking },
        });
        recording.length = nanos(row.get(4)?);
        recording.stopped = nanos(row.get(5)?);
        recording.reads = unsigned(row.get(6)?);
        Ok(recording)
    })?;
    Ok(recording)
}

fn read_losses(from: &Connection) -> Result<Losses, Fault> {
    let mut losses = Losses::default();
    let mut query = from.prepare("SELECT kind, count FROM loss")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let count = unsigned(row.get(1)?);
        match row.get::<_, String>(0)?.as_str() {
            "late" => losses.late = count,
            "unreadable" => losses.unreadable = count,
            "torn" => losses.torn = count,
            "dropped" => losses.dropped = count,
            "truncated" => losses.truncated = count,
            other => return Err(damaged(format!("no loss is called {other:?}"))),
        }
    }
    Ok(losses)
}

fn read_processes(from: &Connection) -> Result<Vec<Process>, Fault> {
    let mut processes = Vec::new();
    let mut query = from.prepare("SELECT pid, start_ticks, role, root, python, born, died FROM process ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let role: String = row.get(2)?;
        processes.push(Process {
            id: ProcessId { pid: row.get(0)?, started: unsigned(row.get(1)?) },
            role: Role::ALL
                .into_iter()
                .find(|known| known.name() == role)
                .ok_or_else(|| damaged(format!("no role is called {role:?}")))?,
            root: row.get(3)?,
            python: row.get(4)?,
            born: moment(row.get(5)?),
            died: row.get::<_, Option<i64>>(6)?.map(moment),
        });
    }
    Ok(processes)
}

fn read_threads(from: &Connection, recording: &mut Recording) -> Result<(), Fault> {
    let mut query = from.prepare("SELECT id, process, ident, name, os_id FROM thread ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        let thread = Thread { process: Id::from_index(row.get(1)?), ident: row.get::<_, i64>(2)?.cast_unsigned() };
        if recording.process(thread.process).is_none() {
            return Err(damaged(format!("thread {id} has no process")));
        }
        let name: Option<String> = row.get(3)?;
        if recording.thread(thread, name.as_deref(), row.get(4)?).index() != id {
            return Err(damaged(format!("thread {id} has the wrong number")));
        }
    }
    Ok(())
}

fn read_stacks(from: &Connection) -> Result<StackTable, Fault> {
    let mut frames = Vec::new();
    let mut query = from.prepare("SELECT function, file, short_file, line FROM frame ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        frames.push(Frame { function: row.get(0)?, file: row.get(1)?, short_file: row.get(2)?, line: row.get(3)? });
    }
    let mut query = from.prepare("SELECT id, caller, frame FROM stack WHERE id > 0 ORDER BY id")?;
    let mut rows = query.query([])?;
    let mut table = StackTable::default();
    let mut depths = vec![0_u32];
    while let Some(row) = rows.next()? {
        let (id, caller, frame): (u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let frame = frames.get(frame as usize);
        let added = frame.and_then(|frame| table.call(Id::from_index(caller), frame));
        if added != Some(Id::from_index(id)) {
            return Err(damaged(format!("stack {id} has no frame, no caller or the wrong number")));
        }
        let depth = 1 + depths[caller as usize];
        if depth > DEEPEST {
            return Err(damaged(format!("stack {id} is deeper than any that can be read")));
        }
        depths.push(depth);
    }
    Ok(table)
}

fn read_phases(from: &Connection) -> Result<Vec<Phase>, Fault> {
    let mut phases: Vec<Phase> = Vec::new();
    let mut query = from.prepare("SELECT name, arrivals, began, ended FROM phase ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let phase =
            Phase { name: row.get(0)?, arrivals: row.get(1)?, began: moment(row.get(2)?), ended: moment(row.get(3)?) };
        let follows = phases.last().is_none_or(|before| before.ended == phase.began);
        if !follows || phase.ended < phase.began {
            return Err(damaged(format!("phase {} does not begin where the one before ends", phases.len())));
        }
        phases.push(phase);
    }
    Ok(phases)
}

fn read_cpu(from: &Connection, recording: &Recording) -> Result<Vec<CpuReading>, Fault> {
    let mut readings = Vec::new();
    let mut last = vec![Moment::default(); recording.processes.len()];
    let mut query = from.prepare("SELECT process, moment, used FROM cpu ORDER BY rowid")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let process: u32 = row.get(0)?;
        let moment = moment(row.get(1)?);
        match last.get_mut(process as usize) {
            Some(last) if *last <= moment => *last = moment,
            Some(_) => return Err(damaged(format!("the CPU time of process {process} is not in the order of time"))),
            None => return Err(damaged("a CPU time has no process")),
        }
        readings.push(CpuReading { process: Id::from_index(process), moment, used: nanos(row.get(2)?) });
    }
    Ok(readings)
}

pub(super) fn moment(nanos: i64) -> Moment {
    Moment::from_nanos(unsigned(nanos))
}

pub(super) fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(unsigned(nanos))
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

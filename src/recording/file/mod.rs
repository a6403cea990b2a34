//! A recording as one SQLite file, written as it happens.
//!
//! Every batch is one transaction, about one a second, so a run that is killed loses at most its last second and the file
//! still opens; on a full disk it keeps what was written until then. All times are nanoseconds on the recording's own clock;
//! `run.started` is the wall time of its zero, in nanoseconds since 1970 (UTC). A sample takes some 25 bytes, a distinct stack
//! of 30 frames less than 1 kB, once.
//!
//! | table | columns |
//! | --- | --- |
//! | `run` | `target`, `started`, `rate` (Hz), `mode`, `length`, `stopped` (ns), `reads`, `sampler_cpu` (ns): one row |
//! | `process` | `id`, `pid`, `start_ticks`, `role`, `root` (pid), `python`, `born`, `died` |
//! | `thread` | `id`, `process`, `ident` (Python's), `os_id` (the kernel's), `name` |
//! | `frame` | `id`, `function`, `file`, `short_file`, `line` |
//! | `stack` | `id`, `caller` (stack), `frame` of the innermost frame; stack 0 is empty |
//! | `sample` | `moment`, `thread`, `stack`, `state` (0 running, 1 waiting, 2 idle, 3 runnable: waiting for a core, 4 waiting for the GIL), `gil` (0, 1), `wait` (of state 1, where known), `cpu` (µs that the thread used since it was last seen running; of state 0, `NULL` for none) |
//! | `wait` | `id`, `call` (of the system), `what` it was on: the address of a socket's peer, a file |
//! | `phase` | `id` (0, 1, … in the order of time), `name`, `arrivals` (in words), `began`, `ended`: no gaps between them |
//! | `cpu` | `process`, `moment`, `used`: CPU time (ns) of all threads of the process since it began, about once a second |
//! | `loss` | `kind`, `count` |
//!
//! A run that sends load keeps it in these; a request takes some 60 bytes, a user some 45.
//!
//! | table | columns |
//! | --- | --- |
//! | `load` | `target`, `seed`, `began`, `ended`, `cut_short` (0, 1), `active` (users; at the end the abandoned ones), `driver_cpu` (ns), `lost` (rows), `more_failures`: one row |
//! | `plan` | `id` of a phase as the script has it, `name`, `began`, `length` (ns), `planned` (users), `most_users` |
//! | `scenario` | `id`, `name` |
//! | `endpoint` | `id`, `method`, `path`, `query`, `name`, `metric` |
//! | `request` | `done`, `due`, `sent`, `head` (ns), `queued`, `dns`, `connect`, `tls`, `server` (lengths, ns), `received` (bytes), `phase` (`plan.id`), `scenario`, `endpoint`, `line` of the step, `user`, `status`, `error` (its code), `local_port` |
//! | `user` | `number`, `phase`, `scenario`, `due`, `began`, `ended`, `state` (`active`, `completed`, `failed`, `skipped`, `abandoned`) |
//! | `window` | `id`, `began`, `ended`, `first`, `last` (thing counted), `requests` (begun), `first_request`, `last_request`: ten seconds of the wall clock |
//! | `counter` | `window`, `kind` (`error`, `endpoint error`, `plugin`), `endpoint` (-1 for none), `name`, `count` |
//! | `rate` | `window`, `name`, `count`, `first`, `last` (time it happened): of sockets and hooks |
//! | `measure` | `window`, `name`, `shortest`, `longest` (ns), `counts` (JSON, pairs of µs and how often): of sockets and hooks |
//! | `failure` | `kind` (0, 1, …), `example` (0, 1, …), `scenario`, `step`, `endpoint`, `what`, `code`, `count` of the kind, `moment`, `user`, `phase`, `request`, `status`, `headers` (JSON, pairs), `body`, `detail`, `timings` (JSON, ns): a few examples of each kind |
//!
//! `PRAGMA application_id` is `0x70797066` ("pypf"), `PRAGMA user_version` the version of this schema: [`SCHEMA`]. Schema 1
//! had neither `phase` nor `cpu` nor `run.sampler_cpu`, schema 2 had no load,
//! schema 3 neither `rate` nor `measure`, schema 4 neither `wait` nor `sample.wait` nor `sample.cpu` nor the states 3 and 4;
//! their files can still be read.

mod flights;
mod read;
mod replay;
mod samples;
mod write;
mod write_traffic;

use std::path::{Path, PathBuf};

pub use flights::read_flights;
pub use read::read;
pub use replay::read_traffic;
pub use write::RecordingFile;

use crate::problem::Advice;

/// The version of the schema that this file writes, and the newest that it reads.
pub const SCHEMA: i32 = 5;

/// The oldest version of the schema that can be read.
pub const OLDEST: i32 = 1;

const APPLICATION: i32 = 0x7079_7066;

const TABLES: &str = "
    CREATE TABLE run (target TEXT, started INTEGER, rate INTEGER, mode TEXT, length INTEGER, stopped INTEGER,
                      reads INTEGER, sampler_cpu INTEGER);
    CREATE TABLE process (id INTEGER PRIMARY KEY, pid INTEGER, start_ticks INTEGER, role TEXT, root INTEGER,
                          python TEXT, born INTEGER, died INTEGER);
    CREATE TABLE thread (id INTEGER PRIMARY KEY, process INTEGER, ident INTEGER, os_id INTEGER, name TEXT);
    CREATE TABLE frame (id INTEGER PRIMARY KEY, function TEXT, file TEXT, short_file TEXT, line INTEGER);
    CREATE TABLE stack (id INTEGER PRIMARY KEY, caller INTEGER, frame INTEGER);
    CREATE TABLE sample (moment INTEGER, thread INTEGER, stack INTEGER, state INTEGER, gil INTEGER, wait INTEGER,
                         cpu INTEGER);
    CREATE TABLE wait (id INTEGER PRIMARY KEY, call TEXT, what TEXT);
    CREATE TABLE phase (id INTEGER PRIMARY KEY, name TEXT, arrivals TEXT, began INTEGER, ended INTEGER);
    CREATE TABLE cpu (process INTEGER, moment INTEGER, used INTEGER);
    CREATE TABLE loss (kind TEXT PRIMARY KEY, count INTEGER);
    CREATE TABLE load (target TEXT, seed INTEGER, began INTEGER, ended INTEGER, cut_short INTEGER, active INTEGER,
                       driver_cpu INTEGER, lost INTEGER, more_failures INTEGER);
    CREATE TABLE plan (id INTEGER PRIMARY KEY, name TEXT, began INTEGER, length INTEGER, planned INTEGER,
                       most_users INTEGER);
    CREATE TABLE scenario (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE endpoint (id INTEGER PRIMARY KEY, method TEXT, path TEXT, query TEXT, name TEXT, metric TEXT);
    CREATE TABLE request (done INTEGER, due INTEGER, sent INTEGER, head INTEGER, queued INTEGER, dns INTEGER,
                          connect INTEGER, tls INTEGER, server INTEGER, received INTEGER, phase INTEGER,
                          scenario INTEGER, endpoint INTEGER, line INTEGER, user INTEGER, status INTEGER, error TEXT,
                          local_port INTEGER);
    CREATE TABLE user (number INTEGER PRIMARY KEY, phase INTEGER, scenario INTEGER, due INTEGER, began INTEGER,
                       ended INTEGER, state TEXT);
    CREATE TABLE window (id INTEGER PRIMARY KEY, began INTEGER, ended INTEGER, first INTEGER, last INTEGER,
                         requests INTEGER, first_request INTEGER, last_request INTEGER);
    CREATE TABLE counter (window INTEGER, kind TEXT, endpoint INTEGER, name TEXT, count INTEGER,
                          PRIMARY KEY (window, kind, endpoint, name)) WITHOUT ROWID;
    CREATE TABLE rate (window INTEGER, name TEXT, count INTEGER, first INTEGER, last INTEGER,
                       PRIMARY KEY (window, name)) WITHOUT ROWID;
    CREATE TABLE measure (window INTEGER, name TEXT, shortest INTEGER, longest INTEGER, counts TEXT,
                          PRIMARY KEY (window, name)) WITHOUT ROWID;
    CREATE TABLE failure (kind INTEGER, example INTEGER, scenario INTEGER, step TEXT, endpoint INTEGER, what TEXT,
                          code TEXT, count INTEGER, moment INTEGER, user INTEGER, phase INTEGER, request TEXT,
                          status INTEGER, headers TEXT, body TEXT, detail TEXT, timings TEXT,
                          PRIMARY KEY (kind, example)) WITHOUT ROWID;
";

/// A recording could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is there already; a recording is never overwritten.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The database refused.
    #[error("cannot {what} the recording {}", path.display())]
    Database {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A database, but not one of ours.
    #[error("{} is not a recording of pyperf", .0.display())]
    Foreign(PathBuf),
    /// Written by another version of pyperf.
    #[error("{} has schema {found}, this pyperf reads schemas {OLDEST} to {SCHEMA}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The schema that it says it has.
        found: i32,
    },
    /// A row that no recording can have.
    #[error("the recording {} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
}

impl Advice for FileError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists(path) => Some(format!("rm {}, or choose another name", path.display())),
            Self::Version { found, .. } if *found > SCHEMA => Some("install a newer pyperf".into()),
            Self::Database { what: "write", path, .. } => {
                Some(format!("pyperf report {}, for what was recorded until then; and make room", path.display()))
            }
            _ => None,
        }
    }
}

fn database(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError::Database { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::super::{
        CpuReading, Detail, Frame, Losses, Mode, Phase, Process, ProcessId, Recording, Role, Run, Sample, State,
        Thread, Timeline, Wait,
    };
    use super::*;
    use crate::clock::Moment;
    use crate::interned::{Id, Interner};
    use std::time::{Duration, SystemTime};

    /// A folder of its own for each test, removed when it ends.
    pub(super) struct Folder(PathBuf);

    impl Folder {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pyperf-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder for temporary files");
            Self(path)
        }

        pub(super) fn file(&self) -> PathBuf {
            self.0.join("run.pyperf")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn recording() -> Recording {
        let mut recording = Recording::new(Run {
            target: "gunicorn booking:app, pid 10".into(),
            started: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_383_153_000_000_007),
            rate: 100,
            mode: Mode::Blocking,
        });
        recording.processes.push(Process {
            id: ProcessId { pid: 11, started: 4711 },
            role: Role::Worker,
            root: 10,
            python: "3.11.7".into(),
            born: Moment::from_nanos(5),
            died: None,
        });
        recording
    }

    fn sample(recording: &mut Recording, nanos: u64, functions: &[&str]) {
        let thread = Thread { process: Id::from_index(0), ident: u64::MAX - nanos % 2 };
        let thread = recording.thread(thread, (nanos > 20).then_some("MainThread"), Some(11));
        let frames = functions.iter().map(|function| Frame {
            function: (*function).into(),
            file: "/srv/app.py".into(),
            short_file: None,
            line: 3,
        });
        let (stack, _) = recording.stacks.insert(frames);
        let moment = Moment::from_nanos(nanos);
        let state = State::ALL[(nanos % 5) as usize];
        let on = (!nanos.is_multiple_of(3)).then(|| "10.0.0.5:5432".into());
        let wait = recording.waits.intern(Wait { call: "recv".into(), on });
        recording.samples.push(Sample {
            moment,
            thread,
            stack,
            state,
            gil: nanos.is_multiple_of(2),
            wait: (state == State::Waiting && !nanos.is_multiple_of(4)).then_some(wait),
            cpu: Duration::from_micros(if state == State::Running { nanos % 20_000 } else { 0 }),
        });
    }

    fn phase(name: &str, began: u64, ended: u64) -> Phase {
        let arrivals = if began > 0 { "2.5 users/s".into() } else { String::new() };
        Phase { name: name.into(), arrivals, began: Moment::from_nanos(began), ended: Moment::from_nanos(ended) }
    }

    fn assert_equal(one: &Recording, other: &Recording) {
        assert_eq!(one.run, other.run);
        assert_eq!(one.processes, other.processes);
        assert_eq!(one.detail, other.detail);
        assert!(one.waits.iter().eq(other.waits.iter()));
        assert_eq!(one.thread_labels, other.thread_labels);
        assert_eq!(one.losses, other.losses);
        assert_eq!((one.length, one.stopped, one.reads), (other.length, other.stopped, other.reads));
        assert_eq!(one.sampler_cpu, other.sampler_cpu);
        assert_eq!(one.timeline, other.timeline);
        assert!(one.threads.iter().eq(other.threads.iter()));
        assert!(one.stacks.stacks().iter().eq(other.stacks.stacks().iter()));
        assert!(one.stacks.frames().iter().eq(other.stacks.frames().iter()));
        assert!(one.samples.iter().eq(other.samples.iter()));
    }

    #[test]
    fn what_was_written_in_batches_is_read_back_whole() {
        let folder = Folder::new("batches");
        let mut recording = recording();
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        for batch in 0..4 {
            for at in 0..10 {
                sample(&mut recording, batch * 10 + at, &["main", if at < 5 { "view" } else { "query" }]);
            }
            recording.losses = Losses { late: batch, ..Losses::default() };
            recording.length = Duration::from_secs(batch);
            recording.reads = 10 * batch;
            recording.sampler_cpu = Duration::from_micros(batch);
            let moment = Moment::from_nanos(10 * batch);
            let process = Id::from_index(0);
            recording.timeline.cpu.push(CpuReading { process, moment, used: Duration::from_millis(batch) });
            // A phase that goes on is written again with its new end.
            recording.timeline.phases = vec![phase("before load", 0, 15.min(10 * batch)), phase("peak ☃", 15, 20)];
            recording.timeline.phases.truncate(if batch < 2 { 1 } else { 2 });
            file.append(&recording).expect("a batch");
            assert_equal(&read(&folder.file()).expect("readable while it grows"), &recording);
        }
        recording.processes[0].died = Some(Moment::from_nanos(99));
        recording.timeline.phases.pop();
        file.append(&recording).expect("a batch without samples");
        assert_equal(&read(&folder.file()).expect("readable"), &recording);
    }

    #[test]
    fn files_of_older_schemas_can_be_read() {
        let folder = Folder::new("schema-1");
        let mut recording = recording();
        sample(&mut recording, 7, &["main"]);
        sample(&mut recording, 16, &["main"]);
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        file.append(&recording).expect("a batch");
        drop(file);
        let connection = rusqlite::Connection::open(folder.file()).expect("opens");
        // The samples of that time: no wait, no CPU time, and of the states the first three.
        recording.detail = Detail::Coarse;
        recording.waits = Interner::default();
        let to_schema_4 = "ALTER TABLE sample DROP COLUMN wait; ALTER TABLE sample DROP COLUMN cpu; DROP TABLE wait;
                           PRAGMA user_version = 4";
        connection.execute_batch(to_schema_4).expect("changes");
        assert_equal(&read(&folder.file()).expect("readable"), &recording);
        let to_schema_1 = "ALTER TABLE run DROP COLUMN sampler_cpu; DROP TABLE phase; DROP TABLE cpu;
                           PRAGMA user_version = 1";
        connection.execute_batch(to_schema_1).expect("changes");
        assert_equal(&read(&folder.file()).expect("readable"), &recording);
        connection.execute_batch("UPDATE sample SET state = 3").expect("changes");
        assert!(matches!(read(&folder.file()), Err(FileError::Damaged { .. })));
        connection.execute_batch("PRAGMA user_version = 0").expect("changes");
        assert!(matches!(read(&folder.file()), Err(FileError::Version { found: 0, .. })));
    }

    #[test]
    fn a_timeline_that_contradicts_itself_is_damage() {
        let folder = Folder::new("timeline");
        let mut recording = recording();
        recording.timeline = Timeline {
            phases: vec![phase("a", 5, 10), phase("b", 10, 10), phase("c", 10, 12)],
            cpu: vec![CpuReading {
                process: Id::from_index(0),
                moment: Moment::from_nanos(7),
                used: Duration::from_nanos(3),
            }],
        };
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        file.append(&recording).expect("a batch");
        drop(file);
        assert_equal(&read(&folder.file()).expect("whole"), &recording);
        let connection = rusqlite::Connection::open(folder.file()).expect("opens");
        let damage = |sql: &str, undo: &str| {
            connection.execute_batch(sql).expect("changes");
            let found = match read(&folder.file()) {
                Err(FileError::Damaged { what, .. }) => what,
                other => panic!("{sql}: {other:?}"),
            };
            connection.execute_batch(undo).expect("changes back");
            found
        };
        let gap = "phase 1 does not begin where the one before ends";
        assert_eq!(damage("UPDATE phase SET began = 9 WHERE id = 1", "UPDATE phase SET began = 10 WHERE id = 1"), gap);
        assert_eq!(damage("UPDATE phase SET ended = 4 WHERE id = 1", "UPDATE phase SET ended = 10 WHERE id = 1"), gap);
        let added = "DELETE FROM cpu WHERE rowid = 2";
        assert_eq!(damage("INSERT INTO cpu VALUES (1, 8, 4)", added), "a CPU time has no process");
        assert_eq!(
            damage("INSERT INTO cpu VALUES (0, 6, 4)", added),
            "the CPU time of process 0 is not in the order of time"
        );
        assert_equal(&read(&folder.file()).expect("whole again"), &recording);
    }

    #[test]
    fn samples_that_contradict_themselves_are_damage() {
        let folder = Folder::new("samples");
        let mut recording = recording();
        for nanos in 0..10 {
            sample(&mut recording, nanos, &["main"]);
        }
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        file.append(&recording).expect("a batch");
        drop(file);
        let whole = std::fs::read(folder.file()).expect("it is there");
        for damage in [
            "UPDATE sample SET wait = 2 WHERE state = 1",
            "UPDATE sample SET wait = 0 WHERE state = 0",
            "UPDATE sample SET cpu = -1 WHERE state = 0",
            "UPDATE sample SET cpu = 1 WHERE state = 4",
            "UPDATE sample SET cpu = 9223372036854775807 WHERE state = 0",
            "UPDATE sample SET state = 5",
            "UPDATE wait SET id = 7 WHERE id = 0",
            "INSERT INTO wait VALUES (2, 'recv', NULL)",
            "DELETE FROM wait",
        ] {
            std::fs::write(folder.file(), &whole).expect("written");
            let connection = rusqlite::Connection::open(folder.file()).expect("opens");
            connection.execute_batch(damage).expect(damage);
            drop(connection);
            let read = read(&folder.file());
            assert!(matches!(read, Err(FileError::Damaged { .. })), "{damage}: {:?}", read.map(|_| ()));
        }
    }

    #[test]
    fn a_sample_takes_less_than_forty_bytes() {
        let folder = Folder::new("size");
        let mut recording = recording();
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        // Every state in turn, a third of a second of CPU time at most.
        for tick in 0..100_000 {
            sample(&mut recording, tick * 2_500_001, &["main", "view"]);
        }
        file.append(&recording).expect("a batch");
        let size = std::fs::metadata(folder.file()).expect("it is there").len();
        assert!(size < 40 * 100_000, "{} bytes a sample", size / 100_000);
    }

    #[test]
    fn a_recording_is_never_overwritten_nor_a_symlink_followed() {
        let folder = Folder::new("exists");
        let run = recording().run;
        std::os::unix::fs::symlink("/nowhere", folder.file()).expect("a symlink");
        assert!(matches!(RecordingFile::create(&folder.file(), &run), Err(FileError::Exists(_))));
    }

    #[test]
    fn foreign_damaged_and_newer_files_are_refused_with_a_reason() {
        let folder = Folder::new("foreign");
        std::fs::write(folder.file(), "not a database, but long enough to be taken for one ".repeat(40))
            .expect("written");
        assert!(matches!(read(&folder.file()), Err(FileError::Foreign(_))));
        assert!(matches!(read(&folder.0.join("missing")), Err(FileError::Database { .. })));

        std::fs::remove_file(folder.file()).expect("removed");
        let recording = recording();
        let mut file = RecordingFile::create(&folder.file(), &recording.run).expect("a new file");
        file.append(&recording).expect("a batch");
        drop(file);
        let change = |sql: &str| {
            let connection = rusqlite::Connection::open(folder.file()).expect("opens");
            connection.execute_batch(sql).expect("changes");
            read(&folder.file())
        };
        assert!(matches!(
            change("INSERT INTO sample VALUES (1, 9, 0, 0, 0, NULL, NULL)"),
            Err(FileError::Damaged { .. })
        ));
        assert!(matches!(
            change("DELETE FROM sample; INSERT INTO stack VALUES (1, 7, 0)"),
            Err(FileError::Damaged { .. })
        ));
        assert!(matches!(change("UPDATE run SET rate = 'often'"), Err(FileError::Database { .. })));
        assert!(matches!(change("PRAGMA user_version = 99"), Err(FileError::Version { found: 99, .. })));
    }
}

//! A recording as one SQLite file, written as it happens.
//!
//! Every batch is one transaction, about one a second, so a run that is killed loses at most its last second and the file
//! still opens. All times are nanoseconds on the recording's own clock; `run.started` is the wall time of its zero, in
//! nanoseconds since 1970 (UTC). A sample takes some 20 bytes.
//!
//! | table | columns |
//! | --- | --- |
//! | `run` | `target`, `started`, `rate` (Hz), `mode`, `length`, `stopped` (ns): one row |
//! | `process` | `id`, `pid`, `start_ticks`, `role`, `root` (pid), `python`, `born`, `died` |
//! | `thread` | `id`, `process`, `ident` (Python's), `os_id` (the kernel's), `name` |
//! | `frame` | `id`, `function`, `file`, `short_file`, `line` |
//! | `stack` | `id`, `caller` (stack), `frame` of the innermost frame; stack 0 is empty |
//! | `sample` | `moment`, `thread`, `stack`, `state` (0 running, 1 waiting, 2 idle), `gil` (0, 1) |
//! | `loss` | `kind`, `count` |
//!
//! `PRAGMA application_id` is `0x70797066` ("pypf"), `PRAGMA user_version` the version of this schema: [`SCHEMA`].

mod read;
mod write;

use std::path::{Path, PathBuf};

pub use read::read;
pub use write::RecordingFile;

use crate::problem::Advice;

/// The version of the schema that this file writes, and the only one that it reads.
pub const SCHEMA: i32 = 1;

const APPLICATION: i32 = 0x7079_7066;

const TABLES: &str = "
    CREATE TABLE run (target TEXT, started INTEGER, rate INTEGER, mode TEXT, length INTEGER, stopped INTEGER);
    CREATE TABLE process (id INTEGER PRIMARY KEY, pid INTEGER, start_ticks INTEGER, role TEXT, root INTEGER,
                          python TEXT, born INTEGER, died INTEGER);
    CREATE TABLE thread (id INTEGER PRIMARY KEY, process INTEGER, ident INTEGER, os_id INTEGER, name TEXT);
    CREATE TABLE frame (id INTEGER PRIMARY KEY, function TEXT, file TEXT, short_file TEXT, line INTEGER);
    CREATE TABLE stack (id INTEGER PRIMARY KEY, caller INTEGER, frame INTEGER);
    CREATE TABLE sample (moment INTEGER, thread INTEGER, stack INTEGER, state INTEGER, gil INTEGER);
    CREATE TABLE loss (kind TEXT PRIMARY KEY, count INTEGER);
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
    #[error("{} has schema {found}, this pyperf reads schema {SCHEMA}", path.display())]
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
            _ => None,
        }
    }
}

fn database(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> FileError {
    let path = path.to_path_buf();
    move |source| FileError::Database { what, path, source }
}

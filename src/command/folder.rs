//! The folder that a run's results go to, and what is called how in it.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::clock::{Clock, Moment};
use crate::problem::{Exit, Problem};

/// A folder for results.
pub(super) struct Folder {
    path: PathBuf,
    /// Whether it was made for this run: then it goes again when nothing came of it.
    made: bool,
}

impl Folder {
    /// The folder that the user wants, else one with date and time in its name.
    pub(super) fn make(wanted: Option<&Path>, clock: Clock) -> Result<Self, Problem> {
        let path = wanted.map_or_else(|| PathBuf::from(dated("pyperf-%Y%m%d-%H%M%S", clock)), Path::to_path_buf);
        let made = !path.exists();
        let failed = |error: std::io::Error| {
            let problem = Problem::new(Exit::Failed, format!("cannot make the folder {}", path.display()));
            problem.because(&error).hint("choose another place: --out DIR")
        };
        fs::create_dir_all(&path).map_err(failed)?;
        Ok(Self { path, made })
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes it away, unless there is anything in it.
    pub(super) fn give_up(&self) {
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// A name with the date in it, in local time: `pyperf-%Y%m%d-%H%M%S` is `pyperf-20261124-120242`.
pub(super) fn dated(pattern: &str, clock: Clock) -> String {
    let now = jiff::Timestamp::try_from(clock.wall(Moment::default())).unwrap_or_default();
    now.to_zoned_datetime(TimeZone::system()).strftime(pattern).to_string()
}

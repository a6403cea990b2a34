//! A folder that is removed with all that is in it, unless it is kept.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use crate::command::signals::TURN;

/// How often its removal is tried: a process that was killed this moment may still write into it.
const TRIES: usize = 50;

/// A folder of this process alone.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it. What is there already is not taken for it.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// Makes one among the temporary files of the machine.
    pub(super) fn temporary() -> io::Result<Self> {
        let (place, pid) = (std::env::temp_dir(), std::process::id());
        let mut nth = 0;
        loop {
            match Self::create(place.join(format!("pyperf-demo-{pid}-{nth}"))) {
                // Left by one that was killed, or planted.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && nth < TRIES => nth += 1,
                result => return result,
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name for good; it stays.
    pub(super) fn keep_as(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => thread::park_timeout(TURN),
                // Gone, renamed, or not to be removed at all.
                _ => return,
            }
        }
    }
}

//! Opens a process with the reader that fits: snapshots where they are possible, py-spy for all else.
//!
//! The one place that weighs the two. Reads that stop the process and those that show local variables are py-spy's. A process that
//! was forked from one that is open already has its addresses, and is open at once.

use std::collections::HashMap;

use super::names::Names;
use super::pyspy::PySpyReader;
use super::snapshot::{Kin, SnapshotReader};
use super::{AttachError, By, Options, StackReader};
use crate::clock::Clock;
use crate::process::facts::Facts;
use crate::recording::Mode;

/// Parents that are remembered; beyond that those that have ended are forgotten.
const MOST_KIN: usize = 256;

/// A process that can be read.
pub struct Reader {
    /// Reads its stacks.
    pub stacks: Box<dyn StackReader>,
    /// The version of its Python, such as `3.11.7`.
    pub python: String,
    /// Why py-spy reads it although snapshots should be possible.
    pub instead: Option<String>,
    /// To look the names of its threads up now and then, where the reader does not do that itself.
    pub names: Option<Names>,
}

/// Opens the processes of a tree, one after the other.
pub struct Opening {
    options: Options,
    clock: Clock,
    /// What is known of the processes that were opened, by pid.
    kin: HashMap<i32, Kin>,
}

impl Opening {
    /// For processes that are to be read in this way.
    #[must_use]
    pub fn new(options: Options, clock: Clock) -> Self {
        Self { options, clock, kin: HashMap::new() }
    }

    /// Finds the interpreter of a process and the reader for it. Takes 5 to 20 ms; less than 1 for a fork of a known process.
    ///
    /// # Errors
    ///
    /// When there is no readable interpreter of a known version, or none that the wanted reader can read; a process that has just
    /// been started may get one yet.
    pub fn open(&mut self, pid: i32) -> Result<Reader, AttachError> {
        if let Some((reader, names)) = self.inherit(pid) {
            return Ok(self.keep(pid, reader, names));
        }
        let (options, clock) = (self.options, self.clock);
        let spy = PySpyReader::attach(pid, options, clock)?;
        let python = spy.version();
        let by_spy = |spy, instead| Reader { stacks: Box::new(spy), python, instead, names: None };
        if options.by == By::PySpy || options.by == By::Auto && !(self.possible() && spy.found().version >= (3, 11)) {
            return Ok(by_spy(spy, None));
        }
        match SnapshotReader::attach(pid, spy, options, clock) {
            Ok((reader, names)) => Ok(self.keep(pid, reader, names)),
            Err(refused) if options.by == By::Auto => Ok(by_spy(refused.spy, Some(refused.why))),
            Err(refused) => Err(AttachError::NoSnapshots(refused.why)),
        }
    }

    fn possible(&self) -> bool {
        self.options.mode == Mode::NonBlocking && self.options.locals == 0
    }

    /// The reader of a process whose parent is known and runs the same program.
    fn inherit(&self, pid: i32) -> Option<(SnapshotReader, Names)> {
        if self.options.by == By::PySpy || self.kin.is_empty() {
            return None;
        }
        let child = Facts::read(pid)?;
        let kin = self.kin.get(&child.parent)?;
        let parent = Facts::read(child.parent)?;
        // After an exec the addresses are others, and what stands at these proves it.
        let same = child.exe.is_some() && child.exe == parent.exe;
        same.then(|| SnapshotReader::inherit(pid, kin, self.options, self.clock)).flatten()
    }

    fn keep(&mut self, pid: i32, reader: SnapshotReader, names: Names) -> Reader {
        if self.kin.len() >= MOST_KIN {
            self.kin.retain(|pid, _| Facts::read(*pid).is_some());
        }
        if self.kin.len() >= MOST_KIN {
            self.kin.clear();
        }
        self.kin.insert(pid, reader.kin());
        Reader { python: reader.version(), stacks: Box::new(reader), instead: None, names: Some(names) }
    }
}

/// Opens one process by itself; see [`Opening::open`].
///
/// # Errors
///
/// As there.
pub fn open(pid: i32, options: Options, clock: Clock) -> Result<Reader, AttachError> {
    Opening::new(options, clock).open(pid)
}

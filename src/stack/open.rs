//! Opens a process with the reader that fits: snapshots where they are possible, py-spy for all else.
//!
//! The one place that weighs the two. Reads that stop the process and those that show local variables are py-spy's.

use super::pyspy::PySpyReader;
use super::snapshot::SnapshotReader;
use super::{AttachError, By, Options, StackReader};
use crate::clock::Clock;
use crate::recording::Mode;

/// A process that can be read.
pub struct Reader {
    /// Reads its stacks.
    pub stacks: Box<dyn StackReader>,
    /// The version of its Python, such as `3.11.7`.
    pub python: String,
    /// Why py-spy reads it although snapshots should be possible.
    pub instead: Option<String>,
}

/// Finds the interpreter of a process and the reader for it. Takes 5 to 20 ms.
///
/// # Errors
///
/// When there is no readable interpreter of a known version, or none that the wanted reader can read; a process that has just
/// been started may get one yet.
pub fn open(pid: i32, options: Options, clock: Clock) -> Result<Reader, AttachError> {
    let spy = PySpyReader::attach(pid, options, clock)?;
    let python = spy.version();
    let by_spy = |spy, instead| Reader { stacks: Box::new(spy), python: python.clone(), instead };
    let possible = options.mode == Mode::NonBlocking && options.locals == 0;
    if options.by == By::PySpy || options.by == By::Auto && !(possible && spy.found().version >= (3, 11)) {
        return Ok(by_spy(spy, None));
    }
    match SnapshotReader::attach(pid, spy, options, clock) {
        Ok(reader) => Ok(Reader { stacks: Box::new(reader), python, instead: None }),
        Err(refused) if options.by == By::Auto => Ok(by_spy(refused.spy, Some(refused.why))),
        Err(refused) => Err(AttachError::NoSnapshots(refused.why)),
    }
}

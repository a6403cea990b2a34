//! Reading the Python stacks of one process.
//!
//! [`StackReader`] is the seam: the sampler knows nothing of py-spy, of interpreters or of `/proc`, and a test can play a
//! script instead ([`scripted`]). A reader also says what each thread was doing, because that must be looked up with the
//! stack, not later.

mod names;
mod open;
pub mod pyspy;
pub mod request;
mod roots;
pub mod scripted;
pub mod snapshot;
mod state;

use std::time::Duration;

pub use names::Names;
pub use open::{Opening, Reader, open};

use crate::problem::Advice;
use crate::recording::{Mode, ThreadStack};

/// What to read, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// With or without stopping the process.
    pub mode: Mode,
    /// Which line stands for a frame.
    pub line: Line,
    /// Read local variables, each cut to this many characters times 128; 0 for none.
    pub locals: u8,
    /// Who reads.
    pub by: By,
}

/// Which reader is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Snapshots where they are possible, py-spy elsewhere.
    #[default]
    Auto,
    /// Snapshots or nothing.
    Snapshot,
    /// py-spy.
    PySpy,
}

/// Which line of a function is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The line that is being executed.
    Current,
    /// The first line of the function.
    First,
}

/// A process could not be read from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// py-spy knows no layout for this interpreter.
    #[error("Python {version} is not supported")]
    Version {
        /// The version that was found.
        version: String,
    },
    /// Snapshots were asked for, and cannot be taken of this interpreter.
    #[error("no snapshots can be taken of it: {0}")]
    NoSnapshots(String),
    /// There is no interpreter that can be read, or not yet.
    #[error("{0}")]
    Unreadable(String),
}

impl Advice for AttachError {
    fn hint(&self) -> Option<String> {
        let next = match self {
            Self::Version { .. } => "pyperf reads CPython 2.7 and 3.3 to 3.15",
            Self::NoSnapshots(_) => "leave out --reader snapshot: py-spy reads what snapshots cannot",
            Self::Unreadable(_) => "try again: a program that has just been started has no interpreter yet",
        };
        Some(next.into())
    }
}

/// Why a read gave no stacks.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The process has ended, or runs another program now.
    #[error("the process has ended")]
    Gone,
    /// A thread is in a system call that cannot be interrupted, so the process cannot be stopped now.
    #[error("a thread is in an uninterruptible system call")]
    Busy,
    /// The process could not be read this time.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads the stacks of all Python threads of one process.
pub trait StackReader: Send {
    /// The stacks right now.
    ///
    /// # Errors
    ///
    /// When the process has ended, or changed so fast that no read made sense.
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError>;

    /// To be called before the first read that counts, of a process that began within the run: the CPU time that it has used until then
    /// belongs to that read, too.
    fn count_cpu_from_birth(&mut self) {}

    /// Whether a read takes microseconds and waits for nothing, so that one thread can read many processes in turn.
    fn is_prompt(&self) -> bool {
        false
    }

    /// How many stacks came without their innermost frames, or not at all, because these changed in every try.
    fn torn(&self) -> u64 {
        0
    }

    /// For how long reads have kept the process from running, in total.
    fn stopped(&self) -> Duration {
        Duration::ZERO
    }
}

/// Names are kept up to 512 bytes, so that no process can make a recording as large as it likes.
fn cut(mut name: String) -> String {
    let end = (0..=name.len().min(512)).rev().find(|end| name.is_char_boundary(*end));
    name.truncate(end.unwrap_or(0));
    name
}

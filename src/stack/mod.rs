//! Reading the Python stacks of one process.
//!
//! [`StackReader`] is the seam: the sampler knows nothing of py-spy, of interpreters or of `/proc`, and a test can play a
//! script instead ([`scripted`]). A reader also says what each thread was doing, because that must be looked up with the
//! stack, not later.

pub mod pyspy;
pub mod request;
pub mod scripted;
mod state;

use std::time::Duration;

use crate::recording::{Frame, State};

/// A thread of the target at the moment of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadStack {
    /// Python's own id of the thread.
    pub ident: u64,
    /// The kernel's id of the thread in pyperf's pid namespace, where it could be found.
    pub os_id: Option<i32>,
    /// The name that `threading` knows it by.
    pub name: Option<String>,
    /// Its frames, the outermost first.
    pub frames: Vec<Frame>,
    /// The local variables of each frame in the same order; empty unless they were asked for.
    pub locals: Vec<Vec<Local>>,
    /// What it was doing.
    pub state: State,
    /// Whether it held the GIL.
    pub gil: bool,
}

/// A local variable of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Whether it is an argument of the function.
    pub argument: bool,
    /// Its value as text, cut to a bounded length. Not fit to be shown as it is: it can hold a secret.
    pub value: String,
}

/// Why a read gave no stacks.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The process has ended, or runs another program now.
    #[error("the process has ended")]
    Gone,
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

    /// For how long reads have kept the process from running, in total.
    fn stopped(&self) -> Duration {
        Duration::ZERO
    }
}

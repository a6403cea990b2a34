//! A thread as one read of its process shows it, before it is interned.

use std::sync::Arc;
use std::time::Duration;

use super::{State, Trace, Wait};

/// A thread of the target at the moment of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadStack {
    /// Python's own id of the thread.
    pub ident: u64,
    /// The kernel's id of the thread in pyperf's pid namespace, where it could be found.
    pub os_id: Option<i32>,
    /// The name that `threading` knows it by.
    pub name: Option<Arc<str>>,
    /// Its frames.
    pub stack: Trace,
    /// The local variables of each frame, from the outermost in; empty unless they were asked for.
    pub locals: Vec<Vec<Local>>,
    /// What it was doing.
    pub state: State,
    /// Whether it held the GIL.
    pub gil: bool,
    /// What it was waiting for, where that is known.
    pub wait: Option<Wait>,
    /// CPU time that it used since it was last seen running, in whole microseconds; zero in any other state.
    pub cpu: Duration,
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

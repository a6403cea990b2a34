//! A gate that a test opens and closes, and that the threads of a server pass.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::support::wait::PATIENCE;

/// Open or closed. Whoever waits at a closed one waits for [`PATIENCE`] at most.
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// One that lets everybody through until it is closed.
    pub fn opened() -> Gate {
        Gate { open: Mutex::new(true), changed: Condvar::new() }
    }

    /// One that holds everybody until it is opened.
    pub fn closed() -> Gate {
        Gate { open: Mutex::new(false), changed: Condvar::new() }
    }

    /// Lets through all who wait and all who come.
    pub fn open(&self) {
        self.set(true);
    }

    /// Holds all who come from now on.
    pub fn close(&self) {
        self.set(false);
    }

    /// Returns as soon as it is open.
    pub fn pass(&self) {
        self.pass_within(PATIENCE);
    }

    /// Waits at a closed gate for so long; whether it is open.
    pub fn pass_within(&self, length: Duration) -> bool {
        let open = self.open.lock().expect("nobody panics at a gate");
        *self.changed.wait_timeout_while(open, length, |open| !*open).expect("nobody panics at a gate").0
    }

    fn set(&self, open: bool) {
        *self.open.lock().expect("nobody panics at a gate") = open;
        self.changed.notify_all();
    }
}

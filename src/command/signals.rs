//! Ctrl+C and SIGTERM (and SIGHUP, when the terminal closes): the first ends the sampling, a second one while the report is
//! being written gives that up.
//!
//! A second signal at any other time changes nothing, so that pressing twice out of impatience never loses a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use crate::problem::{Exit, Problem};
use crate::stop::{Stop, StopReason};

/// Whether the report is being written, and whether the user has given it up.
#[derive(Clone, Debug, Default)]
pub(super) struct Writing {
    begun: Arc<AtomicBool>,
    given_up: Arc<AtomicBool>,
}

impl Writing {
    /// From now on a second signal gives up.
    pub(super) fn begin(&self) {
        self.begun.store(true, SeqCst);
    }

    /// Whether the user has given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(SeqCst)
    }
}

/// Takes over the signals of this process.
pub(super) fn stop_on_interrupt(stop: &Stop) -> Result<Writing, Problem> {
    let writing = Writing::default();
    let (stop, seen, received) = (stop.clone(), writing.clone(), AtomicU32::new(0));
    ctrlc::set_handler(move || {
        stop.request(StopReason::Interrupted);
        let again = received.fetch_add(1, SeqCst) > 0;
        if again && seen.begun.load(SeqCst) {
            seen.given_up.store(true, SeqCst);
        }
    })
    .map_err(|error| Problem::new(Exit::Failed, "cannot take over Ctrl+C").because(&error))?;
    Ok(writing)
}

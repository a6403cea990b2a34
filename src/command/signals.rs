//! Ctrl+C and SIGTERM (and SIGHUP, when the terminal closes): the first ends the sampling, a second one while the report is
//! being written gives that up.
//!
//! A second signal at any other time changes nothing, so that pressing twice out of impatience never loses a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use nix::sys::signal::{SigSet, Signal};

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

/// Takes over the signals of this process, before any thread is started.
pub(super) fn stop_on_interrupt(stop: &Stop) -> Result<Writing, Problem> {
    let stop = stop.clone();
    take_over(move |already| {
        stop.request(StopReason::Interrupted);
        already
    })
}

/// For a command that does nothing but write: the first signal gives up.
pub(super) fn give_up_on_interrupt() -> Result<Writing, Problem> {
    take_over(|_| true)
}

/// `on_signal` hears whether it was called before, and says whether the signal may end the writing.
fn take_over(on_signal: impl Fn(bool) -> bool + Send + 'static) -> Result<Writing, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::new(Exit::Failed, "cannot take over Ctrl+C").because(error);
    if hangup_is_ignored() {
        // nohup: with the signal blocked, taking it over changes nothing.
        block(&[Signal::SIGHUP]).map_err(|error| failed(&error))?;
    }
    let writing = Writing::default();
    let (seen, already) = (writing.clone(), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if on_signal(already.swap(true, SeqCst)) && seen.begun.load(SeqCst) {
            seen.given_up.store(true, SeqCst);
        }
    })
    .map_err(|error| failed(&error))?;
    Ok(writing)
}

/// Makes Ctrl+Z harmless: a pyperf that is stopped while it holds a process stopped would keep it so.
pub(super) fn never_suspend() -> Result<(), Problem> {
    block(&[Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU])
        .map_err(|error| Problem::new(Exit::Failed, "cannot block Ctrl+Z").because(&error))
}

fn block(signals: &[Signal]) -> nix::Result<()> {
    signals.iter().copied().collect::<SigSet>().thread_block()
}

/// Bit 0 of `SigIgn` in `/proc/self/status` is signal 1, SIGHUP.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

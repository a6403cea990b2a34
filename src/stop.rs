//! The only way anything in pyperf is told to end.
//!
//! A [`Stop`] is passed by value to everyone who must notice; it holds one write-once [`StopReason`], and the first reason
//! wins. There is no global flag, so two runs in one process (tests) never stop each other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody pressed Ctrl+C or sent SIGTERM.
    Interrupted,
    /// The length of time that was asked for is over.
    DurationOver,
    /// The last process of the target has ended.
    TargetGone,
    /// A part of pyperf could not go on; what was recorded until then is kept.
    Failed,
}

/// A shared, write-once request to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    reason: Mutex<Option<StopReason>>,
    requested: Condvar,
}

impl Stop {
    /// Asks for the end. Returns whether this was the first request; later ones do not change the reason.
    #[expect(clippy::must_use_candidate, reason = "whoever asks for the end rarely minds who asked first")]
    pub fn request(&self, reason: StopReason) -> bool {
        let mut slot = self.lock();
        let first = slot.is_none();
        slot.get_or_insert(reason);
        drop(slot);
        self.shared.requested.notify_all();
        first
    }

    /// The reason, once somebody has asked.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        *self.lock()
    }

    /// Sleeps for `length` or until the end is asked for, whichever comes first.
    #[must_use]
    pub fn wait(&self, length: Duration) -> Option<StopReason> {
        let waited = self.shared.requested.wait_timeout_while(self.lock(), length, |reason| reason.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Option<StopReason>> {
        // A reason is a plain value: a panic elsewhere cannot leave it half written.
        self.shared.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_wins() {
        let stop = Stop::default();
        assert_eq!(stop.reason(), None);
        assert!(stop.request(StopReason::DurationOver));
        assert!(!stop.clone().request(StopReason::Interrupted));
        assert_eq!(stop.reason(), Some(StopReason::DurationOver));
    }

    #[test]
    fn a_sleeper_wakes_when_asked() {
        let stop = Stop::default();
        let sleeper = {
            let stop = stop.clone();
            std::thread::Builder::new().spawn(move || stop.wait(Duration::from_secs(600))).expect("a thread")
        };
        stop.request(StopReason::TargetGone);
        assert_eq!(sleeper.join().ok().flatten(), Some(StopReason::TargetGone));
    }
}

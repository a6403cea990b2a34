//! What sampling costs: the CPU time of pyperf's own sampling threads, so that a report can tell it.
//!
//! Only a thread itself knows its CPU clock without being looked up, so each one adds what it used since it last did: once a
//! second while it works, for whoever reads the file of a run that was killed, and when it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Counters;
use crate::clock::Moment;
use crate::process::cpu;

/// Between two additions.
const TURN: Duration = Duration::from_secs(1);

/// The CPU time of one thread, added up in the counters.
pub(super) struct Cost {
    counters: Arc<Counters>,
    told: Duration,
    due: Moment,
}

impl Cost {
    /// For a thread that is yet to start: all that it will use.
    pub(super) fn of_new_thread(counters: Arc<Counters>) -> Self {
        Self { counters, told: Duration::ZERO, due: Moment::default() }
    }

    /// For the calling thread: what it uses from now on.
    pub(super) fn from_now(counters: Arc<Counters>) -> Self {
        Self { counters, told: cpu::used_here(), due: Moment::default() }
    }

    /// Adds what the calling thread used, unless that was done less than a second ago.
    pub(super) fn tell_at(&mut self, now: Moment) {
        if now >= self.due {
            self.due = now + TURN;
            self.tell();
        }
    }

    /// Adds what the calling thread used since the last time.
    pub(super) fn tell(&mut self) {
        let used = cpu::used_here();
        let new = used.saturating_sub(self.told);
        self.told = used;
        self.counters.cpu_nanos.fetch_add(u64::try_from(new.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_once() {
        let counters = Arc::new(Counters::default());
        let counted = || Duration::from_nanos(counters.cpu_nanos.load(Relaxed));
        let began = cpu::used_here();
        let mut cost = Cost::from_now(Arc::clone(&counters));
        let mut noise = 0;
        for turn in 1..=3_u32 {
            while cpu::used_here().saturating_sub(began) < turn * Duration::from_millis(5) {
                noise = crate::random::mix(noise);
            }
            cost.tell();
        }
        let used = cpu::used_here().saturating_sub(began);
        assert!(counted() <= used && counted() >= Duration::from_millis(14), "{:?} of {used:?}, {noise}", counted());
        let second = Moment::from_nanos(1_000_000_000);
        cost.tell_at(second);
        let before = counted();
        cost.tell_at(Moment::from_nanos(1_500_000_000));
        assert_eq!(counted(), before);
        cost.tell_at(Moment::from_nanos(2_000_000_000));
        assert!(counted() > before);
    }
}

//! Shares out the CPU time that a process really used among the threads that were seen running.
//!
//! The process's own clock is right whatever the rate of sampling, and holds the time of threads that no sample saw: native ones, and
//! those that ran between two samples. What is used while no thread is seen running waits for the next that is. So the
//! CPU times of the samples of a process add up to its clock, less what is pending.

use std::time::Duration;

use crate::process::cpu::ProcessClock;
use crate::recording::{State, ThreadStack};

/// The CPU time of one process that no sample has yet.
#[derive(Debug)]
pub(super) struct Charge {
    clock: Option<ProcessClock>,
    /// What the clock said last; a process that was just forked or found starts with nothing pending.
    last: Option<Duration>,
    pending: Duration,
}

impl Charge {
    pub(super) fn of(pid: i32) -> Self {
        Self { clock: ProcessClock::of(pid), last: None, pending: Duration::ZERO }
    }

    /// Nothing was given to a sample yet.
    pub(super) const fn count_from_birth(&mut self) {
        self.last = Some(Duration::ZERO);
        self.pending = Duration::ZERO;
    }

    /// Reads the clock: what was used since the last time.
    pub(super) fn begin(&mut self) -> Option<Duration> {
        let now = self.clock.as_ref().and_then(ProcessClock::used)?;
        let used = now.saturating_sub(self.last.replace(now)?);
        self.pending += used;
        Some(used)
    }

    /// Gives the pending time in whole microseconds, in equal parts, to the running threads.
    pub(super) fn share(&mut self, threads: &mut [ThreadStack]) {
        let mut running = threads.iter_mut().filter(|thread| thread.state == State::Running).peekable();
        if running.peek().is_none() {
            return;
        }
        let running: Vec<&mut ThreadStack> = running.collect();
        let parts = u32::try_from(running.len()).unwrap_or(u32::MAX);
        let micros = u64::try_from((self.pending / parts).as_micros()).unwrap_or(u64::MAX);
        let each = Duration::from_micros(micros);
        for thread in running {
            thread.cpu = each;
        }
        self.pending = self.pending.saturating_sub(each * parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{GilWait, Idle, Runnable, Running, Waiting};

    fn threads(states: &[State]) -> Vec<ThreadStack> {
        states.iter().map(|state| ThreadStack { state: *state, ..ThreadStack::default() }).collect()
    }

    fn shared(charge: &mut Charge, used: Duration, states: &[State]) -> Vec<Duration> {
        charge.pending += used;
        let mut threads = threads(states);
        charge.share(&mut threads);
        threads.into_iter().map(|thread| thread.cpu).collect()
    }

    #[test]
    fn every_microsecond_goes_to_a_running_thread_or_stays() {
        let mut charge = Charge { clock: None, last: None, pending: Duration::ZERO };
        let (micro, nano) = (Duration::from_micros, Duration::from_nanos);
        assert_eq!(shared(&mut charge, nano(5_400), &[Running]), [micro(5)]);
        assert_eq!(shared(&mut charge, nano(700), &[Waiting, Idle, Runnable, GilWait]), [micro(0); 4]);
        assert_eq!(charge.pending, nano(1_100));
        assert_eq!(shared(&mut charge, micro(9), &[Running, Idle, Running]), [micro(5), micro(0), micro(5)]);
        assert_eq!(charge.pending, nano(100));
        assert_eq!(charge.begin(), None);
    }

    #[test]
    fn the_clock_of_a_process_that_works_goes_on() {
        let mut charge = Charge::of(i32::try_from(std::process::id()).expect("pids fit"));
        assert_eq!(charge.begin(), None);
        let mut noise = 0_u64;
        while charge.pending < Duration::from_millis(5) {
            noise = crate::random::mix(noise);
            assert!(charge.begin().is_some(), "{noise}");
        }
        let mut thread = threads(&[Running]);
        charge.share(&mut thread);
        assert!(thread[0].cpu >= Duration::from_millis(5) && charge.pending < Duration::from_micros(1));
    }

    #[test]
    fn from_its_birth_on_a_process_has_used_all_that_its_clock_says() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut charge = Charge::of(own);
        charge.begin();
        charge.count_from_birth();
        let before = crate::process::cpu::used_by(own).expect("we live");
        assert!(before > Duration::ZERO && charge.begin() >= Some(before) && charge.pending >= before);
    }

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        assert_eq!(Charge::of(4_194_305).begin(), None);
    }
}

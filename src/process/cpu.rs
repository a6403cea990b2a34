//! How much CPU time was used: by a process, from its own clock, and by a thread of pyperf.
//!
//! The kernel keeps a CPU clock for each process, over all its threads, in nanoseconds; reading it needs no permission
//! (`kernel/time/posix-cpu-timers.c`). `/proc/PID/stat` says the same in steps of 10 ms and is the second choice. These are
//! lengths, not points in time: what time it is, only `clock` asks.

use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::process::Process;

/// CPU time that all threads of a living process have used since it began.
#[must_use]
pub fn used_by(pid: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid));
    clock.and_then(clock_gettime).map(Duration::from).ok().or_else(|| ticks(pid))
}

/// The CPU clock of one process, found once: a look is one system call (0.3 µs).
#[derive(Clone, Copy, Debug)]
pub struct ProcessClock(ClockId);

impl ProcessClock {
    /// Of a living process.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        clock_getcpuclockid(Pid::from_raw(pid)).ok().map(Self)
    }

    /// CPU time that all its threads have used since it began. Those on a core right now count up to the last tick of the kernel's
    /// (1 to 10 ms): `thread_group_cputime` in `kernel/sched/cputime.c` asks only the caller's own for more.
    #[must_use]
    pub fn used(&self) -> Option<Duration> {
        clock_gettime(self.0).map(Duration::from).ok()
    }
}

/// CPU time that the calling thread has used since it began.
#[must_use]
pub fn used_here() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The sum of user and system time in `/proc/PID/stat`.
fn ticks(pid: i32) -> Option<Duration> {
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    Some(super::of_ticks(stat.utime + stat.stime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_by_both_clocks_of_a_process_and_by_that_of_its_thread() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let read = || (used_by(own).expect("we live"), used_here());
        let before = read();
        let mut noise = 0_u64;
        while used_here().saturating_sub(before.1) < Duration::from_millis(30) {
            noise = crate::random::mix(noise);
        }
        let after = read();
        // The thread's work is part of the process's.
        assert!(after.0.saturating_sub(before.0) >= Duration::from_millis(30), "{before:?} {after:?} {noise}");
        let exact = used_by(own).expect("we live");
        let coarse = ticks(own).expect("we live");
        assert!(coarse <= used_by(own).expect("we live") && coarse + Duration::from_millis(20) >= exact);
    }

    #[test]
    fn a_clock_that_is_kept_says_the_same() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let kept = ProcessClock::of(own).expect("we live");
        let (before, between, after) = (used_by(own), kept.used(), used_by(own));
        assert!(before <= between && between <= after);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_clock() {
        // The highest pid that Linux can have is 2²² (`PID_MAX_LIMIT`).
        assert_eq!(used_by(4_194_305), None);
        assert!(ProcessClock::of(4_194_305).is_none());
    }
}

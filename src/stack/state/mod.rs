//! What each thread of a process is doing, what it waits for, and the CPU time that it used.
//!
//! No guess by function name: the kernel says whether a thread runs and in which system call it sleeps ([`kernel`]), whether
//! it is on a core or only ready for one ([`cores`]), and which peer or file the call is on ([`waits`]). A sleep on one of the GIL's
//! own futexes is a wait for the GIL ([`gil`]). Whether any other sleeper waits or is idle depends on whether it serves a request.
//! The process's CPU clock is shared out among the threads that were seen running ([`charge`]). Of stacks and of how they are
//! read it knows nothing.

mod call;
mod charge;
mod cores;
mod gil;
mod kernel;
mod waits;

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use foldhash::fast::RandomState;

use self::call::Call;
use self::charge::Charge;
use self::cores::Core;
use self::kernel::{OsThreads, Said};
use self::waits::Waits;
use crate::clock::{Clock, Moment};
use crate::recording::{State, ThreadStack, Wait};

pub(super) use gil::futexes as futexes_of_gil;

/// What a thread was doing when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// On a core; or ready for one, where that cannot be told apart.
    Running,
    /// Ready, and waiting for a core.
    Runnable,
    /// Asleep until another thread gives up the GIL.
    GilWait,
    /// Asleep, in this system call where that is known.
    Asleep(Option<Call>),
}

/// Decides the state of a thread. `None` stands for a thread that the kernel's list does not show.
pub(super) const fn decide(activity: Option<Activity>, serving: bool) -> State {
    match (activity, serving) {
        // Where nothing proves that a thread sleeps it counts: work must not disappear from a graph.
        (Some(Activity::Running), _) | (None, false) => State::Running,
        (Some(Activity::Runnable), _) => State::Runnable,
        // It has work to do, in a request or not.
        (Some(Activity::GilWait), _) => State::GilWait,
        (Some(Activity::Asleep(_)) | None, true) => State::Waiting,
        (Some(Activity::Asleep(_)), false) => State::Idle,
    }
}

/// While a thread is on a core its times move no faster than that: at the kernel's ticks (1 to 10 ms).
const TICK: Duration = Duration::from_millis(3);

/// The states of the threads of one process.
#[derive(Debug)]
pub(super) struct ThreadStates {
    threads: OsThreads,
    /// Of the threads that were seen running.
    cores: HashMap<i32, Core, RandomState>,
    waits: Waits,
    charge: Charge,
    /// Where the futexes of the GIL lie; empty when that is not known.
    gil: Range<u64>,
    /// When the CPU clock was read.
    begun: Moment,
    clock: Clock,
}

impl ThreadStates {
    /// For a process whose GIL has its futexes there; see [`futexes_of_gil`].
    pub(super) fn new(pid: i32, gil: Range<u64>, clock: Clock) -> Self {
        Self {
            threads: OsThreads::new(pid),
            cores: HashMap::default(),
            waits: Waits::of(pid, clock),
            charge: Charge::of(pid),
            gil,
            begun: Moment::default(),
            clock,
        }
    }

    /// Counts all CPU time from the beginning of the process on, whatever was read of it so far.
    pub(super) fn count_from_birth(&mut self) {
        self.charge.count_from_birth();
        // So that the next read begins with the clock.
        self.begun = Moment::default();
    }

    /// To be called where a read begins: the CPU time that the process used since the last call. `None` the first time, and when it
    /// cannot be read.
    ///
    /// The kernel adds up a thread's time when it leaves its core and at each tick (1 to 10 ms), so while a thread is on a core the
    /// clock is late by up to a tick. A clock that stood still means that no thread has run since, unless one began
    /// within the last tick and is at it still.
    pub(super) fn begin(&mut self) -> Option<Duration> {
        self.begun = self.clock.now();
        let used = self.charge.begin();
        // Whoever sleeps now, and has not run, sleeps where it did, and on the same file.
        if used != Some(Duration::ZERO) {
            self.waits.may_have_changed();
        }
        used
    }

    /// To be called in place of [`begin`](Self::begin) where a thread of the process is on a core or ready for one: reads the clock
    /// only when it may have moved.
    pub(super) fn begin_at_work(&mut self) {
        if self.clock.now().since(self.begun) >= TICK {
            self.begin();
        } else {
            self.waits.may_have_changed();
        }
    }

    /// To be called with all threads of a read: shares the CPU time out among those that were running.
    pub(super) fn charge(&mut self, threads: &mut [ThreadStack]) {
        self.charge.share(threads);
    }

    /// What a thread is doing now, by its id outside; `None` when it has ended.
    pub(super) fn look(&mut self, tid: i32) -> Option<Activity> {
        let Said::Asleep(call) = self.threads.look(tid)? else {
            let pid = self.threads.pid();
            let now = self.clock.now();
            let core = self.cores.entry(tid).or_insert_with(|| Core::of(pid, tid, now));
            return Some(if core.is_on(now) { Activity::Running } else { Activity::Runnable });
        };
        if let Some(core) = self.cores.get_mut(&tid) {
            core.sleeps(self.clock.now());
        }
        let for_gil = call.is_some_and(|call| call.waits_in(&self.gil));
        Some(if for_gil { Activity::GilWait } else { Activity::Asleep(call) })
    }

    /// What a thread, by its id outside, waits for, if it waits; `peek` reads the memory of the process.
    pub(super) fn wait(
        &mut self,
        tid: Option<i32>,
        activity: Option<Activity>,
        state: State,
        peek: impl FnOnce(u64, &mut [u8]) -> Option<()>,
    ) -> Option<Wait> {
        let (State::Waiting, Activity::Asleep(Some(call))) = (state, activity?) else {
            return None;
        };
        let still = || tid.and_then(|tid| self.threads.look(tid)) == Some(Said::Asleep(Some(call)));
        Some(self.waits.of_call(call, peek, still))
    }

    /// The id that a thread has for pyperf, from the id that it has for itself. `None` when there is no such thread.
    pub(super) fn outside(&mut self, own: i32) -> Option<i32> {
        self.threads.outside(own)
    }

    /// Whether a thread of the process, Python or not, is where neither signals nor ptrace reach it.
    pub(super) fn any_uninterruptible(&mut self) -> bool {
        self.threads.any_uninterruptible()
    }

    /// Closes what is open of a thread that has ended.
    pub(super) fn forget(&mut self, tid: i32) {
        self.threads.forget(tid);
        self.cores.remove(&tid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sleeper_without_a_request_is_idle() {
        let asleep = Some(Activity::Asleep(None));
        assert_eq!(decide(asleep, true), State::Waiting);
        assert_eq!(decide(asleep, false), State::Idle);
        assert_eq!(decide(None, false), State::Running);
        assert_eq!(decide(None, true), State::Waiting);
        for serving in [false, true] {
            assert_eq!(decide(Some(Activity::Running), serving), State::Running);
            assert_eq!(decide(Some(Activity::Runnable), serving), State::Runnable);
            assert_eq!(decide(Some(Activity::GilWait), serving), State::GilWait);
        }
    }

    #[test]
    fn only_a_waiting_thread_waits_for_something() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut states = ThreadStates::new(own, 0..0, Clock::start());
        let call = Call::parse(b"230 0x0 0x0 0x1 0x2 0x3 0x4 0x5 0x6\n");
        let asleep = Some(Activity::Asleep(call));
        assert!(states.wait(None, asleep, State::Waiting, |_, _| None).is_some());
        assert_eq!(states.wait(None, asleep, State::Idle, |_, _| None), None);
        assert_eq!(states.wait(None, Some(Activity::Asleep(None)), State::Waiting, |_, _| None), None);
        assert_eq!(states.wait(None, None, State::Waiting, |_, _| None), None);
    }

    #[test]
    fn our_own_threads_are_looked_at() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut states = ThreadStates::new(own, 0..0, Clock::start());
        assert!(states.look(own).is_some());
        states.forget(own);
        assert_eq!(states.look(i32::MAX), None);
        assert_eq!(states.begin(), None);
        assert!(states.begin().is_some());
    }
}

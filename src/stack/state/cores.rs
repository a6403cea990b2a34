//! Whether a thread that is ready to run is on a core, or waits for one.
//!
//! State R says either. What tells them apart is a count: the kernel counts how often a thread was put on a core (`schedstat`,
//! third number; `sched_info_arrive` in `kernel/sched/stats.h`) and how often it was taken off (the two `ctxt_switches` in `status`;
//! `__schedule` in `kernel/sched/core.c`). Both start at 0 with the thread, so on a core the first is ahead by one, and off
//! it they are equal.
//!
//! Clocks cannot tell: of a thread of another process every one of them (the process's CPU clock, `schedstat`, `stat`) moves
//! only when the thread leaves its core, and at ticks, 1 to 10 ms apart.
//!
//! What one looks at changes by it: on a machine without an idle core pyperf itself takes the core of a thread that it looks at.
//! So the thread's own time on cores has the last word: while it used more than the looks that found it on one stand for (each of
//! them for the time since the look before), it counts as on a core. In the long run its share is that of its CPU time, also on a
//! machine with one core.
//!
//! `status` is dear (8 µs; `schedstat` is 1), so it is read only while there is reason to think that the thread lacks a core: since it
//! was last looked at it had to wait for one, each time that it got one, for longer than it takes to wake up; or its time stands still;
//! and then 20 times a second at most. In between its time on cores alone decides. Of a thread that slept since, that time tells little
//! about now, so the counts are asked every time. And as that moves at ticks, a thread that was looked at within the
//! last 3 ms and has not slept since is not looked at again: it is where it was found.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::TICK;
use crate::clock::Moment;

/// A thread is looked at closely for so long after it lacked a core, and at first.
const WARY: Duration = Duration::from_millis(100);
/// Between two looks at the counts.
const COUNTED: Duration = Duration::from_millis(50);
/// Who wakes up where a core is idle has it sooner.
const PROMPT: Duration = Duration::from_micros(200);
/// A thread on a core has its time counted within that, whatever the kernel's tick (10 ms at most).
const TICKS: Duration = Duration::from_millis(25);
/// By how many looks these may be ahead of the time on a core, or behind it, before that is forgotten.
const MOST_AHEAD: i64 = 20;
/// How often numbers that make no sense are read again, as they change while they are read.
const TRIES: usize = 3;

/// One thread's times on a core.
#[derive(Debug)]
pub(super) struct Core {
    files: Option<Files>,
    last: Times,
    /// When its times were read.
    looked: Moment,
    /// When the last look was at it, asleep or not, and what that told of one that was not.
    asked: Moment,
    on: bool,
    /// When its time on a core was last seen to move.
    moved: Moment,
    wary_until: Moment,
    /// When its counts are to be looked at again, if it is doubtful.
    count_due: Moment,
    /// Time on a core that no look stands for, in nanoseconds; below 0, looks that no time on a core stands for.
    unseen: i64,
    /// Whether it was asleep since.
    slept: bool,
}

#[derive(Debug)]
struct Files {
    schedstat: File,
    status: File,
}

/// What `schedstat` says of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    /// Time on a core, in nanoseconds.
    on: u64,
    /// Time that it waited for one, up to the last time that it got it.
    waited: u64,
    /// How often it got one.
    arrivals: u64,
}

impl Core {
    /// Of a thread that is met now: what it did before is nobody's.
    pub(super) fn of(pid: i32, tid: i32, now: Moment) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/task/{tid}/{name}")).ok();
        let files = open("schedstat").zip(open("status")).map(|(schedstat, status)| Files { schedstat, status });
        Self {
            last: files.as_ref().and_then(Files::times).unwrap_or_default(),
            files,
            looked: Moment::default(),
            asked: now,
            on: true,
            moved: Moment::default(),
            wary_until: Moment::default(),
            count_due: Moment::default(),
            unseen: 0,
            slept: true,
        }
    }

    /// The thread is asleep.
    pub(super) const fn sleeps(&mut self, now: Moment) {
        self.slept = true;
        self.asked = now;
    }

    /// Whether the thread, which is ready to run, is on a core; yes also where that cannot be told.
    pub(super) fn is_on(&mut self, now: Moment) -> bool {
        let gap = now.since(std::mem::replace(&mut self.asked, now));
        if !self.slept && now.since(self.looked) < TICK {
            return self.weigh(self.on, Duration::ZERO, gap);
        }
        let Some(times) = self.files.as_ref().and_then(Files::times) else {
            self.files = None;
            return true;
        };
        let before = std::mem::replace(&mut self.last, times);
        self.looked = now;
        let found = !self.is_doubtful(before) || (self.slept || now >= self.count_due) && self.count();
        self.weigh(found, Duration::from_nanos(times.on.saturating_sub(before.on)), gap)
    }

    /// Whether the thread may lack a core, as far as its times tell.
    fn is_doubtful(&mut self, before: Times) -> bool {
        let now = self.looked;
        if self.slept || self.last.on != before.on {
            self.moved = now;
        }
        let waited = Duration::from_nanos(self.last.waited.saturating_sub(before.waited));
        let arrivals = self.last.arrivals.saturating_sub(before.arrivals);
        if waited > PROMPT * u32::try_from(arrivals).unwrap_or(u32::MAX).max(1) {
            self.wary_until = now + WARY;
        }
        now < self.wary_until || now.since(self.moved) > TICKS
    }

    /// Whether it is on a core by the counts.
    fn count(&mut self) -> bool {
        self.count_due = self.looked + COUNTED;
        let on = self.files.as_ref().and_then(|files| files.is_on(self.last));
        if on.is_none() {
            // This kernel counts otherwise, or not at all.
            self.files = None;
        }
        if on == Some(false) {
            self.wary_until = self.looked + WARY;
        }
        on.unwrap_or(true)
    }

    /// Weighs what a look found against the time on a core that was used since its time was read last. A look stands for the time
    /// since the one before, in which the thread may have been asleep.
    fn weigh(&mut self, found: bool, used: Duration, gap: Duration) -> bool {
        self.slept = false;
        let nanos = |length: Duration| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
        let gap = nanos(gap).max(1);
        let most = gap.saturating_mul(MOST_AHEAD).max(nanos(TICKS));
        self.unseen = self.unseen.saturating_add(nanos(used)).min(most);
        self.on = found || self.unseen >= gap / 2;
        if self.on {
            self.unseen = self.unseen.saturating_sub(gap).max(-most);
        }
        self.on
    }
}

impl Files {
    fn times(&self) -> Option<Times> {
        let mut bytes = [0; 96];
        let length = self.schedstat.read_at(&mut bytes, 0).ok()?;
        parse_times(bytes.get(..length)?)
    }

    /// Whether the thread is on a core, by the counts; `None` when they make no sense.
    fn is_on(&self, mut times: Times) -> Option<bool> {
        for _ in 0..TRIES {
            let mut bytes = [0; 8192];
            let length = self.status.read_at(&mut bytes, 0).ok()?;
            let ahead = times.arrivals.checked_sub(parse_departures(bytes.get(..length)?)?);
            if ahead == Some(1) {
                return Some(true);
            }
            let before = std::mem::replace(&mut times, self.times()?);
            if ahead == Some(0) && before.arrivals == times.arrivals {
                return Some(false);
            }
            // It came or went in between.
        }
        None
    }
}

fn parse_times(schedstat: &[u8]) -> Option<Times> {
    let mut numbers = std::str::from_utf8(schedstat).ok()?.split_ascii_whitespace().map(str::parse);
    let mut number = || numbers.next()?.ok();
    Some(Times { on: number()?, waited: number()?, arrivals: number()? })
}

/// The sum of `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches`, which stand near the end.
fn parse_departures(status: &[u8]) -> Option<u64> {
    let mut lines = status.rsplit(|byte| *byte == b'\n');
    let mut number = |name: &[u8]| {
        let text = lines.find_map(|line| line.strip_prefix(name))?;
        std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok()
    };
    let forced = number(b"nonvoluntary_ctxt_switches:")?;
    number(b"voluntary_ctxt_switches:")?.checked_add(forced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_read() {
        let times = Times { on: 12, waited: 3, arrivals: 4 };
        assert_eq!(parse_times(b"12 3 4\n"), Some(times));
        assert_eq!(parse_times(b"12 3\n"), None);
        assert_eq!(parse_times(b""), None);
        let status =
            b"Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\nx86_Thread_features:\t\n";
        assert_eq!(parse_departures(status), Some(695));
        assert_eq!(parse_departures(b"Name:\tx\n"), None);
        assert_eq!(parse_departures(b""), None);
    }

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    fn core() -> Core {
        let start = at(0);
        Core {
            files: None,
            last: Times::default(),
            looked: start,
            asked: start,
            on: true,
            moved: start,
            wary_until: start,
            count_due: start,
            unseen: 0,
            slept: false,
        }
    }

    fn doubts(core: &mut Core, millis: u64, on: u64, waited: u64) -> bool {
        let nanos = |millis| millis * 1_000_000;
        let times = Times { on: nanos(on), waited: nanos(waited), arrivals: 1 };
        let before = std::mem::replace(&mut core.last, times);
        core.looked = at(millis);
        core.is_doubtful(before)
    }

    /// The share of a thread on cores, when it used so much of 10 ms between two looks, and every so many of these find it there.
    fn share(used: u64, every: u64) -> f64 {
        let mut core = core();
        let gap = Duration::from_millis(10);
        let on = (0..1000_u64).filter(|look| core.weigh(look % every == 0, Duration::from_millis(used), gap)).count();
        f64::from(u32::try_from(on).expect("it is small")) / 1000.0
    }

    #[test]
    fn in_the_long_run_the_share_is_that_of_the_cpu_time() {
        let near = |share: f64, truth: f64| (share - truth).abs() < 0.02;
        // A look that always takes the core away from whom it looks at.
        assert!(near(share(10, 2000), 1.0) && near(share(5, 2000), 0.5) && near(share(1, 2000), 0.1));
        // A clock that moves at ticks of 4 ms.
        let mut core = core();
        let ticking = |look: u64| Duration::from_millis(if look % 4 == 3 && look % 8 < 4 { 4 } else { 0 });
        let on = (0..8000).filter(|look| core.weigh(false, ticking(*look), Duration::from_millis(1))).count();
        assert!((3900..4100).contains(&on), "{on} of 8000");
        // A thread that works for 4 of 12 ms, whose time moves as it falls asleep, so that it is seen with its next burst.
        let mut core = self::core();
        let bursts =
            |look: u64| (look % 12 < 4).then(|| Duration::from_millis(if look.is_multiple_of(12) { 4 } else { 0 }));
        let on =
            (0..12_000).filter_map(bursts).filter(|used| core.weigh(false, *used, Duration::from_millis(1))).count();
        assert!((3900..4100).contains(&on), "{on} of 12000");
        // One that takes nothing away.
        assert!(near(share(5, 2), 0.5) && near(share(10, 1), 1.0));
        assert!(near(share(0, 2000), 0.0));
    }

    #[test]
    fn a_thread_that_gets_its_core_is_not_looked_at_closely() {
        let mut core = core();
        doubts(&mut core, 1_000, 900, 0);
        assert!((101..200).all(|tick| !doubts(&mut core, tick * 10, tick * 10, 0)));
    }

    #[test]
    fn a_thread_that_wakes_up_often_and_has_its_core_at_once_lacks_none() {
        let mut core = core();
        let nanos = |millis: u64| millis * 1_000_000;
        for tick in 1..100 {
            core.slept = tick % 2 == 0;
            // Ten times between two looks, after 50 µs each.
            let times = Times { on: nanos(tick), waited: 500_000 * tick, arrivals: 10 * tick };
            let before = std::mem::replace(&mut core.last, times);
            core.looked = at(100 * tick);
            assert!(!core.is_doubtful(before), "at the look {tick}");
        }
        // It has just woken up from a second of sleep, and its time has not moved yet.
        core.slept = true;
        core.looked = at(11_000);
        assert!(!core.is_doubtful(core.last));
        // Now it had to wait.
        let before = core.last;
        core.last = Times { waited: before.waited + nanos(2), arrivals: before.arrivals + 4, ..before };
        core.looked = at(11_010);
        assert!(core.is_doubtful(before));
    }

    #[test]
    fn a_thread_that_waited_or_stands_still_is_looked_at_closely_for_a_while() {
        let mut core = core();
        assert!(doubts(&mut core, 1_000, 900, 5), "it waited");
        assert!(doubts(&mut core, 1_099, 990, 5));
        assert!(!doubts(&mut core, 1_110, 1_000, 5));
        assert!(!doubts(&mut core, 1_120, 1_000, 5));
        assert!(doubts(&mut core, 1_150, 1_000, 5), "it stands still");
        assert!(!doubts(&mut core, 1_160, 1_010, 5));
    }

    #[test]
    fn the_calling_thread_is_on_a_core() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut core = Core::of(own, nix::unistd::gettid().as_raw(), at(0));
        core.wary_until = at(1_000_000);
        // So far apart that the counts are looked at every time.
        assert!((0..100).all(|tick| core.is_on(at(50 * tick))));
        assert!(core.files.is_some(), "its counts make sense");
        assert!(Core::of(own, i32::MAX, at(0)).is_on(at(0)));
    }
}

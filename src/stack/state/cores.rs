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
//! `status` is dear (8 µs; `schedstat` is 1), so it is read only while there is reason to think that the thread lacks a core: it had
//! to wait for one for more than a fiftieth of the time since it was last looked at, or its time stands still; and then 20
//! times a second at most. In between its time on cores alone decides. And as that moves at ticks, a thread that was looked at within the
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
/// The longest time between two looks of which the thread may have slept a part.
const LONGEST_GAP: Duration = Duration::from_millis(20);
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
    /// When it was last asked for, and the answer.
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
    pub(super) fn of(pid: i32, tid: i32) -> Self {
        let open = |name| File::open(format!("/proc/{pid}/task/{tid}/{name}")).ok();
        let files = open("schedstat").zip(open("status")).map(|(schedstat, status)| Files { schedstat, status });
        Self {
            files,
            last: Times::default(),
            looked: Moment::default(),
            asked: Moment::default(),
            on: true,
            moved: Moment::default(),
            wary_until: Moment::default(),
            count_due: Moment::default(),
            unseen: 0,
            slept: true,
        }
    }

    /// The thread is asleep.
    pub(super) const fn sleeps(&mut self) {
        self.slept = true;
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
        let pause = now.since(std::mem::replace(&mut self.looked, now));
        let found = !self.is_doubtful(before, pause) || now >= self.count_due && self.count();
        self.weigh(found, Duration::from_nanos(times.on.saturating_sub(before.on)), gap)
    }

    /// Whether the thread may lack a core, as far as its times tell.
    fn is_doubtful(&mut self, before: Times, gap: Duration) -> bool {
        let now = self.looked;
        if self.last.on != before.on {
            self.moved = now;
        }
        let waited = Duration::from_nanos(self.last.waited.saturating_sub(before.waited));
        if waited > gap.min(LONGEST_GAP) / 50 {
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

    /// Weighs what a look found against the time on a core that was used since the last one.
    fn weigh(&mut self, found: bool, used: Duration, gap: Duration) -> bool {
        // What it did long ago, before it slept, says nothing about now; otherwise its time moves at ticks, by that of many looks.
        let nanos = |length: Duration| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
        let slept = std::mem::take(&mut self.slept);
        let gap = nanos(if slept { gap.min(LONGEST_GAP) } else { gap }).max(1);
        let most = if slept { gap } else { gap.saturating_mul(MOST_AHEAD).max(nanos(TICKS)) };
        self.unseen = self.unseen.saturating_add(nanos(used).min(most)).min(most);
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
            match times.arrivals.checked_sub(parse_departures(bytes.get(..length)?)?) {
                Some(0) => return Some(false),
                Some(1) => return Some(true),
                // It came and went in between.
                _ => times = self.times()?,
            }
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
        let gap = at(millis).since(std::mem::replace(&mut core.looked, at(millis)));
        core.is_doubtful(before, gap)
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
        let mut core = Core::of(own, nix::unistd::gettid().as_raw());
        core.wary_until = at(1_000_000);
        // So far apart that the counts are looked at every time.
        assert!((0..100).all(|tick| core.is_on(at(50 * tick))));
        assert!(core.files.is_some(), "its counts make sense");
        assert!(Core::of(own, i32::MAX).is_on(at(0)));
    }
}

//! Time inside pyperf: one [`Clock`], made once and copied to everyone, and the [`Moment`]s that it stamps.
//!
//! This is the only file that asks the system what time it is. Everything else compares moments, so a recording can be
//! replayed, a test can make up its own time, and a wall clock that is set back in mid-run changes nothing. Wall time
//! exists at the rim alone: [`Clock::wall`] turns a moment into a date when two recordings must be joined.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};

/// A point in time: nanoseconds since the origin of the clock that stamped it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `nanos` nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment so many nanoseconds later, or earlier: as far as the clock reaches.
    #[must_use]
    pub const fn moved(self, nanos: i64) -> Self {
        Self(self.0.saturating_add_signed(nanos))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// The moment that much later; the far end of time (584 years) when the sum does not fit.
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A monotonic clock with one anchor to wall time, and one to the time since boot in which the kernel tells when processes began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall: SystemTime,
    boot: Duration,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks what time it is")]
    pub fn start() -> Self {
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self { origin: Instant::now(), wall: SystemTime::now(), boot }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        let nanos = self.origin.elapsed().as_nanos();
        Moment(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The wall time of a moment, as the wall clock stood when this clock was started.
    #[must_use]
    pub fn wall(&self, moment: Moment) -> SystemTime {
        self.wall + Duration::from_nanos(moment.0)
    }

    /// The moment that is so long after boot; the origin for whatever was before it.
    #[must_use]
    pub fn after_boot(&self, length: Duration) -> Moment {
        Moment::default() + length.saturating_sub(self.boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_never_run_backwards() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
    }

    #[test]
    fn what_began_before_the_clock_began_at_its_origin() {
        let clock = Clock::start();
        assert_eq!(clock.after_boot(clock.boot), Moment::default());
        assert_eq!(clock.after_boot(Duration::ZERO), Moment::default());
        let started = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).expect("Linux has it");
        assert!(clock.after_boot(started) <= clock.now());
    }

    #[test]
    fn lengths_saturate_instead_of_wrapping() {
        let early = Moment::from_nanos(5);
        let late = Moment::from_nanos(9);
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!((late + Duration::MAX).as_nanos(), u64::MAX);
    }

    #[test]
    fn wall_time_moves_with_the_moment() {
        let clock = Clock::start();
        let gap = clock.wall(Moment::from_nanos(2_000_000_000)).duration_since(clock.wall(Moment::default()));
        assert_eq!(gap.ok(), Some(Duration::from_secs(2)));
    }
}

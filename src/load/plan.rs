//! When virtual users arrive: a pure function of the phases and a seed, known before the run.
//!
//! The totals are those of Artillery's formulas; the moments are better. Artillery starts all users of a second at its
//! beginning, or as many together as it has threads; here they are spread evenly inside each second, on exact due times. A
//! plan is a few numbers a phase, whatever its length: arrivals are made as they are asked for.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are fractions, arrivals are counted, and 53 bits of nanoseconds are a hundred days"
)]

use std::time::Duration;

use crate::random::Random;
use crate::scenario::phase::{Arrivals, Phase};

const SECOND: u64 = 1_000_000_000;

/// A day. Seconds of a longer ramp are not counted one by one: a script may have thousands of phases of years.
const LONG_RAMP: u64 = 86_400 * SECOND;

/// One virtual user's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number, from 0.
    pub number: u64,
    /// When it is due, from the start of the load.
    pub due: Duration,
    /// The number of its phase.
    pub phase: usize,
}

/// All arrivals of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    stretches: Vec<Stretch>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    start: u64,
    length: u64,
    arrivals: Arrivals,
}

impl Plan {
    /// The plan of some phases. Equal seeds give equal plans.
    #[must_use]
    pub fn of(phases: &[Phase], seed: u64) -> Self {
        let mut start = 0_u64;
        let stretch = |phase: &Phase| {
            let length = u64::try_from(phase.length.as_nanos()).unwrap_or(u64::MAX);
            let stretch = Stretch { start, length, arrivals: phase.arrivals };
            start = start.saturating_add(length);
            stretch
        };
        Self { stretches: phases.iter().map(stretch).collect(), seed }
    }

    /// The seed that it was made with.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// When a phase begins and how long it lasts, from the start of the load.
    #[must_use]
    pub fn phase(&self, phase: usize) -> Option<(Duration, Duration)> {
        let stretch = self.stretches.get(phase)?;
        Some((Duration::from_nanos(stretch.start), Duration::from_nanos(stretch.length)))
    }

    /// How long all phases last together.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.stretches
            .last()
            .map_or(Duration::ZERO, |last| Duration::from_nanos(last.start.saturating_add(last.length)))
    }

    /// How many users arrive in a phase; on average, where chance decides or a ramp takes longer than a day.
    #[must_use]
    pub fn expected(&self, phase: usize) -> u64 {
        self.stretches.get(phase).map_or(0, |stretch| match stretch.arrivals {
            Arrivals::None => 0,
            Arrivals::Count(count) => count,
            Arrivals::Rate(rate) => steady(rate, stretch.length),
            Arrivals::Poisson(rate) => whole(rate * seconds(stretch.length)),
            Arrivals::Ramp { from, to } if stretch.length > LONG_RAMP => {
                whole(f64::midpoint(from, to) * seconds(stretch.length))
            }
            Arrivals::Ramp { from, to } => {
                slices(stretch.length).map(|slice| ramp(from, to, slice, stretch.length)).fold(0, u64::saturating_add)
            }
        })
    }

    /// Every arrival, in the order of time.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + Send + use<'_> {
        let dues = self.stretches.iter().enumerate().flat_map(|(phase, stretch)| {
            let random = Random::stream(self.seed, phase as u64);
            let start = stretch.start;
            stretch.dues(random).map(move |due| (phase, start.saturating_add(due)))
        });
        (0..).zip(dues).map(|(number, (phase, due))| Arrival { number, due: Duration::from_nanos(due), phase })
    }
}

impl Stretch {
    /// The due times inside this stretch.
    fn dues(self, random: Random) -> Box<dyn Iterator<Item = u64> + Send> {
        match self.arrivals {
            Arrivals::None => Box::new(std::iter::empty()),
            Arrivals::Count(count) => Box::new(even(count, self.length)),
            Arrivals::Rate(rate) => Box::new(even(steady(rate, self.length), self.length)),
            Arrivals::Poisson(rate) => Box::new(by_chance(rate, self.length, random)),
            Arrivals::Ramp { from, to } => Box::new(slices(self.length).flat_map(move |slice| {
                even(ramp(from, to, slice, self.length), slice.length).map(move |due| slice.start.saturating_add(due))
            })),
        }
    }
}

/// `count` moments spread evenly, the last at the end.
fn even(count: u64, length: u64) -> impl Iterator<Item = u64> + Send {
    let place = move |nth: u64| u128::from(length) * u128::from(nth) / u128::from(count.max(1));
    (1..=count).map(move |nth| u64::try_from(place(nth)).unwrap_or(u64::MAX))
}

/// Gaps of exponential length until the stretch is over: a Poisson process.
fn by_chance(rate: f64, length: u64, mut random: Random) -> impl Iterator<Item = u64> + Send {
    let mut due = 0.0;
    std::iter::from_fn(move || {
        due += -(1.0 - random.unit()).ln() / rate;
        let nanos = whole(due * 1e9);
        (nanos <= length).then_some(nanos)
    })
}

/// Artillery's count for a constant rate: intervals are cut to whole microseconds.
fn steady(rate: f64, length: u64) -> u64 {
    let interval = (1e6 / rate).floor().max(1.0);
    whole((length as f64 / 1e3 / interval + 1e-9).floor())
}

/// A second of a ramp, or what is left of one at its end.
#[derive(Clone, Copy)]
struct Slice {
    nth: u64,
    start: u64,
    length: u64,
}

fn slices(length: u64) -> impl Iterator<Item = Slice> + Send {
    (0..length.div_ceil(SECOND)).map(move |nth| {
        let start = nth * SECOND;
        Slice { nth, start, length: SECOND.min(length - start) }
    })
}

/// How many arrive in a slice of a ramp: Artillery's rounding for whole seconds, a share of it for the rest.
fn ramp(from: f64, to: f64, slice: Slice, length: u64) -> u64 {
    let seconds = length / SECOND;
    let rate = match seconds {
        0 | 1 if slice.nth == 0 => f64::midpoint(from, to),
        _ if slice.nth >= seconds => to,
        _ => from + (to - from) * slice.nth as f64 / (seconds - 1) as f64,
    };
    // JavaScript rounds a half up.
    whole((rate * self::seconds(slice.length) + 0.5).floor())
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND as f64
}

fn whole(number: f64) -> u64 {
    // A cast saturates, and what is not a number is 0.
    number as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phase(seconds: f64, arrivals: Arrivals) -> Phase {
        Phase { length: Duration::from_secs_f64(seconds), arrivals, ..Phase::solo() }
    }

    fn dues(phases: &[Phase]) -> Vec<u128> {
        Plan::of(phases, 7).arrivals().map(|arrival| arrival.due.as_millis()).collect()
    }

    #[test]
    fn a_constant_rate_is_spread_evenly_and_begins_one_interval_late() {
        assert_eq!(dues(&[phase(1.0, Arrivals::Rate(4.0))]), [250, 500, 750, 1000]);
        assert_eq!(dues(&[phase(10.0, Arrivals::Rate(0.3))]), [3333, 6666, 10_000]);
        assert_eq!(dues(&[phase(2.0, Arrivals::Count(3))]), [666, 1333, 2000]);
    }

    #[test]
    fn phases_follow_one_another() {
        let phases = [phase(1.0, Arrivals::Count(1)), phase(2.5, Arrivals::None), phase(1.0, Arrivals::Rate(2.0))];
        assert_eq!(dues(&phases), [1000, 4000, 4500]);
        let plan = Plan::of(&phases, 1);
        assert_eq!(plan.length(), Duration::from_millis(4500));
        assert_eq!(plan.phase(2), Some((Duration::from_millis(3500), Duration::from_secs(1))));
        let numbers: Vec<_> = plan.arrivals().map(|arrival| (arrival.number, arrival.phase)).collect();
        assert_eq!(numbers, [(0, 0), (1, 2), (2, 2)]);
    }

    #[test]
    fn totals_are_those_of_artillery_s_formulas() {
        let total = |seconds, arrivals| Plan::of(&[phase(seconds, arrivals)], 1).arrivals().count();
        assert_eq!(total(10.0, Arrivals::Rate(3.0)), 30);
        // floor(1e6 / 7000) is 142 µs, and so 7042 fit into a second.
        assert_eq!(total(1.0, Arrivals::Rate(7000.0)), 7042);
        let ramp = |from, to| Arrivals::Ramp { from, to };
        assert_eq!(total(5.0, ramp(0.0, 10.0)), 3 + 5 + 8 + 10);
        assert_eq!(total(1.0, ramp(2.0, 5.0)), 4);
        assert_eq!(total(30.0, ramp(1.0, 5.0)), 90);
        assert_eq!(total(60.0, ramp(5.0, 1.0)), 180);
        assert_eq!(total(2.5, ramp(2.0, 4.0)), 2 + 4 + 2);
    }

    #[test]
    fn a_ramp_spreads_each_second_s_arrivals_over_it() {
        let ramp = Arrivals::Ramp { from: 1.0, to: 4.0 };
        assert_eq!(dues(&[phase(2.0, ramp)]), [1000, 1250, 1500, 1750, 2000]);
    }

    #[test]
    fn chance_keeps_the_rate_and_repeats_itself() {
        let phases = [phase(100.0, Arrivals::Poisson(50.0))];
        let first = dues(&phases);
        assert!((4700..5300).contains(&first.len()), "{}", first.len());
        assert_eq!(first, dues(&phases));
        let other: Vec<_> = Plan::of(&phases, 8).arrivals().map(|arrival| arrival.due.as_millis()).collect();
        assert_ne!(first, other);
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_inside_their_phase(
            lengths in proptest::collection::vec((0.001_f64..20.0, 0_u8..5, 0.0_f64..60.0, 0.0_f64..60.0), 1..5),
            seed: u64,
        ) {
            let phases: Vec<Phase> = lengths.iter().map(|(seconds, kind, from, to)| phase(*seconds, match kind {
                0 => Arrivals::None,
                1 => Arrivals::Count(*from as u64),
                2 => Arrivals::Rate(from + 0.01),
                3 => Arrivals::Poisson(from + 0.01),
                _ => Arrivals::Ramp { from: *from, to: *to },
            })).collect();
            let plan = Plan::of(&phases, seed);
            let mut last = Duration::ZERO;
            let mut counts = vec![0; phases.len()];
            for arrival in plan.arrivals() {
                let (start, length) = plan.phase(arrival.phase).expect("a phase of the plan");
                prop_assert!(arrival.due >= last && arrival.due >= start && arrival.due <= start + length);
                last = arrival.due;
                counts[arrival.phase] += 1;
            }
            for (index, phase) in phases.iter().enumerate() {
                if !matches!(phase.arrivals, Arrivals::Poisson(_)) {
                    prop_assert_eq!(plan.expected(index), counts[index]);
                }
            }
        }
    }
}

//! When samples are due: a pure function of the rate, so that it can be tested without a clock.
//!
//! Time is cut into equal slots, one sample in each, at a random place in it. The mean rate is exact, and a program that
//! works in step with the rate (a timer of 10 ms under 100 Hz) is not always caught at the same place. A slot that is over
//! before its sample was taken is skipped and counted, never made up for in a burst.

use std::time::Duration;

use crate::random::mix;

/// A schedule of samples.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    slot: u64,
    seed: u64,
}

impl Pace {
    /// A schedule of `rate` samples a second. Equal seeds give equal schedules.
    #[must_use]
    pub fn new(rate: u32, seed: u64) -> Self {
        Self { slot: (1_000_000_000 / u64::from(rate.max(1))).max(1), seed }
    }

    /// When the sample of a slot is due, from the start.
    #[must_use]
    pub const fn due(&self, slot: u64) -> Duration {
        let place = mix(self.seed ^ slot) % self.slot;
        Duration::from_nanos(slot.saturating_mul(self.slot).saturating_add(place))
    }

    /// The first slot behind `slot` that is not over yet after `elapsed`; the slots in between are lost.
    #[must_use]
    pub fn next(&self, slot: u64, elapsed: Duration) -> u64 {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        (elapsed / self.slot).max(slot + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_slot_holds_its_sample(rate in 1u32..20_000, seed: u64, slot in 0u64..1_000_000) {
            let pace = Pace::new(rate, seed);
            let length = 1_000_000_000 / u64::from(rate);
            let due = u64::try_from(pace.due(slot).as_nanos()).expect("days, not centuries");
            prop_assert!((slot * length..(slot + 1) * length).contains(&due));
        }

        #[test]
        fn a_late_sampler_skips_what_is_over(late in 0u64..1000) {
            let pace = Pace::new(100, 7);
            let next = pace.next(5, Duration::from_millis(10 * late));
            prop_assert_eq!(next, late.max(6));
        }
    }

    #[test]
    fn samples_fall_on_every_part_of_a_slot() {
        let pace = Pace::new(100, 42);
        let mut tenths = [0; 10];
        for slot in 0..10_000 {
            tenths[usize::try_from(pace.due(slot).as_millis() % 10).expect("small")] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}

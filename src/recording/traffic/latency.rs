//! Distributions of lengths of time: HDR histograms of microseconds with three significant digits, which add up exactly.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A distribution of lengths of time, in microseconds; three significant digits, from 1 µs up.
///
/// The shortest and the longest are kept exactly. An empty one takes no memory yet.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    histogram: Option<Box<Histogram<u32>>>,
    bounds: Option<(Duration, Duration)>,
}

impl Latency {
    /// Adds a length of time.
    pub fn record(&mut self, length: Duration) {
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).clamp(1, HIGHEST);
        let histogram = self.histogram.get_or_insert_with(|| Box::new(empty()));
        // Within the bounds of a histogram that resizes itself.
        let _ = histogram.record(micros);
        self.stretch(length, length);
    }

    fn stretch(&mut self, shortest: Duration, longest: Duration) {
        self.bounds = Some(self.bounds.map_or((shortest, longest), |(min, max)| (min.min(shortest), max.max(longest))));
    }

    /// Adds all of another one: exact, as if its values had been recorded here.
    pub fn add(&mut self, other: &Self) {
        if let (Some(more), Some((shortest, longest))) = (&other.histogram, other.bounds) {
            let _ = self.histogram.get_or_insert_with(|| Box::new(empty())).add(&**more);
            self.stretch(shortest, longest);
        }
    }

    /// Takes everything out, and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.reset();
        }
        self.bounds = None;
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// The length that the share `quantile` of the values does not exceed: 0.5 is the median. Zero when there are none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        self.histogram.as_ref().map_or(Duration::ZERO, |histogram| {
            Duration::from_micros(histogram.value_at_quantile(quantile)).clamp(self.min(), self.max())
        })
    }

    /// The shortest.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.bounds.map_or(Duration::ZERO, |(shortest, _)| shortest)
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.bounds.map_or(Duration::ZERO, |(_, longest)| longest)
    }

    /// The mean, in microseconds.
    #[must_use]
    pub fn mean_micros(&self) -> f64 {
        self.histogram.as_ref().map_or(0.0, |histogram| histogram.mean())
    }

    /// Its values with how often there is each, in microseconds, as exact as it keeps them.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let values = self.histogram.iter().flat_map(|histogram| histogram.iter_recorded());
        values.map(|value| (value.value_iterated_to(), value.count_since_last_iteration()))
    }

    /// One of such values, between the shortest and the longest; `None` when they cannot be those of any.
    #[must_use]
    pub fn of_values(values: &[(u64, u64)], shortest: Duration, longest: Duration) -> Option<Self> {
        if values.is_empty() {
            return Some(Self::default());
        }
        if shortest > longest {
            return None;
        }
        let mut histogram = empty();
        for (micros, count) in values {
            histogram.record_n((*micros).clamp(1, HIGHEST), u32::try_from(*count).ok()?).ok()?;
        }
        Some(Self { histogram: Some(Box::new(histogram)), bounds: Some((shortest, longest)) })
    }

    /// How many values are longer than a bound, to the histogram's precision.
    #[must_use]
    pub fn count_above(&self, bound: Duration) -> u64 {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(HIGHEST).min(HIGHEST);
        self.histogram
            .as_ref()
            .map_or(0, |histogram| histogram.len().saturating_sub(histogram.count_between(0, micros)))
    }
}

/// Two days: what is longer is a mistake of the clock.
const HIGHEST: u64 = 200_000_000_000;

fn empty() -> Histogram<u32> {
    let mut histogram = Histogram::new_with_bounds(1, 1 << 12, 3)
        .unwrap_or_else(|_| unreachable!("the bounds of a histogram are constants"));
    histogram.auto(true);
    histogram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(lengths: &[u64]) -> Latency {
        let mut latency = Latency::default();
        for length in lengths {
            latency.record(Duration::from_millis(*length));
        }
        latency
    }

    #[test]
    fn three_digits_are_kept_over_the_whole_range() {
        let latency = millis(&[1, 10, 100, 30_051]);
        assert_eq!(latency.count(), 4);
        assert_eq!((latency.min().as_millis(), latency.max().as_millis()), (1, 30_051));
        assert!(latency.quantile(0.75).as_millis().abs_diff(100) <= 1, "{:?}", latency.quantile(0.75));
        assert!(latency.quantile(1.0) <= latency.max());
        assert_eq!(latency.count_above(Duration::from_millis(50)), 2);
        assert_eq!(Latency::default().quantile(0.99), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn adding_windows_is_exact(lengths in proptest::collection::vec(1_u64..200_000, 1..200), cut in 0_usize..200) {
            let cut = cut.min(lengths.len());
            let whole = millis(&lengths);
            let mut added = millis(&lengths[..cut]);
            added.add(&millis(&lengths[cut..]));
            for quantile in [0.0, 0.5, 0.9, 0.99, 1.0] {
                prop_assert_eq!(whole.quantile(quantile), added.quantile(quantile));
            }
            prop_assert_eq!(whole.count(), added.count());
        }
    }
}

//! How far two clocks are apart, told by what both machines saw: a thread that works does so for a request.
//!
//! Samples come from the server's clock and requests from that of the load. Busy threads and requests in flight are counted
//! in equal bins, and one row is moved along the other to where they agree best (Pearson's correlation), coarse to fine:
//! bins of a second over the whole overlap, then of a tenth, then of a sample's interval. Where there is no single best
//! place, or where it explains little more than the clocks as they are, nothing is said. Work and memory are bounded,
//! however long the recordings: bins get wider.

use super::Selection;
use super::presence::{Presence, PresenceCursor};
use crate::clock::Moment;
use crate::recording::Recording;

/// Bins of either row in the first pass, at most: it is quadratic.
const COARSE_BINS: i64 = 4096;
/// Bins of either row in the passes that look around the best place only.
const FINE_BINS: i64 = 1 << 20;
/// Each pass has bins so many times finer than the one before.
const FINER: i64 = 10;
const SECOND: i64 = 1_000_000_000;
/// Width of the finest bins, at least: requests take some time from one machine to the other.
const FINEST: i64 = SECOND / 100;
/// Fewer busy samples tell nothing.
const ENOUGH: u64 = 100;
/// A weaker correlation tells nothing.
const WEAKEST: f64 = 0.4;
/// Another place that agrees almost as well makes both doubtful.
const RIVAL: f64 = 0.9;
/// So much more of the busy samples must fall into a request.
const CLEARLY: f64 = 0.05;

/// By how much a clock seems to be off, and how much better it is then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// By so many nanoseconds later the requests came than was assumed.
    pub later: i64,
    /// The share of busy samples that fall into a request as it was assumed.
    pub now: f64,
    /// The same with the estimate.
    pub then: f64,
}

/// Looks for a better place of the requests among the samples. `in_flight` is by the load's own clock, whose moments are
/// taken to come `behind` nanoseconds later on that of the samples. `None` where the recordings do not allow to tell.
#[must_use]
pub fn estimate(recording: &Recording, in_flight: &Presence, behind: i64) -> Option<Estimate> {
    let busy = Busy::of(recording);
    let ((first, last), (began, ended)) = (busy.span()?, in_flight.span()?);
    let (sampled, load) = (nanos(last) - nanos(first), nanos(ended) - nanos(began));
    // Where the load's first request is taken to be among the samples, counted from the first of them.
    let place = nanos(began).saturating_add(behind).saturating_sub(nanos(first));
    let rows = |width| (busy.bins(first, sampled, width), presence_bins(in_flight, began, load, width));

    let coarse = SECOND.max(sampled.max(load) / COARSE_BINS + 1);
    let (row, other) = rows(coarse);
    let (from, to) = (1 - count(&other), count(&row));
    let scores = correlations(&row, &other, from, to);
    let lag = from + single_best(&scores)?;
    let mut found = lag * coarse;
    let interval = SECOND / i64::from(recording.run.rate.max(1));
    let finest = interval.max(FINEST).max(sampled.max(load) / FINE_BINS + 1);
    let mut width = coarse;
    while width > finest {
        let around = width;
        width = (width / FINER).max(finest);
        let (row, other) = rows(width);
        let (from, to) = ((found - around).div_euclid(width), (found + around).div_euclid(width) + 2);
        found = (from + best(&correlations(&row, &other, from, to))?) * width;
    }
    let later = found.saturating_sub(place);
    let (now, then) = (busy.inside(in_flight, behind)?, busy.inside(in_flight, behind.saturating_add(later))?);
    let better = then - now >= CLEARLY && 1.0 - then <= (1.0 - now) / 2.0;
    better.then_some(Estimate { later, now, then })
}

fn nanos(moment: Moment) -> i64 {
    // Half of all time is enough, and leaves room for differences.
    i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

fn count(row: &[f64]) -> i64 {
    i64::try_from(row.len()).unwrap_or(i64::MAX)
}

/// Where a moment is in bins of some width; beyond them in the last one.
fn bin(nanos: i64, width: i64, bins: usize) -> usize {
    usize::try_from(nanos / width).unwrap_or(0).min(bins.saturating_sub(1))
}

fn empty(length: i64, width: i64) -> Vec<f64> {
    vec![0.0; usize::try_from(length / width).unwrap_or(0) + 1]
}

/// The samples of threads that work for a request.
struct Busy<'a> {
    recording: &'a Recording,
    /// By the number of the thread.
    counts: Vec<bool>,
}

impl<'a> Busy<'a> {
    fn of(recording: &'a Recording) -> Self {
        let selection = Selection::default();
        let takes = |process: &_| selection.takes_process(process);
        let counts =
            recording.threads.iter().map(|thread| recording.process(thread.process).is_some_and(takes)).collect();
        Self { recording, counts }
    }

    /// Their moments.
    fn moments(&self) -> impl Iterator<Item = Moment> {
        let selection = Selection::default();
        let counts = |thread: u32| self.counts.get(thread as usize) == Some(&true);
        let busy = self.recording.samples.iter();
        busy.filter(move |sample| counts(sample.thread.index()) && selection.takes(sample)).map(|sample| sample.moment)
    }

    /// When sampling went on, if enough was busy meanwhile.
    fn span(&self) -> Option<(Moment, Moment)> {
        if (self.moments().count() as u64) < ENOUGH {
            return None;
        }
        let span = |span: Option<(Moment, Moment)>, moment: Moment| {
            let (first, last) = span.unwrap_or((moment, moment));
            Some((first.min(moment), last.max(moment)))
        };
        // Idle samples too: that nobody worked is known for them.
        self.recording.samples.iter().map(|sample| sample.moment).fold(None, span)
    }

    fn bins(&self, first: Moment, length: i64, width: i64) -> Vec<f64> {
        let mut bins = empty(length, width);
        let last = bins.len();
        for moment in self.moments() {
            bins[bin(nanos(moment) - nanos(first), width, last)] += 1.0;
        }
        bins
    }

    /// The share of them that fall into a request.
    fn inside(&self, in_flight: &Presence, behind: i64) -> Option<f64> {
        let mut cursor = PresenceCursor::new(in_flight);
        let (mut all, mut inside) = (0_u32, 0_u32);
        for moment in self.moments() {
            let there = moment.as_nanos().checked_add_signed(behind.saturating_neg());
            all = all.saturating_add(1);
            if there.is_some_and(|there| cursor.at(Moment::from_nanos(there)).all > 0) {
                inside = inside.saturating_add(1);
            }
        }
        (all > 0).then(|| f64::from(inside) / f64::from(all))
    }
}

/// How many were there in each bin, on average: each change counts from its own moment on.
#[expect(clippy::cast_precision_loss, reason = "parts of a bin, of which a rough share is enough")]
fn presence_bins(presence: &Presence, began: Moment, length: i64, width: i64) -> Vec<f64> {
    let mut bins = empty(length, width);
    let last = bins.len();
    let mut steps = vec![0.0; last + 1];
    for (moment, comes) in presence.changes() {
        let since = nanos(moment) - nanos(began);
        let at = bin(since, width, last);
        let rest = 1.0 - (since - width * i64::try_from(at).unwrap_or(0)).clamp(0, width) as f64 / width as f64;
        let sign = if comes { 1.0 } else { -1.0 };
        bins[at] += sign * rest;
        steps[at + 1] += sign;
    }
    let mut there = 0.0;
    for (bin, step) in bins.iter_mut().zip(steps) {
        there += step;
        *bin += there;
    }
    bins
}

/// How well one row agrees with the other, moved along it by so many bins: Pearson's correlation over the whole of the first
/// one. Beyond its ends there is nothing of the other.
fn correlations(row: &[f64], other: &[f64], from: i64, to: i64) -> Vec<f64> {
    let length = float(row.len());
    let mean = row.iter().sum::<f64>() / length;
    let spread = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let score = |lag: i64| {
        // The part of the other row that lies beside this one.
        let skipped = usize::try_from(-lag).unwrap_or(0).min(other.len());
        let start = usize::try_from(lag).unwrap_or(0).min(row.len());
        let pairs = row[start..].iter().zip(&other[skipped..]);
        let (mut product, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (one, two) in pairs {
            product += (one - mean) * two;
            sum += two;
            squares += two * two;
        }
        let other_spread = squares - sum * sum / length;
        let scale = (spread * other_spread).sqrt();
        if scale > 1e-9 { product / scale } else { 0.0 }
    };
    (from..to).map(score).collect()
}

#[expect(clippy::cast_precision_loss, reason = "there are at most a million bins")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// The place of the best score; of equal ones that in their middle.
fn best(scores: &[f64]) -> Option<i64> {
    let most = scores.iter().copied().reduce(f64::max).filter(|most| *most >= WEAKEST)?;
    let is_best = |score: &f64| *score >= most - 1e-9;
    let (first, last) = (scores.iter().position(is_best)?, scores.iter().rposition(is_best)?);
    i64::try_from(usize::midpoint(first, last)).ok()
}

/// The place of the best score, if there is no other one nearly as good away from it: beyond where the scores fall to half of it.
fn single_best(scores: &[f64]) -> Option<i64> {
    let most = scores.iter().copied().reduce(f64::max).filter(|most| *most >= WEAKEST)?;
    let at = scores.iter().position(|score| *score >= most)?;
    let (before, after) = (&scores[..at], &scores[at..]);
    let left = before.iter().rposition(|score| *score < most / 2.0).unwrap_or(0);
    let right = after.iter().position(|score| *score < most / 2.0).unwrap_or(after.len());
    let rival = before[..left].iter().chain(&after[right..]).copied().fold(0.0, f64::max);
    (rival < RIVAL * most).then(|| i64::try_from(at).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::demand::in_flight;
    use super::super::synthetic::{flights, recording, sample};
    use super::*;
    use crate::recording::State;

    const MILLI: i64 = 1_000_000;

    /// Sampling for `length` ms every 10 ms, in which a worker works in these stretches.
    fn sampled(length: u64, work: &[(u64, u64)]) -> Recording {
        let mut recording = recording(1);
        for millis in (0..length).step_by(10) {
            let is_busy = work.iter().any(|(from, to)| *from <= millis && millis < *to);
            let state = if is_busy { State::Running } else { State::Idle };
            sample(&mut recording, 1, millis, state, &["view"]);
        }
        recording
    }

    /// The same stretches as requests, by a clock that began `ahead` ms later.
    fn sent(work: &[(u64, u64)], later: u64) -> Presence {
        let requests: Vec<_> =
            work.iter().filter(|(from, _)| *from >= later).map(|(from, to)| (0, from - later, to - later)).collect();
        in_flight(&flights(&["/a"], &requests))
    }

    const WORK: [(u64, u64); 6] =
        [(20_000, 21_000), (22_500, 22_900), (23_100, 27_000), (31_000, 31_500), (38_000, 44_000), (45_000, 45_200)];

    fn off_by(given: i64) -> Option<Estimate> {
        // The load's clock began 10 s after that of the samples.
        estimate(&sampled(60_000, &WORK), &sent(&WORK, 10_000), (10_000 + given) * MILLI)
    }

    #[test]
    fn clocks_that_are_right_are_left_alone() {
        assert_eq!([off_by(0), off_by(20), off_by(-20)], [None; 3]);
    }

    #[test]
    fn a_clock_that_is_off_is_found_out() {
        for given in [-3_600_000, -2300, -700, 550, 3000, 40_000, 7_200_000] {
            let found = off_by(given).unwrap_or_else(|| panic!("nothing found for {given}"));
            assert!((found.later / MILLI + given).abs() <= 20, "{given}: {found:?}");
            assert!(found.then > 0.98 && found.now < 0.95, "{found:?}");
        }
    }

    #[test]
    fn load_without_edges_tells_nothing() {
        let constant = [(0, 60_000)];
        assert_eq!(estimate(&sampled(60_000, &constant), &sent(&constant, 0), 5000 * MILLI), None);
        assert_eq!(estimate(&sampled(30_000, &constant), &sent(&constant, 0), -5000 * MILLI), None);
    }

    #[test]
    fn load_that_comes_again_and_again_tells_nothing() {
        let work: Vec<(u64, u64)> = (0..100).map(|number| (number * 5000, number * 5000 + 2000)).collect();
        assert_eq!(estimate(&sampled(500_000, &work), &sent(&work, 0), 1700 * MILLI), None);
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        let none = in_flight(&flights(&["/a"], &[]));
        assert_eq!(estimate(&sampled(60_000, &WORK), &none, 0), None);
        assert_eq!(estimate(&sampled(60_000, &[]), &sent(&WORK, 0), 0), None);
        assert_eq!(estimate(&recording(0), &sent(&WORK, 0), 0), None);
        assert_eq!(estimate(&sampled(60_000, &WORK), &sent(&WORK, 0), i64::MIN).map(|_| ()), Some(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_known_offset_is_found(
            gaps in proptest::collection::vec((300_u64..9000, 200_u64..5000), 4..12),
            given in -60_000_i64..60_000,
            wait in 0_u64..30,
        ) {
            let mut now = 5000;
            let mut work = Vec::new();
            for (gap, length) in gaps {
                work.push((now + gap, now + gap + length));
                now += gap + length;
            }
            let recording = sampled(now + 5000, &work);
            // A request is in flight a little longer than the work takes.
            let waited: Vec<_> = work.iter().map(|(from, to)| (from - wait, to + wait)).collect();
            let found = estimate(&recording, &sent(&waited, 0), given * MILLI);
            if let Some(found) = found {
                prop_assert!((found.later / MILLI + given).abs() <= 50, "{given}: {found:?}");
            } else {
                // It is close, or so it seems.
                let inside = Busy::of(&recording).inside(&sent(&waited, 0), given * MILLI).expect("busy");
                prop_assert!(inside > 0.9, "{inside} with {given}");
            }
        }

        #[test]
        fn no_clock_makes_it_fail(
            edges in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..20),
            behind: i64,
        ) {
            let stays = edges.into_iter().map(|(from, to)| super::super::presence::Stay {
                group: 0,
                from: Moment::from_nanos(from),
                to: Moment::from_nanos(to),
            });
            let _ = estimate(&sampled(3000, &[(500, 2500)]), &Presence::of(stays, 1), behind);
        }
    }
}

//! One set of samples against another: which functions take another share of them, and whether that is more than noise.
//!
//! Shares are compared, not counts, so phases of different length and load can stand against each other. The interval of
//! a difference is Newcombe's hybrid of two Wilson intervals (R. G. Newcombe, "Interval estimation for the difference
//! between independent proportions", Statistics in Medicine 17, 1998, method 10), which stays right for small shares.
//!
//! It asks for independent observations, and samples are none: a thread that is in a slow query at one tick is in it at the
//! next. So each share counts for as many observations as its runs allow. Whether a thread is in a function is taken to be
//! a chain of two states; with `n` samples, `k` of them in the function in `r` runs, its correlation from one tick to the next
//! is `ρ = 1 - r/k - r/(n-k)`, and `n (1-ρ)/(1+ρ)` independent samples would be worth as much. Where samples weigh
//! unequally, as CPU time does, they are worth less by Kish's factor `(Σw)² / (n Σw²)`. What stays unseen is what moves all
//! threads at once, such as a pause of the whole machine.

use super::hot::{Count, FunctionId, Heat};

/// 95 % of a normal distribution lie within so many standard deviations.
const Z_SHOWN: f64 = 1.959_964;
/// 99.9 %. A table compares hundreds of functions: at 95 % one in twenty would be called changed by chance.
const Z_DECIDES: f64 = 3.290_527;

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is larger.
    Grew,
    /// It is smaller.
    Shrank,
    /// The difference, if any, is within the noise: its interval at 99.9 % has zero in it.
    NoChange,
}

/// A share in one set of samples and in the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The share before, from 0 to 1.
    pub before: f64,
    /// The share after.
    pub after: f64,
    /// The lower end of the 95 % interval of `after - before`.
    pub low: f64,
    /// The upper end of it.
    pub high: f64,
    /// What became of it.
    pub verdict: Verdict,
}

impl Shift {
    /// The difference.
    #[must_use]
    pub fn change(&self) -> f64 {
        self.after - self.before
    }

    fn between(before: Share, after: Share) -> Self {
        let (low, high) = difference(before, after, Z_SHOWN);
        let (least, most) = difference(before, after, Z_DECIDES);
        let verdict = match (least > 0.0, most < 0.0) {
            (true, _) => Verdict::Grew,
            (_, true) => Verdict::Shrank,
            _ => Verdict::NoChange,
        };
        Self { before: before.share, after: after.share, low, high, verdict }
    }

    /// The least change that the interval leaves, whichever way; zero when it leaves none.
    fn sure(&self) -> f64 {
        if self.low > 0.0 { self.low } else { (-self.high).max(0.0) }
    }
}

/// A function in one set of samples and in the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which function.
    pub function: FunctionId,
    /// Of samples in the function itself.
    pub own: Shift,
    /// Of samples in it or below it.
    pub total: Shift,
}

/// All functions that either set of samples has; those first that changed for sure, and of these the one with the largest
/// change that its interval leaves.
#[must_use]
pub fn compare(before: &Heat, after: &Heat) -> Vec<Change> {
    let only_after = after.functions().filter(|function| before.spot(*function).total.samples == 0);
    let change = |function| {
        let (was, is) = (before.spot(function), after.spot(function));
        let shift = |was, is| {
            Shift::between(Share::of(was, before.all, before.evenness()), Share::of(is, after.all, after.evenness()))
        };
        Change { function, own: shift(was.own, is.own), total: shift(was.total, is.total) }
    };
    let mut changes: Vec<Change> = before.functions().chain(only_after).map(change).collect();
    changes.sort_by(|one, other| {
        let unsure =
            |change: &Change| change.total.verdict == Verdict::NoChange && change.own.verdict == Verdict::NoChange;
        let sure = |change: &Change| change.total.sure().max(change.own.sure());
        let most = |change: &Change| change.total.change().abs();
        let by_change = sure(other).total_cmp(&sure(one)).then(most(other).total_cmp(&most(one)));
        unsure(one).cmp(&unsure(other)).then(by_change).then(one.function.cmp(&other.function))
    });
    changes
}

/// A share, and how many independent observations it is worth.
#[derive(Clone, Copy, Debug)]
struct Share {
    share: f64,
    observations: f64,
}

impl Share {
    fn of(part: Count, all: Count, evenness: f64) -> Self {
        if all.samples == 0 || all.weight == 0 {
            return Self { share: 0.0, observations: 0.0 };
        }
        let (n, k, runs) = (float(all.samples), float(part.samples.min(all.samples)), float(part.runs));
        // Of a function that is never there, or always, no run tells anything: then those of equal stacks count.
        let observations = if k > 0.0 && k < n {
            let leaving = (runs / k + runs / (n - k)).clamp(0.0, 1.0);
            n * leaving / (2.0 - leaving)
        } else {
            float(all.runs).min(n)
        };
        let share = float(part.weight.min(all.weight)) / float(all.weight);
        Self { share, observations: (observations * evenness).max(1.0) }
    }

    /// The Wilson interval; everything is possible without an observation.
    fn interval(self, z: f64) -> (f64, f64) {
        let (p, n) = (self.share, self.observations);
        if n <= 0.0 {
            return (0.0, 1.0);
        }
        let z2 = z * z;
        let centre = p + z2 / (2.0 * n);
        let spread = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
        let scale = 1.0 + z2 / n;
        // Rounding must not put the share outside of its own interval.
        (((centre - spread) / scale).clamp(0.0, p), ((centre + spread) / scale).clamp(p, 1.0))
    }
}

/// The interval of the difference `after - before`.
fn difference(before: Share, after: Share, z: f64) -> (f64, f64) {
    let (low_before, high_before) = before.interval(z);
    let (low_after, high_after) = after.interval(z);
    let change = after.share - before.share;
    let low = change - (after.share - low_after).hypot(high_before - before.share);
    let high = change + (high_after - after.share).hypot(before.share - low_before);
    (low.max(-1.0), high.min(1.0))
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Selection;
    use super::super::hot::{Functions, heat};
    use super::super::synthetic::{phase, recording, sample};
    use super::*;
    use crate::random::mix;
    use crate::recording::State;

    fn independent(part: u64, all: u64) -> Share {
        Share { share: float(part) / float(all), observations: float(all) }
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 5e-5
    }

    #[test]
    fn intervals_are_those_of_newcombe_1998() {
        // Table II of the paper, method 10.
        let cases = [
            ((56, 70), (48, 80), (0.0524, 0.3339)),
            ((9, 10), (3, 10), (0.1705, 0.8090)),
            ((5, 56), (0, 29), (-0.0381, 0.1926)),
            ((10, 10), (0, 20), (0.6791, 1.0)),
        ];
        for ((part, all), (other, all_other), (low, high)) in cases {
            let found = difference(independent(other, all_other), independent(part, all), Z_SHOWN);
            assert!(close(found.0, low) && close(found.1, high), "{part}/{all} {other}/{all_other}: {found:?}");
        }
    }

    fn shift(before: (u64, u64), after: (u64, u64)) -> Shift {
        let all = Count { samples: 1000, weight: 1000, runs: 1000 };
        let share = |(samples, runs)| Share::of(Count { samples, weight: samples, runs }, all, 1.0);
        Shift::between(share(before), share(after))
    }

    #[test]
    fn runs_make_a_difference_less_certain() {
        // By chance 200 of 1000 samples come in 160 runs, and 300 in 210.
        assert_eq!(shift((200, 160), (300, 210)).verdict, Verdict::Grew);
        assert_eq!(shift((300, 210), (200, 160)).verdict, Verdict::Shrank);
        let slow = shift((200, 4), (300, 5));
        assert_eq!(slow.verdict, Verdict::NoChange);
        assert!(slow.low < -0.1 && slow.high > 0.3, "{slow:?}");
    }

    #[test]
    fn independent_samples_count_as_what_they_are() {
        let all = Count { samples: 1000, weight: 1000, runs: 900 };
        let share = Share::of(Count { samples: 500, weight: 500, runs: 250 }, all, 1.0);
        assert!(close(share.observations, 1000.0), "{share:?}");
        assert!(close(Share::of(Count::default(), all, 1.0).observations, 900.0));
        assert!(close(Share::of(Count { samples: 5, weight: 5, runs: 5 }, Count::default(), 1.0).observations, 0.0));
    }

    /// Two phases of 20 s on two workers; of 100 samples so many are in `slow`, each stay in a function so many ticks long.
    fn phases(percent: [u64; 2], stay: u64, seed: u64) -> (Functions, Vec<Heat>) {
        let mut recording = recording(2);
        phase(&mut recording, "A", "5 users/s", 20_000);
        phase(&mut recording, "B", "20 users/s", 20_000);
        for (number, percent) in (0..).zip(percent) {
            for (worker, tick) in [1, 2].into_iter().flat_map(|worker| (0..2000).map(move |tick| (worker, tick))) {
                let noise = mix(seed << 40 | number << 32 | u64::from(worker) << 24 | (tick / stay));
                let function = if noise % 100 < percent { "slow" } else { "fast" };
                sample(&mut recording, worker, number * 20_000 + tick * 10, State::Running, &["main", function]);
            }
        }
        let functions = Functions::of(&recording.stacks);
        let heats = heat(&recording, &functions, &Selection::default());
        (functions, heats)
    }

    #[test]
    fn shares_are_what_the_program_does_and_what_changed_stands_first() {
        let (functions, heats) = phases([30, 70], 1, 1);
        let changes = compare(&heats[0], &heats[1]);
        let told: Vec<_> = changes
            .iter()
            .map(|change| (functions.get(change.function).map(|function| function.name.as_str()), change.total.verdict))
            .collect();
        assert_eq!(told[2], (Some("main"), Verdict::NoChange));
        assert!(
            told[..2].contains(&(Some("slow"), Verdict::Grew)) && told[..2].contains(&(Some("fast"), Verdict::Shrank))
        );
        for change in &changes[..2] {
            let shift = change.own;
            let (low, high) = (shift.before.min(shift.after), shift.before.max(shift.after));
            assert!((low - 0.3).abs() < 0.03 && (high - 0.7).abs() < 0.03, "{shift:?}");
            assert!(shift.high - shift.low < 0.05, "{shift:?}");
        }
    }

    #[test]
    fn noise_is_no_change_however_long_a_thread_stays_in_a_function() {
        const TIMES: u64 = 60;
        for stay in [1, 10, 50] {
            let (mut inside, mut called) = (0, 0);
            for seed in 0..TIMES {
                let (_, heats) = phases([20, 20], stay, seed);
                let slow = compare(&heats[0], &heats[1])[0].own;
                inside += u64::from(slow.low <= 0.0 && 0.0 <= slow.high);
                called += u64::from(slow.verdict != Verdict::NoChange);
            }
            assert!(inside * 100 >= TIMES * 90, "stays of {stay}: {inside} of {TIMES} intervals hold zero");
            assert!(called <= 1, "stays of {stay}: {called} of {TIMES} called a change");
        }
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_difference(
            counts in [0..2000_u64, 0..2000, 0..2000, 0..2000, 0..2000, 0..2000, 0..2000, 0..2000],
        ) {
            let [k1, r1, n1, m1, k2, r2, n2, m2] = counts;
            let share = |samples, runs, all, all_runs| {
                let whole = Count { samples: all, weight: all, runs: all_runs };
                Share::of(Count { samples, weight: samples, runs }, whole, 1.0)
            };
            let shift = Shift::between(share(k1, r1, n1, m1), share(k2, r2, n2, m2));
            prop_assert!(shift.low <= shift.change() + 1e-12 && shift.change() <= shift.high + 1e-12, "{:?}", shift);
            prop_assert!(shift.low >= -1.0 && shift.high <= 1.0);
            if shift.verdict != Verdict::NoChange {
                prop_assert!(shift.sure() > 0.0);
            }
        }
    }
}

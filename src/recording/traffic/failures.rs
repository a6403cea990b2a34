//! Steps that failed, a few of each kind with all that is known of them.
//!
//! A million 504s are one kind of failure and a handful of examples: each kind has a reservoir, so that the examples are spread over
//! the whole run, and the number of kinds is bounded too. Secrets are taken out before anything gets here.

use std::time::Duration;

use indexmap::IndexMap;

use super::log::FailureRows;
use crate::clock::Moment;
use crate::random::Random;

/// Examples of one kind.
pub(in crate::recording) const EXAMPLES: usize = 3;
/// Kinds; failures of further ones are counted only.
pub(in crate::recording) const MOST_KINDS: usize = 200;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// An answer of 400 or more.
    Status(u16),
    /// No answer, or not a whole one; by its error code.
    Transport(String),
    /// A value that was to be kept is not in the answer.
    Capture(String),
    /// A value in the answer is not what it has to be.
    Match(String),
    /// An expectation was not met.
    Expect(String),
    /// The request could not be made.
    Request(String),
    /// A function of the processor failed.
    Function(String),
    /// A socket could not be opened.
    Socket(String),
}

/// One kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The number of the scenario; `None` for `before` and `after`.
    pub scenario: Option<u16>,
    /// Where the step is written: `csr-http.yaml:34`.
    pub step: String,
    /// The number of its endpoint, if it is a request.
    pub endpoint: Option<u32>,
    /// What went wrong.
    pub kind: FailureKind,
}

/// One failure. Headers and body have their secrets taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it was known.
    pub moment: Moment,
    /// The number of the virtual user.
    pub user: u64,
    /// The number of the phase that the user arrived in.
    pub phase: u16,
    /// What was asked for: method and address.
    pub request: String,
    /// The status, if an answer began.
    pub status: Option<u16>,
    /// The headers of the answer.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body of the answer.
    pub body: String,
    /// What exactly went wrong, in words.
    pub detail: String,
    /// How long it took, part by part: `connect`, `first byte`, …
    pub timings: Vec<(&'static str, Duration)>,
}

/// Failures of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many there were.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Failure>,
}

/// All failures of a run.
#[derive(Clone, Debug)]
pub struct Failures {
    kinds: IndexMap<Signature, Kept>,
    uncounted: u64,
    random: Random,
}

impl Failures {
    /// None yet; which examples are kept comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { kinds: IndexMap::new(), uncounted: 0, random: Random::new(seed) }
    }

    /// Counts a failure, and keeps it if chance will have it. `example` is only called then.
    pub fn add(&mut self, signature: Signature, example: impl FnOnce() -> Failure) {
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&signature) {
            self.uncounted += 1;
            return;
        }
        let kept = self.kinds.entry(signature).or_default();
        kept.count += 1;
        if kept.examples.len() < EXAMPLES {
            kept.examples.push(example());
        } else {
            // Vitter's algorithm R: each failure has the same chance to be among the examples at the end.
            let place = usize::try_from(self.random.below(kept.count)).unwrap_or(usize::MAX);
            if let Some(slot) = kept.examples.get_mut(place) {
                *slot = example();
            }
        }
    }

    /// Those of a run that is over: its kinds in the order in which they first came, and how many were of further kinds.
    #[must_use]
    pub fn of(kinds: impl IntoIterator<Item = (Signature, Kept)>, uncounted: u64) -> Self {
        Self { kinds: kinds.into_iter().take(MOST_KINDS).collect(), uncounted, random: Random::new(0) }
    }

    /// The kinds that grew since their counts were `known`, which are brought up to date.
    pub fn grown(&self, known: &mut Vec<u64>) -> Vec<FailureRows> {
        known.resize(self.kinds.len().max(known.len()), 0);
        let mut grown = Vec::new();
        for ((number, known), (signature, kept)) in (0..).zip(known).zip(&self.kinds) {
            if std::mem::replace(known, kept.count) != kept.count {
                grown.push(FailureRows { number, signature: signature.clone(), kept: kept.clone() });
            }
        }
        grown
    }

    /// Every kind, the most frequent first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&Signature, &Kept)> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, kept)| std::cmp::Reverse(kept.count));
        kinds
    }

    /// Failures of kinds beyond the bound.
    #[must_use]
    pub const fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(user: u64) -> Failure {
        Failure {
            moment: Moment::default(),
            user,
            phase: 0,
            request: "GET http://h/".into(),
            status: Some(504),
            headers: Vec::new(),
            body: String::new(),
            detail: String::new(),
            timings: Vec::new(),
        }
    }

    #[test]
    fn examples_are_few_and_from_the_whole_run() {
        let mut failures = Failures::new(1);
        let signature =
            Signature { scenario: Some(0), step: "a:1".into(), endpoint: Some(0), kind: FailureKind::Status(504) };
        for user in 0..10_000 {
            failures.add(signature.clone(), || failure(user));
        }
        let sorted = failures.sorted();
        assert_eq!((sorted.len(), sorted[0].1.count, sorted[0].1.examples.len()), (1, 10_000, EXAMPLES));
        assert!(sorted[0].1.examples.iter().any(|example| example.user > 1000));
    }

    #[test]
    fn what_grew_is_told_once() {
        let mut failures = Failures::new(1);
        let signature = |status| Signature {
            scenario: None,
            step: "a:1".into(),
            endpoint: None,
            kind: FailureKind::Status(status),
        };
        failures.add(signature(500), || failure(1));
        failures.add(signature(502), || failure(2));
        let mut known = Vec::new();
        assert_eq!(failures.grown(&mut known).len(), 2);
        failures.add(signature(502), || failure(3));
        let grown = failures.grown(&mut known);
        assert_eq!((grown.len(), grown[0].number, grown[0].kept.count), (1, 1, 2));
        assert!(failures.grown(&mut known).is_empty());
        assert!(Failures::new(2).grown(&mut known).is_empty());
        assert_eq!(known, [1, 2]);
    }

    #[test]
    fn kinds_without_end_are_counted_only() {
        let mut failures = Failures::new(1);
        for kind in 0..1000_u16 {
            let kind = FailureKind::Status(kind);
            failures.add(Signature { scenario: None, step: String::new(), endpoint: None, kind }, || failure(0));
        }
        assert_eq!((failures.sorted().len(), failures.uncounted()), (MOST_KINDS, 1000 - MOST_KINDS as u64));
    }
}

//! Counting: the numbers of some stretch of a run, exact when added up.
//!
//! Latencies are HDR histograms of microseconds with three significant digits, one set for each phase, scenario, endpoint and
//! outcome, so that every question about them can be answered later by adding histograms. What a script or a server could make
//! grow without end has a bound, behind which things are counted together: an endpoint has histograms for its first 16 statuses,
//! and for the classes of the others; a tally has 512 sets of histograms (a set takes some 50 KB for each part that was measured);
//! behind that all endpoints share one for each class. Answers by status are counted exactly beside them, for 4096 pairs of
//! endpoint and status, and behind that by status alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::RandomState;
use hdrhistogram::Histogram;

use crate::clock::Moment;

/// Sets of histograms; further requests are counted under [`SeriesKey::OTHER_ENDPOINT`], by class.
const MOST_SERIES: usize = 512;
/// Statuses of an endpoint that have histograms of their own.
const MOST_APART: usize = 16;
/// Pairs of an endpoint and a status that are counted; further ones are counted by status alone.
const MOST_PAIRS: usize = 4096;
/// Emptied sets of histograms that are worth their memory.
const MOST_EMPTIED: usize = 64;
/// Different error codes; further ones are counted as [`OTHER`].
const MOST_CODES: usize = 500;
/// What error codes and counters beyond the bound are counted as.
const OTHER: &str = "(other)";

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

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// An answer of this class, 4 for 400 to 499, of an endpoint that answers with too many statuses.
    Class(u16),
    /// No answer, or not a whole one.
    Failed,
}

impl Outcome {
    /// The class of an answer: 4 for 400 to 499.
    #[must_use]
    pub const fn class(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status / 100),
            Self::Class(class) => Some(class),
            Self::Failed => None,
        }
    }
}

/// What histograms are kept apart by. The numbers are those of `Traffic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The phase that the user arrived in.
    pub phase: u16,
    /// Its scenario.
    pub scenario: u16,
    /// What was asked for.
    pub endpoint: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl SeriesKey {
    /// The endpoint under which everything is counted that came too late to have a series of its own.
    pub const OTHER_ENDPOINT: u32 = u32::MAX;
}

/// The histograms of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Requests; a timeout counts as one.
    pub count: u64,
    /// From sending the request to the head of the answer: Artillery's response time.
    pub first_byte: Latency,
    /// From sending the request to the end of the answer.
    pub from_send: Latency,
    /// From the moment when the request was due to the end of the answer: what a user feels, who does not know that the
    /// driver or a socket was busy.
    pub from_due: Latency,
    /// Waiting for a free socket.
    pub queued: Latency,
    /// Looking up a name.
    pub dns: Latency,
    /// Connecting.
    pub connect: Latency,
    /// Agreeing on a secret.
    pub tls: Latency,
    /// From the head of the answer to its end.
    pub body: Latency,
    /// What the server says it took: `Server-Timing: total;dur=…`.
    pub server: Latency,
}

impl Series {
    const fn parts(&self) -> [&Latency; 9] {
        let Self { count: _, first_byte, from_send, from_due, queued, dns, connect, tls, body, server } = self;
        [first_byte, from_send, from_due, queued, dns, connect, tls, body, server]
    }

    const fn parts_mut(&mut self) -> [&mut Latency; 9] {
        let Self { count: _, first_byte, from_send, from_due, queued, dns, connect, tls, body, server } = self;
        [first_byte, from_send, from_due, queued, dns, connect, tls, body, server]
    }

    /// Adds all of another one.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (mine, theirs) in self.parts_mut().into_iter().zip(other.parts()) {
            mine.add(theirs);
        }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.parts_mut().into_iter().for_each(Latency::clear);
    }
}

/// What is to be counted of one request.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// When it ended.
    pub ended: Moment,
    /// From sending to the head; for a timeout, until it was given up, and from the start of the attempt if nothing was sent yet.
    /// `None` for other failures before anything was sent.
    pub first_byte: Option<Duration>,
    /// From sending to the end.
    pub from_send: Option<Duration>,
    /// From when it was due to the end.
    pub from_due: Duration,
    /// Waiting for a free socket, if that took any time.
    pub queued: Option<Duration>,
    /// Looking up a name, if that was done.
    pub dns: Option<Duration>,
    /// Connecting, if that was done.
    pub connect: Option<Duration>,
    /// Agreeing on a secret, if that was done.
    pub tls: Option<Duration>,
    /// From the head to the end.
    pub body: Option<Duration>,
    /// What the server says it took.
    pub server: Option<Duration>,
    /// Bytes of the body, as they came.
    pub bytes: u64,
}

/// Virtual users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Arrived and began.
    pub created: u64,
    /// Came to the end of their flow.
    pub completed: u64,
    /// Ended before that.
    pub failed: u64,
    /// Arrived while too many were active.
    pub skipped: u64,
}

impl Users {
    /// Adds others.
    pub const fn add(&mut self, other: Self) {
        self.created += other.created;
        self.completed += other.completed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The numbers of a stretch of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// When the first thing was counted.
    pub first: Option<Moment>,
    /// When the last thing was counted.
    pub last: Option<Moment>,
    /// Users of each phase.
    pub users: BTreeMap<u16, Users>,
    /// Users created, by scenario.
    pub created_by: BTreeMap<u16, u64>,
    /// Requests begun, each hop of a redirect among them.
    pub requests: u64,
    /// When the first and the last of them began.
    pub requested: Option<(Moment, Moment)>,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests by what they were and what became of them.
    pub series: HashMap<SeriesKey, Series, RandomState>,
    /// Whole answers by endpoint and status.
    pub codes: BTreeMap<(u32, u16), u64>,
    /// Answers that began and broke off, by endpoint and status.
    pub broken: BTreeMap<(u32, u16), u64>,
    /// Statuses that have series of their own, by endpoint.
    pub(crate) apart: BTreeMap<u32, Vec<u16>>,
    /// How many series are not empty.
    pub(crate) used: usize,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Errors by endpoint and code.
    pub endpoint_errors: BTreeMap<(u32, String), u64>,
    /// Counters of plugins.
    pub counters: BTreeMap<String, u64>,
    /// How long users that came to their end took.
    pub sessions: Latency,
    /// How late users began.
    pub lateness: Latency,
}

impl Tally {
    /// Notes that something was counted now.
    pub fn touch(&mut self, now: Moment) {
        self.first.get_or_insert(now);
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
    }

    /// The users of a phase.
    pub fn users_of(&mut self, phase: u16) -> &mut Users {
        self.users.entry(phase).or_default()
    }

    /// The users of all phases.
    #[must_use]
    pub fn all_users(&self) -> Users {
        let mut all = Users::default();
        self.users.values().for_each(|users| all.add(*users));
        all
    }

    /// Counts a request that begins.
    pub fn begin(&mut self, now: Moment) {
        self.touch(now);
        self.requests += 1;
        self.requested = Some(self.requested.map_or((now, now), |(first, last)| (first.min(now), last.max(now))));
    }

    /// Counts a request that ended.
    pub fn exchange(&mut self, key: SeriesKey, exchange: &Exchange) {
        self.touch(exchange.ended);
        self.bytes = self.bytes.saturating_add(exchange.bytes);
        if let Outcome::Status(status) = key.outcome {
            bump_pair(&mut self.codes, (key.endpoint, status), 1);
        }
        let series = self.series_of(key);
        series.count += 1;
        series.from_due.record(exchange.from_due);
        let parts = [
            (&mut series.first_byte, exchange.first_byte),
            (&mut series.from_send, exchange.from_send),
            (&mut series.queued, exchange.queued),
            (&mut series.dns, exchange.dns),
            (&mut series.connect, exchange.connect),
            (&mut series.tls, exchange.tls),
            (&mut series.body, exchange.body),
            (&mut series.server, exchange.server),
        ];
        for (latency, length) in parts {
            if let Some(length) = length {
                latency.record(length);
            }
        }
    }

    /// Counts an answer that began and broke off.
    pub fn broke(&mut self, endpoint: u32, status: u16) {
        bump_pair(&mut self.broken, (endpoint, status), 1);
    }

    /// The series of a request, which is about to be added to.
    fn series_of(&mut self, key: SeriesKey) -> &mut Series {
        let key = if self.has(&key) { key } else { self.place(key) };
        self.series.entry(key).or_default()
    }

    /// An emptied series is as good as none: what is counted where depends on this stretch alone.
    fn has(&self, key: &SeriesKey) -> bool {
        self.series.get(key).is_some_and(|series| series.count > 0)
    }

    /// Where a request is counted that is the first of its kind.
    fn place(&mut self, mut key: SeriesKey) -> SeriesKey {
        if let Outcome::Status(status) = key.outcome {
            let apart = self.apart.get(&key.endpoint).map_or(&[][..], Vec::as_slice);
            if !apart.contains(&status) && apart.len() >= MOST_APART {
                key.outcome = Outcome::Class(status / 100);
            }
        }
        if self.used >= MOST_SERIES && !self.has(&key) {
            key = folded(key);
        }
        if let Outcome::Status(status) = key.outcome {
            let apart = self.apart.entry(key.endpoint).or_default();
            if !apart.contains(&status) {
                apart.push(status);
            }
        }
        if !self.has(&key) {
            self.used += 1;
        }
        key
    }

    /// Counts an error, of an endpoint if it has one.
    pub fn error(&mut self, code: &str, endpoint: Option<u32>, now: Moment) {
        self.touch(now);
        bump(&mut self.errors, code, 1);
        if let Some(endpoint) = endpoint {
            self.endpoint_error((endpoint, code.to_owned()), 1);
        }
    }

    fn endpoint_error(&mut self, key: (u32, String), by: u64) {
        let full = self.endpoint_errors.len() >= MOST_CODES;
        let key = if full && !self.endpoint_errors.contains_key(&key) { (key.0, OTHER.to_owned()) } else { key };
        let sum = self.endpoint_errors.entry(key).or_default();
        *sum = sum.saturating_add(by);
    }

    /// Adds to a counter of a plugin.
    pub fn count(&mut self, name: &str, by: u64, now: Moment) {
        self.touch(now);
        bump(&mut self.counters, name, by);
    }

    /// Adds all of another one.
    pub fn add(&mut self, other: &Self) {
        for moment in [other.first, other.last].into_iter().flatten() {
            self.first = Some(self.first.map_or(moment, |first| first.min(moment)));
            self.last = Some(self.last.map_or(moment, |last| last.max(moment)));
        }
        for (phase, users) in &other.users {
            self.users_of(*phase).add(*users);
        }
        for (scenario, count) in &other.created_by {
            *self.created_by.entry(*scenario).or_default() += count;
        }
        self.requests = self.requests.saturating_add(other.requests);
        if let Some((first, last)) = other.requested {
            self.requested = Some(self.requested.map_or((first, last), |mine| (mine.0.min(first), mine.1.max(last))));
        }
        self.bytes = self.bytes.saturating_add(other.bytes);
        // In order, as the first ones of an endpoint are kept apart.
        let mut series: Vec<_> = other.series.iter().filter(|(_, series)| series.count > 0).collect();
        series.sort_unstable_by_key(|(key, _)| **key);
        for (key, series) in series {
            self.series_of(*key).add(series);
        }
        for (key, count) in &other.codes {
            bump_pair(&mut self.codes, *key, *count);
        }
        for (key, count) in &other.broken {
            bump_pair(&mut self.broken, *key, *count);
        }
        for (code, count) in &other.errors {
            bump(&mut self.errors, code, *count);
        }
        for (key, count) in &other.endpoint_errors {
            self.endpoint_error(key.clone(), *count);
        }
        for (name, count) in &other.counters {
            bump(&mut self.counters, name, *count);
        }
        self.sessions.add(&other.sessions);
        self.lateness.add(&other.lateness);
    }

    /// Begins anew, and keeps the memory of the histograms unless there are many.
    pub fn clear(&mut self) {
        let mut series = std::mem::take(&mut self.series);
        if series.len() > MOST_EMPTIED {
            series = HashMap::default();
        }
        let (mut sessions, mut lateness) = (std::mem::take(&mut self.sessions), std::mem::take(&mut self.lateness));
        series.values_mut().for_each(Series::clear);
        sessions.clear();
        lateness.clear();
        *self = Self { series, sessions, lateness, ..Self::default() };
    }

    /// The sum of the series that `wanted` picks.
    pub fn sum(&self, wanted: impl Fn(&SeriesKey) -> bool) -> Series {
        let mut sum = Series::default();
        for (_, series) in self.series.iter().filter(|(key, series)| series.count > 0 && wanted(key)) {
            sum.add(series);
        }
        sum
    }
}

/// Where a request is counted when there are too many kinds of them.
const fn folded(key: SeriesKey) -> SeriesKey {
    let outcome = match key.outcome.class() {
        Some(class) => Outcome::Class(class),
        None => Outcome::Failed,
    };
    SeriesKey { phase: 0, scenario: 0, endpoint: SeriesKey::OTHER_ENDPOINT, outcome }
}

/// Adds to the count of an endpoint's status; to that of the status alone when there are too many pairs.
fn bump_pair(counts: &mut BTreeMap<(u32, u16), u64>, key: (u32, u16), by: u64) {
    let known = counts.len() < MOST_PAIRS || counts.contains_key(&key);
    let key = if known { key } else { (SeriesKey::OTHER_ENDPOINT, key.1) };
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(by);
}

/// Adds to a named counter; to one for all others when there are too many names.
fn bump(counters: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if let Some(count) = counters.get_mut(name) {
        *count = count.saturating_add(by);
        return;
    }
    let full = counters.len() >= MOST_CODES;
    let count = counters.entry(if full { OTHER } else { name }.to_owned()).or_default();
    *count = count.saturating_add(by);
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

    const fn exchange() -> Exchange {
        Exchange {
            ended: Moment::from_nanos(0),
            first_byte: None,
            from_send: None,
            from_due: Duration::from_millis(1),
            queued: None,
            dns: None,
            connect: None,
            tls: None,
            body: None,
            server: None,
            bytes: 0,
        }
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

    #[test]
    fn codes_without_end_are_counted_together() {
        let mut tally = Tally::default();
        for code in 0..2000 {
            tally.error(&format!("E{code}"), Some(0), Moment::default());
        }
        assert_eq!(tally.errors.len(), MOST_CODES + 1);
        assert_eq!(tally.errors.values().sum::<u64>(), 2000);
        assert_eq!(tally.endpoint_errors.values().sum::<u64>(), 2000);
        for endpoint in 0..10_000 {
            tally.exchange(SeriesKey { phase: 0, scenario: 0, endpoint, outcome: Outcome::Status(404) }, &exchange());
        }
        assert_eq!(tally.series.len(), MOST_SERIES + 1);
        assert_eq!(tally.sum(|_| true).count, 10_000);
        assert_eq!(tally.codes.values().sum::<u64>(), 10_000);
        assert_eq!(tally.codes.len(), MOST_PAIRS + 1);
        tally.clear();
        assert!(tally.series.is_empty() && tally.codes.is_empty());
    }

    #[test]
    fn statuses_without_end_are_counted_exactly_and_measured_by_class() {
        let key = |status| SeriesKey { phase: 0, scenario: 0, endpoint: 0, outcome: Outcome::Status(status) };
        let (mut window, mut total) = (Tally::default(), Tally::default());
        for _ in 0..3 {
            for status in (100..1000).rev() {
                window.exchange(key(status), &exchange());
            }
            assert_eq!(window.series.values().filter(|series| series.count > 0).count(), MOST_APART + 9);
            assert_eq!(window.codes.len(), 900);
            total.add(&window);
            window.clear();
        }
        assert_eq!((total.series.len(), total.sum(|_| true).count), (MOST_APART + 9, 2700));
        assert!(total.codes.values().all(|count| *count == 3));
        assert_eq!(total.sum(|key| key.outcome.class() == Some(4)).count, 300);
        assert_eq!(total.sum(|key| key.outcome == Outcome::Status(999)).count, 3);
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

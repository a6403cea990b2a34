//! Counting: the numbers of some stretch of a run, exact when added up.
//!
//! Latencies are HDR histograms of microseconds with three significant digits, one set for each phase, scenario, endpoint and
//! outcome, so that every question about them can be answered later by adding histograms. What a script or a server could make
//! grow without end has a bound, behind which things are counted together: an endpoint has histograms for its first 16 statuses,
//! and for the classes of the others; a tally has 512 sets of histograms (a set takes some 50 KB for each part that was measured);
//! behind that all endpoints share one for each class. Answers by status are counted exactly beside them, for 4096 pairs of
//! endpoint and status, and behind that by status alone.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::latency::Latency;
use super::named::{MOST_NAMES, Named, OTHER, bump};
use super::series::{Exchange, Outcome, Series, SeriesKey};
use crate::clock::Moment;

/// Sets of histograms; further requests are counted under [`SeriesKey::OTHER_ENDPOINT`], by class.
const MOST_SERIES: usize = 512;
/// Statuses of an endpoint that have histograms of their own.
const MOST_APART: usize = 16;
/// Pairs of an endpoint and a status that are counted; further ones are counted by status alone.
const MOST_PAIRS: usize = 4096;
/// Emptied sets of histograms that are worth their memory.
const MOST_EMPTIED: usize = 64;
/// Different error codes of endpoints; further ones are counted as [`OTHER`].
const MOST_CODES: usize = MOST_NAMES;

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
    /// What plugins, engines and hooks count and measure.
    pub named: Named,
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
        let parts = [
            (&mut series.from_due, exchange.from_due),
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

    /// Adds to a counter of a plugin or an engine.
    pub fn count(&mut self, name: &str, by: u64, now: Moment) {
        self.touch(now);
        self.named.count(name, by);
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
        self.named.add(&other.named);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn exchange() -> Exchange {
        Exchange {
            ended: Moment::from_nanos(0),
            first_byte: None,
            from_send: None,
            from_due: Some(Duration::from_millis(1)),
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
}

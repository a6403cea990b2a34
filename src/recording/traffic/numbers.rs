//! A tally summed up: plain numbers, small enough to keep one for every ten seconds of a long run.

use std::collections::BTreeMap;

use super::EndpointLabel;
use super::latency::Latency;
use super::named::{EMITTED, Rate, SENT};
use super::series::{Series, SeriesKey};
use super::tally::{Tally, Users};
use crate::clock::Moment;

/// A distribution in a few numbers, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub struct Summary {
    pub min: f64,
    pub max: f64,
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Summary {
    /// The summary of a distribution; `None` when there is nothing in it.
    #[must_use]
    pub fn of(latency: &Latency) -> Option<Self> {
        let count = latency.count();
        let millis = |quantile| latency.quantile(quantile).as_secs_f64() * 1e3;
        (count > 0).then(|| Self {
            min: latency.min().as_secs_f64() * 1e3,
            max: latency.max().as_secs_f64() * 1e3,
            count,
            mean: latency.mean_micros() / 1e3,
            p50: millis(0.5),
            p75: millis(0.75),
            p90: millis(0.9),
            p95: millis(0.95),
            p99: millis(0.99),
            p999: millis(0.999),
        })
    }
}

/// The numbers of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointNumbers {
    /// Answers by status.
    pub codes: BTreeMap<u16, u64>,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// From sending to the head of the answer.
    pub first_byte: Option<Summary>,
    /// What the server says it took.
    pub server: Option<Summary>,
}

/// A tally summed up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// When the first and the last thing was counted.
    pub span: Option<(Moment, Moment)>,
    /// Users.
    pub users: Users,
    /// Users created, by scenario.
    pub created_by: BTreeMap<u16, u64>,
    /// Requests begun.
    pub requests: u64,
    /// When the first and the last of them began.
    pub requested: Option<(Moment, Moment)>,
    /// Answers by status, those that broke off among them.
    pub codes: BTreeMap<u16, u64>,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Counters of plugins, engines and hooks.
    pub counters: BTreeMap<String, u64>,
    /// Theirs of times a second.
    pub rates: BTreeMap<String, f64>,
    /// Messages that were sent over sockets.
    pub messages: Option<Rate>,
    /// Their distributions, as if all were milliseconds.
    pub measures: BTreeMap<String, Summary>,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// From sending to the head of the answer; timeouts are in it.
    pub first_byte: Option<Summary>,
    /// The same for answers of each class: 2 is 200 to 299.
    pub by_class: BTreeMap<u16, Summary>,
    /// From sending to the end of the answer.
    pub from_send: Option<Summary>,
    /// From when the request was due to the end of the answer.
    pub from_due: Option<Summary>,
    /// Looking up names.
    pub dns: Option<Summary>,
    /// Connecting.
    pub connect: Option<Summary>,
    /// Agreeing on secrets.
    pub tls: Option<Summary>,
    /// How long users that came to their end took.
    pub sessions: Option<Summary>,
    /// How late users began.
    pub lateness: Option<Summary>,
    /// Each endpoint's own, by the name of its metrics.
    pub endpoints: BTreeMap<String, EndpointNumbers>,
}

impl Numbers {
    /// Sums a tally up; `labels` say which endpoints share their metrics.
    #[must_use]
    pub fn of(tally: &Tally, labels: &[EndpointLabel]) -> Self {
        let metric = |endpoint: u32| labels.get(usize::try_from(endpoint).ok()?)?.metric.clone();
        let mut classes: BTreeMap<u16, Latency> = BTreeMap::new();
        let mut endpoints: BTreeMap<String, (EndpointNumbers, Series)> = BTreeMap::new();
        let mut all = Series::default();
        let mut codes: BTreeMap<u16, u64> = BTreeMap::new();
        let is_message = |endpoint: u32| {
            let label = usize::try_from(endpoint).ok().and_then(|number| labels.get(number));
            label.is_some_and(EndpointLabel::is_message)
        };
        let is_request = |(key, series): &(&SeriesKey, &Series)| series.count > 0 && !is_message(key.endpoint);
        for (key, series) in tally.series.iter().filter(is_request) {
            all.add(series);
            if let Some(class) = key.outcome.class() {
                classes.entry(class).or_default().add(&series.first_byte);
            }
            let Some(name) = metric(key.endpoint) else { continue };
            endpoints.entry(name).or_default().1.add(series);
        }
        // An answer counts from its head on, as in Artillery, although nobody had the use of it.
        let answers = tally.codes.iter().chain(&tally.broken).filter(|((endpoint, _), _)| !is_message(*endpoint));
        for ((endpoint, status), count) in answers {
            *codes.entry(*status).or_default() += count;
            if let Some(name) = metric(*endpoint) {
                *endpoints.entry(name).or_default().0.codes.entry(*status).or_default() += count;
            }
        }
        for ((endpoint, code), count) in &tally.endpoint_errors {
            let Some(name) = metric(*endpoint) else { continue };
            *endpoints.entry(name).or_default().0.errors.entry(code.clone()).or_default() += count;
        }
        let endpoint = |(name, (numbers, sum)): (String, (EndpointNumbers, Series))| {
            let summaries = EndpointNumbers {
                first_byte: Summary::of(&sum.first_byte),
                server: Summary::of(&sum.server),
                ..numbers
            };
            (name, summaries)
        };
        Self {
            span: tally.first.zip(tally.last),
            users: tally.all_users(),
            created_by: tally.created_by.clone(),
            requests: tally.requests,
            requested: tally.requested,
            codes,
            errors: tally.errors.clone(),
            counters: tally.named.counters.clone(),
            rates: tally.named.rates.iter().map(|(name, rate)| (name.clone(), rate.per_second())).collect(),
            messages: messages(tally),
            measures: tally
                .named
                .measures
                .iter()
                .filter_map(|(name, measure)| Some((name.clone(), Summary::of(measure)?)))
                .collect(),
            bytes: tally.bytes,
            first_byte: Summary::of(&all.first_byte),
            by_class: classes.iter().filter_map(|(class, latency)| Some((*class, Summary::of(latency)?))).collect(),
            from_send: Summary::of(&all.from_send),
            from_due: Summary::of(&all.from_due),
            dns: Summary::of(&all.dns),
            connect: Summary::of(&all.connect),
            tls: Summary::of(&all.tls),
            sessions: Summary::of(&tally.sessions),
            lateness: Summary::of(&tally.lateness),
            endpoints: endpoints.into_iter().map(endpoint).collect(),
        }
    }

    /// Answers of any status.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.codes.values().sum()
    }

    /// Answers by status as Artillery 1 has them, to whom a message that was sent is an answer of the status 0.
    #[must_use]
    pub fn classic_codes(&self) -> BTreeMap<u16, u64> {
        let mut codes = self.codes.clone();
        if let Some(messages) = self.messages {
            *codes.entry(0).or_default() += messages.count;
        }
        codes
    }

    /// Requests begun as Artillery 1 counts them, messages among them, and when the first and the last of them began.
    #[must_use]
    pub fn classic_requests(&self) -> (u64, Option<(Moment, Moment)>) {
        let Some(messages) = self.messages else { return (self.requests, self.requested) };
        let sent = (messages.first, messages.last);
        let both = self.requested.map_or(sent, |(first, last)| (first.min(sent.0), last.max(sent.1)));
        (self.requests + messages.count, Some(both))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    /// Requests begun per second, as Artillery counts a window: between the first and the last, but over a second at least.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub fn request_rate(&self) -> Option<f64> {
        let (first, last) = self.requested?;
        Some(self.requests as f64 / last.since(first).as_secs_f64().max(1.0))
    }
}

/// Messages that were sent over sockets of any kind.
fn messages(tally: &Tally) -> Option<Rate> {
    let rates = [EMITTED, SENT].into_iter().filter_map(|[_, rate]| tally.named.rates.get(rate)).copied();
    rates.reduce(|mut one, other| {
        one.add(other);
        one
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_no_request_but_to_artillery_1() {
        let mut tally = Tally::default();
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        tally.begin(at(2));
        tally.named.happened(EMITTED[1], at(1));
        tally.named.happened(SENT[1], at(4));
        let key = SeriesKey { phase: 0, scenario: 0, endpoint: 0, outcome: super::super::Outcome::Status(0) };
        tally.codes.insert((0, 0), 2);
        tally.series.entry(key).or_default().count = 2;
        let label = EndpointLabel {
            method: "EMIT".into(),
            path: "hello".into(),
            query: String::new(),
            name: None,
            metric: None,
        };
        let numbers = Numbers::of(&tally, &[label]);
        assert_eq!((numbers.requests, numbers.responses(), numbers.codes.len()), (1, 0, 0));
        assert_eq!(numbers.classic_codes(), [(0, 2)].into());
        assert_eq!(numbers.classic_requests(), (3, Some((at(1), at(4)))));
    }

    #[test]
    fn an_answer_that_broke_off_counts_from_its_head_on() {
        let label = EndpointLabel {
            method: "GET".into(),
            path: "/a".into(),
            query: String::new(),
            name: None,
            metric: Some("/a".into()),
        };
        let mut tally = Tally::default();
        tally.error("ECONNRESET", Some(0), Moment::default());
        tally.broken.insert((0, 200), 1);
        let numbers = Numbers::of(&tally, &[label]);
        assert_eq!((numbers.responses(), numbers.codes.get(&200)), (1, Some(&1)));
        assert_eq!(numbers.endpoints["/a"].codes.get(&200), Some(&1));
        assert_eq!(numbers.endpoints["/a"].errors.get("ECONNRESET"), Some(&1));
    }
}

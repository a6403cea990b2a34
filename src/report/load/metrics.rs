//! What Artillery 2 calls the numbers of a run: the one place that knows its names.
//!
//! Read by `-o`, by the checks of `ensure` and by tooling that was made for Artillery. Names are those of 2.0.34. Two values
//! differ on purpose: `http.response_time` has timeouts in it as samples, where Artillery leaves them out, and the
//! `http.request_rate` of a whole run is requests per second between the first and the last, not the mean of its windows.

use std::collections::BTreeMap;

use super::figures::{float, tenths};
use crate::recording::traffic::{EndpointNumbers, Numbers, Summary};

/// The longest name.
const LONGEST_NAME: usize = 1024;

/// Numbers by Artillery's names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// What was counted.
    pub counters: BTreeMap<String, u64>,
    /// How often a second.
    pub rates: BTreeMap<String, u64>,
    /// Distributions in milliseconds, rounded to tenths.
    pub summaries: BTreeMap<String, Summary>,
}

/// What the numbers of scenarios and endpoints stand for.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The names of the scenarios.
    pub scenarios: &'a [String],
    /// What the names of endpoints' metrics begin with.
    pub namespace: &'a str,
    /// Whether `http.extendedMetrics` is on.
    pub extended: bool,
}

impl Names<'_> {
    pub(super) fn scenario(&self, number: u16) -> String {
        self.scenarios.get(usize::from(number)).cloned().unwrap_or_else(|| number.to_string())
    }
}

impl Metrics {
    /// The metrics of a window or of a whole run.
    #[must_use]
    pub fn of(numbers: &Numbers, names: &Names<'_>) -> Self {
        let mut metrics = Self::default();
        metrics.add_users(numbers, names);
        metrics.add_http(numbers, names);
        for (code, count) in &numbers.errors {
            metrics.count(&format!("errors.{code}"), *count);
        }
        for (name, count) in &numbers.counters {
            metrics.count(name, *count);
        }
        for (name, rate) in &numbers.rates {
            metrics.rates.insert(cut(name), whole(*rate));
        }
        for (name, summary) in &numbers.measures {
            metrics.set(name, Some(summary));
        }
        for (name, endpoint) in &numbers.endpoints {
            metrics.add_endpoint(names.namespace, name, endpoint);
        }
        metrics
    }

    /// The value of a metric, as `ensure` names them: a counter, a rate, or a field of a summary such as
    /// `http.response_time.p95`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        let whole = self.counters.get(name).or_else(|| self.rates.get(name));
        whole.map(|count| float(*count)).or_else(|| {
            let (summary, field) = name.rsplit_once('.')?;
            let summary = self.summaries.get(summary)?;
            fields(summary).into_iter().find(|(name, _)| *name == field).map(|(_, value)| value)
        })
    }

    /// Every name that has a value.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let of = |(name, summary): (&String, &Summary)| fields(summary).map(|(field, _)| format!("{name}.{field}"));
        let whole = self.counters.keys().chain(self.rates.keys()).cloned();
        whole.chain(self.summaries.iter().flat_map(of)).collect::<Vec<_>>().into_iter()
    }

    fn add_users(&mut self, numbers: &Numbers, names: &Names<'_>) {
        let users = numbers.users;
        self.count_some("vusers.created", users.created);
        for (scenario, count) in &numbers.created_by {
            self.count(&format!("vusers.created_by_name.{}", names.scenario(*scenario)), *count);
        }
        self.count_some("vusers.completed", users.completed);
        // Artillery adds 0 whenever a user completes, so that a condition on it has a value.
        if users.completed + users.failed > 0 {
            self.count("vusers.failed", users.failed);
        }
        self.count_some("vusers.skipped", users.skipped);
        self.set("vusers.session_length", numbers.sessions.as_ref());
    }

    fn add_http(&mut self, numbers: &Numbers, names: &Names<'_>) {
        self.count_some("http.requests", numbers.requests);
        self.count_some("http.responses", numbers.responses());
        for (code, count) in &numbers.codes {
            self.count(&format!("http.codes.{code}"), *count);
        }
        if numbers.responses() > 0 {
            self.count("http.downloaded_bytes", numbers.bytes);
        }
        if let Some(rate) = numbers.request_rate() {
            self.rates.insert("http.request_rate".to_owned(), whole(rate));
        }
        self.set("http.response_time", numbers.first_byte.as_ref());
        for (class, summary) in numbers.by_class.range(2..=5) {
            self.set(&format!("http.response_time.{class}xx"), Some(summary));
        }
        if names.extended {
            // Artillery's total begins when the request is made, before it waits for a socket: that is our due time.
            let parts =
                [("dns", &numbers.dns), ("tcp", &numbers.connect), ("tls", &numbers.tls), ("total", &numbers.from_due)];
            for (part, summary) in parts {
                self.set(&format!("http.{part}"), summary.as_ref());
            }
        }
    }

    fn add_endpoint(&mut self, namespace: &str, name: &str, endpoint: &EndpointNumbers) {
        for (code, count) in &endpoint.codes {
            self.count(&format!("{namespace}.{name}.codes.{code}"), *count);
        }
        for (code, count) in &endpoint.errors {
            self.count(&format!("{namespace}.{name}.errors.{code}"), *count);
        }
        for (kind, summary) in [("response_time", &endpoint.first_byte), ("server-timing", &endpoint.server)] {
            let Some(summary) = summary else { continue };
            let full = format!("{namespace}.{kind}.{name}");
            let merged = self.summaries.get(&cut(&full)).map_or(*summary, |other| merged(other, summary));
            self.set(&full, Some(&merged));
        }
    }

    fn count(&mut self, name: &str, count: u64) {
        *self.counters.entry(cut(name)).or_default() += count;
    }

    fn count_some(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.count(name, count);
        }
    }

    fn set(&mut self, name: &str, summary: Option<&Summary>) {
        if let Some(summary) = summary {
            self.summaries.insert(cut(name), rounded(summary));
        }
    }
}

/// The fields of a summary by Artillery's names, in its order.
#[must_use]
pub fn fields(summary: &Summary) -> [(&'static str, f64); 11] {
    let Summary { min, max, count, mean, p50, p75, p90, p95, p99, p999 } = *summary;
    [
        ("min", min),
        ("max", max),
        ("count", float(count)),
        ("mean", mean),
        ("p50", p50),
        ("median", p50),
        ("p75", p75),
        ("p90", p90),
        ("p95", p95),
        ("p99", p99),
        ("p999", p999),
    ]
}

fn rounded(summary: &Summary) -> Summary {
    with_each(summary, summary, |value, _| tenths(value))
}

/// Two distributions as one: exact but for the percentiles, which lie somewhere between those of the two.
fn merged(one: &Summary, other: &Summary) -> Summary {
    let (mine, theirs) = (float(one.count), float(other.count));
    let mean = |mine_is: f64, theirs_is: f64| (mine_is * mine + theirs_is * theirs) / (mine + theirs).max(1.0);
    Summary {
        min: one.min.min(other.min),
        max: one.max.max(other.max),
        count: one.count + other.count,
        ..with_each(one, other, mean)
    }
}

fn with_each(one: &Summary, other: &Summary, make: impl Fn(f64, f64) -> f64) -> Summary {
    Summary {
        min: make(one.min, other.min),
        max: make(one.max, other.max),
        count: one.count,
        mean: make(one.mean, other.mean),
        p50: make(one.p50, other.p50),
        p75: make(one.p75, other.p75),
        p90: make(one.p90, other.p90),
        p95: make(one.p95, other.p95),
        p99: make(one.p99, other.p99),
        p999: make(one.p999, other.p999),
    }
}

fn cut(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

fn whole(rate: f64) -> u64 {
    // Written and read again: what is not a number or below zero is none.
    format!("{:.0}", rate.round()).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{README_NAMES, Sample, readme};
    use super::*;

    #[test]
    fn numbers_get_artillery_s_names() {
        let scenarios = README_NAMES.map(str::to_owned);
        let names = Names { scenarios: &scenarios, namespace: "ns", extended: false };
        let metrics = Metrics::of(&readme(), &names);
        let counters: Vec<_> = metrics.counters.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(
            counters,
            [
                ("errors.ECONNRESET", 1),
                ("http.codes.0", 412),
                ("http.codes.200", 2690),
                ("http.codes.201", 425),
                ("http.codes.204", 425),
                ("http.codes.504", 1),
                ("http.downloaded_bytes", 5_000_000),
                ("http.requests", 3953),
                ("http.responses", 3953),
                ("vusers.completed", 618),
                ("vusers.created", 619),
                ("vusers.created_by_name.CSR – Login, create and delete appointments", 213),
                ("vusers.created_by_name.CSR – Login, load data, idle", 200),
                ("vusers.created_by_name.CSR – Sockets", 206),
                ("vusers.failed", 1),
            ]
        );
        assert_eq!(metrics.rates.get("http.request_rate"), Some(&30));
        assert_eq!(metrics.value("http.response_time.p95"), Some(11_993.4));
        assert_eq!(metrics.value("http.response_time.median"), Some(3412.0));
        assert_eq!(metrics.value("http.response_time.count"), Some(3953.0));
        assert_eq!((metrics.value("vusers.failed"), metrics.value("http.request_rate")), (Some(1.0), Some(30.0)));
        assert_eq!((metrics.value("vusers.skipped"), metrics.value("http.response_time")), (None, None));
        assert!(metrics.names().all(|name| metrics.value(&name).is_some()));
    }

    #[test]
    fn methods_of_one_path_share_their_metrics() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a").endpoint("POST", "/a");
        sample.answers(0, 200, 10, &[99]);
        sample.answers(1, 201, 1000, &[1]);
        let traffic = sample.done();
        let names = Names { scenarios: &[], namespace: "plugins.metrics-by-endpoint", extended: false };
        let metrics = Metrics::of(&Numbers::of(&traffic.total, &traffic.endpoints), &names);
        assert_eq!(metrics.value("plugins.metrics-by-endpoint./a.codes.201"), Some(1.0));
        assert_eq!(metrics.value("plugins.metrics-by-endpoint.response_time./a.count"), Some(100.0));
        assert!(metrics.value("plugins.metrics-by-endpoint.response_time./a.p95").is_some_and(|p95| p95 < 11.0));
    }
}

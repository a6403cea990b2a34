//! The text that a Prometheus Pushgateway takes, and where it takes it.
//!
//! As Artillery writes it: three metrics, `<prefix>_counters`, `<prefix>_rates` and `<prefix>_summaries`, with the name of the number
//! in the label `metric`. A push replaces what the gateway had under these names, so a [`Registry`] keeps all numbers of the run:
//! counters add up, the others stay at their last value. Pure; the format is Prometheus' text exposition format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;

use url::Url;

use super::Published;
use crate::random::Random;
use crate::scenario::publish::Prometheus;

/// What the body of a push is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The numbers of a run so far, by the label `metric`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    counters: BTreeMap<String, u64>,
    rates: BTreeMap<String, u64>,
    summaries: BTreeMap<String, f64>,
}

impl Registry {
    /// Adds a window.
    pub fn add(&mut self, published: &Published) {
        for (name, count) in &published.counters {
            let sum = self.counters.entry(key(name)).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.rates.extend(published.rates.iter().map(|(name, rate)| (key(name), *rate)));
        for (name, fields) in &published.summaries {
            let finite = fields.iter().filter(|(_, value)| value.is_finite());
            self.summaries.extend(finite.map(|(field, value)| (format!("{}_{field}", key(name)), *value)));
        }
    }

    /// All numbers, to be pushed.
    #[must_use]
    pub fn text(&self, settings: &Prometheus) -> String {
        let mut labels = String::new();
        for (name, value) in &settings.tags {
            let _ = write!(labels, ",{name}=\"{}\"", escaped(value));
        }
        let prefix = &settings.prefix;
        let mut text = String::new();
        family(&mut text, &format!("{prefix}_counters"), "counter", &labels, &self.counters);
        family(&mut text, &format!("{prefix}_rates"), "gauge", &labels, &self.rates);
        family(&mut text, &format!("{prefix}_summaries"), "gauge", &labels, &self.summaries);
        text
    }
}

/// One metric with all its samples; nothing when there are none.
fn family<V: std::fmt::Display>(text: &mut String, name: &str, kind: &str, labels: &str, values: &BTreeMap<String, V>) {
    if !values.is_empty() {
        let _ = writeln!(text, "# TYPE {name} {kind}");
    }
    for (metric, value) in values {
        let _ = writeln!(text, "{name}{{metric=\"{}\"{labels}}} {value}", escaped(metric));
    }
}

/// The name of a number as Artillery puts it in the label.
fn key(name: &str) -> String {
    name.replace(|letter: char| letter.is_whitespace() || letter == '.', "_").to_lowercase()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Where a gateway takes the numbers of a job.
#[must_use]
pub fn address(gateway: &Url, job: &str) -> Url {
    let mut address = gateway.clone();
    address.set_path(&format!("{}/metrics/job/{job}", gateway.path().trim_end_matches('/')));
    address.set_query(None);
    address
}

/// A name for the job of one run that no other run has: a UUID of version 4, as Artillery makes one.
#[must_use]
pub fn job(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let (version, variant) = (high & 0xfff | 0x4000, low >> 48 & 0x3fff | 0x8000);
    format!(
        "{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;
    use crate::scenario::publish::Unshown;

    fn settings(tags: &[(&str, &str)]) -> Prometheus {
        Prometheus {
            gateway: Unshown(Url::parse("http://gateway:9091/base/?x=1").expect("a URL")),
            prefix: "artillery".into(),
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            authorities: None,
        }
    }

    #[test]
    fn a_push_has_three_metrics_as_artillery_s_has() {
        let mut registry = Registry::default();
        registry.add(&sample());
        registry.add(&Published { rates: [("http.request_rate".to_owned(), 7)].into(), ..sample() });
        let expected = r#"# TYPE artillery_counters counter
artillery_counters{metric="errors_odd:_a|b_",team="a \"b\\"} 2
artillery_counters{metric="http_codes_200",team="a \"b\\"} 24
# TYPE artillery_rates gauge
artillery_rates{metric="http_request_rate",team="a \"b\\"} 7
# TYPE artillery_summaries gauge
artillery_summaries{metric="http_response_time_min",team="a \"b\\"} 1
artillery_summaries{metric="http_response_time_p95",team="a \"b\\"} 30.1
"#;
        assert_eq!(registry.text(&settings(&[("team", "a \"b\\")])), expected);
        assert_eq!(Registry::default().text(&settings(&[])), "");
    }

    #[test]
    fn a_job_is_part_of_the_path() {
        let job = job(&mut Random::new(1));
        let shape: Vec<usize> = job.split('-').map(str::len).collect();
        assert_eq!((shape, &job[14..15]), (vec![8, 4, 4, 4, 12], "4"));
        let address = address(&settings(&[]).gateway.0, &job);
        assert_eq!(address.as_str(), format!("http://gateway:9091/base/metrics/job/{job}"));
    }

    proptest::proptest! {
        #[test]
        fn every_sample_is_one_line(name in ".{0,30}", tag in ".{0,30}") {
            let mut registry = Registry::default();
            registry.add(&Published { counters: [(name, 1)].into(), ..sample() });
            let text = registry.text(&settings(&[("tag", &tag)]));
            proptest::prop_assert_eq!(text.split('\n').count(), 3 + 4 + 1);
        }
    }
}

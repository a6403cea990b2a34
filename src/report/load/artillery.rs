//! The JSON of `-o`: what Artillery 2 writes, so that tooling made for it reads ours, and our own part under `pyperf`.
//!
//! `{"aggregate": R, "intermediate": [R…], "pyperf": …}`. Its oddities are kept: `histograms` is a copy of `summaries`, a
//! window carries each rate's name once more with `null`, and its `period` is a text. Numbers are never `NaN`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::figures::{epoch_millis, json_number};
use super::metrics::{Metrics, fields};
use super::{LoadReport, ours};
use crate::clock::Moment;
use crate::recording::traffic::{Numbers, Summary, Traffic};

/// All of it.
pub(super) fn whole(report: &LoadReport<'_>) -> Value {
    let traffic = report.traffic;
    let mut whole = Map::new();
    let period = traffic.windows.first().map_or(traffic.began, |window| window.began);
    let aggregate = part(&report.metrics, &report.numbers, traffic, &Value::from(millis(traffic, period)));
    whole.insert("aggregate".to_owned(), Value::Object(aggregate));
    let windows = traffic.windows.iter().map(|window| {
        let metrics = Metrics::of(&window.numbers, &report.names);
        let mut part =
            part(&metrics, &window.numbers, traffic, &Value::from(millis(traffic, window.began).to_string()));
        part.extend(metrics.rates.keys().map(|name| (name.clone(), Value::Null)));
        Value::Object(part)
    });
    whole.insert("intermediate".to_owned(), windows.collect());
    whole.insert("pyperf".to_owned(), ours::part(report));
    Value::Object(whole)
}

/// Milliseconds since 1970 of a moment of the run.
pub(super) fn millis(traffic: &Traffic, moment: Moment) -> u64 {
    let time = traffic.anchor.checked_add(Duration::from_nanos(moment.as_nanos()));
    epoch_millis(time.unwrap_or(traffic.anchor))
}

/// A summary as Artillery writes it.
pub(super) fn summary(summary: &Summary) -> Value {
    fields(summary).into_iter().map(|(name, value)| (name.to_owned(), json_number(value))).collect::<Map<_, _>>().into()
}

fn part(metrics: &Metrics, numbers: &Numbers, traffic: &Traffic, period: &Value) -> Map<String, Value> {
    let summaries: Map<String, Value> =
        metrics.summaries.iter().map(|(name, values)| (name.clone(), summary(values))).collect();
    let time = |moment: Option<Moment>| moment.map_or(Value::Null, |moment| Value::from(millis(traffic, moment)));
    let (first, last) = (time(numbers.span.map(|span| span.0)), time(numbers.span.map(|span| span.1)));
    let part = json!({
        "counters": metrics.counters,
        "rates": metrics.rates,
        "firstCounterAt": first,
        "firstHistogramAt": first,
        "lastCounterAt": last,
        "lastHistogramAt": last,
        "firstMetricAt": first,
        "lastMetricAt": last,
        "period": period,
        "summaries": summaries,
        "histograms": summaries,
    });
    match part {
        Value::Object(part) => part,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::super::tests::{Sample, at, readme};
    use super::*;
    use crate::recording::traffic::{FailureKind, Window};
    use crate::scenario::plugins::Plugins;

    fn written(traffic: &Traffic, numbers: Numbers) -> String {
        let plugins = Plugins::default();
        let mut bytes = Vec::new();
        LoadReport::with(traffic, numbers, &plugins, false)
            .write_json(Layout::Artillery2, &mut bytes)
            .expect("memory takes everything");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    #[test]
    fn artillery_s_keys_are_there_with_its_oddities() {
        let mut sample = Sample::new();
        let window = Window { began: at(6750), ended: at(16_750), numbers: readme() };
        sample.change(|traffic| traffic.windows.push(window));
        let text = written(&sample.done(), readme());
        assert!(
            text.starts_with("{\n  \"aggregate\": {\n    \"counters\": {\n      \"errors.ECONNRESET\": 1,"),
            "{text}"
        );
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(keys(&whole), ["aggregate", "intermediate", "pyperf"]);
        let (aggregate, window) = (&whole["aggregate"], &whole["intermediate"][0]);
        assert_eq!(aggregate["summaries"], aggregate["histograms"]);
        assert_eq!(aggregate["period"], json!(1_604_952_030_000_u64));
        assert_eq!(window["period"], json!("1604952030000"));
        assert_eq!(aggregate["firstMetricAt"], json!(1_604_952_023_250_u64));
        assert_eq!(aggregate["lastMetricAt"], json!(1_604_952_162_000_u64));
        assert_eq!((aggregate.get("http.request_rate"), window.get("http.request_rate")), (None, Some(&Value::Null)));
        assert_eq!(aggregate["rates"], json!({"http.request_rate": 30}));
        let times = &aggregate["summaries"]["http.response_time"];
        assert_eq!(keys(times), ["min", "max", "count", "mean", "p50", "median", "p75", "p90", "p95", "p99", "p999"]);
        assert_eq!((times["p95"].to_string(), times["median"].to_string()), ("11993.4".into(), "3412".into()));
        assert_eq!(times["mean"], json!(4000));
    }

    #[test]
    fn our_part_tells_what_artillery_does_not() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a").answers(0, 200, 10, &[9]).answers(0, 504, 30_000, &[1]);
        sample.fails(0, &FailureKind::Status(504), Some(504), 5);
        sample.change(|traffic| {
            traffic.total.users_of(0).created = 3;
            traffic.total.error("ECONNRESET", Some(0), at(5));
        });
        let traffic = sample.done();
        let whole: Value =
            serde_json::from_str(&written(&traffic, Numbers::of(&traffic.total, &traffic.endpoints))).expect("JSON");
        let ours = &whole["pyperf"];
        assert_eq!(
            (&ours["version"], &ours["seed"], &ours["target"]),
            (&json!(1), &json!(7), &json!("http://<hidden>@h/"))
        );
        let phase = &ours["phases"][0];
        assert_eq!(
            (&phase["planned"], &phase["created"], &phase["failedRequests"]),
            (&json!(100), &json!(3), &json!(1))
        );
        assert_eq!(phase["fromSend"]["count"], json!(10));
        let endpoint = &ours["endpoints"][0];
        assert_eq!((&endpoint["label"], &endpoint["codes"]), (&json!("GET /a"), &json!({"200": 9, "504": 1})));
        assert_eq!((&endpoint["errors"], &endpoint["queued"]), (&json!({"ECONNRESET": 1}), &Value::Null));
        let failure = &ours["failures"][0];
        assert_eq!(
            (&failure["kind"], &failure["status"], &failure["count"]),
            (&json!("status"), &json!(504), &json!(5))
        );
        assert_eq!(failure["examples"][0]["at"], json!(1_604_952_035_650_u64));
        assert_eq!(failure["examples"][0]["headers"][1], json!(["x-b3", "1"]));
        assert_eq!(failure["examples"][0]["timings"], json!({"connect": 1.2, "first byte": 30_051}));
    }

    #[test]
    fn an_empty_run_is_valid_too() {
        let whole: Value = serde_json::from_str(&written(&Sample::new().done(), Numbers::default())).expect("JSON");
        assert_eq!((&whole["aggregate"]["counters"], &whole["aggregate"]["firstMetricAt"]), (&json!({}), &Value::Null));
    }
}

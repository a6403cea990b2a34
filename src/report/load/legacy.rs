//! The JSON of Artillery 1, for tooling that still reads it: `ARTILLERY_USE_LEGACY_REPORT_FORMAT` asks Artillery 2 for the same.

use serde_json::{Map, Value, json};

use super::LoadReport;
use super::artillery::{millis, summary};
use super::figures::{json_number, share, tenths};
use super::metrics::Metrics;
use crate::clock::Moment;
use crate::recording::traffic::{Numbers, Summary};

/// All of it: the whole run and its windows.
pub(super) fn whole(report: &LoadReport<'_>) -> Value {
    let windows = report.traffic.windows.iter().map(|window| part(report, &window.numbers, window.ended));
    json!({
        "aggregate": part(report, &report.numbers, report.traffic.ended),
        "intermediate": windows.collect::<Vec<_>>(),
    })
}

fn part(report: &LoadReport<'_>, numbers: &Numbers, ended: Moment) -> Value {
    let codes: Map<String, Value> =
        numbers.classic_codes().iter().map(|(code, count)| (code.to_string(), Value::from(*count))).collect();
    let (requests, requested) = numbers.classic_requests();
    let scenarios: Map<String, Value> = numbers
        .created_by
        .iter()
        .map(|(number, count)| (report.names.scenario(*number), Value::from(*count)))
        .collect();
    let metrics = Metrics::of(numbers, &report.names);
    let time = jiff::Timestamp::from_millisecond(i64::try_from(millis(report.traffic, ended)).unwrap_or_default());
    let seconds = requested.map_or(0.0, |(first, last)| last.since(first).as_secs_f64());
    json!({
        "timestamp": time.unwrap_or_default().to_string(),
        "scenariosCreated": numbers.users.created,
        "scenariosCompleted": numbers.users.completed,
        "scenariosAvoided": numbers.users.skipped,
        "requestsCompleted": numbers.classic_codes().values().sum::<u64>(),
        "latency": times(numbers.first_byte.as_ref()),
        "rps": {
            "count": requests,
            "mean": json_number(tenths(share(super::figures::float(requests), seconds.max(1.0)))),
        },
        "scenarioDuration": times(numbers.sessions.as_ref()),
        "scenarioCounts": scenarios,
        "errors": numbers.errors,
        "codes": codes,
        "customStats": {},
        "counters": metrics.counters,
        "phases": report.traffic.phases.iter().map(|phase| json!({
            "name": phase.name,
            "duration": json_number(phase.length.as_secs_f64()),
        })).collect::<Vec<_>>(),
    })
}

fn times(times: Option<&Summary>) -> Value {
    let rounded = times.map(|times| Summary {
        min: tenths(times.min),
        max: tenths(times.max),
        count: times.count,
        mean: tenths(times.mean),
        p50: tenths(times.p50),
        p75: tenths(times.p75),
        p90: tenths(times.p90),
        p95: tenths(times.p95),
        p99: tenths(times.p99),
        p999: tenths(times.p999),
    });
    rounded.as_ref().map_or_else(|| json!({}), summary)
}

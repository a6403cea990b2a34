//! Our own part of the JSON: phases, scenarios, endpoints, failures with their examples, lateness, the driver, the checks.
//!
//! Lengths are in milliseconds, points in time in milliseconds since 1970. The order of keys is fixed; new keys may come,
//! and when one goes or changes its meaning, [`VERSION`] grows.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::LoadReport;
use super::artillery::{millis, summary};
use super::figures::{float, in_millis, json_number, share, tenths};
use crate::recording::traffic::{
    EndpointLabel, Failure, FailureKind, Kept, Latency, Outcome, Series, SeriesKey, Signature, Summary, Tally, Traffic,
};
use crate::redact;

/// The version of this part.
const VERSION: u64 = 1;
/// Lateness from which on an arrival counts as late.
pub(super) const LATE: Duration = Duration::from_millis(10);

/// All of it.
pub(super) fn part(report: &LoadReport<'_>) -> Value {
    let traffic = report.traffic;
    let total = &traffic.total;
    let failures = traffic.failures.sorted();
    json!({
        "version": VERSION,
        "seed": traffic.seed,
        "target": redact::text(&traffic.target),
        "labels": report.labels.iter().map(|(name, text)| ((*name).to_owned(), text.as_str().into())).collect::<Map<_, _>>(),
        "startedAt": millis(traffic, traffic.began),
        "endedAt": millis(traffic, traffic.ended),
        "cutShort": traffic.cut_short,
        "abandoned": traffic.abandoned,
        "fromSend": all_summary(report.numbers.from_send.as_ref()),
        "fromDue": all_summary(report.numbers.from_due.as_ref()),
        "phases": (0..traffic.phases.len()).map(|number| phase(traffic, number)).collect::<Vec<_>>(),
        "scenarios": (0..traffic.scenarios.len()).map(|number| scenario(traffic, number)).collect::<Vec<_>>(),
        "endpoints": endpoints(traffic),
        "series": series(traffic),
        "failures": failures.iter().map(|(signature, kept)| failure(traffic, signature, kept)).collect::<Vec<_>>(),
        "failuresOfFurtherKinds": traffic.failures.uncounted(),
        "lateness": {
            "summary": distribution(&total.lateness),
            "laterThan10ms": total.lateness.count_above(LATE),
        },
        "driver": { "cpuMs": json_number(tenths(in_millis(traffic.driver_cpu))) },
        "checks": report.checked.iter().map(|checked| json!({
            "check": checked.words,
            "strict": checked.strict,
            "held": checked.held,
            "note": checked.note,
        })).collect::<Vec<_>>(),
    })
}

/// The requests of a series that failed, or were answered with 400 or more.
pub(super) fn failed(total: &Tally, wanted: impl Fn(&SeriesKey) -> bool) -> u64 {
    let bad = |outcome: Outcome| outcome.class().is_none_or(|class| class >= 4);
    total.series.iter().filter(|(key, _)| wanted(key) && bad(key.outcome)).map(|(_, series)| series.count).sum()
}

/// When a phase ended: when the next one began, or all was over.
pub(super) fn phase_length(traffic: &Traffic, number: usize) -> Duration {
    let next = traffic.phases.get(number + 1).map_or(traffic.ended, |next| next.began);
    traffic.phases.get(number).map_or(Duration::ZERO, |phase| next.since(phase.began))
}

fn phase(traffic: &Traffic, number: usize) -> Value {
    let Some(phase) = traffic.phases.get(number) else { return Value::Null };
    let of = |key: &SeriesKey| usize::from(key.phase) == number;
    let sum = traffic.total.sum(of);
    let users =
        u16::try_from(number).ok().and_then(|number| traffic.total.users.get(&number)).copied().unwrap_or_default();
    let rate = share(float(sum.count), phase_length(traffic, number).as_secs_f64());
    json!({
        "name": phase.name,
        "startedAt": millis(traffic, phase.began),
        "durationMs": json_number(tenths(in_millis(phase.length))),
        "planned": phase.planned,
        "created": users.created,
        "completed": users.completed,
        "failed": users.failed,
        "skipped": users.skipped,
        "requests": sum.count,
        "failedRequests": failed(&traffic.total, of),
        "requestsPerSecond": json_number(tenths(rate)),
        "firstByte": distribution(&sum.first_byte),
        "fromSend": distribution(&sum.from_send),
        "fromDue": distribution(&sum.from_due),
    })
}

fn scenario(traffic: &Traffic, number: usize) -> Value {
    let of = |key: &SeriesKey| usize::from(key.scenario) == number;
    let sum = traffic.total.sum(of);
    let created = u16::try_from(number).ok().and_then(|number| traffic.total.created_by.get(&number));
    json!({
        "name": traffic.scenarios.get(number),
        "created": created.copied().unwrap_or(0),
        "requests": sum.count,
        "failedRequests": failed(&traffic.total, of),
        "firstByte": distribution(&sum.first_byte),
        "fromSend": distribution(&sum.from_send),
        "fromDue": distribution(&sum.from_due),
    })
}

fn endpoints(traffic: &Traffic) -> Vec<Value> {
    let known = traffic.endpoints.iter().zip(0_u32..);
    let mut all: Vec<Value> = known.map(|(label, number)| endpoint(traffic, Some(label), number)).collect();
    // Series that came too late to have a place of their own.
    if traffic.total.series.keys().any(|key| key.endpoint == SeriesKey::OTHER_ENDPOINT) {
        all.push(endpoint(traffic, None, SeriesKey::OTHER_ENDPOINT));
    }
    all
}

fn endpoint(traffic: &Traffic, label: Option<&EndpointLabel>, number: u32) -> Value {
    let sum = traffic.total.sum(|key| key.endpoint == number);
    let errors: Map<String, Value> = traffic
        .total
        .endpoint_errors
        .iter()
        .filter(|((endpoint, _), _)| *endpoint == number)
        .map(|((_, code), count)| (code.clone(), Value::from(*count)))
        .collect();
    let mut shown = json!({
        "label": label.map_or_else(|| "(others)".to_owned(), EndpointLabel::label),
        "method": label.map(|label| &label.method),
        "path": label.map(|label| &label.path),
        "name": label.and_then(|label| label.name.as_ref()),
        "count": sum.count,
        "codes": codes(traffic, number),
        "errors": errors,
    });
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(parts(&sum).map(|(name, latency)| (name.to_owned(), distribution(latency))));
    }
    shown
}

/// The finest cut: each phase, scenario, endpoint and status by itself.
fn series(traffic: &Traffic) -> Vec<Value> {
    let mut keys: Vec<&SeriesKey> =
        traffic.total.series.iter().filter(|(_, series)| series.count > 0).map(|(key, _)| key).collect();
    keys.sort_unstable();
    let one = |key: &SeriesKey| {
        let series = traffic.total.series.get(key)?;
        let label = traffic.endpoints.get(usize::try_from(key.endpoint).ok()?);
        let status = match key.outcome {
            Outcome::Status(status) => Value::from(status),
            Outcome::Class(class) => Value::from(format!("{class}xx")),
            Outcome::Failed => Value::Null,
        };
        let mut shown = json!({
            "phase": traffic.phases.get(usize::from(key.phase)).map(|phase| &phase.name),
            "scenario": traffic.scenarios.get(usize::from(key.scenario)),
            "endpoint": label.map_or_else(|| "(others)".to_owned(), EndpointLabel::label),
            "status": status,
            "count": series.count,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(parts(series).map(|(name, latency)| (name.to_owned(), distribution(latency))));
        }
        Some(shown)
    };
    keys.into_iter().filter_map(one).collect()
}

fn codes(traffic: &Traffic, endpoint: u32) -> Value {
    let own = traffic.total.codes.range((endpoint, 0)..=(endpoint, u16::MAX));
    own.map(|((_, code), count)| (code.to_string(), Value::from(*count))).collect::<Map<_, _>>().into()
}

fn parts(series: &Series) -> [(&'static str, &Latency); 9] {
    [
        ("firstByte", &series.first_byte),
        ("fromSend", &series.from_send),
        ("fromDue", &series.from_due),
        ("queued", &series.queued),
        ("dns", &series.dns),
        ("connect", &series.connect),
        ("tls", &series.tls),
        ("body", &series.body),
        ("server", &series.server),
    ]
}

fn failure(traffic: &Traffic, signature: &Signature, kept: &Kept) -> Value {
    let (kind, status, what) = match &signature.kind {
        FailureKind::Status(status) => ("status", Some(*status), None),
        FailureKind::Transport(code) => ("transport", None, Some(code)),
        FailureKind::Capture(what) => ("capture", None, Some(what)),
        FailureKind::Match(what) => ("match", None, Some(what)),
        FailureKind::Expect(what) => ("expect", None, Some(what)),
        FailureKind::Request(what) => ("request", None, Some(what)),
        FailureKind::Function(what) => ("function", None, Some(what)),
        FailureKind::Socket(what) => ("socket", None, Some(what)),
    };
    let scenario = signature.scenario.and_then(|number| traffic.scenarios.get(usize::from(number)));
    let endpoint = signature.endpoint.and_then(|number| traffic.endpoints.get(usize::try_from(number).ok()?));
    json!({
        "kind": kind,
        "status": status,
        "what": what,
        "scenario": scenario,
        "step": signature.step,
        "endpoint": endpoint.map(EndpointLabel::label),
        "count": kept.count,
        "examples": kept.examples.iter().map(|failure| example(traffic, failure)).collect::<Vec<_>>(),
    })
}

fn example(traffic: &Traffic, failure: &Failure) -> Value {
    let timing = |(part, length): &(&str, Duration)| ((*part).to_owned(), json_number(tenths(in_millis(*length))));
    json!({
        "at": millis(traffic, failure.moment),
        "user": failure.user,
        "phase": traffic.phases.get(usize::from(failure.phase)).map(|phase| &phase.name),
        "request": failure.request,
        "status": failure.status,
        "headers": failure.headers,
        "body": failure.body,
        "detail": failure.detail,
        "timings": failure.timings.iter().map(timing).collect::<Map<_, _>>(),
    })
}

/// Thousandths of a millisecond are what a histogram of microseconds can tell.
fn distribution(latency: &Latency) -> Value {
    all_summary(Summary::of(latency).as_ref())
}

fn all_summary(of: Option<&Summary>) -> Value {
    let Some(of) = of else { return Value::Null };
    let mut value = summary(of);
    for number in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
            *number = json_number((float * 1e3).round() / 1e3);
        }
    }
    value
}

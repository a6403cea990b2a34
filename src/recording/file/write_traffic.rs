//! Writes what a load tells, batch by batch, into the file that the sampler may be writing too.
//!
//! Rows of requests are only ever added; everything else is short and replaced when it changes. What the columns mean is told
//! by the module's table.

use rusqlite::{Transaction, params};
use serde_json::{Map, Value};

use super::super::traffic::log::{Batch, FailureRows, LoadHead, RequestRow, UserRow, WindowRow};
use super::super::traffic::{EndpointLabel, Failure, FailureKind};
use super::write::{nanos, signed, upsert_phases};
use crate::clock::Moment;

/// Where a counter that belongs to no endpoint stands.
const NO_ENDPOINT: i64 = -1;

/// Writes what is known when a load begins.
pub(super) fn begin(to: &Transaction<'_>, head: &LoadHead) -> rusqlite::Result<()> {
    to.execute(
        "INSERT INTO load VALUES (?1, ?2, ?3, ?3, 1, 0, 0, 0, 0)",
        params![head.target, head.seed.cast_signed(), at(head.began)],
    )?;
    for (id, phase) in (0_i64..).zip(&head.phases) {
        to.execute(
            "INSERT INTO plan VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                phase.name,
                at(phase.began),
                nanos(phase.length),
                signed(phase.planned),
                phase.most_users.map(signed)
            ],
        )?;
    }
    for (id, name) in (0_i64..).zip(&head.scenarios) {
        to.execute("INSERT INTO scenario VALUES (?1, ?2)", params![id, name])?;
    }
    insert_endpoints(to, 0, &head.endpoints)
}

fn insert_endpoints(to: &Transaction<'_>, first: usize, labels: &[EndpointLabel]) -> rusqlite::Result<()> {
    let mut endpoint = to.prepare_cached("INSERT INTO endpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (id, label) in (first..).zip(labels) {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        endpoint.execute(params![id, label.method, label.path, label.query, label.name, label.metric])?;
    }
    Ok(())
}

/// Writes a batch.
pub(super) fn append(to: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    insert_endpoints(to, batch.endpoints.0, &batch.endpoints.1)?;
    insert_requests(to, &batch.requests)?;
    upsert_users(to, &batch.users)?;
    upsert_windows(to, &batch.windows)?;
    batch.failures.iter().try_for_each(|kind| replace_failures(to, kind))?;
    upsert_phases(to, &batch.phases)?;
    let state = &batch.state;
    if state.over {
        to.execute("UPDATE user SET ended = ?1, state = 'abandoned' WHERE state = 'active'", [at(state.ended)])?;
    }
    to.execute(
        "UPDATE load SET ended = ?1, cut_short = ?2, active = ?3, driver_cpu = ?4, lost = ?5, more_failures = ?6",
        params![
            at(state.ended),
            state.cut_short,
            signed(state.active),
            nanos(state.driver_cpu),
            signed(state.lost),
            signed(state.more_failures)
        ],
    )?;
    Ok(())
}

fn insert_requests(to: &Transaction<'_>, rows: &[RequestRow]) -> rusqlite::Result<()> {
    let mut request = to.prepare_cached(
        "INSERT INTO request VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?;
    for row in rows {
        request.execute(params![
            at(row.done),
            at(row.due),
            row.sent.map(at),
            row.head.map(at),
            nanos(row.queued),
            row.dns.map(nanos),
            row.connect.map(nanos),
            row.tls.map(nanos),
            row.server.map(nanos),
            signed(row.received),
            row.phase,
            row.scenario,
            row.endpoint,
            row.line,
            signed(row.user),
            row.status,
            row.error,
            row.local_port
        ])?;
    }
    Ok(())
}

fn upsert_users(to: &Transaction<'_>, rows: &[UserRow]) -> rusqlite::Result<()> {
    let mut user = to.prepare_cached("INSERT OR REPLACE INTO user VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for row in rows {
        user.execute(params![
            signed(row.number),
            row.phase,
            row.scenario,
            at(row.due),
            at(row.began),
            row.ended.map(at),
            row.state.name()
        ])?;
    }
    Ok(())
}

fn upsert_windows(to: &Transaction<'_>, rows: &[WindowRow]) -> rusqlite::Result<()> {
    let mut window = to.prepare_cached("INSERT OR REPLACE INTO window VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let mut counter = to.prepare_cached("INSERT OR REPLACE INTO counter VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut rate = to.prepare_cached("INSERT OR REPLACE INTO rate VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut measure = to.prepare_cached("INSERT OR REPLACE INTO measure VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in rows {
        window.execute(params![
            row.number,
            at(row.began),
            at(row.ended),
            at(row.span.0),
            at(row.span.1),
            signed(row.requests),
            row.requested.map(|(first, _)| at(first)),
            row.requested.map(|(_, last)| at(last))
        ])?;
        let errors = row.errors.iter().map(|(code, count)| ("error", NO_ENDPOINT, code, count));
        let by_endpoint = row.endpoint_errors.iter();
        let by_endpoint =
            by_endpoint.map(|((endpoint, code), count)| ("endpoint error", i64::from(*endpoint), code, count));
        let counters = row.named.counters.iter().map(|(name, count)| ("plugin", NO_ENDPOINT, name, count));
        for (kind, endpoint, name, count) in errors.chain(by_endpoint).chain(counters) {
            counter.execute(params![row.number, kind, endpoint, name, signed(*count)])?;
        }
        for (name, seen) in &row.named.rates {
            rate.execute(params![row.number, name, signed(seen.count), at(seen.first), at(seen.last)])?;
        }
        for (name, latency) in &row.named.measures {
            let counts: Value = latency.values().map(|(micros, count)| vec![micros, count]).collect();
            let (shortest, longest) = (nanos(latency.min()), nanos(latency.max()));
            measure.execute(params![row.number, name, shortest, longest, counts.to_string()])?;
        }
    }
    Ok(())
}

fn replace_failures(to: &Transaction<'_>, kind: &FailureRows) -> rusqlite::Result<()> {
    let mut add = to.prepare_cached(
        "INSERT OR REPLACE INTO failure
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?;
    let FailureRows { number, signature, kept } = kind;
    let (what, code) = words(&signature.kind);
    to.prepare_cached("DELETE FROM failure WHERE kind = ?1")?.execute([number])?;
    for (example, failure) in (0_i64..).zip(&kept.examples) {
        add.execute(params![
            number,
            example,
            signature.scenario,
            signature.step,
            signature.endpoint,
            what,
            code,
            signed(kept.count),
            at(failure.moment),
            signed(failure.user),
            failure.phase,
            failure.request,
            failure.status,
            headers(failure),
            failure.body,
            failure.detail,
            timings(failure)
        ])?;
    }
    Ok(())
}

/// What went wrong, as two columns.
fn words(kind: &FailureKind) -> (&'static str, String) {
    match kind {
        FailureKind::Status(status) => ("status", status.to_string()),
        FailureKind::Transport(code) => ("transport", code.clone()),
        FailureKind::Capture(what) => ("capture", what.clone()),
        FailureKind::Match(what) => ("match", what.clone()),
        FailureKind::Expect(what) => ("expect", what.clone()),
        FailureKind::Request(code) => ("request", code.clone()),
        FailureKind::Function(code) => ("function", code.clone()),
        FailureKind::Socket(code) => ("socket", code.clone()),
    }
}

fn headers(failure: &Failure) -> String {
    let pair = |(name, value): &(String, String)| Value::from(vec![name.clone(), value.clone()]);
    Value::Array(failure.headers.iter().map(pair).collect()).to_string()
}

fn timings(failure: &Failure) -> String {
    let part = |(name, length): &(&'static str, _)| ((*name).to_owned(), Value::from(nanos(*length)));
    Value::Object(failure.timings.iter().map(part).collect::<Map<_, _>>()).to_string()
}

fn at(moment: Moment) -> i64 {
    signed(moment.as_nanos())
}

//! Makes traffic of a recording again: its rows are replayed into a tally, window by window.
//!
//! Rows are read as a stream and not kept. They count in the window whose time they fall into; only what was on the edge of two
//! may have been counted in the other one while the run went on. As everywhere in this module, nothing is believed.

mod windows;

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, Row, Rows};
use serde_json::Value;

use self::windows::{read_counters, read_windows};
use super::super::traffic::failures::{EXAMPLES, MOST_KINDS};
use super::super::traffic::log::{RequestRow, UserRow, UserState};
use super::super::traffic::{
    EndpointLabel, Failure, FailureKind, Failures, Kept, Numbers, PhaseRun, Signature, Tally, Traffic, Window,
};
use super::FileError;
use super::read::{Fault, damaged, moment, nanos, open, unsigned};
use crate::clock::Moment;

/// No run counts more than this of anything in a row, so that sums of rows are numbers too: a million million.
const MOST: u64 = 1 << 40;
/// The parts of a request that a failure may tell, in their order.
const PARTS: [&str; 7] = ["late", "queued", "dns", "connect", "tls", "first byte", "body"];

/// Reads the traffic of a recording; `None` when no load was recorded in it. Rows are summed up as they are read, so that
/// the memory does not grow with their number.
///
/// # Errors
///
/// When the file is missing, is no recording, comes from another version, or contradicts itself.
pub fn read_traffic(path: &Path) -> Result<Option<Traffic>, FileError> {
    let (connection, schema) = open(path)?;
    if schema < 3 {
        return Ok(None);
    }
    read(&connection, schema).map_err(|fault| fault.of(path))
}

fn read(from: &Connection, schema: i32) -> Result<Option<Traffic>, Fault> {
    let Some(mut traffic) = read_load(from)? else { return Ok(None) };
    traffic.phases = read_plan(from)?;
    traffic.scenarios = read_scenarios(from)?;
    traffic.endpoints = read_endpoints(from)?;
    let limits = Limits {
        phases: traffic.phases.len(),
        scenarios: traffic.scenarios.len(),
        endpoints: traffic.endpoints.len(),
        named: schema >= 4,
    };
    replay(from, &mut traffic, limits)?;
    traffic.failures = read_failures(from, traffic.failures.uncounted(), limits)?;
    Ok(Some(traffic))
}

/// How many there are of what rows refer to.
#[derive(Clone, Copy)]
struct Limits {
    phases: usize,
    scenarios: usize,
    endpoints: usize,
    /// Whether rates and distributions by name are kept.
    named: bool,
}

impl Limits {
    fn check(self, phase: u16, scenario: Option<u16>, endpoint: Option<u32>, whose: &str) -> Result<(), Fault> {
        let known = usize::from(phase) < self.phases
            && scenario.is_none_or(|scenario| usize::from(scenario) < self.scenarios)
            && endpoint.is_none_or(|endpoint| (endpoint as usize) < self.endpoints);
        if known { Ok(()) } else { Err(damaged(format!("{whose} has no phase, scenario or endpoint"))) }
    }
}

fn read_load(from: &Connection) -> Result<Option<Traffic>, Fault> {
    let anchor: i64 = from.query_row("SELECT started FROM run", [], |row| row.get(0))?;
    let query = "SELECT target, seed, began, ended, cut_short, active, driver_cpu, more_failures FROM load";
    let mut query = from.prepare(query)?;
    let mut rows = query.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Traffic {
        target: row.get(0)?,
        seed: row.get::<_, i64>(1)?.cast_unsigned(),
        anchor: UNIX_EPOCH + nanos(anchor),
        phases: Vec::new(),
        scenarios: Vec::new(),
        endpoints: Vec::new(),
        began: moment(row.get(2)?),
        ended: moment(row.get(3)?),
        cut_short: row.get(4)?,
        abandoned: count(row.get(5)?)?,
        windows: Vec::new(),
        total: Tally::default(),
        driver_cpu: nanos(row.get(6)?),
        failures: Failures::of([], count(row.get(7)?)?),
    }))
}

fn read_plan(from: &Connection) -> Result<Vec<PhaseRun>, Fault> {
    let mut query = from.prepare("SELECT id, name, began, length, planned, most_users FROM plan ORDER BY id")?;
    numbered(query.query([])?, "phase", |row| {
        Ok(PhaseRun {
            name: row.get(1)?,
            began: moment(row.get(2)?),
            length: nanos(row.get(3)?),
            planned: unsigned(row.get(4)?),
            most_users: row.get::<_, Option<i64>>(5)?.map(unsigned),
        })
    })
}

fn read_scenarios(from: &Connection) -> Result<Vec<String>, Fault> {
    let mut query = from.prepare("SELECT id, name FROM scenario ORDER BY id")?;
    numbered(query.query([])?, "scenario", |row| Ok(row.get(1)?))
}

pub(super) fn read_endpoints(from: &Connection) -> Result<Vec<EndpointLabel>, Fault> {
    let mut query = from.prepare("SELECT id, method, path, query, name, metric FROM endpoint ORDER BY id")?;
    numbered(query.query([])?, "endpoint", |row| {
        Ok(EndpointLabel {
            method: row.get(1)?,
            path: row.get(2)?,
            query: row.get(3)?,
            name: row.get(4)?,
            metric: row.get(5)?,
        })
    })
}

/// A count as a run can have it.
fn count(value: i64) -> Result<u64, Fault> {
    u64::try_from(value).ok().filter(|count| *count <= MOST).ok_or_else(|| damaged(format!("it counts {value}")))
}

/// Rows whose first column counts up from 0.
fn numbered<T>(mut rows: Rows<'_>, what: &str, read: impl Fn(&Row<'_>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        if usize::try_from(row.get::<_, i64>(0)?) != Ok(all.len()) {
            return Err(damaged(format!("{what} {} is missing", all.len())));
        }
        all.push(read(row)?);
    }
    Ok(all)
}

/// Counts all rows again, window by window.
fn replay(from: &Connection, traffic: &mut Traffic, limits: Limits) -> Result<(), Fault> {
    let windows = read_windows(from)?;
    let mut requests = from.prepare(
        "SELECT done, due, sent, head, queued, dns, connect, tls, server, received, phase, scenario, endpoint, line,
                user, status, error, local_port FROM request ORDER BY rowid",
    )?;
    let columns = "SELECT number, phase, scenario, due, began, ended, state FROM user";
    let mut arrivals = from.prepare(&format!("{columns} ORDER BY began"))?;
    let mut ends = from.prepare(&format!("{columns} WHERE state IN ('completed', 'failed') ORDER BY ended"))?;
    let mut requests = Feed::of(requests.query([])?, |row| request(row, limits))?;
    let mut arrivals = Feed::of(arrivals.query([])?, |row| user(row, limits).map(|user| (user.began, user)))?;
    let mut ends = Feed::of(ends.query([])?, |row| {
        let user = user(row, limits)?;
        Ok((user.ended.ok_or_else(|| damaged("a user ended at no time"))?, user))
    })?;
    let mut tally = Tally::default();
    let follows: Vec<Moment> = windows.iter().skip(1).map(|window| window.began).collect();
    for (window, until) in windows.into_iter().zip(follows.into_iter().map(Some).chain([None])) {
        requests.pass(until, |row: &RequestRow| row.enter(&mut tally))?;
        arrivals.pass(until, |row: &UserRow| row.arrive(&mut tally))?;
        ends.pass(until, |row: &UserRow| row.end(&mut tally))?;
        let (began, ended) = (window.began, window.ended);
        read_counters(from, window, limits)?.complete(&mut tally);
        traffic.windows.push(Window { began, ended, numbers: Numbers::of(&tally, &traffic.endpoints) });
        traffic.total.add(&tally);
        tally.clear();
    }
    if requests.next.is_some() || arrivals.next.is_some() {
        return Err(damaged("there are requests or users, and no window that they belong to"));
    }
    Ok(())
}

/// Rows in the order in which they are counted, one of them known ahead.
struct Feed<'a, T, F> {
    rows: Rows<'a>,
    read: F,
    next: Option<(Moment, T)>,
}

impl<'a, T, F: FnMut(&Row<'_>) -> Result<(Moment, T), Fault>> Feed<'a, T, F> {
    fn of(rows: Rows<'a>, read: F) -> Result<Self, Fault> {
        let mut feed = Self { rows, read, next: None };
        feed.advance()?;
        Ok(feed)
    }

    fn advance(&mut self) -> Result<(), Fault> {
        self.next = match self.rows.next()? {
            Some(row) => Some((self.read)(row)?),
            None => None,
        };
        Ok(())
    }

    /// Hands out the rows up to a moment; all that are left if there is none.
    fn pass(&mut self, until: Option<Moment>, mut count: impl FnMut(&T)) -> Result<(), Fault> {
        while let Some((moment, row)) = &self.next {
            if until.is_some_and(|until| *moment >= until) {
                break;
            }
            count(row);
            self.advance()?;
        }
        Ok(())
    }
}

fn request(row: &Row<'_>, limits: Limits) -> Result<(Moment, RequestRow), Fault> {
    let at = |column| row.get::<_, Option<i64>>(column).map(|known| known.map(moment));
    let length = |column| row.get::<_, Option<i64>>(column).map(|known| known.map(nanos));
    let request = RequestRow {
        done: moment(row.get(0)?),
        due: moment(row.get(1)?),
        sent: at(2)?,
        head: at(3)?,
        queued: nanos(row.get(4)?),
        dns: length(5)?,
        connect: length(6)?,
        tls: length(7)?,
        server: length(8)?,
        received: count(row.get(9)?)?,
        phase: row.get(10)?,
        scenario: row.get(11)?,
        endpoint: row.get(12)?,
        line: row.get(13)?,
        user: unsigned(row.get(14)?),
        status: row.get(15)?,
        error: row.get::<_, Option<String>>(16)?.map(Cow::Owned),
        local_port: row.get(17)?,
    };
    limits.check(request.phase, Some(request.scenario), Some(request.endpoint), "a request")?;
    let late = [request.sent, request.head].into_iter().flatten().any(|moment| moment > request.done);
    if late || request.status.is_none() && request.error.is_none() {
        return Err(damaged("a request has an order of events, or an outcome, that none can have"));
    }
    Ok((request.done, request))
}

fn user(row: &Row<'_>, limits: Limits) -> Result<UserRow, Fault> {
    let state: String = row.get(6)?;
    let user = UserRow {
        number: unsigned(row.get(0)?),
        phase: row.get(1)?,
        scenario: row.get(2)?,
        due: moment(row.get(3)?),
        began: moment(row.get(4)?),
        ended: row.get::<_, Option<i64>>(5)?.map(moment),
        state: UserState::ALL
            .into_iter()
            .find(|known| known.name() == state)
            .ok_or_else(|| damaged(format!("no user is {state:?}")))?,
    };
    limits.check(user.phase, user.scenario, None, "a user")?;
    Ok(user)
}

fn read_failures(from: &Connection, uncounted: u64, limits: Limits) -> Result<Failures, Fault> {
    let mut query = from.prepare(
        "SELECT kind, example, scenario, step, endpoint, what, code, count, moment, user, phase, request, status, headers,
                body, detail, timings FROM failure ORDER BY kind, example",
    )?;
    let mut rows = query.query([])?;
    let mut kinds: Vec<(Signature, Kept)> = Vec::new();
    while let Some(row) = rows.next()? {
        let [kind, example] = [row.get::<_, u32>(0)?, row.get(1)?].map(|number| number as usize);
        let signature =
            Signature { scenario: row.get(2)?, step: row.get(3)?, endpoint: row.get(4)?, kind: kind_of(row)? };
        if kind == kinds.len() && kinds.len() < MOST_KINDS {
            kinds.push((signature.clone(), Kept { count: count(row.get(7)?)?, examples: Vec::new() }));
        }
        let known = kinds.last_mut().filter(|(known, kept)| *known == signature && kept.examples.len() == example);
        let Some((_, kept)) = known.filter(|_| example < EXAMPLES) else {
            return Err(damaged(format!("failure {example} of kind {kind} is not where it belongs")));
        };
        let failure = failure(row)?;
        limits.check(failure.phase, signature.scenario, signature.endpoint, "a failure")?;
        kept.examples.push(failure);
    }
    Ok(Failures::of(kinds, uncounted))
}

fn kind_of(row: &Row<'_>) -> Result<FailureKind, Fault> {
    let (what, code): (String, String) = (row.get(5)?, row.get(6)?);
    Ok(match what.as_str() {
        "status" => {
            FailureKind::Status(code.parse().map_err(|_| damaged(format!("{code:?} is no status of an answer")))?)
        }
        "transport" => FailureKind::Transport(code),
        "capture" => FailureKind::Capture(code),
        "match" => FailureKind::Match(code),
        "expect" => FailureKind::Expect(code),
        "request" => FailureKind::Request(code),
        "function" => FailureKind::Function(code),
        "socket" => FailureKind::Socket(code),
        other => return Err(damaged(format!("no failure is of the kind {other:?}"))),
    })
}

fn failure(row: &Row<'_>) -> Result<Failure, Fault> {
    let text = |column| row.get::<_, String>(column);
    let headers = serde_json::from_str(&text(13)?).map_err(|_| damaged("the headers of a failure are not JSON"))?;
    let timings: Value = serde_json::from_str(&text(16)?).unwrap_or_default();
    let Value::Object(timings) = timings else { return Err(damaged("the timings of a failure are not JSON")) };
    let length = |name| Some(Duration::from_nanos(timings.get(name)?.as_u64()?));
    let parts: Vec<_> = PARTS.into_iter().filter_map(|name| Some((name, length(name)?))).collect();
    if parts.len() != timings.len() {
        return Err(damaged("the timings of a failure are not those of a request"));
    }
    Ok(Failure {
        moment: moment(row.get(8)?),
        user: unsigned(row.get(9)?),
        phase: row.get(10)?,
        request: text(11)?,
        status: row.get(12)?,
        headers,
        body: text(14)?,
        detail: text(15)?,
        timings: parts,
    })
}

#[cfg(test)]
mod tests;

//! Makes traffic of a recording again: its rows are replayed into a tally, window by window.
//!
//! Rows are read as a stream and not kept. They count in the window whose time they fall into; only what was on the edge of two
//! may have been counted in the other one while the run went on. As everywhere in this module, nothing is believed.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, Rows};
use serde_json::Value;

use super::super::traffic::failures::{EXAMPLES, MOST_KINDS};
use super::super::traffic::log::{RequestRow, UserRow, UserState, WindowRow};
use super::super::traffic::{
    EndpointLabel, Failure, FailureKind, Failures, Kept, Numbers, PhaseRun, Signature, Tally, Traffic, Window,
};
use super::FileError;
use super::read::{Fault, damaged, moment, nanos, open, unsigned};
use crate::clock::Moment;

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
    read(&connection).map_err(|fault| fault.of(path))
}

fn read(from: &Connection) -> Result<Option<Traffic>, Fault> {
    let Some(mut traffic) = read_load(from)? else { return Ok(None) };
    traffic.phases = read_plan(from)?;
    traffic.scenarios = read_scenarios(from)?;
    traffic.endpoints = read_endpoints(from)?;
    let limits =
        Limits { phases: traffic.phases.len(), scenarios: traffic.scenarios.len(), endpoints: traffic.endpoints.len() };
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
    let traffic = from.query_row(query, [], |row| {
        Ok(Traffic {
            target: row.get(0)?,
            seed: row.get::<_, i64>(1)?.cast_unsigned(),
            anchor: UNIX_EPOCH + nanos(anchor),
            phases: Vec::new(),
            scenarios: Vec::new(),
            endpoints: Vec::new(),
            began: moment(row.get(2)?),
            ended: moment(row.get(3)?),
            cut_short: row.get(4)?,
            abandoned: unsigned(row.get(5)?),
            windows: Vec::new(),
            total: Tally::default(),
            driver_cpu: nanos(row.get(6)?),
            failures: Failures::of([], unsigned(row.get(7)?)),
        })
    });
    Ok(traffic.optional()?)
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
    numbered(query.query([])?, "scenario", |row| row.get(1))
}

fn read_endpoints(from: &Connection) -> Result<Vec<EndpointLabel>, Fault> {
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

/// Rows whose first column counts up from 0.
fn numbered<T>(
    mut rows: Rows<'_>,
    what: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
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

fn read_windows(from: &Connection) -> Result<Vec<WindowRow>, Fault> {
    let mut query = from.prepare(
        "SELECT id, began, ended, first, last, requests, first_request, last_request FROM window ORDER BY id",
    )?;
    let windows = numbered(query.query([])?, "window", |row| {
        let [first, last] = [row.get::<_, Option<i64>>(6)?, row.get(7)?].map(|known| known.map(moment));
        Ok(WindowRow {
            number: row.get(0)?,
            began: moment(row.get(1)?),
            ended: moment(row.get(2)?),
            span: (moment(row.get(3)?), moment(row.get(4)?)),
            requests: unsigned(row.get(5)?),
            requested: first.zip(last),
            errors: [].into(),
            endpoint_errors: [].into(),
            counters: [].into(),
        })
    })?;
    let is_sorted = windows.is_sorted_by_key(|window| window.began);
    if !is_sorted || windows.iter().any(|window| window.ended < window.began) {
        return Err(damaged("its windows are not in the order of time"));
    }
    Ok(windows)
}

fn read_counters(from: &Connection, mut window: WindowRow, limits: Limits) -> Result<WindowRow, Fault> {
    let mut query = from.prepare_cached("SELECT kind, endpoint, name, count FROM counter WHERE window = ?1")?;
    let mut rows = query.query([window.number])?;
    let mut sums = Tally::default();
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(2)?);
        let count = unsigned(row.get(3)?);
        match kind.as_str() {
            "error" => *sums.errors.entry(name).or_default() = count,
            "plugin" => *sums.counters.entry(name).or_default() = count,
            "endpoint error" => {
                let endpoint: u32 = row.get(1)?;
                limits.check(0, None, Some(endpoint), "an error")?;
                *sums.endpoint_errors.entry((endpoint, name)).or_default() = count;
            }
            other => return Err(damaged(format!("no counter is of the kind {other:?}"))),
        }
    }
    // Added to an empty one, so that the bounds of a tally hold here as well.
    let mut bounded = Tally::default();
    bounded.add(&sums);
    (window.errors, window.endpoint_errors, window.counters) =
        (bounded.errors, bounded.endpoint_errors, bounded.counters);
    Ok(window)
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
        received: unsigned(row.get(9)?),
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
            kinds.push((signature.clone(), Kept { count: unsigned(row.get(7)?), examples: Vec::new() }));
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
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::super::super::traffic::log::{Batch, LoadHead, LoadState};
    use super::super::super::{Mode, Recording, Run};
    use super::super::tests::Folder;
    use super::super::{RecordingFile, read as read_recording};
    use super::*;
    use crate::recording::Phase;

    const SECOND: u64 = 1_000_000_000;

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    fn label(path: &str) -> EndpointLabel {
        let metric = Some(format!("plugins.metrics-by-endpoint.{path}"));
        EndpointLabel { method: "GET".into(), path: path.into(), query: String::new(), name: None, metric }
    }

    fn head() -> LoadHead {
        let phase = |name: &str, began| PhaseRun {
            name: name.into(),
            began: at(began),
            length: Duration::from_secs(10),
            planned: 100,
            most_users: (began > 0).then_some(9),
        };
        LoadHead {
            target: "http://h".into(),
            seed: u64::MAX - 7,
            began: at(0),
            phases: vec![phase("warm up", 0), phase("peak ☃", 10 * SECOND)],
            scenarios: vec!["one".into(), "two".into()],
            endpoints: vec![label("/a"), label("/b")],
        }
    }

    /// Something that happens in a run.
    #[derive(Clone, Debug)]
    enum Event {
        Request(RequestRow),
        User(UserRow, bool),
        Error(Option<u32>, String),
        Plugin(u64),
        Failure(u16),
        Window,
        Batch,
    }

    fn request_row() -> impl Strategy<Value = RequestRow> {
        let lengths = proptest::array::uniform5(proptest::option::of(0_u64..3 * SECOND));
        let labels = (0_u16..2, 0_u16..2, 0_u32..2, any::<bool>());
        let outcome = (proptest::option::of(100_u16..600), proptest::option::of("[A-Z]{3}"));
        (lengths, labels, outcome, 0_u64..1 << 40).prop_map(
            |(lengths, (phase, scenario, endpoint, sent), outcome, received)| {
                let [dns, connect, tls, server, queued] = lengths.map(|length| length.map(Duration::from_nanos));
                let error = if outcome.0.is_none() { Some(outcome.1.unwrap_or("ETIMEDOUT".into())) } else { outcome.1 };
                RequestRow {
                    due: at(0),
                    sent: sent.then_some(at(1)),
                    head: (sent && outcome.0.is_some()).then_some(at(2)),
                    done: at(3),
                    queued: queued.unwrap_or_default(),
                    dns,
                    connect,
                    tls,
                    server,
                    received,
                    phase,
                    scenario,
                    endpoint,
                    line: 7,
                    user: received,
                    status: outcome.0,
                    error: error.map(Cow::Owned),
                    local_port: sent.then_some(50_000),
                }
            },
        )
    }

    fn user_row() -> impl Strategy<Value = UserRow> {
        (0_u16..2, proptest::option::of(0_u16..2), 0_usize..4).prop_map(|(phase, scenario, state)| {
            let state = [UserState::Active, UserState::Completed, UserState::Failed, UserState::Skipped][state];
            UserRow { number: 0, phase, scenario, due: at(0), began: at(0), ended: None, state }
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => request_row().prop_map(Event::Request),
            8 => (user_row(), any::<bool>()).prop_map(|(user, at_once)| Event::User(user, at_once)),
            2 => (proptest::option::of(0_u32..2), "[A-Z]{3}").prop_map(|(endpoint, code)| Event::Error(endpoint, code)),
            1 => (1_u64..9).prop_map(Event::Plugin),
            2 => (400_u16..404).prop_map(Event::Failure),
            1 => Just(Event::Window),
            1 => Just(Event::Batch),
        ]
    }

    /// A run that is counted while it is written.
    struct Live {
        now: u64,
        window: Tally,
        began: Moment,
        number: u32,
        total: Tally,
        windows: Vec<Window>,
        failures: Failures,
        known: Vec<u64>,
        users: u64,
        batch: Batch,
        file: RecordingFile,
    }

    impl Live {
        fn take(&mut self, event: Event) {
            self.now += 17_000_003;
            let now = at(self.now);
            match event {
                Event::Request(mut row) => {
                    // Later than whatever it went through; only its end has to be in order.
                    row.done = now;
                    (row.sent, row.head) = (row.sent.map(|_| at(self.now / 2)), row.head.map(|_| at(self.now / 3 * 2)));
                    self.window.begin(now);
                    row.enter(&mut self.window);
                    self.batch.requests.push(row);
                }
                Event::User(mut row, at_once) => {
                    (row.number, row.began, row.due) = (self.users, now, at(self.now / 2));
                    self.users += 1;
                    self.window.touch(now);
                    row.arrive(&mut self.window);
                    let begun = if row.state == UserState::Skipped { row.state } else { UserState::Active };
                    self.batch.users.push(UserRow { state: begun, ..row });
                    if !at_once {
                        self.append(false);
                    }
                    self.now += 1;
                    row.ended = Some(at(self.now));
                    if matches!(row.state, UserState::Completed | UserState::Failed) {
                        self.window.touch(at(self.now));
                        row.end(&mut self.window);
                        self.batch.users.push(row);
                    }
                }
                Event::Error(endpoint, code) => self.window.error(&code, endpoint, now),
                Event::Plugin(by) => self.window.count("plugins.expect.ok", by, now),
                Event::Failure(status) => self.fail(status),
                Event::Window => self.close(),
                Event::Batch => self.append(false),
            }
        }

        fn fail(&mut self, status: u16) {
            let kind = if status == 400 { FailureKind::Capture("$.id".into()) } else { FailureKind::Status(status) };
            let signature = Signature { scenario: Some(1), step: "a.yaml:3".into(), endpoint: Some(0), kind };
            let (moment, user) = (at(self.now), self.users);
            self.failures.add(signature, || Failure {
                moment,
                user,
                phase: 1,
                request: "GET http://h/a".into(),
                status: Some(status),
                headers: vec![("set-cookie".into(), "a".into()), ("set-cookie".into(), "\"b\"".into())],
                body: "{\"a\": \"\u{2603}\"}\n".into(),
                detail: String::new(),
                timings: vec![("connect", Duration::from_nanos(7)), ("first byte", Duration::from_secs(1))],
            });
        }

        fn close(&mut self) {
            let ended = at(self.now + 1);
            if let Some(row) = WindowRow::of(&self.window, self.number, self.began, ended) {
                self.number += 1;
                self.batch.windows.push(row);
                let numbers = Numbers::of(&self.window, &head().endpoints);
                self.windows.push(Window { began: self.began, ended, numbers });
                self.total.add(&self.window);
                self.window.clear();
            }
            self.now += 1;
            self.began = ended;
        }

        fn append(&mut self, over: bool) {
            let mut batch = std::mem::take(&mut self.batch);
            batch.windows.extend(WindowRow::of(&self.window, self.number, self.began, at(self.now)));
            batch.failures = self.failures.grown(&mut self.known);
            batch.state = LoadState {
                ended: at(self.now),
                over,
                cut_short: !over,
                active: 3,
                driver_cpu: Duration::from_millis(5),
                ..LoadState::default()
            };
            self.file.append_traffic(&batch).expect("a batch");
        }
    }

    fn live(folder: &Folder) -> Live {
        let mut file =
            RecordingFile::create_for_load(&folder.file(), "http://h", SystemTime::UNIX_EPOCH).expect("a new file");
        file.begin_traffic(&head()).expect("written");
        Live {
            now: 0,
            window: Tally::default(),
            began: at(0),
            number: 0,
            total: Tally::default(),
            windows: Vec::new(),
            failures: Failures::new(1),
            known: Vec::new(),
            users: 0,
            batch: Batch::default(),
            file,
        }
    }

    /// A tally in a form that can be compared.
    fn plain(tally: &Tally) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut series: Vec<_> = tally
            .series
            .iter()
            .filter(|(_, series)| series.count > 0)
            .map(|(key, series)| {
                (
                    *key,
                    Numbers::of(
                        &Tally { series: [(*key, series.clone())].into_iter().collect(), ..Tally::default() },
                        &[],
                    ),
                    series.queued.count(),
                    series.body.max(),
                )
            })
            .collect();
        series.sort_by_key(|(key, ..)| *key);
        let users: Vec<_> = tally.users.iter().map(|(phase, users)| (*phase, *users)).collect();
        (series, users, tally.broken.clone(), tally.endpoint_errors.clone(), Numbers::of(tally, &head().endpoints))
    }

    fn failed(failures: &Failures) -> Vec<(Signature, Kept)> {
        failures.sorted().into_iter().map(|(signature, kept)| (signature.clone(), kept.clone())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_was_counted_is_counted_again(events in proptest::collection::vec(event(), 1..60)) {
            let folder = Folder::new("replay");
            let mut live = live(&folder);
            events.into_iter().for_each(|event| live.take(event));
            live.close();
            live.append(true);
            let traffic = read_traffic(&folder.file()).expect("whole").expect("there is a load");
            prop_assert_eq!(plain(&traffic.total), plain(&live.total));
            prop_assert_eq!(failed(&traffic.failures), failed(&live.failures));
            prop_assert_eq!(traffic.windows.len(), live.windows.len());
            for (again, window) in traffic.windows.iter().zip(&live.windows) {
                prop_assert_eq!((again.began, again.ended), (window.began, window.ended));
                prop_assert_eq!(&again.numbers, &window.numbers);
            }
            let LoadHead { target, seed, phases, scenarios, endpoints, .. } = head();
            prop_assert_eq!((traffic.target, traffic.seed, traffic.phases), (target, seed, phases));
            prop_assert_eq!((traffic.scenarios, traffic.endpoints), (scenarios, endpoints));
            prop_assert_eq!((traffic.cut_short, traffic.abandoned, traffic.ended), (false, 3, at(live.now)));
        }
    }

    #[test]
    fn sampler_and_load_share_a_file() {
        let folder = Folder::new("both");
        let run = Run { target: "gunicorn".into(), started: SystemTime::UNIX_EPOCH, rate: 100, mode: Mode::Blocking };
        let mut sampled = RecordingFile::create(&folder.file(), &run).expect("a new file");
        assert!(read_traffic(&folder.file()).expect("whole").is_none());
        let mut driven = sampled.clone();
        driven.begin_traffic(&head()).expect("written");
        let phase = |ended| Phase { name: "peak".into(), arrivals: "7 users".into(), began: at(0), ended: at(ended) };
        for ended in 1..4 {
            let batch = Batch { phases: vec![phase(ended)], ..Batch::default() };
            driven.append_traffic(&batch).expect("a batch");
            let mut recording = Recording::new(run.clone());
            recording.reads = ended;
            sampled.append(&recording).expect("a batch");
            let recording = read_recording(&folder.file()).expect("whole");
            assert_eq!((recording.reads, recording.timeline.phases), (ended, vec![phase(ended)]));
            assert!(
                read_traffic(&folder.file()).expect("whole").is_some_and(|traffic| traffic.cut_short == (ended == 0))
            );
        }
    }

    #[test]
    fn an_older_file_has_no_traffic() {
        let folder = Folder::new("no-traffic");
        drop(live(&folder));
        let connection = rusqlite::Connection::open(folder.file()).expect("opens");
        connection.execute_batch("DROP TABLE load; DROP TABLE request; PRAGMA user_version = 2").expect("changes");
        assert!(read_traffic(&folder.file()).expect("readable").is_none());
        assert!(read_recording(&folder.file()).is_ok());
    }

    #[test]
    fn rows_that_no_run_can_have_are_damage() {
        let folder = Folder::new("damaged-traffic");
        let mut live = live(&folder);
        let row = UserRow {
            number: 0,
            phase: 1,
            scenario: Some(0),
            due: at(0),
            began: at(0),
            ended: None,
            state: UserState::Completed,
        };
        live.take(Event::User(row, true));
        live.take(Event::Failure(404));
        live.take(Event::Error(Some(1), "EPIPE".into()));
        live.append(true);
        drop(live);
        let whole = std::fs::read(folder.file()).expect("it is there");
        for damage in [
            "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 7, 0, 0, 1, 0, 200, NULL, 1)",
            "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 7, 0, 1, 0, 200, NULL, 1)",
            "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 7, 1, 0, 200, NULL, 1)",
            "INSERT INTO request VALUES (9, 0, 1, 99, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1, 0, 200, NULL, 1)",
            "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1, 0, NULL, NULL, 1)",
            "UPDATE user SET state = 'lost'",
            "UPDATE user SET scenario = 2",
            "UPDATE user SET ended = NULL",
            "UPDATE plan SET id = 5 WHERE id = 0",
            "DELETE FROM endpoint",
            "DELETE FROM window",
            "UPDATE window SET ended = 0, began = 5",
            "UPDATE counter SET kind = 'luck'",
            "UPDATE failure SET example = 2",
            "UPDATE failure SET what = 'mood'",
            "UPDATE failure SET code = 'teapot'",
            "UPDATE failure SET headers = '{'",
            "UPDATE failure SET timings = '[]'",
            "UPDATE failure SET timings = '{\"lunch\": 5}'",
            "UPDATE failure SET phase = 2",
            "CREATE VIEW more AS SELECT * FROM request",
        ] {
            std::fs::write(folder.file(), &whole).expect("written");
            let connection = rusqlite::Connection::open(folder.file()).expect("opens");
            connection.execute_batch(damage).expect(damage);
            drop(connection);
            let read = read_traffic(&folder.file());
            assert!(matches!(read, Err(FileError::Damaged { .. })), "{damage}: {read:?}");
        }
    }
}

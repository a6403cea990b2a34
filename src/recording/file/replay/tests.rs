//! What is counted while it is written is counted the same when it is read again; and rows that no run can have are refused.

use std::time::SystemTime;

use proptest::prelude::*;

use super::super::super::traffic::log::{Batch, LoadHead, LoadState, WindowRow};
use super::super::super::{Mode, Recording, Run};
use super::super::tests::Folder;
use super::super::{RecordingFile, read as read_recording, read_flights};
use super::*;
use crate::recording::Phase;
use crate::recording::traffic::flights::Flight;

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
            Event::Plugin(by) => {
                self.window.count("plugins.expect.ok", by, now);
                self.window.named.happened("socketio.emit_rate", now);
                self.window.named.measure("socketio.response_time", Duration::from_nanos(by * 1_234_567));
            }
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
                Numbers::of(&Tally { series: [(*key, series.clone())].into_iter().collect(), ..Tally::default() }, &[]),
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
        for event in events {
            live.take(event);
        }
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
        assert!(read_traffic(&folder.file()).expect("whole").is_some());
    }
}

#[test]
fn an_older_file_has_no_traffic() {
    let folder = Folder::new("no-traffic");
    drop(live(&folder));
    let connection = Connection::open(folder.file()).expect("opens");
    connection.execute_batch("DROP TABLE load; DROP TABLE request; PRAGMA user_version = 2").expect("changes");
    assert!(read_traffic(&folder.file()).expect("readable").is_none());
    assert!(read_flights(&folder.file()).expect("readable").is_none());
    assert!(read_recording(&folder.file()).is_ok());
}

#[test]
fn requests_and_users_are_read_as_stays() {
    let folder = Folder::new("stays");
    let mut live = live(&folder);
    let row = |sent: Option<u64>, status, error: Option<&'static str>| RequestRow {
        due: at(5),
        sent: sent.map(at),
        head: None,
        done: at(90),
        queued: Duration::from_nanos(2),
        dns: None,
        connect: None,
        tls: None,
        server: None,
        received: 0,
        phase: 0,
        scenario: 0,
        endpoint: 1,
        line: 7,
        user: 0,
        status,
        error: error.map(Cow::Borrowed),
        local_port: None,
    };
    let user = |number, ended: Option<u64>, state| {
        let ended = ended.map(at);
        UserRow { number, phase: 0, scenario: Some(0), due: at(1), began: at(1), ended, state }
    };
    live.batch.requests = vec![
        row(Some(10), Some(200), None),
        row(Some(10), Some(404), None),
        row(None, None, Some("ETIMEDOUT")),
        row(None, None, Some("ECONNREFUSED")),
    ];
    live.batch.users = vec![
        user(0, Some(90), UserState::Completed),
        user(1, None, UserState::Skipped),
        user(2, None, UserState::Active),
    ];
    live.batch.state = LoadState { ended: at(100), lost: 3, ..LoadState::default() };
    live.file.append_traffic(&live.batch).expect("a batch");
    let flights = read_flights(&folder.file()).expect("whole").expect("a load");
    let flight = |began, sent, failed| Flight { began: at(began), done: at(90), endpoint: 1, sent, failed };
    let expected = [flight(10, true, false), flight(10, true, true), flight(7, false, true), flight(90, false, true)];
    assert_eq!(flights.requests, expected);
    assert_eq!((flights.users, flights.missing), (vec![(at(1), at(90)), (at(1), at(100))], 3));
    assert_eq!(flights.endpoints, head().endpoints);

    let connection = Connection::open(folder.file()).expect("opens");
    for damage in ["UPDATE request SET endpoint = 2", "UPDATE request SET endpoint = 1, sent = 91"] {
        connection.execute_batch(damage).expect(damage);
        assert!(matches!(read_flights(&folder.file()), Err(FileError::Damaged { .. })), "{damage}");
    }
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
    live.take(Event::Plugin(3));
    live.append(true);
    drop(live);
    let whole = std::fs::read(folder.file()).expect("it is there");
    for damage in [
        "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 7, 0, 0, 1, 0, 200, NULL, 1)",
        "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 7, 0, 1, 0, 200, NULL, 1)",
        "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 7, 1, 0, 200, NULL, 1)",
        "INSERT INTO request VALUES (9, 0, 1, 99, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1, 0, 200, NULL, 1)",
        "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1, 0, NULL, NULL, 1)",
        "INSERT INTO request VALUES (9, 0, 1, 2, 0, NULL, NULL, NULL, NULL, -1, 0, 0, 0, 1, 0, 200, NULL, 1)",
        "UPDATE counter SET count = 9223372036854775807",
        "UPDATE window SET requests = 9223372036854775807",
        "UPDATE load SET active = -1",
        "UPDATE user SET state = 'lost'",
        "UPDATE user SET scenario = 2",
        "UPDATE user SET ended = NULL",
        "UPDATE plan SET id = 5 WHERE id = 0",
        "DELETE FROM endpoint",
        "DELETE FROM window",
        "UPDATE window SET ended = 0, began = 5",
        "UPDATE counter SET kind = 'luck'",
        "UPDATE rate SET count = -1",
        "UPDATE measure SET shortest = longest + 1",
        "UPDATE measure SET counts = '[[1, 5000000000]]'",
        "UPDATE measure SET counts = '[1, 2]'",
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
        let connection = Connection::open(folder.file()).expect("opens");
        connection.execute_batch(damage).expect(damage);
        drop(connection);
        let read = read_traffic(&folder.file());
        assert!(matches!(read, Err(FileError::Damaged { .. })), "{damage}: {:?}", read.map(|read| read.is_some()));
    }
}

/// A run of some length, without its failures.
fn long_run(folder: &Folder, requests: u64) -> Live {
    let mut live = live(folder);
    for number in 0..requests {
        let row = RequestRow {
            due: at(number),
            sent: Some(at(number)),
            head: Some(at(number)),
            done: at(number),
            queued: Duration::ZERO,
            dns: None,
            connect: Some(Duration::from_micros(150)),
            tls: None,
            server: None,
            received: 2400,
            phase: 1,
            scenario: 1,
            endpoint: 1,
            line: 70,
            user: number / 3,
            status: Some(200),
            error: None,
            local_port: Some(50_000),
        };
        live.take(Event::Request(row));
    }
    live.close();
    live
}

#[test]
fn a_request_takes_less_than_a_hundred_bytes() {
    let folder = Folder::new("traffic-size");
    let requests = 20_000;
    long_run(&folder, requests).append(true);
    let size = std::fs::metadata(folder.file()).expect("it is there").len();
    assert!(size < 100 * requests, "{} bytes", size / requests);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_a_panic(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
    ) {
        static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let folder = Folder::new("whole-traffic");
            let mut live = long_run(&folder, 50);
            live.take(Event::Failure(404));
            live.take(Event::Error(Some(1), "EPIPE".into()));
            live.close();
            live.append(true);
            std::fs::read(folder.file()).expect("it is there")
        });
        let folder = Folder::new("flipped");
        let mut bytes = WHOLE.clone();
        for (place, byte) in flips {
            *place.get_mut(&mut bytes) = byte;
        }
        std::fs::write(folder.file(), bytes).expect("written");
        let _ = read_recording(&folder.file());
        if let Ok(Some(traffic)) = read_traffic(&folder.file()) {
            let _ = Numbers::of(&traffic.total, &traffic.endpoints);
        }
    }
}

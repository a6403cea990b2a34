//! `pyperf run --recording`: what is kept of a load says the same as its JSON, whatever ends the run.
//!
//! Rows are counted by SQL as the documentation of the tables has it, and replayed by pyperf's own reader.

use std::fs;
use std::path::Path;

use pyperf::recording::file::{FileError, read, read_traffic};
use pyperf::recording::traffic::Traffic;
use pyperf::report::load::{Layout, LoadReport};
use pyperf::scenario::plugins::Plugins;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::load::{Load, Ran};
use crate::support::recording::ask;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};
use crate::support::web::WebServer;
use crate::support::web::ports::dead_port;

/// The answer of a recording that is whole to a question for one number.
fn count(path: &Path, question: &str) -> u64 {
    let answer = ask(path, question).unwrap_or_else(|| panic!("no answer to {question}"));
    u64::try_from(answer).expect("a count")
}

fn traffic(path: &Path) -> Traffic {
    read_traffic(path).expect("the recording is whole").expect("it has traffic")
}

/// The JSON that pyperf would write of it.
fn json(traffic: &Traffic) -> Value {
    let mut text = Vec::new();
    let plugins = Plugins::default();
    LoadReport::of(traffic, &plugins, false).write_json(Layout::Artillery2, &mut text).expect("memory can be written");
    serde_json::from_slice(&text).expect("JSON")
}

/// Many kinds of ends: answers, an error status, a value that is missing, a broken connection, nobody there, no request at all.
fn varied(server: &WebServer) -> String {
    let (target, dead) = (server.url(), dead_port());
    format!(
        "config:
  target: \"{target}\"
  http: {{ timeout: 5 }}
  plugins: {{ expect: {{}} }}
  phases:
    - {{ name: warm up, duration: 200ms, arrivalCount: 6 }}
    - {{ name: peak, duration: 200ms, arrivalRate: 200 }}
    - {{ pause: 10ms }}
scenarios:
  - name: fine
    weight: 3
    flow:
      - get: {{ url: /server-timing, name: timed, expect: {{ statusCode: 200 }} }}
      - post: {{ url: /echo, json: {{ a: 1 }} }}
      - get: {{ url: /status/503 }}
  - name: missing
    flow:
      - get: {{ url: /json, capture: {{ json: $.nothing, as: nothing }} }}
  - name: nobody
    flow:
      - get: {{ url: \"http://{dead}/\" }}
  - name: unasked
    flow:
      - get: {{ url: \"http://[\" }}
  - name: broken
    flow:
      - get: {{ url: /json }}
      - get: {{ url: /reset }}
"
    )
}

#[test]
fn rows_say_the_same_as_the_json() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    let ran = Load::script(varied(&server)).arguments(["--seed", "7", "--recording", &path.display().to_string()]);
    let ran = ran.run().succeeded();
    let codes: u64 = ran.counters_of("http.codes.").values().sum();
    assert_eq!(count(&path, "SELECT count(*) FROM request WHERE error IS NULL"), codes);
    assert_eq!(count(&path, "SELECT count(*) FROM request"), ran.counter("http.requests"));
    assert_eq!(count(&path, "SELECT sum(received) FROM request"), ran.counter("http.downloaded_bytes"));
    for (state, users) in ["completed", "failed"].into_iter().zip([1, 2]) {
        let counted = count(&path, &format!("SELECT count(*) FROM user WHERE state = '{state}'"));
        assert_eq!(counted, ran.users()[users], "{state}");
        assert!(counted > 0);
    }
    let refused = "SELECT sum(count) FROM counter WHERE kind = 'error' AND name = 'ECONNREFUSED'";
    assert_eq!(count(&path, refused), ran.counter("errors.ECONNREFUSED"));
    assert!(ran.counter("errors.ECONNREFUSED") > 0);
    let met = "SELECT sum(count) FROM counter WHERE kind = 'plugin' AND name = 'plugins.expect.ok'";
    assert_eq!(count(&path, met), ran.counter("plugins.expect.ok"));
    assert_eq!(count(&path, "SELECT count(DISTINCT kind) FROM failure"), ran.failures().len() as u64);
    // Every request of a user lies in that user's life.
    let outside =
        "SELECT count(*) FROM request JOIN user ON user.number = user WHERE done > user.ended OR sent < began";
    assert_eq!(count(&path, outside), 0);
    same(&ran, &path);
}

/// The same run, told by its JSON and by its recording.
fn same(ran: &Ran, path: &Path) {
    let again = json(&traffic(path));
    for part in ["aggregate", "pyperf"] {
        assert_eq!(again[part], ran.json[part], "{part}");
    }
}

#[test]
fn phases_are_a_timeline_without_gaps() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    Load::script(varied(&server)).arguments(["--recording", &path.display().to_string()]).run().succeeded();
    let recording = read(&path).expect("a recording without samples is whole");
    assert_eq!((recording.run.rate, recording.run.target), (0, server.url()));
    let phases = recording.timeline.phases;
    let told: Vec<_> = phases.iter().map(|phase| (phase.name.as_str(), phase.arrivals.as_str())).collect();
    let expected =
        [("before load", ""), ("warm up", "6 users"), ("peak", "200 users/s"), ("phase 3", ""), ("drain", "")];
    assert_eq!(told, expected);
    assert_eq!(phases[2].ended.since(phases[1].began).as_millis(), 400);
    let traffic = traffic(&path);
    assert_eq!((phases[1].began, phases[4].ended), (traffic.began, traffic.ended));
}

#[test]
fn a_killed_run_leaves_what_it_had_until_then() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    let load = Load::of(&server.url(), ["get: { url: /json }", "get: { url: /gate }"]).users(3);
    let under_way = load.arguments(["--recording", &path.display().to_string()]).start();
    let all = || (ask(&path, "SELECT count(*) FROM request") == Some(3)).then_some(());
    wait::until("three requests in the recording", PATIENCE, all);
    under_way.running().kill();
    assert_eq!(under_way.ended().finished.signal, Some(9));
    let traffic = traffic(&path);
    let users = traffic.total.all_users();
    assert_eq!((traffic.cut_short, traffic.abandoned, users.created, users.completed), (true, 3, 3, 0));
    // Three were answered, and three were begun.
    assert_eq!((traffic.total.requests, traffic.total.sum(|_| true).count), (6, 3));
    let phases = read(&path).expect("it is whole").timeline.phases;
    assert_eq!(phases.last().map(|phase| phase.name.as_str()), Some("drain"));
}

#[test]
fn an_interrupted_run_says_so() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    let steps = ["get: { url: /json }", "get: { url: /gate }"];
    let load = Load::of(&server.url(), steps).users(2).arguments(["--grace", "0", "--recording"]);
    let under_way = load.arguments([&path.display().to_string()]).start();
    server.wait_for(4);
    under_way.running().interrupt();
    let ran = under_way.ended().ended_with(130);
    assert_eq!(count(&path, "SELECT count(*) FROM user WHERE state = 'abandoned' AND ended IS NOT NULL"), 2);
    assert_eq!(traffic(&path).abandoned, 2);
    same(&ran, &path);
}

#[test]
fn a_recording_that_cannot_be_written_ends_and_the_run_goes_on() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    let load = Load::of(&server.url(), ["get: { url: /json }", "get: { url: /gate }", "get: { url: /json }"]);
    let under_way = load.arguments(["--recording", &path.display().to_string()]).start();
    let first = || (ask(&path, "SELECT count(*) FROM request") == Some(1)).then_some(());
    wait::until("a request in the recording", PATIENCE, first);
    let connection = Connection::open(&path).expect("opens");
    connection.execute_batch("DROP TABLE request").expect("nobody else writes for a second");
    server.open_gate();
    let ran = under_way.ended().ended_with(1);
    assert!(ran.finished.stderr.contains("cannot write the recording"), "{}", ran.finished.stderr);
    assert_eq!((ran.users(), ran.counter("http.requests")), ([1, 1, 0, 0], 3));
}

#[test]
fn an_existing_recording_is_refused_before_the_first_request() {
    let server = WebServer::start();
    let load = || Load::of(&server.url(), ["get: { url: /json }"]).arguments(["--recording", "old.pyperf"]);
    let ran = load().file("old.pyperf", "precious").run().ended_with(1);
    assert!(ran.finished.stderr.contains("old.pyperf exists already"), "{}", ran.finished.stderr);
    assert_eq!(fs::read_to_string(ran.path("old.pyperf")).expect("it is there"), "precious");
    assert!(server.requests().is_empty());
    // A run that did not begin leaves no file behind.
    let before = "before: { flow: [{ get: { url: /reset } }] }";
    let text = format!(
        "config:\n  target: \"{}\"\n{before}\nscenarios:\n  - flow: [{{ get: {{ url: /json }} }}]\n",
        server.url()
    );
    let ran = Load::script(text).arguments(["--recording", "new.pyperf"]).run().ended_with(1);
    assert_eq!(ran.names(), ["script.yaml"]);
}

#[test]
fn damaged_rows_are_refused() {
    let server = WebServer::start();
    let dir = TempDir::new();
    let path = dir.join("run.pyperf");
    Load::script(varied(&server)).arguments(["--recording", &path.display().to_string()]).run().succeeded();
    let whole = fs::read(&path).expect("it is there");
    for damage in [
        "UPDATE request SET endpoint = 99 WHERE rowid = 3",
        "UPDATE request SET done = 'soon' WHERE rowid = 3",
        "UPDATE request SET status = 70000 WHERE rowid = 3",
        "UPDATE user SET phase = 3 WHERE number = 1",
        "UPDATE failure SET timings = 'long'",
        "DROP TABLE user",
    ] {
        fs::write(&path, &whole).expect("the directory is ours");
        Connection::open(&path).and_then(|connection| connection.execute_batch(damage)).expect(damage);
        let found = read_traffic(&path);
        assert!(
            matches!(found, Err(FileError::Damaged { .. } | FileError::Database { .. })),
            "{damage}: {:?}",
            found.map(|traffic| json!(traffic.is_some()))
        );
    }
}

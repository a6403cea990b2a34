//! Load on a real gunicorn: connections that its workers close, reloads and deaths in the middle of a run; and what a stall of
//! its one worker looks like from the moment at which requests were due.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::load::{Load, Ran, counts};
use crate::support::process;
use crate::support::python::Python;
use crate::support::temp_dir::TempDir;
use crate::support::wait;
use crate::support::web::WebServer;
use crate::support::web::stalling::StallingServer;

fn environment() -> Environment {
    Environment::new(&Python::shared(), Packages::Web)
}

fn target(gunicorn: &Gunicorn) -> String {
    format!("http://{}", gunicorn.address())
}

/// The process ids of the workers that answered, as the script logged them in lines `pid: …`.
fn answered(ran: &Ran) -> BTreeSet<i32> {
    let pids = ran.finished.stdout.lines().filter_map(|line| line.strip_prefix("pid: "));
    pids.map(|pid| pid.parse().expect("a worker answers with its pid")).collect()
}

const ASK: &str = "get: { url: /fast, capture: { regexp: \"^[0-9]+$\", as: pid } }";
const TELL: &str = "log: \"pid: {{ pid }}\"";

#[test]
fn every_class_of_worker_answers() {
    let environment = environment();
    for class in [WorkerClass::Sync, WorkerClass::Gthread { threads: 4 }] {
        let gunicorn = Gunicorn::of(&environment).application("flask_api:application").class(class).workers(2).start();
        let around = format!("loop: [{ASK}, {TELL}]\n        count: 5");
        let ran = Load::of(&target(&gunicorn), [&around, "get: { url: /none }"]).users(10).run().succeeded();
        assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 50), ("404", 10)]), "{class:?}");
        assert_eq!((ran.users(), ran.counters_of("errors.").len()), ([10, 10, 0, 0], 0), "{class:?}");
        assert!(answered(&ran).is_subset(&gunicorn.workers().into_iter().collect()));
    }
}

#[test]
fn a_connection_that_gunicorn_closed_while_a_user_thought_is_no_error() {
    let gunicorn = Gunicorn::of(&environment()).class(WorkerClass::Gthread { threads: 4 }).start();
    // Gunicorn keeps an idle connection for 2 s.
    let steps = [ASK, "post: { url: /fast, body: a }", "think: 3", "post: { url: /fast, body: b }", ASK];
    let ran = Load::of(&target(&gunicorn), steps).users(4).run().succeeded();
    assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 16)]));
    assert_eq!((ran.users(), ran.counters_of("errors.").len()), ([4, 4, 0, 0], 0));
}

#[test]
fn a_reload_in_the_middle_is_no_error() {
    let environment = environment();
    let dir = TempDir::new();
    for (class, name) in [(WorkerClass::Sync, "sync"), (WorkerClass::Gthread { threads: 4 }, "gthread")] {
        let gunicorn = Gunicorn::of(&environment).application("flask_api:application").class(class).start();
        let old = gunicorn.ready(1);
        let gate = dir.join(name);
        let hold = format!("get: {{ url: /open, qs: {{ gate: \"{}\" }} }}", gate.display());
        let load = Load::of(&target(&gunicorn), [ASK, TELL, &hold, ASK, TELL]).start();
        gunicorn.log().wait_for(&format!("held by {}", gate.display()));
        gunicorn.signal(Signal::SIGHUP);
        let new = gunicorn.ready(2)[1];
        fs::write(&gate, "").expect("the directory is ours");
        let ran = load.ended().succeeded();
        assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 3)]), "{name}");
        assert_eq!((ran.users(), ran.counters_of("errors.").len()), ([1, 1, 0, 0], 0), "{name}");
        let pids = answered(&ran);
        assert!(pids.contains(&old[0]) && pids.is_subset(&BTreeSet::from([old[0], new])), "{name}: {pids:?}");
        if name == "sync" {
            // One of threads may still answer on the connection that the user keeps.
            assert_eq!(pids.len(), 2);
        }
    }
}

#[test]
fn a_worker_that_dies_fails_its_request_and_the_run_goes_on() {
    let dir = TempDir::new();
    let gunicorn = Gunicorn::of(&environment()).application("flask_api:application").start();
    let gate = dir.join("never");
    let rows = format!("path\nopen?gate={}\nfast\nfast\nfast\n", gate.display());
    let load = Load::of(&target(&gunicorn), ["get: { url: \"/{{ path }}\" }", ASK])
        .users(4)
        .file("rows.csv", rows)
        .config("payload: { path: rows.csv, fields: [path], skipHeader: true, order: sequence }")
        .start();
    gunicorn.log().wait_for(&format!("held by {}", gate.display()));
    process::signal(gunicorn.ready(1)[0], Signal::SIGKILL);
    let ran = load.ended().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("ECONNRESET", 1)]));
    assert_eq!((ran.users(), ran.counters_of("http.codes.")), ([4, 3, 1, 0], counts(&[("200", 6)])));
    let failure = ran.failure();
    assert_eq!((&failure["what"], &failure["step"]), (&json!("ECONNRESET"), &json!(ran.place("{{ path }}"))));
    assert!(failure["examples"][0]["request"].as_str().is_some_and(|request| request.contains("/open?gate=")));
}

#[test]
fn a_gunicorn_that_is_killed_resets_and_then_refuses() {
    let (dir, signpost) = (TempDir::new(), WebServer::start());
    let gunicorn = Gunicorn::of(&environment()).class(WorkerClass::Gthread { threads: 4 }).start();
    let gate = dir.join("never");
    let rows = format!("path\nopen?gate={}\nfast\n", gate.display());
    let wait = format!("get: {{ url: \"{}/gate\", ifTrue: 'path == \"fast\"' }}", signpost.url());
    let load = Load::of(&target(&gunicorn), [&wait, "get: { url: \"/{{ path }}\" }"])
        .users(2)
        .file("rows.csv", rows)
        .config("payload: { path: rows.csv, fields: [path], skipHeader: true, order: sequence }")
        .start();
    gunicorn.log().wait_for(&format!("held by {}", gate.display()));
    signpost.wait_for(1);
    let worker = gunicorn.ready(1)[0];
    // The master first, so that it makes no new worker.
    process::signal(gunicorn.pid(), Signal::SIGKILL);
    process::signal(worker, Signal::SIGKILL);
    // Both: whoever dies last closes the socket that they listen on.
    let dead = || ![gunicorn.pid(), worker].into_iter().any(process::is_alive);
    wait::until("gunicorn to die", wait::PATIENCE, || dead().then_some(()));
    signpost.open_gate();
    let ran = load.ended().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("ECONNREFUSED", 1), ("ECONNRESET", 1)]));
    assert_eq!(ran.users(), [2, 0, 2, 0]);
}

#[test]
fn a_stall_is_seen_by_all_who_were_due_while_it_lasted() {
    const STALL: Duration = Duration::from_millis(500);
    let server = StallingServer::start(16);
    server.hold();
    let script = format!(
        "config: {{ target: \"{}\", http: {{ pool: 2 }}, phases: [{{ duration: 200ms, arrivalCount: 20 }}] }}\n\
         scenarios: [{{ flow: [get: {{ url: /stalled }}] }}]\n",
        server.url()
    );
    let load = Load::script(script).start();
    server.wait_for(1);
    // The stall itself: it begins with the first request and outlasts the phase, so nobody is due after it.
    wait::within(STALL, || None::<()>);
    server.release();
    let ran = load.ended().succeeded();
    assert_eq!((server.requests().len(), ran.users()), (20, [20, 20, 0, 0]));
    // The last was due 200 ms after the beginning, and waited for the rest of the stall at least.
    let rest = 290.0;
    for part in ["/endpoints/0", "/phases/0", "/scenarios/0", ""] {
        let [due, send] = ["fromDue", "fromSend"].map(|from| ran.own(&format!("{part}/{from}")));
        assert_eq!((&due["count"], &send["count"]), (&json!(20), &json!(20)), "{part}");
        assert!(due["min"].as_f64() >= Some(rest), "{part}: {due:#}");
        assert!(send["max"].as_f64() >= Some(rest) && send["p75"].as_f64() < Some(rest), "{part}: {send:#}");
    }
    let queued = ran.own("/endpoints/0/queued");
    assert!(queued["count"].as_u64() >= Some(18) && queued["p50"].as_f64() >= Some(rest - 10.0), "{queued:#}");
    ran.tells(&["GET /stalled: p50 is ", "for a free socket"]);
}

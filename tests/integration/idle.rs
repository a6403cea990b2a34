//! Idle is what serves no request and does not run: in every worker class, with Python 3.11 or what there is.
//!
//! An idle worker wakes now and then (gevent four times a second), and a sample may catch it at that. So "all idle" is waited for,
//! as an event, and shares have a margin.

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{CLASSES, Gunicorn, WorkerClass};
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::recording::State;
use crate::support::sampling::Sampling;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn an_idle_sync_worker_is_left_out() {
    assert_nothing_to_draw(&of(Packages::Web, WorkerClass::Sync, 2));
}

#[test]
fn an_idle_gthread_worker_is_left_out() {
    let gunicorn = of(Packages::Web, WorkerClass::Gthread { threads: 3 }, 1);
    // Until its first request a pool has no threads.
    gunicorn.get("/fast");
    assert_nothing_to_draw(&gunicorn);
}

#[test]
fn an_idle_gevent_worker_is_left_out() {
    assert_nothing_to_draw(&of(Packages::Gevent, WorkerClass::Gevent, 2));
}

#[test]
fn an_idle_eventlet_worker_is_left_out() {
    assert_nothing_to_draw(&of(Packages::Eventlet, WorkerClass::Eventlet, 2));
}

#[test]
fn a_waiting_request_is_all_there_is_in_sync() {
    assert_only_the_held_request(&of(Packages::Web, WorkerClass::Sync, 3));
}

#[test]
fn a_waiting_request_is_all_there_is_in_gthread() {
    let gunicorn = of(Packages::Web, WorkerClass::Gthread { threads: 3 }, 2);
    gunicorn.get("/fast");
    assert_only_the_held_request(&gunicorn);
}

#[test]
fn a_working_request_is_drawn_in_every_class() {
    for (packages, class) in CLASSES {
        let gunicorn = of(packages, class, 1);
        let worker = gunicorn.workers()[0];
        let sampling = Sampling::of(gunicorn.pid());
        sampling.wait_for(worker);
        gunicorn.get("/burn?s=0.5");
        let sampled = sampling.finish();
        assert!(sampled.stacks.share_of("burn_cpu") > 0.8, "{class:?}: {:?}", sampled.stacks);
        let running = sampled.recording.share_at_work(|sample| sample.is_inside("burn_cpu"));
        assert!(running > 0.9, "{class:?}: {running}");
        let idle = sampled.recording.share(State::Idle, |sample| sample.pid == worker && !sample.is_inside("burn_cpu"));
        assert!(idle > 0.8, "{class:?}: {idle}");
    }
}

#[test]
fn flask_requests_are_told_from_idling_too() {
    let environment = Environment::new(&Python::default(), Packages::Web);
    let gunicorn = Gunicorn::of(&environment).application("flask_api:application").workers(2).start();
    assert_nothing_to_draw(&gunicorn);
    assert_only_the_held_request(&gunicorn);
}

fn of(packages: Packages, class: WorkerClass, workers: usize) -> Gunicorn {
    let environment = Environment::new(&Python::default(), packages);
    Gunicorn::of(&environment).class(class).workers(workers).start()
}

/// With no request there is soon a run of idle samples alone: an explanation in place of a file.
fn assert_nothing_to_draw(gunicorn: &Gunicorn) {
    let dir = TempDir::new();
    let finished = wait::until("a run of idle samples alone", PATIENCE, || {
        let dir = TempDir::new();
        let finished = Pyperf::attach(gunicorn.pid(), ["-d", "0.3"]).cwd(&dir).run();
        (finished.code != Some(0)).then_some(finished)
    });
    let finished = finished.ended_with(1).says(&["there is nothing to draw", "idle", "--idle"]);
    assert_eq!(finished.stdout, "");
    assert!(dir.names().is_empty());
}

fn assert_only_the_held_request(gunicorn: &Gunicorn) {
    let dir = TempDir::new();
    drop(gunicorn.hold(&dir.join("gate")));
    let sampling = Sampling::of(gunicorn.pid());
    let workers = gunicorn.workers();
    for worker in &workers {
        sampling.wait_for(*worker);
    }
    let sampled = sampling.finish();
    assert!(sampled.stacks.share_of("held_request") > 0.9, "{:?}", sampled.stacks);
    let recording = sampled.recording;
    assert!(recording.share(State::Waiting, |sample| sample.is_inside("held_request")) > 0.7);
    let idle = recording.share(State::Idle, |sample| sample.role == "worker" && !sample.is_inside("held_request"));
    assert!(idle > 0.9, "{idle}");
}

//! Every Python of this machine, from 3.6 on: the functions that a request is in, and what its thread is doing.
//!
//! Python 3.10 and older do not say which kernel thread a thread is, so there idle is only known if pyperf finds it out.

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::python::Python;
use crate::support::recording::{Recording, State};
use crate::support::sampling::{Sampled, Sampling};

#[test]
fn sync_on_every_python() {
    for python in Python::all() {
        let chain = ["handle", "handle_request", "application", "burn", "burn_cpu"];
        assert_work_and_waiting_are_told_apart(&python, WorkerClass::Sync, &chain);
    }
}

#[test]
fn gthread_on_every_python() {
    for python in Python::all() {
        let chain = ["handle", "handle_request", "application", "burn", "burn_cpu"];
        assert_work_and_waiting_are_told_apart(&python, WorkerClass::Gthread { threads: 2 }, &chain);
    }
}

#[test]
fn gevent_on_the_oldest_and_the_usual_python() {
    for python in oldest_and_usual() {
        assert_work_and_hub_are_told_apart(&python, Packages::Gevent, WorkerClass::Gevent);
    }
}

#[test]
fn eventlet_on_the_oldest_and_the_usual_python() {
    for python in oldest_and_usual() {
        assert_work_and_hub_are_told_apart(&python, Packages::Eventlet, WorkerClass::Eventlet);
    }
}

fn oldest_and_usual() -> Vec<Python> {
    let mut pythons = vec![Python::all().remove(0), Python::default()];
    pythons.dedup_by_key(|python| python.minor());
    pythons
}

/// For the classes in which a request has a thread to itself.
fn assert_work_and_waiting_are_told_apart(python: &Python, class: WorkerClass, chain: &[&str]) {
    let gunicorn = Gunicorn::of(&Environment::new(python, Packages::Web)).class(class).start();
    let worker = gunicorn.workers()[0];
    let Sampled { stacks, recording, .. } = Sampling::of_work_and_waiting(&gunicorn, worker);

    let frames = usual_stack(&recording, "burn_cpu");
    assert!(frames.join(" ").contains(&chain.join(" ")), "{python} {class:?}: {frames:?}");
    assert!(stacks.share_of("held_request") > 0.0, "{python} {class:?}: {stacks:?}");
    let leaf = stacks.stacks.iter().filter_map(|(stack, _)| stack.last()).find(|leaf| leaf.starts_with("burn_cpu"));
    assert!(leaf.is_some_and(|leaf| leaf.starts_with("burn_cpu (work.py:")), "{python} {class:?}: {stacks:?}");

    let shares = [
        ("running", recording.share_at_work(|sample| sample.is_inside("burn_cpu"))),
        ("waiting", recording.share(State::Waiting, |sample| sample.is_inside("held_request"))),
        ("idle", recording.share(State::Idle, |sample| sample.pid == worker && !sample.is_inside("application"))),
    ];
    assert!(shares.iter().all(|(_, share)| *share > 0.7), "{python} {class:?}: {shares:?}");
}

/// For the classes in which all requests share the thread of a hub.
fn assert_work_and_hub_are_told_apart(python: &Python, packages: Packages, class: WorkerClass) {
    let gunicorn = Gunicorn::of(&Environment::new(python, packages)).class(class).start();
    let worker = gunicorn.workers()[0];
    let sampling = Sampling::of(gunicorn.pid());
    sampling.wait_for(worker);
    gunicorn.get("/burn?s=0.3");
    sampling.wait_for_samples(worker, "burn_cpu", 10);
    let recording = sampling.finish().recording;

    let frames = usual_stack(&recording, "burn_cpu");
    assert!(frames.join(" ").contains("handle_request application burn burn_cpu"), "{python} {class:?}: {frames:?}");
    let shares = [
        ("running", recording.share_at_work(|sample| sample.is_inside("burn_cpu"))),
        ("idle", recording.share(State::Idle, |sample| sample.pid == worker && !sample.is_inside("burn_cpu"))),
    ];
    assert!(shares.iter().all(|(_, share)| *share > 0.7), "{python} {class:?}: {shares:?}");
}

/// The functions of the stack that has the function most often: a sample that was read while the stack changed is rare.
fn usual_stack(recording: &Recording, function: &str) -> Vec<String> {
    let inside = || recording.samples.iter().filter(|sample| sample.is_inside(function));
    let count = |stack: &[String]| inside().filter(|sample| sample.functions == stack).count();
    let usual = inside().max_by_key(|sample| count(&sample.functions));
    usual.unwrap_or_else(|| panic!("no sample is inside {function}")).functions.clone()
}

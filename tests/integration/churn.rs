//! Sampling goes on through everything that gunicorn does to its processes.
//!
//! What shows that a process was seen is work that only it did: each burns CPU, and the graph by worker has the pid.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Configuration, Gunicorn};
use crate::support::process::{self, is_alive};
use crate::support::python::Python;
use crate::support::recording::State;
use crate::support::sampling::{Sampled, Sampling};
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn a_reload_on_hup_brings_new_workers() {
    let gunicorn = web().workers(2).start();
    let old = gunicorn.ready(2);
    let sampling = by_worker(&gunicorn);
    for worker in &old {
        sampling.wait_for(*worker);
    }
    let mut burnt = vec![burn(&gunicorn, &sampling)];
    gunicorn.signal(Signal::SIGHUP);
    let new = gunicorn.ready(4)[2..].to_vec();
    for worker in &new {
        sampling.wait_for(*worker);
    }
    for worker in &old {
        sampling.wait_for_death_of(*worker);
    }
    burnt.push(burn(&gunicorn, &sampling));
    assert!(old.contains(&burnt[0]) && new.contains(&burnt[1]));
    assert_burnt_in(&sampling.finish(), &burnt);
}

#[test]
fn one_more_on_ttin_and_one_less_on_ttou() {
    let gunicorn = web().start();
    let sampling = by_worker(&gunicorn);
    let first = gunicorn.workers()[0];
    sampling.wait_for(first);
    gunicorn.signal(Signal::SIGTTIN);
    let second = gunicorn.ready(2)[1];
    sampling.wait_for(second);

    // While one is held the other one answers, whichever that is.
    let dir = TempDir::new();
    let held = gunicorn.hold(&dir.join("gate"));
    let mut burnt = vec![burn(&gunicorn, &sampling)];
    std::fs::write(dir.join("gate"), "").expect("the directory is ours");
    let holder: i32 = held.join().expect("the request succeeds").parse().expect("the answer is a pid");
    let mut both = [burnt[0], holder];
    both.sort_unstable();
    assert_eq!(both.to_vec(), gunicorn.workers());

    // The oldest worker goes.
    gunicorn.signal(Signal::SIGTTOU);
    sampling.wait_for_death_of(first);
    burnt.push(burn(&gunicorn, &sampling));
    assert_eq!(burnt[1], second);
    let sampled = sampling.finish();
    assert_burnt_in(&sampled, &burnt);
    assert!(sampled.stacks.stacks.iter().any(|(stack, _)| {
        stack[0] == format!("worker {holder}") && stack.iter().any(|frame| frame.starts_with("held_request "))
    }));
}

#[test]
fn a_worker_killed_at_work_and_its_successor_are_both_there() {
    let gunicorn = web().start();
    let sampling = by_worker(&gunicorn);
    let old = gunicorn.workers()[0];
    let lost = gunicorn.get_in_background("/burn?s=600");
    sampling.wait_for_samples(old, "burn_cpu", 5);
    process::signal(old, Signal::SIGKILL);
    assert!(lost.join().is_err(), "nobody answers for a killed worker");
    let new = gunicorn.ready(2)[1];
    drop(gunicorn.get_in_background("/burn?s=600"));
    sampling.wait_for_samples(new, "burn_cpu", 5);
    assert_burnt_in(&sampling.finish(), &[old, new]);
}

#[test]
fn generations_that_end_by_max_requests_are_all_there() {
    let gunicorn = web().arguments(["--max-requests", "1"]).start();
    let sampling = by_worker(&gunicorn);
    let generations: Vec<i32> = (1..=3)
        .map(|generation| {
            let worker = gunicorn.ready(generation)[generation - 1];
            sampling.wait_for(worker);
            assert_eq!(burn(&gunicorn, &sampling), worker);
            worker
        })
        .collect();
    assert_burnt_in(&sampling.finish(), &generations);
}

#[test]
fn a_worker_that_gunicorn_kills_for_its_silence_is_replaced() {
    let gunicorn = web().arguments(["--timeout", "2"]).start();
    let sampling = by_worker(&gunicorn);
    let old = gunicorn.workers()[0];
    let lost = gunicorn.get_in_background("/burn?s=600");
    sampling.wait_for_samples(old, "burn_cpu", 5);
    gunicorn.log().wait_for("WORKER TIMEOUT");
    assert!(lost.join().is_err(), "nobody answers for a killed worker");
    let new = gunicorn.ready(2)[1];
    sampling.wait_for(new);
    assert_eq!(burn(&gunicorn, &sampling), new);
    assert_burnt_in(&sampling.finish(), &[old, new]);
}

#[test]
fn a_master_re_executed_on_usr2_takes_over() {
    let gunicorn = web().start();
    let old = gunicorn.workers()[0];
    let sampling = by_worker(&gunicorn);
    sampling.wait_for(old);
    let mut burnt = vec![burn(&gunicorn, &sampling)];
    gunicorn.signal(Signal::SIGUSR2);
    let new = gunicorn.ready(2)[1];
    sampling.wait_for(new);
    gunicorn.signal(Signal::SIGQUIT);
    wait::until("the old master to end", PATIENCE, || (!is_alive(gunicorn.pid())).then_some(()));
    sampling.wait_for_death_of(old);
    burnt.push(burn(&gunicorn, &sampling));
    assert_eq!(burnt, [old, new]);
    let sampled = sampling.finish();
    assert_burnt_in(&sampled, &burnt);
    let new_master = sampled.recording.samples.iter().filter(|sample| sample.role == "master");
    assert!(new_master.clone().any(|sample| sample.pid != gunicorn.pid()), "the new master is known for one");
}

#[test]
fn when_all_are_killed_what_was_sampled_is_written() {
    let gunicorn = web().workers(2).start();
    let sampling = by_worker(&gunicorn);
    for worker in gunicorn.workers() {
        sampling.wait_for(worker);
    }
    let burnt = burn(&gunicorn, &sampling);
    drop(gunicorn);
    assert_burnt_in(&sampling.ended(), &[burnt]);
}

#[test]
fn when_all_end_by_themselves_what_was_sampled_is_written() {
    let gunicorn = web().workers(2).start();
    let sampling = by_worker(&gunicorn);
    for worker in gunicorn.workers() {
        sampling.wait_for(worker);
    }
    let burnt = burn(&gunicorn, &sampling);
    gunicorn.signal(Signal::SIGTERM);
    assert_burnt_in(&sampling.ended(), &[burnt]);
}

fn web() -> Configuration<'static> {
    Gunicorn::of(&Environment::new(&Python::default(), Packages::Web))
}

#[test]
fn processes_that_live_for_less_than_a_second_are_there() {
    let script = Script::start(&Python::default(), "short.py");
    let sampling = Sampling::of(script.pid());
    sampling.wait_until(
        "SELECT count(DISTINCT process.id) FROM sample
            JOIN thread ON thread.id = thread JOIN process ON process.id = process
            JOIN stack ON stack.id = stack JOIN frame ON frame.id = frame
         WHERE died IS NOT NULL AND function = 'short_work'",
        5,
    );
    let sampled = sampling.finish();
    let at_work = |stack: &[String]| stack.iter().any(|frame| frame.starts_with("short_work ("));
    assert!(sampled.stacks.stacks.iter().any(|(stack, _)| at_work(stack)), "{}", sampled.finished.stdout);
    // What each used before it was found belongs to its first sample at work. One may have been there before the run.
    let mut from_birth = 0;
    let recording = &sampled.recording;
    let mut pids: Vec<i32> = recording.samples.iter().filter(|s| s.is_inside("short_work")).map(|s| s.pid).collect();
    pids.dedup();
    for pid in &pids {
        let readings: Vec<Duration> = recording.cpu.iter().filter(|r| r.pid == *pid).map(|r| r.used).collect();
        let first = recording.samples.iter().find(|s| s.pid == *pid && s.state == State::Running);
        if let ([Duration::ZERO, found, ..], Some(first)) = (&readings[..], first) {
            assert!(first.cpu + Duration::from_micros(1) >= *found, "{pid}: {first:?}, found after {found:?}");
            from_birth += 1;
        }
    }
    assert!(from_birth > 0, "{pids:?}");
}

fn by_worker(gunicorn: &Gunicorn) -> Sampling {
    Sampling::with(gunicorn.pid(), ["--by", "worker"])
}

/// Has some worker burn CPU until that was sampled; says which.
fn burn(gunicorn: &Gunicorn, sampling: &Sampling) -> i32 {
    let worker = gunicorn.get("/burn?s=0.3").parse().expect("the answer is a pid");
    sampling.wait_for_samples(worker, "burn_cpu", 1);
    worker
}

/// The graph by worker has exactly these at work.
fn assert_burnt_in(sampled: &Sampled, workers: &[i32]) {
    let burning =
        sampled.stacks.stacks.iter().filter(|(stack, _)| stack.iter().any(|frame| frame.starts_with("burn_cpu (")));
    let mut found: Vec<&str> = burning.map(|(stack, _)| stack[0].as_str()).collect();
    found.sort_unstable();
    found.dedup();
    let mut expected: Vec<String> = workers.iter().map(|worker| format!("worker {worker}")).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(found, expected, "{}", sampled.finished.stdout);
}

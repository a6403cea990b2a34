//! What threads are said to do, against programs of which it is known: who waits for what, who has the GIL, who has a core.

use std::time::Duration;

use pyperf::clock::Clock;
use pyperf::process::cpu;
use pyperf::recording::{Mode, State, ThreadStack};
use pyperf::stack::{self, By, Line, Options, Reader};
use pyperf::stop::Stop;
use serde_json::Value;

use crate::support::cores;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::namespace::Namespace;
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::recording;
use crate::support::sampling::Sampling;
use crate::support::say;
use crate::support::script::Script;
use crate::support::wait::{self, PATIENCE};

#[test]
fn what_a_request_waits_for_is_told_by_call_and_peer() {
    for python in Python::all() {
        let script = Script::start(&python, "waits.py");
        assert_waits(script.pid(), &[], &format!("Python {python}"));
        if python.minor() == Python::default().minor() {
            assert_waits(script.pid(), &["--reader", "pyspy"], "py-spy");
            assert_waits(script.pid(), &["--blocking"], "py-spy that stops it");
        }
    }
}

#[test]
fn what_a_request_in_a_container_waits_for_is_told_from_the_host() {
    if !say::is_root("peers in another network namespace are told") {
        return;
    }
    let namespace = Namespace::new();
    let mut pythons = vec![Python::all().remove(0), Python::default()];
    pythons.dedup_by_key(|python| python.minor());
    for python in pythons {
        let (_script, pid) = Script::start_inside(&namespace, &python, "waits.py");
        assert_waits(pid, &[], &format!("Python {python} inside"));
    }
}

#[test]
fn a_connection_for_one_request_is_told_by_its_peer() {
    let gunicorn =
        Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).application("backends:application").start();
    let backend = gunicorn.get("/");
    let sampling = Sampling::with(gunicorn.pid(), ["--mode", "wait"]);
    sampling.wait_for(gunicorn.workers()[0]);
    // Of all samples in these calls of the view, whatever they are said to be on.
    let count = |which: &str| {
        format!(
            "WITH RECURSIVE inside(id) AS (
                SELECT stack.id FROM stack JOIN frame ON frame.id = frame WHERE function = 'ask_backend'
                UNION SELECT stack.id FROM stack JOIN inside ON caller = inside.id
             )
             SELECT count(*) FROM sample JOIN wait ON wait.id = wait
             WHERE stack IN inside AND call IN ('recv', 'poll') AND {which}"
        )
    };
    let recording = sampling.recording();
    let enough = wait::within(3 * PATIENCE, || {
        assert_eq!(gunicorn.get("/"), backend);
        recording::ask(&recording, &count("1")).filter(|samples| *samples >= 200)
    });
    assert!(enough.is_some(), "too few samples");
    let all = recording::ask(&recording, &count("1")).expect("it is there");
    for call in ["recv", "poll"] {
        let some = recording::ask(&recording, &count(&format!("call = '{call}'"))).expect("it is there");
        assert!(some * 10 > all, "{call}: {some} of {all}");
    }
    let told = recording::ask(&recording, &count(&format!("what = '{backend}'"))).expect("it is there");
    let told_otherwise = recording::ask(&recording, &count(&format!("what != '{backend}'"))).expect("it is there");
    sampling.finish();
    assert!(told * 10 >= all * 9 && told_otherwise == 0, "{told} of {all}, otherwise {told_otherwise}");
}

#[test]
fn the_text_of_a_dump_says_what_is_waited_for() {
    let script = Script::start(&Python::default(), "waits.py");
    let pid = script.pid().to_string();
    wait::until("a thread that waits for its peer", PATIENCE, || {
        let text = Pyperf::new(["dump", "--pid", &pid]).run().succeeded().stdout;
        let recv = text.lines().find(|line| line.contains("\"recv 127.0.0.1:"))?;
        let (state, name) = recv.split_once("): ").expect("state and name");
        let waits = state.split_once("(waiting: ")?.1;
        (name == format!("\"{waits}\"")).then_some(())
    });
}

#[test]
fn of_two_threads_that_never_rest_one_waits_for_the_gil() {
    for python in Python::all() {
        let script = Script::start(&python, "rivals.py");
        let (mut waiting, mut busy, mut both) = (0, 0, 0);
        let before = cores::waited_for(script.pid());
        let length = sample(&mut [reader(script.pid(), By::Auto)], Duration::from_secs(1), |_, threads| {
            let count =
                |wanted: &[State]| threads.iter().map(|thread| u32::from(wanted.contains(&thread.state))).sum::<u32>();
            waiting += count(&[State::GilWait]);
            busy += count(&[State::Running, State::Runnable]);
            both += u32::from(count(&[State::Running]) == 2);
            assert_eq!(count(&[State::Waiting]), 0, "Python {python}: none serves a request");
        });
        let all = waiting + busy;
        assert!(all > 100, "Python {python}: {all} samples");
        // On a busy machine the one that asks for the GIL every 5 ms waits for a core to do so.
        assert!(waiting * 100 > all * 15 && busy * 100 > all * 30, "Python {python}: {waiting} and {busy}");
        // What a thread ran unseen is made up for when it is seen next, and then it may be waiting for a core.
        let lacked = cores::waited_for(script.pid()).saturating_sub(before).as_secs_f64() / length.as_secs_f64();
        let both = f64::from(both) * 2.0 / f64::from(all);
        assert!(
            both < (0.05 + lacked).min(0.5),
            "Python {python}: both ran in {both:.3} of the samples, and lacked a core for {lacked:.3} of the time"
        );
    }
}

#[test]
fn a_thread_runs_for_as_long_as_it_has_a_core() {
    for busy in [1, 2, 3] {
        let scripts: Vec<Script> = (0..busy).map(|_| Script::start(&Python::default(), "busy.py")).collect();
        let mut readers: Vec<Reader> = scripts.iter().map(|script| reader(script.pid(), By::Auto)).collect();
        let mut counts = vec![[0_u32; 2]; busy];
        let used = |script: &Script| cpu::used_by(script.pid()).expect("it lives");
        let before: Vec<Duration> = scripts.iter().map(used).collect();
        let length = sample(&mut readers, Duration::from_secs(4), |number, threads| match threads[0].state {
            State::Running => counts[number][0] += 1,
            State::Runnable => counts[number][1] += 1,
            other => panic!("it never rests: {other:?}"),
        });
        for ((script, [running, runnable]), before) in scripts.iter().zip(counts).zip(before) {
            let truth = used(script).saturating_sub(before).as_secs_f64() / length.as_secs_f64();
            let share = f64::from(running) / f64::from(running + runnable);
            assert!((share - truth).abs() < 0.06, "{busy} busy: {share} of the samples, {truth} of the time");
        }
    }
}

#[test]
fn a_thread_that_works_in_bursts_runs_for_as_long_as_it_has_a_core() {
    let script = Script::start(&Python::default(), "bursts.py");
    let mut readers = [reader(script.pid(), By::Auto)];
    let (mut running, mut all) = (0_u32, 0_u32);
    let before = cpu::used_by(script.pid()).expect("it lives");
    let length = sample(&mut readers, Duration::from_secs(4), |_, threads| {
        running += u32::from(threads[0].state == State::Running);
        all += 1;
    });
    let used = cpu::used_by(script.pid()).expect("it lives").saturating_sub(before);
    let (share, truth) = (f64::from(running) / f64::from(all), used.as_secs_f64() / length.as_secs_f64());
    assert!((share - truth).abs() < 0.06, "{share} of the samples, {truth} of the time");
}

#[test]
fn the_cpu_time_of_the_samples_is_that_of_the_process() {
    for (name, by) in [("busy.py", By::Snapshot), ("rivals.py", By::Snapshot), ("rivals.py", By::PySpy)] {
        let script = Script::start(&Python::default(), name);
        let mut readers = [reader(script.pid(), by)];
        // What was used before the first read belongs to nobody.
        readers[0].stacks.read().expect("it lives");
        let before = cpu::used_by(script.pid()).expect("it lives");
        let (mut sum, mut used) = (Duration::ZERO, Duration::ZERO);
        // A busy machine can leave a process without a core for a while.
        for _ in 0..10 {
            sample(&mut readers, Duration::from_secs(2), |_, threads| {
                assert!(threads.iter().all(|thread| thread.state == State::Running || thread.cpu == Duration::ZERO));
                let shared: Duration = threads.iter().map(|thread| thread.cpu).sum();
                sum += shared;
                // Where no thread was seen running, what was used is for a later read.
                if shared > Duration::ZERO {
                    used = cpu::used_by(script.pid()).expect("it lives").saturating_sub(before);
                }
            });
            if used > Duration::ZERO {
                break;
            }
        }
        assert!(used > Duration::ZERO, "{name}: no thread was ever seen running");
        assert!(sum.abs_diff(used) < used / 33 + Duration::from_millis(20), "{name}: {sum:?} of {used:?}");
    }
}

/// Waits until each thread is said to wait for what it is named after.
fn assert_waits(pid: i32, arguments: &[&str], what: &str) {
    let pid = pid.to_string();
    let mut told = Vec::new();
    let settled = wait::within(PATIENCE, || {
        let dump = ["dump", "--json", "--pid", &pid];
        let text = Pyperf::new(dump.iter().chain(arguments)).run().succeeded().stdout;
        let processes: Value = serde_json::from_str(&text).expect("it is JSON");
        told = processes[0]["threads"].as_array().expect("a list").iter().map(told_of).collect();
        let right = |(name, state, wait): &(String, String, String)| match name.as_str() {
            "MainThread" | "idle" => state == "idle" && wait.is_empty(),
            name => state == "waiting" && wait == name,
        };
        (told.len() == 11 && told.iter().all(right)).then_some(())
    });
    assert!(settled.is_some(), "{what}: {told:#?}");
}

/// Name and state of a thread, and what it waits for.
fn told_of(thread: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (wait, on) = (text(&thread["wait"]["call"]), text(&thread["wait"]["on"]));
    (text(&thread["name"]), text(&thread["state"]), format!("{wait} {on}").trim().into())
}

fn reader(pid: i32, by: By) -> Reader {
    let options = Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by };
    stack::open(pid, options, Clock::start()).unwrap_or_else(|error| panic!("{pid}: {error}"))
}

/// Reads every millisecond, and shows the threads of each read with the number of its reader; returns how long that took.
fn sample(readers: &mut [Reader], length: Duration, mut show: impl FnMut(usize, &[ThreadStack])) -> Duration {
    let (clock, pause) = (Clock::start(), Stop::default());
    while clock.now().since(pyperf::clock::Moment::default()) < length {
        for (number, reader) in readers.iter_mut().enumerate() {
            // A busy process may change in each try.
            if let Ok(threads) = reader.stacks.read() {
                show(number, &threads);
            }
        }
        let _ = pause.wait(Duration::from_millis(1));
    }
    clock.now().since(pyperf::clock::Moment::default())
}

//! `pyperf dump`: the stacks of this moment, as text and as JSON.
//!
//! A moment can be any: what a thread does most of the time is waited for.

use serde_json::Value;

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::pyperf::{Finished, Pyperf};
use crate::support::python::Python;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn idle_threads_are_called_idle() {
    let gunicorn = gthread();
    gunicorn.get("/fast");
    wait::until("all threads to be idle", PATIENCE, || {
        let threads = threads(&gunicorn);
        (threads.len() > 1 && threads.iter().all(|thread| thread["state"] == "idle")).then_some(())
    });
}

#[test]
fn a_waiting_request_is_called_waiting_and_the_rest_idle() {
    let (gunicorn, dir) = (gthread(), TempDir::new());
    drop(gunicorn.hold(&dir.join("gate")));
    wait::until("the request to wait and the rest to be idle", PATIENCE, || {
        let (serving, rest): (Vec<_>, Vec<_>) =
            threads(&gunicorn).into_iter().partition(|thread| shows(thread, "held_request"));
        assert_eq!(serving.len(), 1, "the request is there at any moment");
        let right = serving[0]["state"] == "waiting" && rest.iter().all(|thread| thread["state"] == "idle");
        right.then_some(())
    });
}

#[test]
fn a_working_request_is_called_running() {
    let gunicorn = gthread();
    drop(gunicorn.get_in_background("/burn?s=600"));
    wait::until("the request to run with the GIL", PATIENCE, || {
        let at_work = |thread: &&Value| shows(thread, "burn_cpu");
        let found = threads(&gunicorn);
        let thread = found.iter().find(at_work)?;
        (thread["state"] == "running" && thread["gil"] == true).then_some(())
    });
}

#[test]
fn every_worker_is_there_but_not_the_master() {
    let gunicorn = Gunicorn::of(&web()).workers(3).start();
    let processes = json(&dump(gunicorn.pid(), &["-j"]));
    let mut pids: Vec<i64> = processes.iter().filter_map(|process| process["pid"].as_i64()).collect();
    pids.sort_unstable();
    assert_eq!(pids, gunicorn.workers().into_iter().map(i64::from).collect::<Vec<_>>());
    for process in &processes {
        assert_eq!(process["role"], "worker");
        assert_eq!(process["python"], Python::default().to_string());
        assert_eq!(process["threads"][0]["os_id"], process["pid"]);
        assert_eq!(process["threads"][0]["name"], "MainThread");
    }
}

#[test]
fn the_text_shows_state_thread_and_frames_innermost_first() {
    let script = Script::start(&Python::default(), "sleeper.py");
    let pid = script.pid();
    let text = wait::until("the main thread to sleep", PATIENCE, || {
        let text = dump(pid, &[]).stdout;
        text.contains(&format!("Thread {pid} (idle): \"MainThread\"")).then_some(text)
    });
    assert!(text.starts_with(&format!("Process {pid}: main, Python {}\n", Python::default())), "{text}");
    assert!(text.contains("(idle): \"background\""), "{text}");
    let [inner, outer] = ["level_30 (sleeper.py:", "level_01 (sleeper.py:"].map(|frame| text.find(frame));
    assert!(inner.is_some() && inner < outer, "{text}");
}

#[test]
fn locals_are_shown_when_asked_for() {
    let (gunicorn, dir) = (gthread(), TempDir::new());
    let gate = dir.join("gate").display().to_string();
    drop(gunicorn.hold(&dir.join("gate")));
    assert!(!dump(gunicorn.pid(), &[]).stdout.contains("gate: "));
    // Twice for values of any length.
    let text = dump(gunicorn.pid(), &["-ll"]).stdout;
    assert!(text.contains(&format!("gate: \"{gate}\"")), "{text}");
}

#[test]
fn blocking_reads_the_same() {
    let script = Script::start(&Python::default(), "sleeper.py");
    let names = |arguments: &[&str]| -> Vec<String> {
        let processes = json(&dump(script.pid(), arguments));
        let threads = processes[0]["threads"].as_array().expect("there are threads").iter();
        let frames = threads.flat_map(|thread| thread["frames"].as_array().expect("there are frames"));
        frames.map(|frame| frame["function"].to_string()).collect()
    };
    assert_eq!(names(&["-j"]), names(&["-j", "--blocking"]));
}

fn web() -> Environment {
    Environment::new(&Python::default(), Packages::Web)
}

fn gthread() -> Gunicorn {
    Gunicorn::of(&web()).class(WorkerClass::Gthread { threads: 2 }).start()
}

fn dump(pid: i32, arguments: &[&str]) -> Finished {
    let target = ["dump", "--pid", &pid.to_string()];
    Pyperf::new(target.iter().chain(arguments)).run().succeeded()
}

fn json(finished: &Finished) -> Vec<Value> {
    serde_json::from_str(&finished.stdout).expect("it is a list")
}

/// All threads of all workers.
fn threads(gunicorn: &Gunicorn) -> Vec<Value> {
    let processes = json(&dump(gunicorn.pid(), &["--json"]));
    processes.into_iter().flat_map(|process| process["threads"].as_array().expect("a list").clone()).collect()
}

fn shows(thread: &Value, function: &str) -> bool {
    let frames = thread["frames"].as_array().expect("there are frames");
    frames.iter().any(|frame| frame["function"] == function)
}

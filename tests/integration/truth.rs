//! What pyperf reports against what is known: a program's shares of its time, and py-spy's own reading of the same stacks.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::collapsed::Collapsed;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::pyperf::{Pyperf, Running};
use crate::support::python::Python;
use crate::support::sampling::Sampling;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;
use crate::support::wait::PATIENCE;

#[test]
fn seventy_to_thirty_is_reported_as_it_is() {
    let script = Script::start(&Python::default(), "mix.py");
    assert_seventy_to_thirty(Sampling::with(script.pid(), ["-r", "500"]));
}

#[test]
fn seventy_to_thirty_is_reported_as_it_is_when_blocking() {
    let script = Script::start(&Python::default(), "mix.py");
    assert_seventy_to_thirty(Sampling::with(script.pid(), ["-r", "500", "--blocking"]));
}

#[test]
fn seventy_to_thirty_is_reported_as_it_is_through_gunicorn() {
    let gunicorn = Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).start();
    drop(gunicorn.get_in_background("/mix?rounds=1000000000"));
    assert_seventy_to_thirty(Sampling::with(gunicorn.pid(), ["-r", "500"]));
}

#[test]
fn seventy_to_thirty_is_true_to_a_point_and_a_half_by_twenty_thousand_snapshots() {
    for python in Python::all().into_iter().filter(|python| python.minor() >= 11) {
        let script = Script::start(&python, "mix.py");
        let sampling = Sampling::with(script.pid(), ["-r", "4000", "--reader", "snapshot"]);
        sampling.wait_until("SELECT count(*) > 20000 FROM sample", 1);
        let sampled = sampling.finish();
        let [seventy, thirty] = ["seventy", "thirty"].map(|function| sampled.stacks.leaf_share(function));
        assert!((seventy - 0.7).abs() < 0.015 && (thirty - 0.3).abs() < 0.015, "{python}: {seventy} to {thirty}");
    }
}

#[test]
fn sleeping_stacks_are_py_spys_own_on_every_python() {
    for python in Python::all() {
        let script = Script::start(&python, "sleeper.py");
        assert_eq!(ours(script.pid(), &[]), py_spys(script.pid(), &[]), "{python}");
    }
}

#[test]
fn stacks_of_threads_are_py_spys_own_on_every_python() {
    for python in Python::all() {
        let script = Script::start(&python, "threads.py");
        // One of them runs: without the lines in between its frames are always the same.
        for view in [["--function"].as_slice(), &["--function", "--full-filenames"], &["--nolineno"]] {
            assert_eq!(ours(script.pid(), view), py_spys(script.pid(), view), "{python} {view:?}");
        }
    }
}

#[test]
fn a_dump_has_the_frames_of_py_spys_dump() {
    for name in ["sleeper.py", "threads.py"] {
        let script = Script::start(&Python::default(), name);
        let pid = script.pid().to_string();
        let ours = Pyperf::new(["dump", "--json", "--pid", &pid]).run().succeeded().stdout;
        let ours: Value = serde_json::from_str(&ours).expect("it is JSON");
        let theirs: Value = serde_json::from_str(&py_spy(&["dump", "--json", "--pid", &pid])).expect("it is JSON");
        let ours = frames(&ours[0]["threads"], ["name", "os_id", "function", "file"]);
        assert_eq!(ours, frames(&theirs, ["thread_name", "os_thread_id", "name", "filename"]), "{name}");
    }
}

/// Within three points, once there are enough samples to tell. How many that takes depends on the machine: while others have the
/// core the program stands still, and samples of it are one and the same. So the shares are given the time to settle.
fn assert_seventy_to_thirty(sampling: Sampling) {
    sampling.wait_until(
        "SELECT count(*) > 4000 AND abs(1000 * sum(function = 'seventy') / count(*) - 700) < 25
         FROM sample JOIN stack ON stack.id = stack JOIN frame ON frame.id = frame
         WHERE state IN (0, 3) AND function IN ('seventy', 'thirty')",
        1,
    );
    let stacks = sampling.finish().stacks;
    let [seventy, thirty] = ["seventy", "thirty"].map(|function| stacks.leaf_share(function));
    assert!((seventy - 0.7).abs() < 0.03 && (thirty - 0.3).abs() < 0.03, "{seventy} to {thirty}");
}

/// The stacks that are there for at least a hundredth of the time, without their counts: the rest is what a sleeper does awake.
fn usual(collapsed: &str) -> BTreeSet<String> {
    let stacks = Collapsed::parse(collapsed);
    let threshold = stacks.total() / 100;
    let usual = stacks.stacks.into_iter().filter(|(_, samples)| *samples > threshold);
    usual.map(|(stack, _)| stack.join(";")).collect()
}

fn ours(pid: i32, view: &[&str]) -> BTreeSet<String> {
    let own = ["-d", "0.5", "-f", "raw", "-o", "-", "--idle"];
    usual(&Pyperf::attach(pid, own.into_iter().chain(view.iter().copied())).run().succeeded().stdout)
}

fn py_spys(pid: i32, view: &[&str]) -> BTreeSet<String> {
    let dir = TempDir::new();
    let (pid, path) = (pid.to_string(), dir.join("raw.txt").display().to_string());
    let own = ["record", "--pid", &pid, "--duration", "1", "--format", "raw", "--output", &path, "--idle"];
    py_spy(&own.into_iter().chain(view.iter().copied()).collect::<Vec<_>>());
    usual(&std::fs::read_to_string(path).expect("it was written"))
}

fn py_spy(arguments: &[&str]) -> String {
    let environment = Environment::new(&Python::default(), Packages::PySpy);
    let mut command = Command::new(environment.script("py-spy"));
    command.args(arguments);
    Running::of(command).wait(PATIENCE).succeeded().stdout
}

/// Of each thread its name, its number for the kernel, and its frames. The line where a thread is running may differ.
fn frames(threads: &Value, [name, os_id, function, file]: [&str; 4]) -> BTreeSet<String> {
    let threads = threads.as_array().expect("there are threads").iter();
    threads
        .map(|thread| {
            let running = thread[name] == "spinner";
            let frames = thread["frames"].as_array().expect("there are frames").iter();
            let line = |frame: &Value| if running { Value::Null } else { frame["line"].clone() };
            let frames: Vec<String> =
                frames.map(|frame| format!("{} {} {}", frame[function], frame[file], line(frame))).collect();
            format!("{} {} {frames:#?}", thread[name], thread[os_id])
        })
        .collect()
}

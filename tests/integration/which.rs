//! Which process is meant, and what is said when that is not clear.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::apps;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Configuration, Gunicorn, Launcher};
use crate::support::process::Process;
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;

#[test]
fn a_pid_that_is_not_there_is_said_to_be_so() {
    for command in ["attach", "dump"] {
        // The highest pid that Linux can have is 2²² (`PID_MAX_LIMIT`).
        Pyperf::new([command, "--pid", "4194305"]).run().ended_with(3).says(&["no process 4194305"]);
    }
}

#[test]
fn a_name_that_nobody_has_lists_what_runs() {
    let dir = TempDir::new();
    let finished = Pyperf::new(["attach", "--name", &dir.unique_name()]).run().ended_with(3);
    finished.says(&[&format!("no Python process named {}", dir.unique_name()), "--name"]);
}

#[test]
fn a_script_is_found_by_its_name_with_and_without_ending() {
    let dir = TempDir::new();
    let name = dir.unique_name();
    let path = dir.join(&format!("{name}.py"));
    fs::copy(apps().join("sleeper.py"), &path).expect("the directory is ours");
    let script = Script::start(&Python::default(), path.to_str().expect("the path is plain"));
    for name in [name.clone(), format!("{name}.py")] {
        let out = TempDir::new();
        Pyperf::new(["attach", "--name", &name, "-d", "0.3", "--idle"]).cwd(&out).run().succeeded();
        assert_eq!(out.names(), [format!("profile-{}.svg", script.pid())]);
        let dump = Pyperf::new(["dump", "--name", &name]).run().succeeded().stdout;
        assert!(dump.starts_with(&format!("Process {}: main", script.pid())), "{dump}");
    }
}

#[test]
fn a_master_is_found_by_the_title_it_gave_itself() {
    let dir = TempDir::new();
    let name = dir.unique_name();
    let gunicorn = titled(&name).workers(2).start();
    drop(gunicorn.hold(&dir.join("gate")));
    let out = TempDir::new();
    Pyperf::new(["attach", "--name", &name, "-d", "0.3"]).cwd(&out).run().succeeded();
    assert_eq!(out.names(), [format!("profile-{}.svg", gunicorn.pid())]);
}

#[test]
fn several_masters_are_listed_and_one_has_to_be_chosen() {
    let dir = TempDir::new();
    let name = dir.unique_name();
    let [one, two] = [1, 2].map(|workers| titled(&name).workers(workers).start());
    let finished = Pyperf::new(["attach", "--name", &name]).run().ended_with(3);
    let finished = finished.says(&[&format!("2 programs named {name} are running"), "--pid", "--all"]);
    for (gunicorn, workers) in [(&one, "1"), (&two, "2")] {
        let [pid, bind] = [gunicorn.pid().to_string(), gunicorn.address().to_string()];
        let row = finished.stderr.lines().find(|line| line.split_whitespace().next() == Some(pid.as_str()));
        let row = row.unwrap_or_else(|| panic!("{pid} is not listed in {}", finished.stderr));
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..5], [&pid, "master", &name, &bind, workers]);
        assert!(matches!(cells[5..], [_, "s" | "min"]), "its age: {row}");
    }
}

#[test]
fn all_writes_a_file_for_each_and_a_pid_picks_one() {
    let dir = TempDir::new();
    let name = dir.unique_name();
    let gunicorns = [1, 2].map(|workers| titled(&name).workers(workers).start());
    for (number, gunicorn) in gunicorns.iter().enumerate() {
        drop(gunicorn.hold(&dir.join(&format!("gate-{number}"))));
    }
    let mut files = gunicorns.each_ref().map(|gunicorn| format!("profile-{}.txt", gunicorn.pid()));
    files.sort_unstable();
    let out = TempDir::new();
    let all = ["attach", "--name", &name, "--all", "-d", "0.5", "-f", "collapsed", "--by", "worker"];
    let finished = Pyperf::new(all).cwd(&out).run().succeeded();
    assert_eq!(finished.stdout.lines().count(), 2);
    assert_eq!(out.names(), files);
    for gunicorn in &gunicorns {
        let stacks = fs::read_to_string(out.join(&format!("profile-{}.txt", gunicorn.pid()))).expect("it was written");
        let own = |line: &str| gunicorn.workers().iter().any(|pid| line.starts_with(&format!("worker {pid};")));
        assert!(stacks.contains("held_request") && stacks.lines().all(own), "{stacks}");
    }
    let picked = TempDir::new();
    Pyperf::attach(gunicorns[1].pid(), ["-d", "0.3"]).cwd(&picked).run().succeeded();
    assert_eq!(picked.names(), [format!("profile-{}.svg", gunicorns[1].pid())]);
}

#[test]
fn a_module_and_a_wrapper_lead_to_the_master() {
    for launcher in [Launcher::Module, Launcher::Shell] {
        let dir = TempDir::new();
        let name = dir.unique_name();
        let gunicorn = titled(&name).launcher(launcher).start();
        drop(gunicorn.hold(&dir.join("gate")));
        let by_pid = ["--pid".to_owned(), gunicorn.launched_pid().to_string()];
        for target in [by_pid, ["--name".to_owned(), name]] {
            let out = TempDir::new();
            let attach = ["attach", &target[0], &target[1], "-d", "0.3"];
            Pyperf::new(attach).cwd(&out).run().succeeded();
            assert_eq!(out.names(), [format!("profile-{}.svg", gunicorn.pid())], "{launcher:?} {target:?}");
        }
    }
}

#[test]
fn what_is_not_python_is_refused() {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null());
    let sleep = Process::spawn(command);
    let said = format!("process {} is not Python, and neither is any process below it", sleep.pid());
    let dir = TempDir::new();
    // Without -d it would wait for ever if it waited for a Python to come.
    Pyperf::attach(sleep.pid(), []).cwd(&dir).run().ended_with(1).says(&[&said, "--name"]);
    assert!(dir.names().is_empty());
    let dump = Pyperf::new(["dump", "--pid", &sleep.pid().to_string()]).run();
    dump.ended_with(1).says(&["no Python process", &sleep.pid().to_string()]);
}

#[test]
fn a_place_that_cannot_be_written_to_is_refused_before_sampling() {
    let script = Script::start(&Python::default(), "mix.py");
    let dir = TempDir::new();
    fs::create_dir(dir.join("folder")).expect("the directory is ours");
    fs::write(dir.join("file"), "").expect("the directory is ours");
    for (path, cause) in
        [("nowhere/graph.svg", "No such file"), ("folder", "folder"), ("file/graph.svg", "Not a directory")]
    {
        // Without -d it would sample for ever.
        let finished = Pyperf::attach(script.pid(), ["-o", path]).cwd(&dir).run().ended_with(1);
        finished.says(&[&format!("cannot write {path}"), cause, "-o FILE"]);
    }
    let finished = Pyperf::attach(script.pid(), ["--recording", "nowhere/run.pyperf"]).cwd(&dir).run().ended_with(1);
    finished.says(&["nowhere/run.pyperf"]);
    assert_eq!(dir.names(), ["file", "folder"]);
}

/// A gunicorn that calls its processes by this name.
fn titled(name: &str) -> Configuration<'static> {
    Gunicorn::of(&Environment::new(&Python::default(), Packages::Titles)).arguments(["--name", name])
}

//! Tests of the support itself: if one of these fails, mistrust the others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use crate::support::collapsed::Collapsed;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{CLASSES, Gunicorn, Launcher};
use crate::support::process::{children, is_alive};
use crate::support::pyperf::{Pyperf, Running};
use crate::support::python::Python;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn pythons_are_one_of_each_version_oldest_first() {
    let minors: Vec<u16> = Python::all().iter().map(Python::minor).collect();
    assert!(minors.is_sorted_by(|a, b| a < b), "{minors:?}");
    assert!(minors.contains(&Python::default().minor()));
}

#[test]
fn an_environment_is_made_once_and_anew_when_its_list_changes() {
    let parent = TempDir::new();
    let python = Python::default();
    let make = |list| Environment::at(parent.join("environment"), &python, list);
    // A directory that was made anew is another inode or at least another birth of its interpreter.
    let identity = |environment: &Environment| {
        let link = fs::symlink_metadata(environment.python()).expect("the environment has an interpreter");
        (link.ino(), link.ctime(), link.ctime_nsec())
    };

    let (first, second) = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| identity(&make("# nothing"))));
        let [first, second] = threads.map(|thread| thread.join().expect("the environment can be made"));
        (first, second)
    });
    assert_eq!(first, second);
    assert_eq!(identity(&make("# nothing")), first);
    assert_ne!(identity(&make("# nothing either")), first);
}

#[test]
fn gunicorn_answers_and_is_gone_after_drop() {
    let gunicorn = Gunicorn::of(&web()).workers(2).start();
    let workers = gunicorn.workers();
    assert_eq!(workers.len(), 2);
    assert_eq!(gunicorn.launched_pid(), gunicorn.pid());
    let answered: i32 = gunicorn.get("/fast").parse().expect("the answer is a pid");
    assert!(workers.contains(&answered));

    let master = gunicorn.pid();
    drop(gunicorn);
    assert!(!is_alive(master));
    assert!(workers.iter().all(|worker| !is_alive(*worker)));
}

#[test]
fn every_worker_class_serves_every_route() {
    let python = Python::default();
    for (packages, class) in CLASSES {
        for application in ["api:application", "flask_api:application"] {
            let gunicorn =
                Gunicorn::of(&Environment::new(&python, packages)).class(class).application(application).start();
            for path in ["/fast", "/sleep?s=0.01", "/burn?s=0.01", "/mix?rounds=1"] {
                assert_eq!(gunicorn.get(path), gunicorn.workers()[0].to_string());
            }
        }
    }
}

#[test]
fn a_wrapper_stays_the_parent_and_dies_with_its_gunicorn() {
    let gunicorn = Gunicorn::of(&web()).launcher(Launcher::Shell).start();
    let (shell, master) = (gunicorn.launched_pid(), gunicorn.pid());
    assert_eq!(children(shell), [master]);
    drop(gunicorn);
    assert!(!is_alive(shell) && !is_alive(master));
}

#[test]
fn an_orphaned_gunicorn_is_killed_all_the_same() {
    let gunicorn = Gunicorn::of(&web()).launcher(Launcher::Shell).start();
    let (shell, master, workers) = (gunicorn.launched_pid(), gunicorn.pid(), gunicorn.workers());
    crate::support::process::signal(shell, Signal::SIGKILL);
    wait::until("the shell to die", PATIENCE, || (!is_alive(shell)).then_some(()));
    assert!(is_alive(master));
    drop(gunicorn);
    assert!(!is_alive(master) && workers.iter().all(|worker| !is_alive(*worker)));
}

#[test]
fn a_request_is_held_until_its_gate_is_there() {
    let dir = TempDir::new();
    let gunicorn = Gunicorn::of(&web()).launcher(Launcher::Module).start();
    let gate = dir.join("gate");
    let answer = gunicorn.hold(&gate);
    assert!(!answer.is_finished());
    fs::write(&gate, "").expect("the directory is ours");
    assert_eq!(answer.join().expect("the request succeeds"), gunicorn.workers()[0].to_string());
}

#[test]
fn gunicorn_takes_signals_and_arguments() {
    let gunicorn = Gunicorn::of(&web()).arguments(["--log-level", "debug"]).start();
    assert!(gunicorn.log().text().contains("[DEBUG]"));
    gunicorn.signal(Signal::SIGTTIN);
    gunicorn.log().wait_for_lines("Worker ready: ", 2);
    assert_eq!(gunicorn.workers().len(), 2);
    assert_eq!(gunicorn.address().ip().to_string(), "127.0.0.1");
}

#[test]
fn gunicorn_runs_as_another_user() {
    let me = Uid::effective();
    // Only root may run it as another; everyone may run it as oneself.
    let user = if me.is_root() { User::from_name("nobody") } else { User::from_uid(me) };
    let user = user.expect("the user database is readable").expect("there is such a user");
    let environment = Environment::new(&Python::shared(), Packages::Web);
    let gunicorn = Gunicorn::of(&environment).user(user.clone()).start();
    let worker = fs::metadata(format!("/proc/{}/stat", gunicorn.workers()[0])).expect("the worker runs");
    assert_eq!(worker.uid(), user.uid.as_raw());
    gunicorn.get("/fast");
}

#[test]
fn scripts_start_and_end() {
    for name in ["mix.py", "sleeper.py", "threads.py"] {
        let script = Script::start(&Python::default(), name);
        let pid = script.pid();
        assert!(is_alive(pid));
        drop(script);
        assert!(!is_alive(pid));
    }
}

#[test]
fn pyperf_runs_where_and_how_it_is_told() {
    let dir = TempDir::new();
    let finished = Pyperf::new(["--version"]).cwd(&dir).env("NO_COLOR", "1").run().succeeded();
    assert_eq!(finished.stdout, concat!("pyperf ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(finished.stderr, "");
}

#[test]
fn the_end_of_a_run_tells_its_signal_and_its_output() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; echo warned >&2; exec sleep 600"]);
        let running = Running::of(command);
        running.stdout().wait_for("started");
        running.stderr().wait_for("warned");
        match signal {
            Signal::SIGINT => running.interrupt(),
            Signal::SIGTERM => running.terminate(),
            _ => running.kill(),
        }
        let finished = running.wait(Duration::from_secs(10));
        assert_eq!((finished.code, finished.signal), (None, Some(signal as i32)));
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("started\n", "warned\n"));
    }
}

#[test]
fn collapsed_stacks_are_read_and_shared_out() {
    let collapsed = Collapsed::parse(
        "main (a.py:1);Api.get (b (2).py:2);slow (c.py:3) 30\nmain (a.py:1);slow (c.py:3);wait (d.py:4) 70\n",
    );
    assert_eq!(collapsed.total(), 100);
    assert_eq!(collapsed.stacks[0].0, ["main (a.py:1)", "Api.get (b (2).py:2)", "slow (c.py:3)"]);
    let shares = [
        collapsed.share_of("main"),
        collapsed.share_of("get"),
        collapsed.leaf_share("slow"),
        collapsed.share_of("Api"),
    ];
    let expected = [1.0, 0.3, 0.3, 0.0];
    assert!(shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 1e-9), "{shares:?}");
}

#[test]
#[should_panic(expected = "not a stack")]
fn collapsed_text_that_is_none_is_refused() {
    Collapsed::parse("no number here");
}

fn web() -> Environment {
    Environment::new(&Python::default(), Packages::Web)
}

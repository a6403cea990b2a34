//! Processes in a pid namespace of their own: read from outside as in a container, and alone on a machine as seen from inside.
//!
//! Only root can make a namespace; without root the tests say aloud what was left out.

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Configuration, Gunicorn, Launcher, WorkerClass};
use crate::support::namespace::Namespace;
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::recording::State;
use crate::support::sampling::Sampling;
use crate::support::say;
use crate::support::temp_dir::TempDir;

#[test]
fn threads_in_a_container_are_told_apart_from_the_host() {
    if !say::is_root("a Python in another pid namespace is read with the right states") {
        return;
    }
    let mut pythons = vec![Python::all().remove(0), Python::default()];
    pythons.dedup_by_key(|python| python.minor());
    for python in pythons {
        let namespace = Namespace::new();
        let environment = Environment::new(&python, Packages::Web);
        let gunicorn = Gunicorn::of(&environment).class(WorkerClass::Gthread { threads: 2 }).inside(&namespace).start();
        let worker = gunicorn.workers()[0];
        assert_ne!(gunicorn.ready(1)[0], worker, "inside it has another number");
        let recording = Sampling::of_work_and_waiting(&gunicorn, worker).recording;
        let shares = [
            ("running", recording.share_at_work(|sample| sample.is_inside("burn_cpu"))),
            ("waiting", recording.share(State::Waiting, |sample| sample.is_inside("held_request"))),
            ("idle", recording.share(State::Idle, |sample| sample.pid == worker && !sample.is_inside("application"))),
        ];
        assert!(shares.iter().all(|(_, share)| *share > 0.7), "{python}: {shares:?}");
    }
}

#[test]
fn alone_on_a_machine_a_gunicorn_needs_no_name() {
    if !say::is_root("the only gunicorn is found by the default name, however it was launched") {
        return;
    }
    for (packages, launcher) in [
        (Packages::Web, Launcher::Script),
        (Packages::Web, Launcher::Module),
        (Packages::Web, Launcher::Shell),
        (Packages::Titles, Launcher::Script),
    ] {
        let (namespace, dir) = (Namespace::new(), TempDir::new());
        let gunicorn = of(packages).workers(2).launcher(launcher).inside(&namespace).start();
        drop(gunicorn.hold(&dir.join("gate")));
        let attach = ["attach", "-d", "0.5", "-f", "collapsed", "-o", "-", "--idle", "--by", "worker"];
        let stacks = Pyperf::inside(&namespace, attach).run().succeeded().stdout;
        for worker in gunicorn.ready(2) {
            assert!(stacks.contains(&format!("worker {worker};")), "{packages:?} {launcher:?}: {stacks}");
        }
        assert!(stacks.contains("held_request"), "{packages:?} {launcher:?}: {stacks}");
    }
}

#[test]
fn alone_on_a_machine_several_gunicorns_are_told_apart() {
    if !say::is_root("several gunicorns without titles are listed") {
        return;
    }
    let namespace = Namespace::new();
    let one = of(Packages::Web).workers(1).inside(&namespace).start();
    let two = of(Packages::Web).workers(2).launcher(Launcher::Module).inside(&namespace).start();
    let finished = Pyperf::inside(&namespace, ["attach"]).run().ended_with(3);
    let finished = finished.says(&["2 programs named gunicorn are running", "--pid", "--all"]);
    for (gunicorn, workers) in [(&one, "1"), (&two, "2")] {
        let bind = gunicorn.address().to_string();
        let row = finished.stderr.lines().find(|line| line.contains(&bind));
        let row = row.unwrap_or_else(|| panic!("{bind} is not listed in {}", finished.stderr));
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[1..5], ["master", "api:application", &bind, workers]);
    }
    let dump = Pyperf::inside(&namespace, ["dump"]).run().succeeded().stdout;
    assert_eq!(dump.matches(": worker, Python").count(), 3, "{dump}");
}

#[test]
fn alone_on_a_machine_a_wrong_name_is_answered_with_the_right_ones() {
    if !say::is_root("a name that nobody has is answered with a list of what runs") {
        return;
    }
    let namespace = Namespace::new();
    let attach = ["attach", "--name", "celery"];
    let none = Pyperf::inside(&namespace, attach).run().ended_with(3);
    none.says(&["no Python process named celery", "no Python process is running at all"]);
    let _gunicorn = of(Packages::Web).inside(&namespace).start();
    let one = Pyperf::inside(&namespace, attach).run().ended_with(3);
    one.says(&["no Python process named celery; running: ", " gunicorn"]);
}

fn of(packages: Packages) -> Configuration<'static> {
    Gunicorn::of(&Environment::new(&Python::default(), packages))
}

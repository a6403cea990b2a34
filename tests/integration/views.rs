//! What a graph shows and how it is split: `--by`, `--threads`, `--idle`, and how frames read.

use crate::support::collapsed::Collapsed;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;

#[test]
fn workers_are_merged_unless_split() {
    let (gunicorn, _dir) = holding(2);
    let merged = stacks(gunicorn.pid(), &[]);
    assert!(merged.stacks.iter().all(|(stack, _)| stack[0].starts_with("<module> (gunicorn:")), "{merged:?}");
    let roots = roots(&stacks(gunicorn.pid(), &["--by", "worker"]));
    let workers = gunicorn.workers();
    let mut expected: Vec<String> = workers.iter().map(|worker| format!("worker {worker}")).collect();
    expected.sort_unstable();
    assert_eq!(roots, expected);
}

#[test]
fn the_master_is_there_when_roles_are_told_apart() {
    let (gunicorn, _dir) = holding(1);
    let split = stacks(gunicorn.pid(), &["--by", "role", "--idle"]);
    assert_eq!(roots(&split), ["master", "worker"]);
    assert!(split.share_of("run_for_one") < 1.0);
    assert!(stacks(gunicorn.pid(), &["--idle"]).stacks.iter().all(|(stack, _)| runs(stack, "spawn_worker")));
}

#[test]
fn threads_are_shown_one_by_one() {
    let script = Script::start(&Python::default(), "threads.py");
    let names = ["MainThread", "event-waiter", "lock-waiter", "napper", "spinner"];
    for split in [["--threads"].as_slice(), &["--by", "thread"]] {
        let mut found: Vec<String> = roots(&stacks(script.pid(), &[split, &["--idle"]].concat()))
            .iter()
            .map(|root| root.split(['(', ')']).nth(1).unwrap_or_else(|| panic!("no name in {root}")).to_owned())
            .collect();
        found.sort_unstable();
        assert_eq!(found, names);
    }
    let main = format!("thread {} (MainThread)", script.pid());
    assert!(roots(&stacks(script.pid(), &["-t", "-i"])).contains(&main));
}

#[test]
fn levels_nest_in_the_order_they_are_given() {
    let (gunicorn, _dir) = holding(1);
    let worker = gunicorn.workers()[0];
    let split = stacks(gunicorn.pid(), &["--by", "role,worker", "-t"]);
    let expected = ["worker".to_owned(), format!("worker {worker}")];
    let held: Vec<_> = split.stacks.iter().filter(|(stack, _)| runs(stack, "held_request")).collect();
    assert!(!held.is_empty());
    for (stack, _) in held {
        assert_eq!(stack[..2], expected);
        assert!(stack[2].starts_with("thread "), "{stack:?}");
    }
}

#[test]
fn frames_read_as_they_are_asked_for() {
    let script = Script::start(&Python::default(), "sleeper.py");
    let last = |arguments: &[&str]| {
        let stacks = stacks(script.pid(), &[arguments, &["--idle"]].concat()).stacks;
        let deepest = stacks.into_iter().find(|(stack, _)| runs(stack, "level_30")).expect("it sleeps there").0;
        deepest.last().expect("it has frames").clone()
    };
    let source = std::fs::read_to_string(crate::support::apps().join("sleeper.py")).expect("the script is there");
    let line = |text: &str| 1 + source.lines().position(|line| line.contains(text)).expect("the script has that line");
    let whole = crate::support::apps().join("sleeper.py").display().to_string();
    let (sleeps, starts) = (line("time.sleep("), line("def level_30"));

    assert_eq!(last(&[]), format!("level_30 (sleeper.py:{sleeps})"));
    assert_eq!(last(&["--nolineno"]), "level_30 (sleeper.py)");
    assert_eq!(last(&["--full-filenames"]), format!("level_30 ({whole}:{sleeps})"));
    assert_eq!(last(&["-F"]), format!("level_30 (sleeper.py:{starts})"));
    assert_eq!(last(&["--function", "--full-filenames"]), format!("level_30 ({whole}:{starts})"));
}

#[test]
fn one_process_alone_when_descendants_are_not_wanted() {
    let (gunicorn, _dir) = holding(2);
    let alone = stacks(gunicorn.workers()[0], &["--no-subprocesses", "--by", "worker", "--idle"]);
    assert_eq!(roots(&alone), [format!("worker {}", gunicorn.workers()[0])]);
    let master = stacks(gunicorn.pid(), &["--no-subprocesses", "--idle"]);
    assert!(master.stacks.iter().all(|(stack, _)| !runs(stack, "spawn_worker")), "{master:?}");
}

/// A gunicorn with these many gthread workers, each of which is serving a request that does not end.
fn holding(workers: usize) -> (Gunicorn, TempDir) {
    let environment = Environment::new(&Python::default(), Packages::Web);
    let gunicorn = Gunicorn::of(&environment).class(WorkerClass::Sync).workers(workers).start();
    let dir = TempDir::new();
    // A sync worker takes one request at a time, so each lands in another one.
    for number in 0..workers {
        drop(gunicorn.hold(&dir.join(&format!("gate-{number}"))));
    }
    (gunicorn, dir)
}

fn stacks(pid: i32, arguments: &[&str]) -> Collapsed {
    let own = ["-d", "0.5", "-f", "collapsed", "-o", "-"];
    let finished = Pyperf::attach(pid, own.into_iter().chain(arguments.iter().copied())).run().succeeded();
    Collapsed::parse(&finished.stdout)
}

/// The distinct outermost frames, in order.
fn roots(stacks: &Collapsed) -> Vec<String> {
    let mut roots: Vec<String> = stacks.stacks.iter().map(|(stack, _)| stack[0].clone()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}

fn runs(stack: &[String], function: &str) -> bool {
    stack.iter().any(|frame| frame.split(" (").next().is_some_and(|name| name.rsplit('.').next() == Some(function)))
}

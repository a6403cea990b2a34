//! Snapshots against py-spy, which stops the process and so reads exactly: the same frames, names, files, lines and threads, for
//! every CPython from 3.11 on and every shape of a stack.
//!
//! A target that stands still must look the same to both. One that runs is watched for what cannot be.

use std::collections::BTreeMap;

use pyperf::clock::Clock;
use pyperf::recording::{Mode, State, ThreadStack};
use pyperf::stack::pyspy::PySpyReader;
use pyperf::stack::snapshot::SnapshotReader;
use pyperf::stack::{self, AttachError, By, Line, Names, Options, ReadError, StackReader};

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Gunicorn, WorkerClass};
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::script::Script;
use crate::support::steps::Steps;
use crate::support::wait::{self, PATIENCE};

#[test]
fn every_shape_of_a_stack_is_read_as_py_spy_reads_it() {
    for python in modern() {
        let mut steps = Steps::start(&python);
        let mut reader = None;
        loop {
            let shape = steps.stands_at();
            if shape == "the end" {
                break;
            }
            let child = shape.strip_prefix("child ").and_then(|pid| pid.parse().ok());
            if shape != "exec" {
                let reader = reader.get_or_insert_with(|| snapshots(steps.pid(), Line::Current));
                same(reader, steps.pid(), &format!("Python {python} at {shape}"));
            }
            if let Some(child) = child {
                same(&mut snapshots(child, Line::Current), child, &format!("Python {python}, child"));
                same(&mut snapshots(child, Line::First), child, &format!("Python {python}, first lines"));
                let parent = reader.as_ref().expect("the parent was read before");
                let mut forked = inherit(child, parent).expect("a fork has its parent's addresses");
                same(&mut forked, child, &format!("Python {python}, as its parent's child"));
            }
            steps.go_on();
        }
        let effort = reader.expect("there were shapes").effort();
        assert_eq!((effort.torn, effort.lost), (0, 0), "Python {python}: {effort:?}");
    }
}

#[test]
fn a_process_that_became_another_program_is_gone() {
    for python in modern() {
        let mut steps = Steps::start(&python);
        let child = loop {
            let shape = steps.stands_at();
            if let Some(child) = shape.strip_prefix("child ") {
                break child.parse().expect("a pid");
            }
            steps.go_on();
        };
        let mut reader = snapshots(child, Line::Current);
        steps.go_on();
        assert_eq!(steps.stands_at(), "exec");
        // Nothing of the old program is shown as if it were the new one's.
        assert!(matches!(reader.read(), Err(ReadError::Gone)), "Python {python}");
        // Its addresses are others, or else (Debian's Pythons, which are not position-independent) what stands there is its own.
        if let Some(mut inherited) = inherit(child, &reader) {
            same(&mut inherited, child, &format!("Python {python}, exec, as its parent's child"));
        }
        let mut reader = wait::until("the new program's interpreter", PATIENCE, || attach(child, Line::Current).ok());
        same(&mut reader, child, &format!("Python {python}, exec"));
        steps.go_on();
    }
}

#[test]
fn what_threads_do_is_told_as_by_py_spy() {
    for python in modern() {
        let script = Script::start(&python, "threads.py");
        let mut reader = snapshots(script.pid(), Line::Current);
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        let mut gil = 0;
        // On a busy machine reading itself takes the core of whoever runs, so they are seen between pauses.
        wait::within(PATIENCE, || {
            for thread in (0..20).flat_map(|_| reader.read().expect("it lives")) {
                gil += u32::from(thread.gil);
                let name = thread.name.expect("every thread has a name");
                *running.entry(name.to_string()).or_default() += u32::from(thread.state == State::Running);
            }
            (gil > 0 && running.values().any(|count| *count > 0)).then_some(())
        });
        let spy = PySpyReader::attach(script.pid(), options(Mode::NonBlocking, Line::Current), Clock::start());
        let theirs = spy.expect("readable").read().expect("it lives");
        let names: Vec<&str> = theirs.iter().filter_map(|thread| thread.name.as_deref()).collect();
        assert_eq!(running.keys().count(), names.len(), "Python {python}: {running:?}, {names:?}");
        assert!(running.values().any(|count| *count > 0), "Python {python}: {running:?}");
        assert!(gil > 0, "Python {python}: nobody holds the GIL");
    }
}

#[test]
fn no_file_of_a_thread_that_has_ended_stays_open() {
    for python in modern() {
        let mut steps = Steps::start(&python);
        let mut shape = steps.stands_at();
        let spy = PySpyReader::attach(steps.pid(), options(Mode::NonBlocking, Line::Current), Clock::start());
        let Snapshots { reader, names: _names } = snapshots(steps.pid(), Line::Current);
        let mut readers: [Box<dyn StackReader>; 2] = [Box::new(spy.expect("readable")), Box::new(reader)];
        let mut most = 0;
        while shape != "no threads" {
            for reader in &mut readers {
                reader.read().expect("it stands still");
            }
            most = most.max(open_files_of_threads(steps.pid()));
            steps.go_on();
            shape = steps.stands_at();
        }
        assert!(most >= 40, "Python {python}: {most} files tell two readers the states of 20 threads");
        for reader in &mut readers {
            reader.read().expect("it stands still");
        }
        assert_eq!(open_files_of_threads(steps.pid()), 0, "Python {python}");
    }
}

/// How many files under `/proc` this process has open of the threads of another, less those of its main thread.
fn open_files_of_threads(pid: i32) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("we have files").flatten();
    let paths = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    let of_thread = |path: &std::path::PathBuf| {
        path.starts_with(format!("/proc/{pid}/task")) && !path.starts_with(format!("/proc/{pid}/task/{pid}"))
    };
    paths.filter(of_thread).count()
}

#[test]
fn greenlets_that_switch_are_never_mixed_up() {
    modern().iter().for_each(watch_greenlets);
}

fn watch_greenlets(python: &Python) {
    let environment = Environment::new(python, Packages::Gevent);
    let gunicorn = Gunicorn::of(&environment).class(WorkerClass::Gevent).start();
    let worker = gunicorn.workers()[0];
    let mut reader = snapshots(worker, Line::Current);
    let told = |when: &str| format!("Python {python}, gevent {when}");
    same(&mut reader, worker, &told("before its first request"));
    for _ in 0..3 {
        gunicorn.get("/fast");
    }
    same(&mut reader, worker, &told("after some requests"));
    let requests: Vec<_> = (0..4).map(|_| gunicorn.get_in_background("/burn?s=600")).collect();
    let mut seen = 0;
    for _ in 0..2000 {
        let stacks = reader.read().expect("it lives");
        let main = stacks.first().expect("there is a thread");
        let functions: Vec<&str> = main.stack.frames().into_iter().map(|frame| frame.function.as_str()).collect();
        // A greenlet starts with its own first function, never below a frame of another one.
        let burn = functions.iter().filter(|function| **function == "burn_cpu").count();
        assert!(burn <= 1, "Python {python}: {functions:?}");
        assert!(burn == 0 || !functions.contains(&"Hub.run"), "Python {python}: {functions:?}");
        seen += burn;
    }
    assert!(seen > 0, "Python {python}: no request was seen");
    same(&mut snapshots(worker, Line::First), worker, &told("at work, first lines"));
    drop(requests);
}

#[test]
fn the_reader_can_be_chosen() {
    let script = Script::start(&Python::default(), "sleeper.py");
    let pid = script.pid().to_string();
    let dump = |arguments: &[&str]| Pyperf::new(["dump", "--pid", &pid].iter().chain(arguments)).run();
    let text = dump(&["--reader", "snapshot"]).succeeded().stdout;
    assert_eq!(text, dump(&["--reader", "pyspy"]).succeeded().stdout);
    assert!(text.contains("level_30"), "{text}");
    for refused in [&["--blocking", "--reader", "snapshot"][..], &["--locals", "--reader", "snapshot"]] {
        let told = dump(refused).ended_with(2).stderr;
        assert!(told.contains("leave out --reader snapshot"), "{told}");
    }
}

#[test]
fn what_no_snapshot_can_be_taken_of_is_py_spy_s() {
    let Some(old) = Python::all().into_iter().find(|python| python.minor() < 11) else {
        panic!("no CPython before 3.11, neither on the path nor in pyenv");
    };
    let script = Script::start(&old, "sleeper.py");
    let auto = stack::open(
        script.pid(),
        Options { by: By::Auto, ..options(Mode::NonBlocking, Line::Current) },
        Clock::start(),
    );
    let auto = auto.expect("py-spy reads it");
    assert_eq!((auto.python, auto.instead), (old.to_string(), None));
    let forced = stack::open(script.pid(), options(Mode::NonBlocking, Line::Current), Clock::start());
    assert!(matches!(forced.err(), Some(AttachError::NoSnapshots(why)) if why.contains("Python 3.")));
    let pid = script.pid().to_string();
    let told = Pyperf::new(["attach", "--pid", &pid, "--reader", "snapshot", "-d", "1"]).run().ended_with(1).stderr;
    assert!(told.contains("leave out --reader snapshot"), "{told}");
}

/// Every Python that snapshots can be taken of.
fn modern() -> Vec<Python> {
    let modern: Vec<Python> = Python::all().into_iter().filter(|python| python.minor() >= 11).collect();
    assert!(!modern.is_empty(), "no CPython 3.11 or later, neither as python3 on the path nor in pyenv");
    modern
}

fn options(mode: Mode, line: Line) -> Options {
    Options { mode, line, locals: 0, by: By::Snapshot }
}

/// A reader, and those who look for the names that it asks for, which the sampler does between its reads.
struct Snapshots {
    reader: SnapshotReader,
    names: Names,
}

impl Snapshots {
    fn of((reader, names): (SnapshotReader, Names)) -> Self {
        Self { reader, names }
    }

    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.names.look();
        self.reader.read()
    }
}

impl std::ops::Deref for Snapshots {
    type Target = SnapshotReader;

    fn deref(&self) -> &SnapshotReader {
        &self.reader
    }
}

fn attach(pid: i32, line: Line) -> Result<Snapshots, String> {
    let (options, clock) = (options(Mode::NonBlocking, line), Clock::start());
    let spy = PySpyReader::attach(pid, options, clock).map_err(|error| error.to_string())?;
    SnapshotReader::attach(pid, spy, options, clock).map(Snapshots::of).map_err(|refused| refused.why)
}

fn inherit(child: i32, parent: &SnapshotReader) -> Option<Snapshots> {
    let options = options(Mode::NonBlocking, Line::Current);
    SnapshotReader::inherit(child, &parent.kin(), options, Clock::start()).map(Snapshots::of)
}

fn snapshots(pid: i32, line: Line) -> Snapshots {
    attach(pid, line).unwrap_or_else(|why| panic!("no snapshots of {pid}: {why}"))
}

/// Compares a snapshot with what py-spy reads while it stops the process.
fn same(reader: &mut Snapshots, pid: i32, place: &str) {
    let exact = |line| PySpyReader::attach(pid, options(Mode::Blocking, line), Clock::start()).expect("readable");
    let line = reader.line();
    // A thread that has just said where it is may be on its way to wait still.
    let differ = |ours: &ThreadStack, theirs: &ThreadStack| {
        let (ours, theirs) = (ours.stack.frames(), theirs.stack.frames());
        ours.iter().zip(&theirs).position(|(one, two)| one != two).map_or_else(
            || format!("{} and {} frames", ours.len(), theirs.len()),
            |depth| format!("depth {depth}: {:?} and {:?}", ours[depth], theirs[depth]),
        )
    };
    let mut difference = String::new();
    let equal = wait::within(std::time::Duration::from_secs(5), || {
        let ours = reader.read().unwrap_or_else(|error| panic!("{place}: {error}, {:?}", reader.effort()));
        let theirs = exact(line).read().expect("it lives");
        let who = |stacks: &[ThreadStack]| -> Vec<_> {
            stacks.iter().map(|stack| (stack.ident, stack.os_id, stack.name.clone(), stack.gil)).collect()
        };
        difference = if who(&ours) == who(&theirs) {
            let found = ours.iter().zip(&theirs).find(|(one, two)| one.stack != two.stack);
            found.map_or_else(String::new, |(one, two)| differ(one, two))
        } else {
            format!("{:?} and {:?}", who(&ours), who(&theirs))
        };
        difference.is_empty().then_some(())
    });
    assert!(equal.is_some(), "{place}: {difference}");
}

//! `--recording`, what can be read from it, and `pyperf report`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::process::is_alive;
use crate::support::pyperf::Pyperf;
use crate::support::python::Python;
use crate::support::recording::State;
use crate::support::sampling::Sampling;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn a_report_shows_the_same_as_the_run_did() {
    let (gunicorn, dir) = holding();
    for view in [["--idle", "--threads"], ["--by", "worker"], ["--nolineno", "--full-filenames"]] {
        let [recording, at_once, later] = ["r.pyperf", "at-once.txt", "later.txt"].map(|name| dir.join(name));
        let [recording, at_once, later] = [&recording, &at_once, &later].map(|path| path.display().to_string());
        let collapsed = ["-f", "collapsed", view[0], view[1]];
        let run = ["-d", "0.5", "--recording", &recording, "-o", &at_once];
        Pyperf::attach(gunicorn.pid(), run.into_iter().chain(collapsed)).run().succeeded();
        let report = ["report", &recording, "-o", &later];
        Pyperf::new(report.into_iter().chain(collapsed)).run().succeeded();
        let [before, after] = [&at_once, &later].map(|path| fs::read_to_string(path).expect("it was written"));
        assert!(before.contains("held_request"), "{before}");
        assert_eq!(before, after);
        fs::remove_file(recording).expect("it was written");
    }
}

#[test]
fn a_report_stands_beside_its_recording_and_says_so() {
    let (gunicorn, dir) = holding();
    let run = ["-d", "0.3", "--recording", "run.pyperf", "-o", "first.svg"];
    Pyperf::attach(gunicorn.pid(), run).cwd(&dir).run().succeeded();
    let finished = Pyperf::new(["report", "run.pyperf"]).cwd(&dir).run().succeeded();
    assert!(finished.stdout.starts_with("run.svg: "), "{}", finished.stdout);
    let quiet = Pyperf::new(["report", "-q", "-f", "speedscope", "run.pyperf"]).cwd(&dir).run().succeeded();
    assert_eq!(quiet.stdout, "run.speedscope.json\n");
    assert_eq!(dir.names(), ["first.svg", "run.pyperf", "run.speedscope.json", "run.svg"]);
}

#[test]
fn a_recording_holds_what_the_graph_leaves_out() {
    let (gunicorn, _dir) = holding();
    let worker = gunicorn.workers()[0];
    let sampling = Sampling::of(gunicorn.pid());
    sampling.wait_for_samples(worker, "held_request", 10);
    let sampled = sampling.finish();
    assert!(
        sampled.stacks.stacks.iter().all(|(stack, _)| !stack.last().is_some_and(|leaf| leaf.contains("arbiter.py")))
    );
    assert!(sampled.recording.share(State::Idle, |sample| sample.role == "master") > 0.9);
    assert!(sampled.recording.share(State::Waiting, |sample| sample.pid == worker) > 0.7);
}

#[test]
fn a_recording_holds_the_cpu_time_of_each_process() {
    let gunicorn = Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).workers(2).start();
    let before = gunicorn.workers().into_iter().map(|worker| (worker, cpu_time(worker))).collect::<Vec<_>>();
    let sampling = Sampling::of(gunicorn.pid());
    for (worker, _) in &before {
        sampling.wait_for(*worker);
    }
    let busy: i32 = gunicorn.get("/burn?s=2").parse().expect("the answer is a pid");
    // Beside its first and last clock readings a worker does next to nothing.
    let after = before.iter().map(|(worker, _)| cpu_time(*worker)).collect::<Vec<_>>();
    let recording = sampling.finish().recording;
    for ((worker, before), after) in before.into_iter().zip(after) {
        let readings: Vec<_> = recording.cpu.iter().filter(|reading| reading.pid == worker).collect();
        let [first, .., last] = readings[..] else { panic!("only {readings:?}") };
        let (recorded, told) = (last.used.saturating_sub(first.used), after.saturating_sub(before));
        // User and system time are each told in steps of 10 ms, once before and once after.
        let step = Duration::from_millis(2 * 10);
        assert!(recorded <= told + step && told <= recorded + step, "{recorded:?} recorded, {told:?} told");
        assert_eq!(recorded > Duration::from_millis(200), worker == busy, "{recorded:?} of {worker}");
    }
    assert!(recording.cpu.iter().any(|reading| reading.pid == gunicorn.pid()));
    assert!(recording.sampler_cpu > Duration::ZERO && recording.sampler_cpu < 3 * recording.length, "{recording:?}");
}

#[test]
fn any_sqlite_reads_a_recording() {
    const QUESTION: &str = "import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute('PRAGMA application_id').fetchone()[0].to_bytes(4, 'big').decode())
print(connection.execute('SELECT rate FROM run').fetchone()[0])
print(connection.execute('SELECT pid FROM process WHERE role = ?', ['worker']).fetchone()[0])
print(connection.execute('''SELECT count(*) > 0 FROM sample JOIN stack ON stack.id = stack JOIN frame ON frame.id = frame
    WHERE state = 1 AND function = ?''', ['held_request']).fetchone()[0])";
    let (gunicorn, dir) = holding();
    let run = ["-r", "50", "-d", "0.5", "--recording", "run.pyperf"];
    Pyperf::attach(gunicorn.pid(), run).cwd(&dir).run().succeeded();
    let python = with_sqlite();
    let answer = Command::new(python.program()).args(["-c", QUESTION]).arg(dir.join("run.pyperf")).output();
    let answer = answer.expect("Python starts");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let worker = gunicorn.workers()[0];
    assert_eq!(String::from_utf8_lossy(&answer.stdout), format!("pypf\n50\n{worker}\n1\n"));
}

#[test]
fn an_existing_recording_is_refused_before_sampling() {
    let (gunicorn, dir) = holding();
    fs::write(dir.join("old.pyperf"), "precious").expect("the directory is ours");
    // Without -d it would sample for ever.
    let finished = Pyperf::attach(gunicorn.pid(), ["--recording", "old.pyperf"]).cwd(&dir).run();
    finished.ended_with(1).says(&["old.pyperf exists already", "rm old.pyperf"]);
    assert_eq!(dir.names(), ["old.pyperf"]);
    assert_eq!(fs::read_to_string(dir.join("old.pyperf")).expect("it is there"), "precious");
}

#[test]
fn what_is_no_recording_is_refused() {
    let dir = TempDir::new();
    fs::write(dir.join("text.pyperf"), "this is a text of some length, but no database of any kind").expect("ours");
    Pyperf::new(["report", "text.pyperf"]).cwd(&dir).run().ended_with(1).says(&["text.pyperf is not a recording"]);
    Pyperf::new(["report", "none.pyperf"]).cwd(&dir).run().ended_with(1).says(&["none.pyperf"]);
    assert_eq!(dir.names(), ["text.pyperf"]);
}

#[test]
fn a_recording_of_a_killed_run_can_be_reported() {
    let (gunicorn, dir) = holding();
    let sampling = Sampling::of(gunicorn.pid());
    sampling.wait_for_samples(gunicorn.workers()[0], "held_request", 10);
    let pyperf = sampling.running();
    pyperf.kill();
    wait::until("pyperf to die", PATIENCE, || (!is_alive(pyperf.pid())).then_some(()));
    let recording = sampling.recording().display().to_string();
    let out = dir.join("out.txt").display().to_string();
    Pyperf::new(["report", &recording, "-f", "collapsed", "-o", &out]).run().succeeded();
    assert!(fs::read_to_string(&out).expect("it was written").contains("held_request"));
}

/// A gunicorn with a request that does not end, and a directory.
fn holding() -> (Gunicorn, TempDir) {
    let gunicorn = Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).start();
    let gate = TempDir::new();
    drop(gunicorn.hold(&gate.join("gate")));
    (gunicorn, TempDir::new())
}

/// The CPU time of a process as `/proc` tells it.
fn cpu_time(pid: i32) -> Duration {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat()).expect("the process exists");
    Duration::from_millis((stat.utime + stat.stime) * 1000 / procfs::ticks_per_second())
}

/// A Python that was built with its sqlite3 module.
fn with_sqlite() -> Python {
    let has = |python: &Python| {
        let import = Command::new(python.program()).args(["-c", "import sqlite3"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    Python::all().into_iter().find(has).expect("a Python with its sqlite3 module")
}

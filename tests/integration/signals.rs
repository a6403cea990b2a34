//! Ctrl-C, SIGTERM and SIGKILL: what was sampled is written once, whole or not at all, and the target runs on.

use std::fs::{self, File};
use std::io::Read;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::large_recording;
use crate::support::process::{self, is_alive};
use crate::support::pyperf::{Pyperf, Running};
use crate::support::python::Python;
use crate::support::recording;
use crate::support::sampling::Sampling;
use crate::support::script::Script;
use crate::support::temp_dir::TempDir;
use crate::support::wait::{self, PATIENCE};

#[test]
fn an_interrupt_ends_and_writes() {
    assert_ends_and_writes(Signal::SIGINT);
}

#[test]
fn a_termination_ends_and_writes() {
    assert_ends_and_writes(Signal::SIGTERM);
}

#[test]
fn a_hangup_ends_and_writes() {
    assert_ends_and_writes(Signal::SIGHUP);
}

#[test]
fn impatience_while_sampling_loses_nothing() {
    let script = Script::start(&Python::default(), "mix.py");
    let sampling = Sampling::of(script.pid());
    sampling.wait_for_samples(script.pid(), "mix", 10);
    // Held, it gets both at once when it goes on: a second signal before there is anything to give up.
    let pyperf = sampling.running().pid();
    hold(pyperf);
    process::signal(pyperf, Signal::SIGINT);
    process::signal(pyperf, Signal::SIGTERM);
    process::signal(pyperf, Signal::SIGCONT);
    assert!(sampling.ended().stacks.total() >= 10);
}

#[test]
fn a_second_interrupt_while_the_graph_is_written_cancels_it() {
    let (script, dir) = (Script::start(&Python::default(), "crowd.py"), TempDir::new());
    let fifo = dir.join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("the directory is ours");
    let whole = ["-r", "5", "-f", "collapsed", "--idle", "--threads", "--full-filenames"];
    let out = ["-o", "fifo", "--recording", "run.pyperf"];
    let running = Pyperf::attach(script.pid(), whole.into_iter().chain(out)).cwd(&dir).start();
    wait::until("a sample", PATIENCE, || recording::ask(&dir.join("run.pyperf"), "SELECT 1 FROM sample LIMIT 1"));
    running.interrupt();
    // It opens once pyperf has opened the other end, and one byte of it means that the rest is being written: megabytes,
    // of which a pipe takes 64 KiB.
    let mut graph = File::open(&fifo).expect("it is there");
    graph.read_exact(&mut [0]).expect("the graph begins");
    running.interrupt();
    wait_until_the_signal_is_handled(running.pid());
    let mut rest = Vec::new();
    graph.read_to_end(&mut rest).expect("the pipe is readable");
    let finished = running.wait(PATIENCE).ended_with(130).says(&["interrupted", "fifo was not written"]);
    assert_eq!(finished.stdout, "");
    assert!(rest.len() < 1 << 20, "all of it would be more than {} bytes", rest.len());
    assert_eq!(dir.names(), ["fifo", "run.pyperf"]);
}

#[test]
fn a_pipe_that_nobody_reads_can_be_given_up() {
    let (script, dir) = (Script::start(&Python::default(), "mix.py"), TempDir::new());
    mkfifo(&dir.join("fifo"), Mode::S_IRWXU).expect("the directory is ours");
    let running = Pyperf::attach(script.pid(), ["-o", "fifo", "--recording", "run.pyperf"]).cwd(&dir).start();
    wait::until("a sample", PATIENCE, || recording::ask(&dir.join("run.pyperf"), "SELECT 1 FROM sample LIMIT 1"));
    // The first ends the sampling; of the others one comes while the pipe waits for its reader.
    wait::until("pyperf to give up", PATIENCE, || {
        running.interrupt();
        (process::state(running.pid()) == 'Z').then_some(())
    });
    running.wait(PATIENCE).ended_with(130).says(&["interrupted", "fifo was not written"]);
}

#[test]
fn an_interrupt_while_a_recording_is_drawn_leaves_nothing_behind() {
    let dir = TempDir::new();
    large_recording::write(&dir.join("large.pyperf"));
    // The one format that grows with the samples.
    let report = ["report", "large.pyperf", "-o", "report", "-f", "speedscope"];
    let running = Pyperf::new(report).cwd(&dir).start();
    wait_for_part_of_report(&dir, &running);
    // It is pending when pyperf goes on, long before the rest could be written.
    running.interrupt();
    process::signal(running.pid(), Signal::SIGCONT);
    let finished = running.wait(PATIENCE).ended_with(130).says(&["interrupted", "report was not written"]);
    assert_eq!(finished.stdout, "");
    assert_eq!(dir.names(), ["large.pyperf"]);
}

#[test]
fn the_target_runs_on_when_pyperf_is_killed_in_a_blocking_read() {
    let gunicorn = Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).start();
    let worker = gunicorn.workers()[0];
    for moment in 1..=20 {
        let dir = TempDir::new();
        let running = Pyperf::attach(gunicorn.pid(), ["--blocking", "-r", "1000"]).cwd(&dir).start();
        // Killed at the latest when the worker has been found stopped so many times: in the middle of a read.
        wait::until("the worker to be stopped by a read", PATIENCE, || {
            (0..moment).all(|_| process::state(worker) == 't').then_some(())
        });
        running.kill();
        wait::until("pyperf to die", PATIENCE, || (!is_alive(running.pid())).then_some(()));
        for pid in [worker, gunicorn.pid()] {
            wait::until("the target to run on", PATIENCE, || (!is_stopped(pid)).then_some(()));
            assert_eq!(tracer(pid), 0, "process {pid} after kill {moment}");
        }
        assert_eq!(gunicorn.get("/fast"), worker.to_string(), "after kill {moment}");
    }
}

#[test]
fn the_target_runs_on_after_every_ordinary_end_of_a_blocking_run() {
    let gunicorn = Gunicorn::of(&Environment::new(&Python::default(), Packages::Web)).start();
    let worker = gunicorn.workers()[0];
    let sampling = Sampling::with(gunicorn.pid(), ["--blocking", "-r", "1000"]);
    sampling.wait_for(worker);
    gunicorn.get("/burn?s=0.2");
    sampling.wait_for_samples(worker, "burn_cpu", 5);
    let sampled = sampling.finish();
    assert!(sampled.finished.stdout.contains("; blocking · processes stopped for "), "{}", sampled.finished.stdout);
    assert!(!is_stopped(worker) && tracer(worker) == 0);
    assert_eq!(gunicorn.get("/fast"), worker.to_string());
}

fn assert_ends_and_writes(signal: Signal) {
    let script = Script::start(&Python::default(), "mix.py");
    let sampling = Sampling::of(script.pid());
    sampling.wait_for_samples(script.pid(), "mix", 10);
    process::signal(sampling.running().pid(), signal);
    let sampled = sampling.ended();
    assert!(sampled.stacks.total() >= 10);
    assert!(sampled.finished.stdout.starts_with("stacks.txt: "), "{}", sampled.finished.stdout);
}

/// Waits until part of the report is written, and holds the writer there.
fn wait_for_part_of_report(dir: &TempDir, running: &Running) {
    let part = dir.join(&format!(".report.{}.part", running.pid()));
    wait::until("part of the report", PATIENCE, || {
        assert!(is_alive(running.pid()), "it was too fast: {}", running.stderr().text());
        fs::metadata(&part).is_ok_and(|file| file.len() > 0).then_some(())
    });
    hold(running.pid());
    assert!(part.exists() && !dir.join("report").exists(), "it was too fast");
}

fn hold(pid: i32) {
    process::signal(pid, Signal::SIGSTOP);
    wait::until("it to stop", PATIENCE, || (process::state(pid) == 'T').then_some(()));
}

/// A thread runs from the moment in which the signal arrives to that in which it has been dealt with; then all sleep again, or the
/// signal has ended them.
fn wait_until_the_signal_is_handled(pid: i32) {
    let process = procfs::process::Process::new(pid).expect("pyperf runs");
    let at_rest = || {
        let pending = process.status().expect("pyperf runs").shdpnd;
        let tasks = process.tasks().expect("pyperf runs").flatten();
        pending == 0 && tasks.flat_map(|task| task.stat()).all(|stat| matches!(stat.state, 'S' | 'Z'))
    };
    // Threads are looked at one after the other, so one look could miss how one wakes the other.
    wait::until("the signal to be handled", PATIENCE, || (0..3).all(|_| at_rest()).then_some(()));
}

/// By a signal or by a tracer.
fn is_stopped(pid: i32) -> bool {
    matches!(process::state(pid), 'T' | 't')
}

fn tracer(pid: i32) -> i32 {
    let status = procfs::process::Process::new(pid).and_then(|process| process.status());
    status.expect("the process exists").tracerpid
}

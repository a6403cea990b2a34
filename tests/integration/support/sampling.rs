//! A `pyperf attach` under way. Its recording says what it has seen, so a test can wait for that instead of for a time.

use std::fs;
use std::path::PathBuf;

use super::collapsed::Collapsed;
use super::gunicorn::Gunicorn;
use super::pyperf::{Finished, Pyperf, Running};
use super::recording::{self, Recording};
use super::temp_dir::TempDir;
use super::wait::{self, PATIENCE};

const STACKS: &str = "stacks.txt";
const RECORDING: &str = "recording.pyperf";

/// Samples a process and its descendants until it is told to stop.
pub struct Sampling {
    running: Running,
    dir: TempDir,
}

/// What came of it.
pub struct Sampled {
    pub finished: Finished,
    pub stacks: Collapsed,
    pub recording: Recording,
}

impl Sampling {
    /// Samples `pid` with the defaults.
    pub fn of(pid: i32) -> Sampling {
        Sampling::with(pid, [])
    }

    /// Samples `pid` with further arguments.
    pub fn with<const N: usize>(pid: i32, arguments: [&str; N]) -> Sampling {
        let dir = TempDir::new();
        let own = ["--format", "collapsed", "--output", STACKS, "--recording", RECORDING];
        let running = Pyperf::attach(pid, own.into_iter().chain(arguments)).cwd(&dir).start();
        Sampling { running, dir }
    }

    /// Samples a gunicorn whose worker works on one request and then holds another.
    pub fn of_work_and_waiting(gunicorn: &Gunicorn, worker: i32) -> Sampled {
        let sampling = Sampling::of(gunicorn.pid());
        sampling.wait_for(worker);
        gunicorn.get("/burn?s=0.3");
        let dir = TempDir::new();
        drop(gunicorn.hold(&dir.join("gate")));
        sampling.wait_for_samples(worker, "held_request", 10);
        sampling.finish()
    }

    /// The process that samples.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Where the recording grows.
    pub fn recording(&self) -> PathBuf {
        self.dir.join(RECORDING)
    }

    /// Waits until the process is being sampled.
    pub fn wait_for(&self, pid: i32) {
        self.wait_until(&format!("SELECT count(*) FROM process WHERE pid = {pid}"), 1);
    }

    /// Waits until the process has been seen to end.
    pub fn wait_for_death_of(&self, pid: i32) {
        self.wait_until(&format!("SELECT count(*) FROM process WHERE pid = {pid} AND died IS NOT NULL"), 1);
    }

    /// Waits until there are `count` samples of the process that have the function on their stack. The function is named as in
    /// the recording, so choose one that is no method.
    pub fn wait_for_samples(&self, pid: i32, function: &str, count: i64) {
        let question = format!(
            "WITH RECURSIVE inside(id) AS (
                SELECT stack.id FROM stack JOIN frame ON frame.id = frame WHERE function = '{function}'
                UNION SELECT stack.id FROM stack JOIN inside ON caller = inside.id
             )
             SELECT count(*) FROM sample JOIN thread ON thread.id = thread JOIN process ON process.id = process
             WHERE pid = {pid} AND stack IN inside"
        );
        self.wait_until(&question, count);
    }

    /// Ends it with Ctrl-C.
    pub fn finish(self) -> Sampled {
        self.running.interrupt();
        self.ended()
    }

    /// Waits for an end that comes by itself, or was asked for otherwise. Nothing but its two files may be left behind.
    pub fn ended(self) -> Sampled {
        let finished = self.running.wait(PATIENCE).succeeded();
        assert_eq!(self.dir.names(), [RECORDING, STACKS]);
        let stacks = fs::read_to_string(self.dir.join(STACKS)).expect("the file was written");
        let recording = Recording::read(&self.dir.join(RECORDING));
        Sampled { finished, stacks: Collapsed::parse(&stacks), recording }
    }

    /// Waits until the recording's answer to a question of SQL is at least `count`.
    pub fn wait_until(&self, question: &str, count: i64) {
        let recording = self.recording();
        // On a busy machine samples that differ from each other are slow to come.
        let seen = wait::within(3 * PATIENCE, || recording::ask(&recording, question).filter(|found| *found >= count));
        let (out, err) = (self.running.stdout().text(), self.running.stderr().text());
        assert!(seen.is_some(), "never {count} or more: {question}\nstdout: {out}\nstderr: {err}");
    }
}

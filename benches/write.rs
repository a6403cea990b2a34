//! Whether writing a recording makes the sampler late, and what a sample and a request take on the disk. `cargo bench --bench write`
//!
//! Eight threads at 1000 Hz, in one process and in eight, 5000 distinct stacks of 30 frames. Three ways take turns: nothing is
//! written, the samples are, and the samples and a load of 1000 requests a second are, into one file. A read is late by the time
//! from when it was due; a tick is skipped when its slot was over before it could be read.

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]
#![expect(clippy::print_stdout, reason = "the result of a bench")]

#[expect(dead_code, reason = "this bench has a size of its own, and draws nothing")]
mod shared;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use pyperf::clock::{Clock, Moment};
use pyperf::process::tree::{Follow, ProcessTree};
use pyperf::recording::file::RecordingFile;
use pyperf::recording::traffic::log::{Batch, RequestRow, UserRow, UserState};
use pyperf::recording::{Recording, Run, State, ThreadStack};
use pyperf::sampler::{Options, Pace, Sampler};
use pyperf::stack::{ReadError, Reader, StackReader};
use pyperf::stop::{Stop, StopReason};
use rusqlite::Connection;
use shared::{STACKS, frames, run};

const RATE: u32 = 1000;
const ROUNDS: usize = 3;
const LENGTH: Duration = Duration::from_secs(5);
/// Requests a second; a user sends four.
const REQUESTS: u64 = 1000;

/// A process whose threads run, each at its own place in the distinct stacks.
struct Threads {
    count: u32,
    reads: u32,
}

impl StackReader for Threads {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.reads += 1;
        let thread = |ident: u32| ThreadStack {
            ident: ident.into(),
            stack: frames((self.reads * self.count + ident) % STACKS).into_iter().map(Arc::new).collect(),
            state: State::Running,
            gil: true,
            ..ThreadStack::default()
        };
        Ok((0..self.count).map(thread).collect())
    }
}

/// A Python for the sampler to follow; what it reads there is made up.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let sleep = "import time; time.sleep(3600)";
        Self(Command::new("python3").args(["-c", sleep]).spawn().expect("python3 starts"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is written while the sampler works.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    Samples,
    SamplesAndLoad,
}

/// What was found, all rounds together.
#[derive(Default)]
struct Found {
    late: Vec<Duration>,
    skipped: u64,
    dropped: u64,
    samples: u64,
    cpu: Duration,
    length: Duration,
    sizes: Vec<Sizes>,
}

/// Bytes of the file, and of each row of the tables that grow.
struct Sizes {
    whole: u64,
    sample: f64,
    stacks: u64,
    request: f64,
    user: f64,
}

fn main() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}.pyperf", std::process::id()));
    for (processes, threads) in [(1, 8), (8, 1)] {
        let mut found =
            [Written::Nothing, Written::Samples, Written::SamplesAndLoad].map(|way| (way, Found::default()));
        for _ in 0..ROUNDS {
            for (way, found) in &mut found {
                found.add(&sampled(processes, threads, *way, &path));
                if !matches!(way, Written::Nothing) {
                    found.sizes.push(Sizes::of(&path));
                    std::fs::remove_file(&path).expect("the file is ours");
                }
            }
        }
        println!("\n{RATE} Hz, {processes} processes of {threads} threads, {ROUNDS} times {LENGTH:?}");
        println!("  written             late by median    99 %  99.9 %  at most  ticks skipped  samples lost  CPU");
        for (way, found) in &mut found {
            found.print(*way);
        }
    }
}

/// Samples for a while.
fn sampled(processes: usize, threads: u32, way: Written, path: &Path) -> Recording {
    let sleepers: Vec<Sleeper> = (0..processes).map(|_| Sleeper::start()).collect();
    let pids = sleepers.iter().map(|sleeper| sleeper.0.id().cast_signed()).collect();
    let opener = Box::new(move |_| {
        Ok(Reader {
            stacks: Box::new(Threads { count: threads, reads: 0 }),
            python: "3.11.7".into(),
            instead: None,
            names: None,
        })
    });
    let (clock, stop) = (Clock::start(), Stop::default());
    let run = Run { rate: RATE, ..run() };
    let file = match way {
        Written::Nothing => None,
        _ => Some(RecordingFile::create(path, &run).expect("a new file")),
    };
    let options = Options { run, duration: None, file: file.clone() };
    let tree = ProcessTree::new(pids, Follow::RootsOnly);
    let sampler = Sampler::start(tree, opener, options, clock, &stop).expect("it starts");
    let (end, mut requests) = (clock.now() + LENGTH, 0);
    // As the load's own thread does: a batch a second.
    while clock.now() < end {
        assert_eq!(stop.wait(Duration::from_secs(1).min(end.since(clock.now()))), None);
        if let (Written::SamplesAndLoad, Some(file)) = (way, &file) {
            file.clone().append_traffic(&batch(requests, clock.now())).expect("the disk has room");
            requests += REQUESTS;
        }
    }
    stop.request(StopReason::DurationOver);
    let outcome = sampler.finish().expect("the recorder works");
    assert!(outcome.file_error.is_none(), "{:?}", outcome.file_error);
    outcome.recording
}

/// What a second of load tells.
fn batch(first: u64, now: Moment) -> Batch {
    let ago = |micros: u64| Moment::from_nanos(now.as_nanos().saturating_sub(micros * 1000));
    let request = |number: u64| RequestRow {
        due: ago(1_030_000 - (number - first) * 1000),
        sent: Some(ago(1_029_900 - (number - first) * 1000)),
        head: Some(ago(1_010_000 - (number - first) * 1000)),
        done: ago(1_009_000 - (number - first) * 1000),
        queued: Duration::ZERO,
        dns: None,
        connect: number.is_multiple_of(4).then_some(Duration::from_micros(210)),
        tls: None,
        server: None,
        received: 2_345,
        phase: 2,
        scenario: 1,
        endpoint: u32::try_from(number % 12).unwrap_or_default(),
        line: 40,
        user: number / 4,
        status: Some(200),
        error: None,
        local_port: Some(40_000),
    };
    let user = |number: u64| UserRow {
        number,
        phase: 2,
        scenario: Some(1),
        due: ago(1_030_000),
        began: ago(1_029_900),
        ended: Some(now),
        state: UserState::Completed,
    };
    Batch {
        requests: (first..first + REQUESTS).map(request).collect(),
        users: (first / 4..(first + REQUESTS) / 4).map(user).collect(),
        ..Batch::default()
    }
}

impl Found {
    fn add(&mut self, recording: &Recording) {
        for process in 0..recording.processes.len() {
            self.late.extend(late(recording, process));
        }
        self.skipped += recording.losses.late;
        self.dropped += recording.losses.dropped;
        self.samples += recording.samples.len();
        self.cpu += recording.sampler_cpu;
        self.length += recording.length;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of samples")]
    fn print(&mut self, way: Written) {
        self.late.sort_unstable();
        let at = |share: usize| self.late.get((self.late.len() - 1) * share / 1000).copied().unwrap_or_default();
        let millis = |share| format!("{:.3}", at(share).as_secs_f64() * 1e3);
        let name = match way {
            Written::Nothing => "nothing",
            Written::Samples => "samples",
            Written::SamplesAndLoad => "samples and load",
        };
        println!(
            "  {name:<19} {:>14} {:>7} {:>7} {:>5} ms {:>14} {:>13} {:>3.1} % of a core",
            millis(500),
            millis(990),
            millis(999),
            millis(1000),
            self.skipped,
            self.dropped,
            100.0 * self.cpu.as_secs_f64() / self.length.as_secs_f64()
        );
        if let Some(sizes) = self.sizes.first() {
            let all = self.sizes.iter().map(|sizes| sizes.whole).sum::<u64>() as f64 / self.samples as f64;
            print!(
                "    a sample {:.1} bytes, {} bytes of stacks, the file {all:.1} bytes a sample",
                sizes.sample, sizes.stacks
            );
            if matches!(way, Written::SamplesAndLoad) {
                print!("; a request {:.1} bytes, a user {:.1}", sizes.request, sizes.user);
            }
            println!();
        }
    }
}

/// How late each read of a process was, from the moments of its samples and the schedule that they had.
fn late(recording: &Recording, process: usize) -> Vec<Duration> {
    let pace = Pace::new(RATE, u64::try_from(process).unwrap_or_default());
    let of_process =
        |thread| recording.threads.get(thread).is_some_and(|thread| thread.process.index() as usize == process);
    let mut moments: Vec<Moment> =
        recording.samples.iter().filter(|sample| of_process(sample.thread)).map(|sample| sample.moment).collect();
    moments.sort_unstable();
    moments.dedup();
    // The schedule begins with a thread that was started when the process was born. Places in it are random, so that only one
    // beginning fits the reads.
    let starts = (0..2000_u32).map(|step| recording.processes[process].born + step * Duration::from_micros(10));
    let start = starts.min_by_key(|start| behind(pace, &moments, *start).iter().sum::<Duration>());
    behind(pace, &moments, start.unwrap_or_default())
}

/// How long after it was due each read came: it belongs to the last slot that was due by then, unless the next one does too.
fn behind(pace: Pace, moments: &[Moment], start: Moment) -> Vec<Duration> {
    let slot = 1_000_000_000 / u64::from(RATE);
    let mut next = u64::MAX;
    let late = moments.iter().rev().map(|moment| {
        let passed = moment.since(start);
        let number = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX) / slot;
        let number = if pace.due(number) <= passed { number } else { number.saturating_sub(1) };
        next = number.min(next.saturating_sub(1));
        passed.saturating_sub(pace.due(next))
    });
    late.collect()
}

impl Sizes {
    fn of(path: &PathBuf) -> Self {
        let file = Connection::open(path).expect("the recording opens");
        let ask = |question: &str| file.query_row(question, [], |row| row.get::<_, u32>(0)).expect("SQLite answers");
        let table = |name: &str| ask(&format!("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = '{name}'"));
        let each = |name: &str| f64::from(table(name)) / f64::from(ask(&format!("SELECT count(*) FROM {name}")));
        Self {
            whole: std::fs::metadata(path).expect("it is there").len(),
            sample: each("sample"),
            stacks: u64::from(table("stack") + table("frame")),
            request: each("request"),
            user: each("user"),
        }
    }
}

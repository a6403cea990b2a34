//! What Ctrl+C waits for: one million samples of 5000 distinct stacks of 30 frames. Measured in its parts, from a recording in
//! memory, and as a whole: from the request to stop a running sampler to the SVG in its place. `cargo bench --bench report`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use pyperf::clock::{Clock, Moment};
use pyperf::interned::Id;
use pyperf::process::tree::{Follow, ProcessTree};
use pyperf::profile::{FrameStyle, Selection, View};
use pyperf::recording::{Frame, Mode, Process, ProcessId, Recording, Role, Run, Sample, State, Thread, ThreadStack};
use pyperf::report::{Format, Report};
use pyperf::sampler::{Attached, Sampler};
use pyperf::stack::{ReadError, StackReader};
use pyperf::stop::{Stop, StopReason};

const SAMPLES: u32 = 1_000_000;
const STACKS: u32 = 5_000;
const DEPTH: u32 = 30;
const WORKERS: u32 = 8;

fn run() -> Run {
    Run {
        target: "gunicorn booking:app, pid 10".into(),
        started: SystemTime::UNIX_EPOCH,
        rate: 100,
        mode: Mode::NonBlocking,
    }
}

/// Stacks part ways level by level, as an application's do: the deeper, the more of them differ.
fn frames(stack: u32) -> Vec<Frame> {
    let frame = |level: u32| {
        let branch = stack % (1 + level * level);
        let module = format!("package_{}/module.py", branch % 7);
        Frame {
            function: format!("function_{level}_{branch}"),
            file: format!("/srv/venv/lib/python3.11/site-packages/{module}"),
            short_file: Some(module),
            line: 10 + stack % 3,
        }
    };
    (0..DEPTH).map(frame).collect()
}

fn recording() -> Recording {
    let mut recording = Recording::new(run());
    for worker in 0..WORKERS {
        recording.processes.push(Process {
            id: ProcessId { pid: 11 + worker.cast_signed(), started: 1 },
            role: Role::Worker,
            root: 10,
            python: "3.11.7".into(),
            born: Moment::default(),
            died: None,
        });
    }
    let stacks: Vec<_> = (0..STACKS).map(|stack| recording.stacks.insert(frames(stack)).0).collect();
    for sample in 0..SAMPLES {
        let thread = Thread { process: Id::from_index(sample % WORKERS), ident: 1 };
        let thread = recording.thread(thread, None, None);
        let stack = stacks[(u64::from(sample) * 7919 % u64::from(STACKS)) as usize];
        let moment = Moment::from_nanos(u64::from(sample) * 1_250_000);
        recording.samples.push(Sample { moment, thread, stack, state: State::Running, gil: true });
    }
    recording
}

/// A process of 100 running threads, which shows each of the distinct stacks once in 50 reads.
#[derive(Default)]
struct ManyThreads {
    reads: u32,
}

impl StackReader for ManyThreads {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.reads += 1;
        let thread = |ident: u32| ThreadStack {
            ident: ident.into(),
            frames: frames((self.reads * 100 + ident) % STACKS),
            state: State::Running,
            gil: true,
            ..ThreadStack::default()
        };
        Ok((0..100).map(thread).collect())
    }
}

/// A Python for the sampler to follow; what it reads there is made up.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time from the request to stop until the SVG is in its place.
fn stop_to_file(file: &Path) -> Duration {
    let sleep = "import time; time.sleep(3600)";
    let sleeper = Sleeper(Command::new("python3").args(["-c", sleep]).spawn().expect("python3 starts"));
    let tree = ProcessTree::new(vec![sleeper.0.id().cast_signed()], Follow::RootsOnly);
    let attach = Box::new(|_| Ok(Attached { reader: Box::new(ManyThreads::default()), python: "3.11.7".into() }));
    let (clock, stop) = (Clock::start(), Stop::default());
    let options = pyperf::sampler::Options { run: Run { rate: 2000, ..run() }, duration: None, file: None };
    let sampler = Sampler::start(tree, attach, options, clock, &stop).expect("it starts");
    while sampler.progress().samples < u64::from(SAMPLES) {
        assert_eq!(stop.wait(Duration::from_millis(1)), None);
    }
    let asked = clock.now();
    stop.request(StopReason::Interrupted);
    let outcome = sampler.finish().expect("the recorder works");
    let mut to = BufWriter::new(File::create(file).expect("a file for temporary data"));
    Report::of(&outcome.recording, view()).write(Format::Flamegraph, &mut to).expect("the disk has room");
    to.flush().expect("the disk has room");
    clock.now().since(asked)
}

fn view() -> View {
    View {
        selection: Selection { idle: false, gil_only: false, supervisors: false, root: None },
        levels: Vec::new(),
        style: FrameStyle { lines: true, full_files: false },
    }
}

fn report(criterion: &mut Criterion) {
    let recording = recording();
    let mut group = criterion.benchmark_group("one million samples");
    group.sample_size(10);
    group.bench_function("fold", |bencher| bencher.iter(|| black_box(Report::of(&recording, view()))));
    for (name, format) in [
        ("fold and write a flamegraph", Format::Flamegraph),
        ("fold and write collapsed stacks", Format::Collapsed),
        ("fold and write speedscope", Format::Speedscope),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bytes = Vec::new();
                Report::of(&recording, view()).write(format, &mut bytes).expect("memory takes everything");
                black_box(bytes)
            });
        });
    }
    let file = std::env::temp_dir().join(format!("pyperf-bench-{}.svg", std::process::id()));
    group.bench_function("from the request to stop to the written flamegraph", |bencher| {
        // Collecting the samples takes far longer than what is measured, so each collection is measured once.
        bencher.iter_custom(|times| {
            let times_or_one = u32::try_from(times).unwrap_or(1);
            stop_to_file(&file) * times_or_one
        });
    });
    let _ = std::fs::remove_file(&file);
    group.finish();
}

criterion_group!(benches, report);
criterion_main!(benches);

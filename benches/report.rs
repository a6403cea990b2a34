//! From a recording in memory to the written file, which is what Ctrl+C waits for: one million samples, 5000 distinct stacks
//! of 30 frames. `cargo bench --bench report`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

use std::hint::black_box;
use std::time::SystemTime;

use criterion::{Criterion, criterion_group, criterion_main};
use pyperf::clock::Moment;
use pyperf::interned::Id;
use pyperf::profile::{FrameStyle, Selection, View};
use pyperf::recording::{Frame, Mode, Process, ProcessId, Recording, Role, Run, Sample, State, Thread};
use pyperf::report::{Format, Report};

const SAMPLES: u64 = 1_000_000;
const STACKS: u64 = 5_000;
const DEPTH: u64 = 30;
const WORKERS: u32 = 8;

fn recording() -> Recording {
    let mut recording = Recording::new(Run {
        target: "gunicorn booking:app, pid 10".into(),
        started: SystemTime::UNIX_EPOCH,
        rate: 100,
        mode: Mode::NonBlocking,
    });
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
    let stacks: Vec<_> = (0..STACKS)
        .map(|stack| {
            // Stacks part ways level by level, as an application's do: the deeper, the more of them differ.
            let frames = (0..DEPTH).map(|level| {
                let branch = stack % (1 + level * level);
                Frame {
                    function: format!("function_{level}_{branch}"),
                    file: format!("/srv/venv/lib/python3.11/site-packages/package_{}/module.py", branch % 7),
                    short_file: Some(format!("package_{}/module.py", branch % 7)),
                    line: 10 + u32::try_from(stack % 3).expect("small"),
                }
            });
            recording.stacks.insert(frames).0
        })
        .collect();
    for sample in 0..SAMPLES {
        let thread = Thread { process: Id::from_index(u32::try_from(sample).expect("fits") % WORKERS), ident: 1 };
        let thread = recording.thread(thread, None, None);
        let stack = stacks[usize::try_from(sample * 7919 % STACKS).expect("fits")];
        let moment = Moment::from_nanos(sample * 1_250_000);
        recording.samples.push(Sample { moment, thread, stack, state: State::Running, gil: true });
    }
    recording
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
    group.finish();
}

criterion_group!(benches, report);
criterion_main!(benches);

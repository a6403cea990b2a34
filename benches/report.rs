//! From a recording in memory to the written report: one million samples. `cargo bench --bench report`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

mod shared;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pyperf::clock::Moment;
use pyperf::interned::Id;
use pyperf::recording::{Process, ProcessId, Recording, Role, Sample, Thread};
use pyperf::report::{Format, Report};
use shared::{SAMPLES, STACKS, frames, run, view};

const WORKERS: u32 = 8;

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
        let stack = stacks[usize::try_from(u64::from(sample) * 7919 % u64::from(STACKS)).expect("fits")];
        let moment = Moment::from_nanos(u64::from(sample) * 1_250_000);
        recording.samples.push(Sample::running(moment, thread, stack));
    }
    recording
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

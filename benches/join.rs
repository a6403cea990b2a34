//! Ten million samples and a timeline of twelve phases: each sample gets its phase, its process and the endpoints in
//! flight. `cargo bench --bench join`

#![expect(clippy::expect_used, reason = "a bench that cannot run says so by failing")]

mod shared;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pyperf::clock::Moment;
use pyperf::interned::Id;
use pyperf::profile::compare::compare;
use pyperf::profile::demand::{self, Demand};
use pyperf::profile::endpoint::narrowed;
use pyperf::profile::hot::{Functions, heat};
use pyperf::profile::offset::estimate;
use pyperf::profile::presence::PresenceCursor;
use pyperf::profile::{Level, Profile, Selection, join};
use pyperf::recording::traffic::EndpointLabel;
use pyperf::recording::traffic::flights::{Flight, Flights};
use pyperf::recording::{Phase, Process, ProcessId, Recording, Role, Sample, Thread};
use shared::{SAMPLES, STACKS, frames, run, view};

const LABELLED: u32 = 10 * SAMPLES;
const WORKERS: u32 = 8;
const PHASES: u64 = 12;
/// Between two samples.
const GAP: u64 = 125_000;

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
    let length = u64::from(LABELLED) * GAP / PHASES;
    let phase = |number: u64| Phase {
        name: format!("phase {number}"),
        arrivals: "20 users/s".into(),
        began: Moment::from_nanos(number * length),
        ended: Moment::from_nanos((number + 1) * length),
    };
    recording.timeline.phases = (0..PHASES).map(phase).collect();
    let stacks: Vec<_> = (0..STACKS).map(|stack| recording.stacks.insert(frames(stack)).0).collect();
    for sample in 0..LABELLED {
        let thread = Thread { process: Id::from_index(sample % WORKERS), ident: 1 };
        let thread = recording.thread(thread, None, None);
        let stack = stacks[usize::try_from(u64::from(sample) * 7919 % u64::from(STACKS)).expect("fits")];
        // Workers are read side by side: every other sample is a little older than the one before.
        let moment = Moment::from_nanos(u64::from(sample ^ 1) * GAP);
        recording.samples.push(Sample::running(moment, thread, stack));
    }
    recording
}

fn labelling(criterion: &mut Criterion) {
    let recording = recording();
    let mut group = criterion.benchmark_group("ten million samples");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(LABELLED)));
    group.bench_function("read", |bencher| {
        bencher.iter(|| recording.samples.iter().map(|sample| sample.stack.index()).fold(0, u32::wrapping_add));
    });
    group.bench_function("read and label with phase and process", |bencher| {
        bencher.iter(|| {
            let label = |joined: pyperf::profile::Joined| {
                let process = joined.process.map_or(0, Id::index) as usize;
                joined.phase.unwrap_or(0) + process + joined.sample.stack.index() as usize
            };
            black_box(join(&recording).map(label).fold(0, usize::wrapping_add))
        });
    });
    group.bench_function("fold", |bencher| bencher.iter(|| black_box(Profile::of(&recording, &view()))));
    group.bench_function("fold by phase", |bencher| {
        let mut view = view();
        view.levels.push(Level::Phase);
        bencher.iter(|| black_box(Profile::of(&recording, &view)));
    });
    group.bench_function("heat of each phase, and one phase against another", |bencher| {
        bencher.iter(|| {
            let functions = Functions::of(&recording.stacks);
            let heats = heat(&recording, &functions, &Selection::default());
            black_box(compare(&heats[0], &heats[1]))
        });
    });
    group.finish();
}

const ENDPOINTS: u32 = 20;
const REQUESTS: u32 = 1_000_000;

/// About eight requests in flight at every moment, of which 800 end in a second.
fn load() -> Flights {
    let gap = u64::from(LABELLED) * GAP / u64::from(REQUESTS);
    let endpoint = |number| EndpointLabel {
        method: "GET".into(),
        path: format!("/api/v1/part-{number}/"),
        query: String::new(),
        name: None,
        metric: None,
    };
    let flight = |number: u32| {
        let began = Moment::from_nanos(u64::from(number) * gap);
        let took = Duration::from_nanos(gap * u64::from(1 + number * 7919 % 16));
        Flight { began, done: began + took, endpoint: number * 31 % ENDPOINTS, sent: true, failed: false }
    };
    Flights {
        requests: (0..REQUESTS).map(flight).collect(),
        users: Vec::new(),
        endpoints: (0..ENDPOINTS).map(endpoint).collect(),
        missing: 0,
    }
}

fn in_flight(criterion: &mut Criterion) {
    let (recording, load) = (recording(), load());
    let presence = demand::in_flight(&load);
    let wanted: Vec<bool> = (0..ENDPOINTS).map(|endpoint| endpoint == 3).collect();
    let split = demand::wanted_in_flight(&load, &wanted);
    let mut group = criterion.benchmark_group("ten million samples, a million requests");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(LABELLED)));
    group.bench_function("label with phase, process and endpoints in flight", |bencher| {
        bencher.iter(|| {
            let mut cursor = PresenceCursor::new(&presence);
            let label = |joined: pyperf::profile::Joined| {
                let present = cursor.at(joined.sample.moment);
                joined.phase.unwrap_or(0) + present.groups[3] as usize + present.all as usize
            };
            black_box(join(&recording).map(label).fold(0, usize::wrapping_add))
        });
    });
    group.bench_function("keep those of one endpoint", |bencher| {
        bencher.iter(|| black_box(narrowed(&recording.samples, &split)));
    });
    group.throughput(Throughput::Elements(u64::from(REQUESTS)));
    group.bench_function("put the requests in order", |bencher| {
        bencher.iter(|| black_box(demand::in_flight(&load)));
    });
    group.bench_function("sum up what each phase asked for", |bencher| {
        bencher.iter(|| black_box(Demand::of(&load, &recording.timeline)));
    });
    group.bench_function("look for another offset of the clocks", |bencher| {
        bencher.iter(|| black_box(estimate(&recording, &presence, 2_000_000_000)));
    });
    group.finish();
}

criterion_group!(benches, labelling, in_flight);
criterion_main!(benches);

//! A recording in which threads do all that threads can do, for known shares of their time: made up, without a run.
//!
//! Two workers, twenty seconds in two phases, of a load without requests. A worker's pattern of ten samples, by turns: two
//! that use CPU time (9 ms in `parse`, 1 ms in `render`), one that waits for a core, two for the GIL, three for a database, one for
//! a name without harm in it, one idle. The clock of each worker says what its samples carry and a quarter more.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pyperf::clock::Moment;
use pyperf::interned::Id;
use pyperf::recording::file::RecordingFile;
use pyperf::recording::traffic::log::{Batch, LoadHead, LoadState};
use pyperf::recording::{
    CpuReading, Frame, Mode, Phase, Process, ProcessId, Recording, Role, Run, Sample, State, Thread, Wait, WaitId,
};

/// Samples of each worker, a hundred a second.
pub const SAMPLES: u64 = 2000;
/// CPU time of all samples, in microseconds.
pub const CPU_MICROS: u64 = 2 * SAMPLES / 10 * (9_000 + 1_000);
/// Where the database is.
pub const DATABASE: &str = "10.0.0.5:5432";

/// Writes it.
pub fn write(path: &Path) {
    let run = Run { target: "made up".into(), started: SystemTime::UNIX_EPOCH, rate: 100, mode: Mode::NonBlocking };
    let mut recording = Recording::new(run);
    recording.length = Duration::from_secs(20);
    recording.reads = 2 * SAMPLES;
    let wait = |call: &str, on: &str| Wait { call: call.into(), on: Some(on.into()) };
    let waits = [wait("recv", DATABASE), wait("re;cv\n", "\u{1b}[2Jx")].map(|wait| recording.waits.intern(wait));
    for worker in [0, 1] {
        sampled(&mut recording, worker, waits);
    }
    let mut file = RecordingFile::create(path, &recording.run).expect("the directory is ours");
    let head = LoadHead {
        target: "http://made-up".into(),
        seed: 7,
        began: Moment::default(),
        phases: Vec::new(),
        scenarios: Vec::new(),
        endpoints: Vec::new(),
    };
    file.begin_traffic(&head).expect("the disk has room");
    let phase = |name: &str, began, ended| {
        let [began, ended] = [began, ended].map(at);
        Phase { name: name.into(), arrivals: "5 users/s".into(), began, ended }
    };
    let phases = vec![phase("light", 0, 10_000), phase("heavy", 10_000, 20_000)];
    let state = LoadState { ended: at(20_000), over: true, ..LoadState::default() };
    file.append_traffic(&Batch { phases, state, ..Batch::default() }).expect("the disk has room");
    file.append(&recording).expect("the disk has room");
}

const fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn sampled(recording: &mut Recording, worker: u32, [database, other]: [WaitId; 2]) {
    let id = ProcessId { pid: 11 + worker.cast_signed(), started: 1 };
    recording.processes.push(Process {
        id,
        role: Role::Worker,
        root: 10,
        python: "3.12.1".into(),
        born: Moment::default(),
        died: None,
    });
    let process = Id::from_index(worker);
    let thread = recording.thread(Thread { process, ident: 1 }, Some("MainThread"), Some(id.pid));
    for tick in 0..SAMPLES {
        let (state, wait, micros, function) = match tick % 10 {
            0 => (State::Running, None, 9_000, "parse"),
            1 => (State::Running, None, 1_000, "render"),
            2 => (State::Runnable, None, 0, "render"),
            3..5 => (State::GilWait, None, 0, "render"),
            5..8 => (State::Waiting, Some(database), 0, "query"),
            8 => (State::Waiting, Some(other), 0, "query"),
            _ => (State::Idle, None, 0, "accept"),
        };
        let frame = |function: &str| Frame {
            function: function.into(),
            file: "/srv/app.py".into(),
            short_file: Some("app.py".into()),
            line: 3,
        };
        let (stack, _) = recording.stacks.insert(["main", function].map(frame));
        let (gil, cpu) = (state == State::Running, Duration::from_micros(micros));
        recording.samples.push(Sample { moment: at(10 * tick + 5), thread, stack, state, gil, wait, cpu });
        if tick % 100 == 0 || tick + 1 == SAMPLES {
            // Ten samples a pattern, a pattern 10 ms of CPU time, and a quarter of that which nobody saw.
            let used = Duration::from_micros(tick.next_multiple_of(10) * 1_250);
            let moment = at(10 * tick.next_multiple_of(10));
            recording.timeline.cpu.push(CpuReading { process, moment, used });
        }
    }
}

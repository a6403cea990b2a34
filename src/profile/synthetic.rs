//! Made-up recordings for the tests of the analysis: workers, phases, CPU readings and samples, to the nanosecond.

use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::interned::Id;
use crate::recording::traffic::EndpointLabel;
use crate::recording::traffic::flights::{Flight, Flights};
use crate::recording::{
    CpuReading, Frame, Mode, Phase, Process, ProcessId, Recording, Role, Run, Sample, State, Thread, Wait, WaitId,
};

use super::Doing;

/// A moment so many milliseconds into the recording.
pub(crate) const fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// A recording at 100 Hz of a master, pid 10, and so many workers, pids 11 and on.
pub(crate) fn recording(workers: u32) -> Recording {
    let (target, started) = ("gunicorn booking:app, pid 10".into(), SystemTime::UNIX_EPOCH);
    let mut recording = Recording::new(Run { target, started, rate: 100, mode: Mode::NonBlocking });
    for number in 0..=workers {
        recording.processes.push(Process {
            id: ProcessId { pid: 10 + number.cast_signed(), started: 1 },
            role: if number == 0 { Role::Master } else { Role::Worker },
            root: 10,
            python: "3.11.7".into(),
            born: Moment::default(),
            died: None,
        });
    }
    recording
}

/// Adds a phase that goes on so many milliseconds from the end of the one before.
pub(crate) fn phase(recording: &mut Recording, name: &str, arrivals: &str, millis: u64) {
    let began = recording.timeline.phases.last().map_or(Moment::default(), |phase| phase.ended);
    let ended = began + Duration::from_millis(millis);
    recording.timeline.phases.push(Phase { name: name.into(), arrivals: arrivals.into(), began, ended });
}

/// Adds a sample of the one thread of a process; frames are `function` or `function@line`, the outermost first.
pub(crate) fn sample(recording: &mut Recording, process: u32, millis: u64, state: State, frames: &[&str]) {
    push(recording, process, millis, frames, (state, None, Duration::ZERO));
}

/// The same of a thread that runs, with its CPU time in microseconds.
pub(crate) fn cpu_sample(recording: &mut Recording, process: u32, millis: u64, micros: u64, frames: &[&str]) {
    push(recording, process, millis, frames, (State::Running, None, Duration::from_micros(micros)));
}

/// The same of a thread that waits: in which call, and on what.
pub(crate) fn wait_sample(
    recording: &mut Recording,
    process: u32,
    millis: u64,
    (call, on): (&str, Option<&str>),
    frames: &[&str],
) {
    let wait = recording.waits.intern(Wait { call: call.into(), on: on.map(Into::into) });
    push(recording, process, millis, frames, (State::Waiting, Some(wait), Duration::ZERO));
}

/// What a thread was doing.
pub(crate) fn doing(recording: &mut Recording, state: State, wait: Option<(&str, Option<&str>)>) -> Doing {
    match wait {
        Some(wait) => wait_sample(recording, 1, 0, wait, &[]),
        None => sample(recording, 1, 0, state, &[]),
    }
    Doing::of(&recording.samples.iter().last().expect("it was added"))
}

type What = (State, Option<WaitId>, Duration);

fn push(recording: &mut Recording, process: u32, millis: u64, frames: &[&str], (state, wait, cpu): What) {
    let thread = recording.thread(Thread { process: Id::from_index(process), ident: 1 }, None, Some(1));
    let frame = |text: &&str| {
        let (function, line) = text.split_once('@').unwrap_or((text, "1"));
        let line = line.parse().expect("a line is a number");
        Frame { function: function.into(), file: "/srv/app.py".into(), short_file: Some("app.py".into()), line }
    };
    let (stack, _) = recording.stacks.insert(frames.iter().map(frame));
    recording.samples.push(Sample { moment: at(millis), thread, stack, state, gil: true, wait, cpu });
}

/// Adds a reading of a process's CPU clock.
pub(crate) fn cpu(recording: &mut Recording, process: u32, millis: u64, used: u64) {
    let reading =
        CpuReading { process: Id::from_index(process), moment: at(millis), used: Duration::from_millis(used) };
    recording.timeline.cpu.push(reading);
}

/// Four phases of 10 s: before load, light, none, heavy. Worker 11 does nearly all of it.
pub(crate) fn two_workers() -> Recording {
    let mut recording = recording(2);
    for (name, arrivals) in [("before load", ""), ("Light", "2 users/s"), ("pause", ""), ("Heavy", "20 users/s")] {
        phase(&mut recording, name, arrivals, 10_000);
    }
    for tick in 0..4000_u64 {
        let (number, millis) = (tick / 1000, tick * 10);
        let busy = match number {
            1 => tick % 10 < 2,
            3 => true,
            _ => false,
        };
        let inside = if number == 3 && tick % 10 < 6 { "slow" } else { "fast" };
        let (state, frames): (State, &[&str]) =
            if busy { (State::Running, &["run", "view", inside]) } else { (State::Idle, &["run", "accept"]) };
        sample(&mut recording, 1, millis, state, frames);
        sample(&mut recording, 2, millis, State::Idle, &["run", "accept"]);
    }
    for (second, used) in [(0, 0), (10, 0), (20, 2), (30, 2), (40, 12)] {
        cpu(&mut recording, 1, second * 1000, used * 1000);
    }
    recording
}

/// Requests in flight: the number of an endpoint, and from when to when, in milliseconds.
pub(crate) fn flights(paths: &[&str], requests: &[(u32, u64, u64)]) -> Flights {
    let label = |path: &&str| {
        let (method, path) = ("GET".into(), (*path).into());
        EndpointLabel { method, path, query: String::new(), name: None, metric: None }
    };
    let flight = |(endpoint, began, done): &(u32, u64, u64)| {
        let (began, done) = (at(*began), at(*done));
        Flight { began, done, endpoint: *endpoint, sent: true, failed: false }
    };
    Flights {
        requests: requests.iter().map(flight).collect(),
        users: Vec::new(),
        endpoints: paths.iter().map(label).collect(),
        missing: 0,
    }
}

//! A recording so large that writing a report of it takes a while: made up, without a run.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pyperf::clock::Moment;
use pyperf::interned::Id;
use pyperf::recording::file::RecordingFile;
use pyperf::recording::{Frame, Mode, Process, ProcessId, Recording, Role, Run, Sample, Thread};

/// Functions that call each other one inside the other.
const DEPTH: u32 = 200;
/// Samples of all of them at once and of all but the innermost, in turn: about 35 MB of speedscope's JSON.
const SAMPLES: u32 = 50_000;

/// Writes it.
pub fn write(path: &Path) {
    let run = Run { target: "made up".into(), started: SystemTime::UNIX_EPOCH, rate: 100, mode: Mode::NonBlocking };
    let mut recording = Recording::new(run);
    recording.length = Duration::from_secs(1);
    recording.processes.push(Process {
        id: ProcessId { pid: 1, started: 1 },
        role: Role::Main,
        root: 1,
        python: "3.11.7".into(),
        born: Moment::default(),
        died: None,
    });
    let thread = recording.thread(Thread { process: Id::from_index(0), ident: 1 }, Some("MainThread"), Some(1));
    let frame = |line: u32| Frame {
        function: format!("function_{line}"),
        file: "/srv/app.py".into(),
        short_file: Some("app.py".into()),
        line,
    };
    let stacks = [DEPTH, DEPTH - 1].map(|depth| recording.stacks.insert((1..=depth).map(frame)).0);
    for number in 0..SAMPLES {
        let moment = Moment::from_nanos(u64::from(number) * 1000);
        let stack = stacks[usize::from(number % 2 == 1)];
        recording.samples.push(Sample::running(moment, thread, stack));
    }
    let mut file = RecordingFile::create(path, &recording.run).expect("the directory is ours");
    file.append(&recording).expect("the disk has room");
}

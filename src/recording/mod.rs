//! What happened: processes, threads, stacks and samples, as plain data on one clock.
//!
//! A [`Recording`] is what the sampler hands back and what a file holds. It labels nothing and filters nothing: idle threads
//! and supervisors are in it too, so that every question can be asked later. Nothing here starts a thread or knows where
//! the data came from; only [`mod@file`] touches the disk.

pub mod file;
mod losses;
mod samples;
mod stacks;
mod threads;
mod timeline;
mod trace;
pub mod traffic;

use std::time::{Duration, SystemTime};

pub use crate::process::{ProcessId, Role};
pub use losses::Losses;
pub use samples::{Sample, SampleLog, State, Wait, WaitId};
pub use stacks::{Frame, FrameId, Stack, StackId, StackTable};
pub use threads::{Local, ThreadStack};
pub use timeline::{CpuReading, Phase, Timeline};
pub use trace::Trace;

use crate::clock::Moment;
use crate::interned::{Id, Interner};

/// How the stacks were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The process went on while it was read; a stack that changed meanwhile can come out wrong.
    NonBlocking,
    /// The process was stopped for each read.
    Blocking,
}

impl Mode {
    /// The name in titles and recordings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonBlocking => "non-blocking",
            Self::Blocking => "blocking",
        }
    }
}

/// How finely a recording tells what threads were doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Running, waiting or idle, and no CPU time: what pyperf recorded before schema 5 of its files.
    Coarse,
    /// Every [`State`], what was waited for, and the CPU time of each sample.
    Fine,
}

/// What was asked for, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The target in words, for titles: `gunicorn booking:app, pid 4121`.
    pub target: String,
    /// The wall time of moment zero.
    pub started: SystemTime,
    /// Samples of each process asked for per second.
    pub rate: u32,
    /// How the stacks were read.
    pub mode: Mode,
}

/// A process that was sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Which process.
    pub id: ProcessId,
    /// What it did in its tree.
    pub role: Role,
    /// The pid of the topmost process above it in the target.
    pub root: i32,
    /// The version of its Python, such as `3.11.7`.
    pub python: String,
    /// When the sampler came to know it.
    pub born: Moment,
    /// When it ended, if it did.
    pub died: Option<Moment>,
}

/// The number of a process in its recording. One pid has two when it was re-executed or reused.
pub type ProcessNumber = Id<Process>;

/// A thread of a sampled process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thread {
    /// Its process.
    pub process: ProcessNumber,
    /// Python's own id of it (`threading.get_ident`).
    pub ident: u64,
}

/// How a thread is known outside Python's own numbering, as far as that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadLabel {
    /// The name that `threading` knows it by.
    pub name: Option<String>,
    /// The kernel's id of it.
    pub os_id: Option<i32>,
}

/// The number of a thread in its recording.
pub type ThreadId = Id<Thread>;

/// Everything that was sampled in one run.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What was asked for, and when.
    pub run: Run,
    /// How finely it tells what threads were doing.
    pub detail: Detail,
    /// The processes, by [`ProcessNumber`].
    pub processes: Vec<Process>,
    /// The threads.
    pub threads: Interner<Thread>,
    /// What else is known of the threads; by [`ThreadId`].
    pub thread_labels: Vec<ThreadLabel>,
    /// The distinct stacks.
    pub stacks: StackTable,
    /// What threads waited for.
    pub waits: Interner<Wait>,
    /// The samples; those of one thread in the order in which they were taken.
    pub samples: SampleLog,
    /// What went on around them.
    pub timeline: Timeline,
    /// What is missing.
    pub losses: Losses,
    /// Reads of a process, those that failed among them.
    pub reads: u64,
    /// How long sampling went on.
    pub length: Duration,
    /// How long the targets stood still for it, summed over all of them; zero unless [`Mode::Blocking`].
    pub stopped: Duration,
    /// CPU time that pyperf's own sampling took.
    pub sampler_cpu: Duration,
}

impl Recording {
    /// A recording without anything in it.
    #[must_use]
    pub fn new(run: Run) -> Self {
        Self {
            run,
            detail: Detail::Fine,
            processes: Vec::new(),
            threads: Interner::default(),
            thread_labels: Vec::new(),
            stacks: StackTable::default(),
            waits: Interner::default(),
            samples: SampleLog::default(),
            timeline: Timeline::default(),
            losses: Losses::default(),
            reads: 0,
            length: Duration::ZERO,
            stopped: Duration::ZERO,
            sampler_cpu: Duration::ZERO,
        }
    }

    /// The process of that number.
    #[must_use]
    pub fn process(&self, number: ProcessNumber) -> Option<&Process> {
        self.processes.get(number.index() as usize)
    }

    /// How many nanoseconds later the moments of another recording, made by another clock, come on this one's: the wall time
    /// of both says so. `ahead` is how many seconds that clock is ahead of this one's.
    #[must_use]
    pub fn behind(&self, other: &Self, ahead: f64) -> i64 {
        let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let [here, there] = [self, other].map(|one| i64::try_from(nanos(one.run.started)).unwrap_or(i64::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and clocks are not centuries apart")]
        let ahead = (ahead * 1e9) as i64;
        there.saturating_sub(here).saturating_sub(ahead)
    }

    /// Takes over the phases of another recording, whose moments come so many nanoseconds later on this one's clock.
    pub fn take_phases(&mut self, other: &Self, behind: i64) {
        let moved = |phase: &Phase| Phase {
            began: phase.began.moved(behind),
            ended: phase.ended.moved(behind),
            ..phase.clone()
        };
        self.timeline.phases = other.timeline.phases.iter().map(moved).collect();
    }

    /// The thread's id, stored if it is new. Its name and kernel id are kept once they are known.
    pub fn thread(&mut self, thread: Thread, name: Option<&str>, os_id: Option<i32>) -> ThreadId {
        let id = self.threads.intern(thread);
        let slot = id.index() as usize;
        if slot >= self.thread_labels.len() {
            self.thread_labels.resize(slot + 1, ThreadLabel::default());
        }
        let label = &mut self.thread_labels[slot];
        if let Some(name) = name.filter(|name| label.name.as_deref() != Some(name)) {
            label.name = Some(name.to_owned());
        }
        label.os_id = os_id.or(label.os_id);
        id
    }
}

/// Samples of each process taken per second: the rate asked for, less the part that came too late.
#[must_use]
pub fn rate_reached(asked: u32, reads: u64, losses: &Losses) -> f64 {
    let count = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    f64::from(asked) * count(reads.max(1)) / count(reads.max(1) + losses.late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_of_another_machine_come_over_by_the_wall_clock() {
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let recording = |started: u64| {
            let started = SystemTime::UNIX_EPOCH + Duration::from_secs(started);
            Recording::new(Run { target: String::new(), started, rate: 100, mode: Mode::NonBlocking })
        };
        let (mut server, mut driver) = (recording(1000), recording(1060));
        let phase = Phase { name: "a".into(), arrivals: String::new(), began: at(5), ended: at(9) };
        driver.timeline.phases.push(phase);
        let mut follow = |ahead: f64| {
            let behind = server.behind(&driver, ahead);
            server.take_phases(&driver, behind);
            server.timeline.phases[0].clone()
        };
        let phase = follow(0.0);
        assert_eq!((phase.began, phase.ended), (at(65), at(69)));
        // The driver's clock was 2 s ahead, so that its 1065 was the server's 1063.
        assert_eq!(follow(2.0).began, at(63));
        assert_eq!(follow(1e9).began, at(0));
        assert_eq!(follow(f64::NEG_INFINITY).ended, Moment::from_nanos(9_000_000_000).moved(i64::MAX));
    }
}

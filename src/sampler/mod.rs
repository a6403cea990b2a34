//! The sampling engine: follows the target's processes, reads their stacks on time, records what it saw.
//!
//! Every thread is the one owner of its state: [`watch`] knows the process tree, opens a reader for each process and hands
//! it to a [`sampling`] loop ([`loops`]: one for all, as a rule); the [`recorder`] interns and stores. They are joined by a
//! bounded channel; what does not fit is dropped and counted. It knows neither which reader it drives nor what will become of
//! the recording.

mod cost;
mod loops;
mod pace;
mod recorder;
mod sampling;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub use pace::Pace;
pub use watch::Opener;

use crate::clock::{Clock, Moment};
use crate::problem::{Advice, Exit};
use crate::process::ProcessId;
use crate::process::tree::ProcessTree;
use crate::recording::file::{FileError, RecordingFile};
use crate::recording::{Losses, Phase, Recording, Run, rate_reached};
use crate::stack::AttachError;
use crate::stop::{Stop, StopReason};
use cost::Cost;
use loops::Loops;
use recorder::{Event, Recorder};
use watch::{Told, Watch};

/// How many events may wait for the recorder.
const EVENTS: usize = 8192;

/// How many stacks may wait in them, 6 kB each at 30 frames: a second and more of a large tree, and 60 MB at most.
const STACKS: u64 = 10_000;

/// How long a thread may take to notice the end. It needs longer only while the kernel holds it in a stop of a
/// process that cannot stop; then the recording is finished without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nothing could be sampled from the start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No process of the target runs Python.
    #[error("process {pid} is not Python, and neither is any process below it")]
    NotPython {
        /// The topmost process.
        pid: i32,
    },
    /// The processes run Python, but their stacks cannot be read.
    #[error("cannot read the Python stacks of process {pid}")]
    Unreadable {
        /// The first such process.
        pid: i32,
        /// Why.
        #[source]
        cause: AttachError,
    },
    /// The target ended before it could be sampled.
    #[error("the process has ended before it could be sampled")]
    Gone,
    /// Told to stop before there was anything to stop.
    #[error("interrupted before the first sample")]
    Interrupted,
    /// The system has no thread left for pyperf.
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
}

impl Advice for StartError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPython { .. } => {
                Some("name the process that runs Python: --pid, or --name with its script or module".into())
            }
            Self::Unreadable { cause, .. } => cause.hint(),
            Self::Gone | Self::Interrupted | Self::NoThread(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        if matches!(self, Self::Interrupted) { Exit::Interrupted } else { Exit::Failed }
    }
}

/// What to sample for how long, and where to keep it.
#[derive(Debug)]
pub struct Options {
    /// Goes into the recording as it is; its rate is the rate of sampling.
    pub run: Run,
    /// When to end by itself.
    pub duration: Option<Duration>,
    /// A file to write the recording to while it grows.
    pub file: Option<RecordingFile>,
}

/// How far a running sampler has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Time since sampling began.
    pub elapsed: Duration,
    /// Stacks of threads that ran or waited inside a request. Supervisors do not count.
    pub samples: u64,
    /// Stacks of idle threads.
    pub idle: u64,
    /// Processes being sampled now, without supervisors.
    pub processes: u64,
    /// Reads of a process.
    pub reads: u64,
    /// What was lost so far.
    pub losses: Losses,
}

impl Progress {
    /// Samples of each process per second so far: the rate asked for, less the ticks that were skipped.
    #[must_use]
    pub fn rate_reached(&self, asked: u32) -> f64 {
        rate_reached(asked, self.reads, &self.losses)
    }
}

/// What a finished sampler hands back.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that was recorded.
    pub recording: Recording,
    /// Python processes that lived and could never be read, and why.
    pub unread: Vec<(ProcessId, String)>,
    /// Processes that py-spy read although snapshots should have been possible, and why; one a reason.
    pub instead: Vec<(ProcessId, String)>,
    /// Why the recording's file is not complete, if it is not.
    pub file_error: Option<FileError>,
}

/// Counters that the threads share with whoever watches.
#[derive(Debug, Default)]
struct Counters {
    samples: AtomicU64,
    idle: AtomicU64,
    processes: AtomicU64,
    late: AtomicU64,
    unreadable: AtomicU64,
    torn: AtomicU64,
    dropped: AtomicU64,
    truncated: AtomicU64,
    stopped_nanos: AtomicU64,
    /// CPU time of the sampler's own threads.
    cpu_nanos: AtomicU64,
    /// Reads of a living process, those that failed among them.
    reads: AtomicU64,
    /// Stacks on their way to the recorder.
    waiting: AtomicU64,
}

impl Counters {
    fn losses(&self) -> Losses {
        Losses {
            late: self.late.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            torn: self.torn.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
        }
    }
}

/// A thread of the sampler, and what it hands back.
struct Task<T> {
    thread: JoinHandle<()>,
    result: Receiver<T>,
}

/// Ends the run when its thread ends, in whatever way; an ordinary end has its reason already.
struct EndOnDrop(Stop);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.request(StopReason::Failed);
    }
}

impl<T: Send + 'static> Task<T> {
    /// Starts a thread. Without the one that is given `ends` the run makes no sense, so its end is the end of the run.
    fn spawn(name: &str, ends: Option<&Stop>, body: impl FnOnce() -> T + Send + 'static) -> Result<Self, StartError> {
        let (done, result) = sync_channel(1);
        let guard = ends.cloned().map(EndOnDrop);
        let run = move || {
            let _guard = guard;
            let _ = done.send(body());
        };
        let thread = Builder::new().name(name.into()).spawn(run).map_err(StartError::NoThread)?;
        Ok(Self { thread, result })
    }

    /// Whether the thread has ended.
    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// The result, or nothing from a thread that failed or does not end in time.
    fn result(self, patience: Duration) -> Option<T> {
        let result = self.result.recv_timeout(patience).ok()?;
        self.thread.join().ok()?;
        Some(result)
    }
}

/// A sampler at work.
pub struct Sampler {
    rate: u32,
    clock: Clock,
    start: Moment,
    stop: Stop,
    counters: Arc<Counters>,
    events: SyncSender<Event>,
    watch: Task<Told>,
    recorder: Task<(Recording, Option<FileError>)>,
}

impl Sampler {
    /// Opens the processes of the tree and starts to sample them.
    ///
    /// # Errors
    ///
    /// When none of the processes can be read.
    pub fn start(
        tree: ProcessTree,
        opener: Opener,
        options: Options,
        clock: Clock,
        stop: &Stop,
    ) -> Result<Self, StartError> {
        let counters = Arc::new(Counters::default());
        let (events, received) = sync_channel(EVENTS);
        let rate = options.run.rate;
        let recorder = Recorder::new(options.run, options.file, Arc::clone(&counters));
        let recorder = Task::spawn("recorder", Some(stop), move || recorder.run(&received))?;
        let loops = Loops::of(rate, clock, stop.clone(), events.clone(), Arc::clone(&counters));
        let mut watch = Watch::new(tree, opener, loops);
        let start = clock.now();
        // This much is done on the caller's thread.
        let mut cost = Cost::from_now(Arc::clone(&counters));
        watch.begin()?;
        cost.tell();
        let end = options.duration.map(|duration| clock.now() + duration);
        let watch = Task::spawn("watch", Some(stop), move || watch.run(end))?;
        Ok(Self { rate, clock, start, stop: stop.clone(), counters, events, watch, recorder })
    }

    /// Samples of each process per second that were asked for.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            elapsed: self.clock.now().since(self.start),
            samples: self.counters.samples.load(Relaxed),
            idle: self.counters.idle.load(Relaxed),
            processes: self.counters.processes.load(Relaxed),
            reads: self.counters.reads.load(Relaxed),
            losses: self.counters.losses(),
        }
    }

    /// Puts phases into the recording, in place of those that were put there before; its file has them with the next batch.
    pub fn set_phases(&self, phases: Vec<Phase>) {
        let _ = self.events.send(Event::Phases(phases));
    }

    /// Ends sampling and hands back what was recorded; `None` when the recorder itself has failed.
    #[must_use]
    pub fn finish(self) -> Option<Outcome> {
        self.stop.request(StopReason::Interrupted);
        let length = self.clock.now().since(self.start);
        // The watch itself has that patience with each sampling loop.
        let Told { unread, instead } = self.watch.result(2 * PATIENCE).unwrap_or_default();
        let _ = self.events.send(Event::End { length });
        // A last batch on a slow disk may take its time: everything that was sampled is in it.
        let (recording, file_error) = self.recorder.result(Duration::MAX)?;
        Some(Outcome { recording, unread, instead, file_error })
    }
}

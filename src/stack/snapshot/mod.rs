//! The reader that never stops its target: the whole state of each thread in one system call, walked in the local copy.
//!
//! py-spy finds the interpreter, proves at the start that both read the same, and knows the names of threads. From then on a
//! sample is one batched read of foretold pieces ([`plan`]), twice in the same call, so that what changed meanwhile is seen
//! ([`frames`]); functions, files and lines come from a cache ([`code_cache`]). CPython 3.11 and later, with a GIL, on
//! x86-64; anything else is py-spy's.

mod check;
mod code;
mod code_cache;
mod debug_offsets;
mod frames;
#[cfg(test)]
mod fuzz;
mod layout;
mod memory;
mod plan;
mod threads;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use code_cache::{CodeCache, Named};
use layout::{Gil, Layout};
use memory::Memory;
use threads::{Failure, RawThread, Taken, Threads};

use super::pyspy::PySpyReader;
use super::state::{ThreadStates, decide, futexes_of_gil};
use super::{Line, Options, ReadError, StackReader};
use crate::clock::{Clock, Moment};
use crate::recording::{Frame, ThreadStack};

/// Between two looks at the names of threads.
const NAMES_TURN: Duration = Duration::from_millis(200);
/// Between two looks for the name of a thread that had none, at first and at most.
const NAMELESS_TURN: Duration = Duration::from_secs(1);
const NAMELESS_LONGEST: Duration = Duration::from_secs(30);
/// So often it is asked whether the process runs the same program still, even though nothing looks otherwise.
const IMAGE_TURN: u64 = 64;

/// Reads one process by snapshots.
pub struct SnapshotReader {
    python: String,
    /// Attached when it is needed in a process that was forked from one that is known.
    spy: Option<PySpyReader>,
    pid: i32,
    memory: Memory,
    threads: Threads,
    codes: CodeCache,
    kernel: ThreadStates,
    known: HashMap<(u64, u64), Known>,
    /// Names that threads of the parent had, by ident: the thread that forked is in the child too.
    inherited: Option<HashMap<u64, String>>,
    named: Moment,
    options: Options,
    clock: Clock,
}

/// What a process has in common with those that are forked from it.
#[derive(Clone, Debug)]
pub struct Kin {
    layout: Layout,
    python: String,
    /// Whether it has files of its own.
    inside: bool,
    names: HashMap<u64, String>,
}

/// Why a process is not read by snapshots, and the reader that can do it otherwise.
pub struct Refused {
    /// py-spy's reader, as it was given.
    pub spy: PySpyReader,
    /// The reason.
    pub why: String,
}

impl Refused {
    fn of(spy: PySpyReader, why: String) -> Box<Self> {
        Box::new(Self { spy, why })
    }
}

/// A thread that was seen before, by its ident and its kernel id.
struct Known {
    /// The kernel's id of it in pyperf's pid namespace.
    outside: Option<i32>,
    name: Option<String>,
    /// When its name is to be looked for, and how long after that once more.
    look: Moment,
    pause: Duration,
    /// The sample that it was in last.
    seen: u64,
}

impl SnapshotReader {
    /// Turns a reader that has found its interpreter into one that takes snapshots.
    ///
    /// # Errors
    ///
    /// The reader itself, with the reason, when the interpreter is none that can be read in this way or the two readers
    /// do not agree on what they see.
    pub fn attach(pid: i32, spy: PySpyReader, options: Options, clock: Clock) -> Result<Self, Box<Refused>> {
        let found = spy.found();
        let mut memory = match Memory::of(pid) {
            Ok(memory) => memory,
            Err(error) => return Err(Refused::of(spy, error.to_string())),
        };
        let layout = match Layout::of(&mut memory, found) {
            Ok(layout) => layout,
            Err(why) => return Err(Refused::of(spy, why.to_string())),
        };
        let python = spy.version();
        let mut reader = Self::over(pid, memory, layout, found.inside, python, options, clock);
        match reader.check(spy) {
            Ok(spy) => {
                reader.spy = Some(spy);
                reader.look_for_names(clock.now());
                Ok(reader)
            }
            Err(refused) => Err(refused),
        }
    }

    /// A reader of a process that was forked from a known one and runs the same program: nothing is looked for again, as its
    /// addresses are its parent's. `None` when they are not.
    #[must_use]
    pub fn inherit(pid: i32, kin: &Kin, options: Options, clock: Clock) -> Option<Self> {
        let memory = Memory::of(pid).ok()?;
        let (layout, python) = (kin.layout.clone(), kin.python.clone());
        let mut reader = Self::over(pid, memory, layout, kin.inside, python, options, clock);
        reader.inherited = Some(kin.names.clone());
        let proof = reader.read().ok()?;
        // A thread that starts later can have the ident of one that only the parent has.
        reader.inherited = Some(HashMap::new());
        (reader.threads.tally.torn == 0 && proof.iter().any(|thread| !thread.frames.is_empty())).then_some(reader)
    }

    /// What a process that is forked from this one will have in common with it.
    #[must_use]
    pub fn kin(&self) -> Kin {
        let names = self.known.iter().filter_map(|((ident, _), known)| Some((*ident, known.name.clone()?)));
        Kin {
            layout: self.threads.layout.clone(),
            python: self.python.clone(),
            inside: self.codes.has_root(),
            names: names.collect(),
        }
    }

    fn over(
        pid: i32,
        memory: Memory,
        layout: Layout,
        inside: bool,
        python: String,
        options: Options,
        clock: Clock,
    ) -> Self {
        let gil = match layout.gil {
            Gil::State { address, .. } => futexes_of_gil((3, 12), address),
            Gil::Current(address) => futexes_of_gil((3, 11), address),
            Gil::Unknown => 0..0,
        };
        Self {
            python,
            spy: None,
            pid,
            memory,
            threads: Threads::of(layout),
            codes: CodeCache::new(inside.then(|| PathBuf::from(format!("/proc/{pid}/root")))),
            kernel: ThreadStates::new(pid, gil, clock),
            known: HashMap::new(),
            inherited: None,
            named: Moment::default(),
            options,
            clock,
        }
    }

    /// The version of the interpreter, such as `3.11.7`.
    #[must_use]
    pub fn version(&self) -> String {
        self.python.clone()
    }

    /// Which line of a function it reports.
    #[must_use]
    pub const fn line(&self) -> Line {
        self.options.line
    }

    /// What reading has cost so far.
    #[must_use]
    pub const fn effort(&self) -> Effort {
        let tally = self.threads.tally;
        Effort {
            samples: tally.samples,
            reads: tally.reads,
            calls: self.memory.calls,
            torn: tally.torn,
            lost: tally.lost,
        }
    }

    fn sample(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.kernel.begin();
        if self.threads.tally.samples.is_multiple_of(IMAGE_TURN) && !self.memory.is_current() {
            return Err(ReadError::Gone);
        }
        let taken = match self.threads.take(&mut self.memory) {
            Ok(taken) => taken,
            Err(_) if !self.memory.is_current() => return Err(ReadError::Gone),
            Err(Failure::NotThere) => return Err(ReadError::Unreadable("its threads are not where they were".into())),
            Err(Failure::Unstable) => {
                return Err(ReadError::Unreadable("its stacks changed while they were read".into()));
            }
        };
        let now = self.clock.now();
        let frames = taken.threads.iter().flat_map(|thread| &thread.frames);
        self.codes.settle(&mut self.memory, &self.threads.layout, frames, taken.generation, now);
        self.meet(&taken, now);
        let holder = taken.holder;
        let mut threads: Vec<ThreadStack> = taken.threads.iter().map(|thread| self.thread(thread, holder)).collect();
        self.kernel.charge(&mut threads);
        Ok(threads)
    }

    fn thread(&mut self, thread: &RawThread, holder: Option<u64>) -> ThreadStack {
        let (frames, serving) = self.frames(thread);
        let known = self.known.get(&(thread.ident, thread.kernel_id));
        let os_id = known.and_then(|known| known.outside);
        let activity = os_id.and_then(|tid| self.kernel.look(tid));
        let state = decide(activity, serving);
        let wait = self.kernel.wait(activity, state, |address, bytes| self.memory.read(address, bytes));
        ThreadStack {
            ident: thread.ident,
            os_id,
            name: known.and_then(|known| known.name.clone()),
            state,
            gil: holder == Some(thread.state),
            wait,
            cpu: Duration::ZERO,
            locals: Vec::new(),
            frames,
        }
    }

    /// Frames by name, the outermost first, up to one that makes no sense; and whether they serve a request.
    fn frames(&mut self, thread: &RawThread) -> (Vec<Arc<Frame>>, bool) {
        let (mut named, mut serving) = (Vec::with_capacity(thread.frames.len()), false);
        for frame in &thread.frames {
            match self.codes.name(frame, &self.threads.layout, self.options.line) {
                Named::As(frame, serves) => {
                    named.push(frame);
                    serving |= serves;
                }
                Named::Hidden => {}
                Named::Nonsense => {
                    self.threads.tally.torn += u64::from(!thread.torn);
                    break;
                }
            }
        }
        (named, serving)
    }

    /// Finds out who the threads of a sample are, and forgets those that have ended.
    fn meet(&mut self, taken: &Taken, now: Moment) {
        let sample = self.threads.tally.samples;
        let mut nameless = false;
        for thread in &taken.threads {
            let known = self.known.entry((thread.ident, thread.kernel_id)).or_insert_with(|| Known {
                outside: i32::try_from(thread.kernel_id).ok().and_then(|own| self.kernel.outside(own)),
                name: self.inherited.as_ref().and_then(|names| names.get(&thread.ident).cloned()),
                // Without py-spy at hand there is no hurry: most threads of a fork get their names from its parent.
                look: if self.spy.is_some() { now } else { now + NAMELESS_TURN },
                pause: NAMELESS_TURN,
                seen: sample,
            });
            known.seen = sample;
            nameless |= known.name.is_none() && known.look <= now;
        }
        if self.known.len() > taken.threads.len() {
            self.known.retain(|_, known| {
                let lives = known.seen == sample;
                if let (false, Some(tid)) = (lives, known.outside) {
                    self.kernel.forget(tid);
                }
                lives
            });
        }
        if nameless && (self.named == Moment::default() || now.since(self.named) > NAMES_TURN) {
            self.named = now;
            self.look_for_names(now);
        }
    }

    fn look_for_names(&mut self, now: Moment) {
        if self.spy.is_none() {
            self.spy = PySpyReader::attach(self.pid, self.options, self.clock).ok();
        }
        let names = self.spy.as_mut().map(PySpyReader::thread_names).unwrap_or_default();
        for ((ident, _), known) in &mut self.known {
            known.name = names.get(ident).cloned().or(known.name.take());
            known.look = now + known.pause;
            known.pause = (known.pause * 2).min(NAMELESS_LONGEST);
        }
    }
}

impl StackReader for SnapshotReader {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.sample()
    }

    fn torn(&self) -> u64 {
        self.threads.tally.torn + self.threads.tally.lost
    }
}

/// What reading has cost, in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Samples that were taken.
    pub samples: u64,
    /// Reads of all that a sample needs; more than samples where something was not as foretold, or torn.
    pub reads: u64,
    /// System calls that read memory.
    pub calls: u64,
    /// Stacks without their innermost frames, because these changed in every try.
    pub torn: u64,
    /// Threads that nothing certain could be said of.
    pub lost: u64,
}

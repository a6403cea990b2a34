//! The reader that never stops its target: the whole state of each thread in one system call, walked in the local copy.
//!
//! py-spy finds the interpreter, proves at the start that both read the same, and knows the names of threads. From then on a
//! sample is one batched read of foretold pieces ([`plan`]), twice in the same call, so that what changed meanwhile is seen
//! ([`frames`]); functions, files and lines come from a cache ([`code_cache`]). CPython 3.11 and later, with a GIL, on
//! x86-64 and aarch64; anything else is py-spy's.
//!
//! Tried against py-spy with 3.11.2 and .7, 3.12.1, 3.13.0 and .18, 3.14.10 and 3.15.2, the last two (Debian's) without and with
//! their JIT; on aarch64 with Debian's 3.11.2, 3.13.18, 3.14.10 and 3.15.2, in an emulator (QEMU). That orders memory as its host, an
//! x86-64, does: what copies look like where a store can be seen before an earlier one is untried. A store is late by less than the
//! time between two pieces of a read, and a new frame has to be the same a moment later. Builds without a GIL are refused by what
//! their table of offsets says; none was at hand.

mod check;
mod code;
mod code_cache;
mod debug_offsets;
mod frames;
#[cfg(test)]
mod fuzz;
mod heads;
mod known;
mod layout;
mod memory;
mod plan;
mod scattered;
mod shown;
mod threads;

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use code_cache::{CodeCache, Named, root_of};
use frames::RawFrame;
use known::{Known, NAMELESS_TURN, Seen};
use layout::{Gil, Layout};
use memory::Memory;
use shown::Calls;
use threads::{Failure, RawThread, Taken, Threads, Who};

use super::names::{Board, ByIdent, Names};
use super::pyspy::PySpyReader;
use super::state::{ThreadStates, decide, futexes_of_gil};
use super::{Line, Options, ReadError, StackReader};
use crate::clock::{Clock, Moment};
use crate::recording::ThreadStack;

/// How often a sample is begun anew because one of its frames makes no sense.
const SENSELESS: usize = 3;
/// How often a fork is read for a proof that its addresses are its parent's: a busy one can change in every try.
const PROOFS: usize = 5;
/// So often it is asked whether the process runs the same program still, even though nothing looks otherwise.
const IMAGE_TURN: u64 = 64;

/// Reads one process by snapshots.
pub struct SnapshotReader {
    python: String,
    memory: Memory,
    threads: Threads,
    codes: CodeCache,
    calls: Calls,
    kernel: ThreadStates,
    known: HashMap<Who, Known, RandomState>,
    /// The threads of the last sample, in the interpreter's order.
    seen: Vec<Seen>,
    /// Whether that sample shows all of all stacks.
    whole: bool,
    board: Board,
    /// The edition of the names that the threads have.
    edition: u64,
    /// How long a new thread may go without a name before that is asked for.
    patience: Duration,
    options: Options,
    clock: Clock,
}

/// What a process has in common with those that are forked from it.
pub struct Kin {
    layout: Layout,
    python: String,
    /// Whether it has files of its own.
    inside: bool,
    codes: CodeCache,
    names: ByIdent,
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

impl SnapshotReader {
    /// Turns a reader that has found its interpreter into one that takes snapshots.
    ///
    /// # Errors
    ///
    /// The reader itself, with the reason, when the interpreter is none that can be read in this way or the two readers
    /// do not agree on what they see.
    pub fn attach(pid: i32, spy: PySpyReader, options: Options, clock: Clock) -> Result<(Self, Names), Box<Refused>> {
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
        let codes = CodeCache::new(found.inside.then(|| root_of(pid)));
        let mut reader = Self::over(pid, memory, layout, codes, python, options, clock);
        let spy = reader.check(spy)?;
        let mut names = Names::of(pid, Some(spy), options, clock);
        reader.board = names.board();
        reader.board.want();
        names.look();
        // So that its forks, which may be opened before it is read again, inherit them.
        reader.give_names(clock.now());
        Ok((reader, names))
    }

    /// A reader of a process that was forked from a known one and runs the same program: nothing is looked for again, as its
    /// addresses are its parent's. `None` when they are not.
    #[must_use]
    pub fn inherit(pid: i32, kin: &Kin, options: Options, clock: Clock) -> Option<(Self, Names)> {
        let memory = Memory::of(pid).ok()?;
        let (layout, python) = (kin.layout.clone(), kin.python.clone());
        let codes = kin.codes.of_fork(kin.inside.then(|| root_of(pid)));
        let mut reader = Self::over(pid, memory, layout, codes, python, options, clock);
        let names = Names::of(pid, None, options, clock);
        reader.board = names.board();
        // py-spy does not know this process yet, and most of its threads get their names from the parent.
        reader.patience = NAMELESS_TURN;
        // The thread that forked is in the child too. One that starts later can have the ident of one that only the parent has.
        reader.board.open().clone_from(&kin.names);
        let proven = (0..PROOFS).any(|_| reader.proves());
        reader.board.open().clear();
        proven.then_some((reader, names))
    }

    /// Reads once: whether that shows all of all stacks, and so that they are where they are looked for.
    fn proves(&mut self) -> bool {
        let torn = self.threads.tally.torn;
        let stacks = self.read().unwrap_or_default();
        self.threads.tally.torn == torn && stacks.iter().any(|thread| !thread.stack.is_empty())
    }

    /// What a process that is forked from this one will have in common with it.
    #[must_use]
    pub fn kin(&self) -> Kin {
        let names = self.known.iter().filter_map(|(who, known)| Some((who.ident, known.name.clone()?)));
        Kin {
            layout: self.threads.layout.clone(),
            python: self.python.clone(),
            inside: self.codes.has_root(),
            codes: self.codes.of_fork(None),
            names: names.collect(),
        }
    }

    fn over(
        pid: i32,
        memory: Memory,
        layout: Layout,
        codes: CodeCache,
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
            memory,
            threads: Threads::of(layout),
            codes,
            calls: Calls::default(),
            kernel: ThreadStates::new(pid, gil, clock),
            known: HashMap::default(),
            seen: Vec::new(),
            whole: false,
            board: Board::default(),
            edition: 0,
            patience: Duration::ZERO,
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
        // In this order: whoever sleeps now and has used no CPU time until after that look is where it was.
        let asleep = self.look();
        let stood = if asleep {
            self.kernel.begin() == Some(Duration::ZERO)
        } else {
            self.kernel.begin_at_work();
            false
        };
        self.threads.tally.samples += 1;
        if !(self.whole && stood) {
            self.whole = false;
            self.take()?;
        }
        self.give_names(self.clock.now());
        let seen = std::mem::take(&mut self.seen);
        let mut threads: Vec<ThreadStack> = seen.iter().map(|seen| self.show(*seen)).collect();
        self.seen = seen;
        self.kernel.charge(&mut threads);
        Ok(threads)
    }

    /// Reads the stacks from the process's memory, again where a frame makes no sense: it was gone before it could be read.
    fn take(&mut self) -> Result<(), ReadError> {
        for _ in 0..SENSELESS {
            let taken = self.take_once()?;
            if taken.threads.iter().all(|thread| self.name(thread)) {
                return Ok(());
            }
        }
        let taken = self.take_once()?;
        for thread in &taken.threads {
            if !self.name(thread) {
                self.whole = false;
                self.threads.tally.torn += u64::from(!thread.torn);
            }
        }
        Ok(())
    }

    fn take_once(&mut self) -> Result<Taken, ReadError> {
        let taken = match self.threads.take(&mut self.memory) {
            Ok(taken) => taken,
            Err(_) if !self.memory.is_current() => return Err(ReadError::Gone),
            Err(Failure::NotThere) => return Err(ReadError::Unreadable("its threads are not where they were".into())),
            Err(Failure::Unstable) => {
                return Err(ReadError::Unreadable("its stacks changed while they were read".into()));
            }
        };
        // A program at fixed addresses (Debian's Pythons) that replaced itself has its threads where the old one had its own.
        let is_new = |thread: &RawThread| !self.known.contains_key(&thread.who());
        let asked = self.threads.tally.samples.is_multiple_of(IMAGE_TURN) || taken.threads.iter().any(is_new);
        if asked && !self.memory.is_current() {
            return Err(ReadError::Gone);
        }
        let now = self.clock.now();
        self.meet(&taken, now);
        self.keep(&taken, now);
        self.seen.clear();
        self.seen.extend(taken.threads.iter().map(|thread| Seen { who: thread.who(), gil: thread.gil }));
        self.whole = taken.threads.iter().all(|thread| !thread.torn);
        Ok(taken)
    }

    /// Keeps what threads were shown with as far as it is true still, and makes sure of the codes of all other frames.
    fn keep(&mut self, taken: &Taken, now: Moment) {
        let mut new: Vec<RawFrame> = Vec::new();
        for thread in &taken.threads {
            if let Some(known) = self.known.get_mut(&thread.who()) {
                known.shown.keep(&thread.frames, taken.generation, now);
                new.extend(thread.frames.get(known.shown.len()..).unwrap_or_default());
            }
        }
        if !new.is_empty() {
            self.codes.settle(&mut self.memory, &self.threads.layout, new.iter(), taken.generation, now);
        }
    }

    /// Names the frames of a thread that it was not shown with; `false` when one makes no sense, which ends the stack.
    fn name(&mut self, thread: &RawThread) -> bool {
        let Some(known) = self.known.get_mut(&thread.who()) else { return true };
        for frame in thread.frames.get(known.shown.len()..).unwrap_or_default() {
            let named = match self.codes.name(frame, &self.threads.layout, self.options.line) {
                Named::As(frame, serves) => Some((frame, serves)),
                Named::Hidden => None,
                Named::Nonsense => return false,
            };
            known.shown.add(frame, named, &mut self.calls);
        }
        true
    }

    fn show(&mut self, seen: Seen) -> ThreadStack {
        let Some(known) = self.known.get(&seen.who) else {
            return ThreadStack::default();
        };
        let state = decide(known.activity, known.shown.is_serving());
        let peek = |address, bytes: &mut [u8]| self.memory.read(address, bytes);
        let wait = self.kernel.wait(known.outside, known.activity, state, peek);
        ThreadStack {
            ident: seen.who.ident,
            os_id: known.outside,
            name: known.name.clone(),
            state,
            gil: seen.gil,
            wait,
            cpu: Duration::ZERO,
            locals: Vec::new(),
            stack: known.shown.stack(),
        }
    }
}

impl StackReader for SnapshotReader {
    fn read(&mut self) -> Result<Vec<ThreadStack>, ReadError> {
        self.sample()
    }

    fn count_cpu_from_birth(&mut self) {
        self.kernel.count_from_birth();
    }

    fn is_prompt(&self) -> bool {
        true
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::recording::Mode;
    use crate::stack::By;
    use crate::stack::pyspy::Found;

    const INTERPRETER: u64 = 0x10000;
    const STATE: u64 = 0x20000;

    /// What is in the memory of a process of one thread without a frame: the thread's ident, and whether the program is the first.
    type Process = Arc<Mutex<(u64, bool)>>;

    fn reader(process: &Process) -> SnapshotReader {
        let process = Arc::clone(process);
        let memory = Memory::made(Box::new(move |address, bytes| {
            let (ident, is_first) = *process.lock().expect("no panic holds it");
            let mut put = |at: usize, value: u64| {
                if let Some(word) = bytes.get_mut(at..at + 8) {
                    word.copy_from_slice(&value.to_ne_bytes());
                }
            };
            match address {
                0 => return is_first,
                STATE => [(16, INTERPRETER), (136, ident)].into_iter().for_each(|(at, value)| put(at, value)),
                // The head of the list of threads.
                0x10048 => put(0, STATE),
                _ => {}
            }
            true
        }));
        let found = Found { version: (3, 12), interpreter: INTERPRETER, gil: 0, inside: false };
        let options = Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by: By::Snapshot };
        SnapshotReader::over(
            1,
            memory,
            layout::v3_12(found),
            CodeCache::new(None),
            "3.12.0".into(),
            options,
            Clock::start(),
        )
    }

    #[test]
    fn another_program_with_its_threads_in_the_same_place_is_noticed() {
        let process = Process::new(Mutex::new((7, true)));
        let mut reader = reader(&process);
        assert_eq!(reader.read().expect("it lives").first().map(|thread| thread.ident), Some(7));
        *process.lock().expect("no panic holds it") = (8, true);
        assert_eq!(reader.read().expect("a new thread").first().map(|thread| thread.ident), Some(8));
        *process.lock().expect("no panic holds it") = (9, false);
        assert!(matches!(reader.read(), Err(ReadError::Gone)));
    }
}

//! One sample of all threads of a process: read, walk, compare, and try again what was torn.
//!
//! Everything is read in one batch at foretold addresses. Whatever turns out otherwise (a new thread, another chunk, a
//! generator's frame) is fetched and the read repeated; a stack that changed while it was read is read again a few times, and
//! then its certain part is kept and the loss counted. Names and lines are none of its business.

use super::frames::{End, RawFrame, Walk};
use super::heads::Heads;
use super::layout::Layout;
use super::memory::{Batch, Memory, word};
use super::plan::{Current, Plan, current};

/// How often a sample is begun anew, for whatever reason.
const TRIES: u32 = 8;
/// After so many stacks in a row that began with a generator one is believed: C code can run it without any other frame.
const ADRIFT: u32 = 100;
/// Bytes that are read at once, and for one sample unless the first read is longer; 32 threads with the deepest stacks.
const LONGEST_READ: usize = 64 << 20;
/// Threads that are followed; py-spy has the same limit.
const MOST_THREADS: usize = 4096;

/// A thread as one sample shows it.
#[derive(Debug, Default)]
pub(super) struct RawThread {
    /// Address of its state.
    pub(super) state: u64,
    pub(super) ident: u64,
    /// The kernel's id of it, in its own pid namespace.
    pub(super) kernel_id: u64,
    /// The outermost first.
    pub(super) frames: Vec<RawFrame>,
    /// Whether the innermost frames are missing, because they changed in every try.
    pub(super) torn: bool,
    /// Whether it held the GIL when it was read.
    pub(super) gil: bool,
}

/// Which thread it is: its state can serve another one later, and two states can have one pair of ids for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Who {
    /// Address of its state.
    pub(super) state: u64,
    /// Python's own id of it.
    pub(super) ident: u64,
    /// The kernel's, in its own pid namespace.
    pub(super) kernel_id: u64,
}

impl RawThread {
    pub(super) const fn who(&self) -> Who {
        Who { state: self.state, ident: self.ident, kernel_id: self.kernel_id }
    }

    /// Whether it begins only now, among these: until it runs it has no frames, and no ids (3.12 and later) or those of the thread
    /// that starts it (3.11; `PyThreadState_New` and `thread_run` in `Modules/_threadmodule.c`).
    fn is_beginning(&self, all: &[Self]) -> bool {
        let is_taken =
            |other: &Self| other.state != self.state && (other.ident, other.kernel_id) == (self.ident, self.kernel_id);
        self.frames.is_empty() && !self.torn && (self.kernel_id == 0 || all.iter().any(is_taken))
    }
}

/// What one sample found.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) threads: Vec<RawThread>,
    /// The number that changes when a code object dies.
    pub(super) generation: Option<u64>,
}

/// Why there is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// What must be there is not: the process has ended, or is another program.
    NotThere,
    /// Something could not be read the same way twice.
    Unstable,
}

/// How reading went, in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) samples: u64,
    /// Reads of the whole plan.
    pub(super) reads: u64,
    /// Stacks that were cut to their certain part.
    pub(super) torn: u64,
    /// Threads that nothing certain could be said of.
    pub(super) lost: u64,
}

/// The threads of one process, and what is known of where their stacks are.
pub(super) struct Threads {
    pub(super) layout: Layout,
    heads: Heads,
    plans: Vec<Plan>,
    batch: Batch,
    walk: Walk,
    touched: Vec<usize>,
    pub(super) tally: Tally,
}

/// What a look at one thread came to.
enum Verdict {
    /// This is its stack.
    Whole(RawThread),
    /// It changed meanwhile; this much is certain.
    Torn(RawThread),
    /// The plan was wrong.
    Again,
}

impl Threads {
    pub(super) fn of(layout: Layout) -> Self {
        Self {
            heads: Heads::of(&layout),
            layout,
            plans: Vec::new(),
            batch: Batch::default(),
            walk: Walk::default(),
            touched: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Takes one sample.
    pub(super) fn take(&mut self, memory: &mut Memory) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        // The best that is known of each thread that is not done.
        let mut partial: Vec<RawThread> = Vec::new();
        let mut done: Vec<u64> = Vec::new();
        let (mut listed, mut read) = (false, 0);
        for _ in 0..TRIES {
            if read > LONGEST_READ {
                break;
            }
            self.read(memory, &done);
            read += self.batch.length();
            self.tally.reads += 1;
            match self.list(memory) {
                Ok(Listed::Same) => listed = true,
                Ok(Listed::New) | Err(Failure::Unstable) => continue,
                Err(Failure::NotThere) => return Err(Failure::NotThere),
            }
            let holder = self.heads.holder(&self.batch);
            taken.generation = self.heads.generation(&self.batch);
            for place in 0..self.plans.len() {
                let state = self.plans[place].state;
                if done.contains(&state) {
                    continue;
                }
                match self.judge(memory, place, holder) {
                    Verdict::Whole(thread) => {
                        done.push(state);
                        taken.threads.push(thread);
                    }
                    Verdict::Torn(thread) => match partial.iter_mut().find(|known| known.state == state) {
                        Some(known) if thread.frames.len() >= known.frames.len() => *known = thread,
                        Some(_) => {}
                        None => partial.push(thread),
                    },
                    Verdict::Again => {}
                }
            }
            if self.plans.iter().all(|plan| done.contains(&plan.state)) {
                return Ok(self.in_order(taken));
            }
        }
        if !listed {
            return Err(Failure::Unstable);
        }
        self.settle(&mut taken, partial);
        if taken.threads.is_empty() && !self.plans.is_empty() {
            return Err(Failure::Unstable);
        }
        Ok(self.in_order(taken))
    }

    /// Takes what is certain of threads that changed in every try.
    fn settle(&mut self, taken: &mut Taken, partial: Vec<RawThread>) {
        let missing = self.plans.len().saturating_sub(taken.threads.len());
        let kept = partial
            .into_iter()
            .filter(|thread| !thread.frames.is_empty() && self.plans.iter().any(|plan| plan.state == thread.state));
        let kept: Vec<RawThread> = kept.collect();
        let count = kept.len();
        self.tally.torn += count as u64;
        taken.threads.extend(kept);
        // If nothing is left the whole sample counts as unreadable.
        if !taken.threads.is_empty() {
            self.tally.lost += missing.saturating_sub(count) as u64;
        }
    }

    /// Threads in the order of the interpreter's list, without those that only begin.
    fn in_order(&self, mut taken: Taken) -> Taken {
        if taken.threads.len() > 1 {
            let place = |thread: &RawThread| self.plans.iter().position(|plan| plan.state == thread.state);
            let all = &taken.threads;
            let beginning: Vec<u64> =
                all.iter().filter(|thread| thread.is_beginning(all)).map(|thread| thread.state).collect();
            taken.threads.retain(|thread| place(thread).is_some() && !beginning.contains(&thread.state));
            taken.threads.sort_by_key(place);
        }
        taken
    }

    /// Reads the heads, and every thread that is not done.
    fn read(&mut self, memory: &mut Memory, done: &[u64]) {
        self.batch.clear();
        self.heads.add_to(&mut self.batch);
        for plan in &mut self.plans {
            // What does not fit is read with the next try.
            if done.contains(&plan.state) || self.batch.length() > LONGEST_READ {
                plan.add_state_to(&mut self.batch, &self.layout);
            } else {
                plan.add_to(&mut self.batch, &self.layout);
            }
        }
        memory.read_batch(&mut self.batch);
    }

    /// Follows the list of threads; drops those that are gone and notes those that are new.
    fn list(&mut self, memory: &mut Memory) -> Result<Listed, Failure> {
        let head = self.heads.list(&self.batch).ok_or(Failure::NotThere)?;
        let (mut next, mut new) = (head, false);
        let mut order: Vec<u64> = Vec::with_capacity(self.plans.len());
        let mut bytes = Vec::new();
        while next != 0 {
            if order.len() >= MOST_THREADS || order.contains(&next) {
                return Err(Failure::Unstable);
            }
            let known = self.plans.iter().position(|plan| plan.state == next);
            let state = known.and_then(|place| self.plans[place].state_in(&self.batch));
            let state = match state {
                Some(state) => state,
                None => {
                    bytes.resize(self.layout.thread.length, 0);
                    if memory.read(next, &mut bytes).is_none() {
                        // Freed since the thread before it was read; what is behind it cannot be found from here.
                        return Err(Failure::Unstable);
                    }
                    new = true;
                    &bytes
                }
            };
            if word(state, self.layout.thread.interp) != Some(self.layout.interpreter) {
                // Freed, and something else since.
                return Err(Failure::Unstable);
            }
            order.push(next);
            next = word(state, self.layout.thread.next).unwrap_or(0);
        }
        let same = !new && self.plans.len() == order.len();
        if same && self.plans.iter().zip(&order).all(|(plan, state)| plan.state == *state) {
            return Ok(Listed::Same);
        }
        let mut known = std::mem::take(&mut self.plans);
        self.plans.extend(order.into_iter().map(|state| {
            let place = known.iter().position(|plan| plan.state == state);
            place.map_or_else(|| Plan::of(state), |place| known.swap_remove(place))
        }));
        Ok(if new { Listed::New } else { Listed::Same })
    }

    /// What the batch says of one thread, when the one with this state held the GIL.
    fn judge(&mut self, memory: &mut Memory, place: usize, holder: Option<u64>) -> Verdict {
        let plan = &mut self.plans[place];
        let gil = holder == Some(plan.state);
        let mut thread = RawThread { state: plan.state, torn: true, gil, ..RawThread::default() };
        let Some(state) = plan.state_in(&self.batch).filter(|_| plan.is_read()) else {
            return Verdict::Again;
        };
        thread.ident = word(state, self.layout.thread.ident).unwrap_or(0);
        thread.kernel_id = word(state, self.layout.thread.kernel_id).unwrap_or(0);
        let [earlier, later] = plan.copies(&self.batch);
        let still = plan.stood_still(&self.batch);
        self.touched.clear();
        let found = match current(&later, state, &self.layout, &mut self.touched) {
            Current::Frame(frame) => self.walk.follow(&later, &earlier, frame, &self.layout.frame),
            Current::Missing(address) => {
                plan.learn(&self.batch, &self.layout, &self.touched);
                plan.remember_link(address);
                return Verdict::Again;
            }
            Current::Unknown => return Verdict::Again,
        };
        self.touched.extend(&self.walk.pieces);
        let moved = !plan.learn(&self.batch, &self.layout, &self.touched);
        if moved && plan.refresh(memory, &self.layout).is_some() && found != End::Whole {
            return Verdict::Again;
        }
        match found {
            End::Whole if self.walk.adrift && plan.adrift < ADRIFT => {
                // A generator is resumed by another frame, and forgets it when it yields.
                plan.adrift += 1;
                Verdict::Torn(thread)
            }
            End::Whole => {
                plan.adrift = if self.walk.adrift { plan.adrift } else { 0 };
                let agreed = self.walk.confirmed(&earlier, &self.layout.frame, still);
                let read = |address, bytes: &mut [u8]| memory.read(address, bytes);
                let whole = agreed.whole && self.walk.is_made(agreed.new, &later, &self.layout.frame, read);
                let certain = if whole { self.walk.frames.len() } else { agreed.frames };
                thread.frames.extend(self.walk.frames.iter().rev().take(certain));
                thread.torn = !whole;
                if whole { Verdict::Whole(thread) } else { Verdict::Torn(thread) }
            }
            End::Missing(address) => match plan.fetch(memory, &self.layout, &later, address) {
                Some(()) => Verdict::Again,
                None => Verdict::Torn(thread),
            },
            End::Nonsense => Verdict::Torn(thread),
        }
    }
}

/// How the list of threads compares with the plans.
enum Listed {
    /// Every thread in it was read.
    Same,
    /// There are others.
    New,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::pyspy::Found;
    use crate::stack::snapshot::layout::v3_12;

    const INTERPRETER: u64 = 0x10000;
    const STATE: u64 = 0x20000;
    const CFRAME: u64 = 0x21000;
    const CHUNK: u64 = 0x30000;

    /// A frame of one size in the chunk: number, code, and whether its own code runs.
    type Shown = (u64, u64, bool);

    fn place(number: u64) -> u64 {
        CHUNK + 24 + number * 0x80
    }

    /// What the chunk shows with these frames; a frame's caller is the one of the number before.
    fn chunk(frames: &[Shown]) -> Vec<u8> {
        let mut bytes = vec![0; 0x4000];
        let mut put = |at: u64, value: u64| {
            let at = usize::try_from(at - CHUNK).expect("in the chunk");
            bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        };
        put(CHUNK + 8, 0x4000);
        for (number, code, runs) in frames {
            let at = place(*number);
            put(at, *code);
            put(at + 8, if *number == 0 { 0 } else { place(number - 1) });
            put(at + 56, code + 192);
            put(at + 64, if *runs { 0xffff_ffff } else { 3 });
        }
        bytes
    }

    /// A process of one thread that shows one chunk before its state is read and another after it.
    fn process(current: u64, before: &[Shown], after: &[Shown]) -> (Threads, Memory) {
        let (before, after) = (chunk(before), chunk(after));
        let mut state_read = false;
        let memory = Memory::made(Box::new(move |address, bytes| {
            let word = |value: u64| value.to_ne_bytes().to_vec();
            let held: Vec<u8> = match address {
                STATE => {
                    state_read = true;
                    let mut state = vec![0; bytes.len()];
                    let mut put = |at: usize, value: u64| state[at..at + 8].copy_from_slice(&value.to_ne_bytes());
                    put(16, INTERPRETER);
                    put(56, CFRAME);
                    put(232, CHUNK);
                    put(240, CHUNK + 0x400);
                    state
                }
                // Pages are read whole.
                CFRAME => [word(place(current)), vec![0; 4088]].concat(),
                0x10048 => {
                    // The head of the list begins every read.
                    state_read = false;
                    word(STATE)
                }
                CHUNK.. => {
                    let image = if state_read { &after } else { &before };
                    let from = usize::try_from(address - CHUNK).expect("small");
                    image.get(from..from + bytes.len()).unwrap_or_default().to_vec()
                }
                _ => vec![0; bytes.len()],
            };
            held.get(..bytes.len()).map(|held| bytes.copy_from_slice(held)).is_some()
        }));
        let found = Found { version: (3, 12), interpreter: INTERPRETER, gil: 0, inside: false };
        (Threads::of(v3_12(found)), memory)
    }

    fn codes(current: u64, before: &[Shown], after: &[Shown]) -> (Vec<u64>, u64) {
        let (mut threads, mut memory) = process(current, before, after);
        let taken = threads.take(&mut memory).expect("something is certain");
        (taken.threads[0].frames.iter().map(|frame| frame.code).collect(), threads.tally.torn)
    }

    const MAIN: u64 = 0x1000;
    const ONE: u64 = 0x2000;
    const TWO: u64 = 0x3000;
    const LEAF: u64 = 0x4000;

    #[test]
    fn what_stands_still_is_whole() {
        let shown = [(0, MAIN, false), (1, ONE, false), (2, LEAF, true)];
        assert_eq!(codes(2, &shown, &shown), (vec![MAIN, ONE, LEAF], 0));
    }

    #[test]
    fn a_callee_that_came_or_went_meanwhile_tears_nothing() {
        let (short, long) = ([(0, MAIN, true)], [(0, MAIN, false), (1, ONE, true)]);
        assert_eq!(codes(1, &short, &long), (vec![MAIN, ONE], 0));
        assert_eq!(codes(0, &long, &short), (vec![MAIN], 0));
    }

    #[test]
    fn a_stale_frame_under_a_new_caller_is_never_shown() {
        let before = [(0, MAIN, false), (1, ONE, false), (2, LEAF, true)];
        // The caller is another now, and the leaf what its predecessor left behind.
        let after = [(0, MAIN, false), (1, TWO, true), (2, LEAF, false)];
        assert_eq!(codes(2, &before, &after), (vec![MAIN], 1));
    }

    #[test]
    fn a_new_caller_with_a_callee_that_runs_is_believed() {
        let before = [(0, MAIN, false), (1, ONE, false), (2, LEAF, true)];
        let after = [(0, MAIN, false), (1, TWO, false), (2, LEAF, true)];
        assert_eq!(codes(2, &before, &after), (vec![MAIN, TWO, LEAF], 0));
    }

    #[test]
    fn a_thread_that_only_begins_has_no_frames_and_no_ids_of_its_own() {
        let thread = |state, ids: (u64, u64), frames: usize| RawThread {
            state,
            ident: ids.0,
            kernel_id: ids.1,
            frames: vec![RawFrame::default(); frames],
            torn: false,
            gil: false,
        };
        let shown = |threads: Vec<RawThread>| -> Vec<u64> {
            let begun = threads.iter().filter(|thread| !thread.is_beginning(&threads));
            begun.map(|thread| thread.state).collect()
        };
        let main = || thread(1, (7, 8), 3);
        assert_eq!(shown(vec![thread(2, (7, 8), 0), main()]), [1]);
        assert_eq!(shown(vec![thread(2, (0, 0), 0), main()]), [1]);
        // One of C code's, and two that look like one.
        assert_eq!(shown(vec![thread(2, (9, 10), 0), main()]), [2, 1]);
        assert_eq!(shown(vec![thread(2, (7, 8), 2), main()]), [2, 1]);
    }
}

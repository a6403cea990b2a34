//! Where the samples are, function by function: how many were taken in it itself, and how many in it or below it.
//!
//! All lines of a function are one function, and recursion counts once. One pass over a recording gives the heat of every
//! phase. Samples of one thread that follow each other are no independent observations, so the runs are counted too:
//! [`compare`](super::compare) needs them to tell a change from noise.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Joined, Selection, join};
use crate::interned::{Id, Interner};
use crate::recording::{Frame, FrameId, Recording, StackId, StackTable};

/// A function of the sampled program, whatever line of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name, as it was read; not fit to be shown as it is.
    pub name: String,
    /// The whole path of its file, as it was read.
    pub file: String,
    /// The file behind the entry of `sys.path`, where there is one.
    pub short_file: Option<String>,
}

impl Function {
    fn of(frame: &Frame) -> Self {
        Self { name: frame.function.clone(), file: frame.file.clone(), short_file: frame.short_file.clone() }
    }

    /// The short file, or the whole path.
    #[must_use]
    pub fn place(&self) -> &str {
        self.short_file.as_deref().unwrap_or(&self.file)
    }
}

/// The number of a function in its table.
pub type FunctionId = Id<Function>;

/// The functions of a recording.
#[derive(Clone, Debug)]
pub struct Functions {
    known: Interner<Function>,
    /// By the number of the frame.
    of_frames: Vec<FunctionId>,
}

impl Functions {
    /// The functions that the frames of a table are of.
    #[must_use]
    pub fn of(stacks: &StackTable) -> Self {
        let mut known = Interner::default();
        let of_frames = stacks.frames().iter().map(|frame| known.intern(Function::of(frame))).collect();
        Self { known, of_frames }
    }

    /// The function of that number.
    #[must_use]
    pub fn get(&self, id: FunctionId) -> Option<&Function> {
        self.known.get(id)
    }

    fn of_frame(&self, frame: FrameId) -> Option<FunctionId> {
        self.of_frames.get(frame.index() as usize).copied()
    }
}

/// Samples, and the runs that they come in: samples of one thread that follow each other and show the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many samples.
    pub samples: u64,
    /// In how many runs.
    pub runs: u64,
}

impl Count {
    const fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.runs = self.runs.saturating_add(other.runs);
    }
}

/// The samples of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// It was the innermost.
    pub own: Count,
    /// It was somewhere on the stack.
    pub total: Count,
}

/// Where the samples of a phase, or of all, were taken.
#[derive(Clone, Debug, Default)]
pub struct Heat {
    /// All that count; a run is one of equal stacks.
    pub all: Count,
    spots: HashMap<FunctionId, Spot, RandomState>,
}

impl Heat {
    /// The samples of one function.
    #[must_use]
    pub fn spot(&self, function: FunctionId) -> Spot {
        self.spots.get(&function).copied().unwrap_or_default()
    }

    /// The functions that were seen, in no order.
    pub fn functions(&self) -> impl Iterator<Item = FunctionId> {
        self.spots.keys().copied()
    }

    /// The `most` hottest functions: those with most samples of their own; of equals the one with more in all.
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<(FunctionId, Spot)> {
        let mut spots: Vec<_> = self.spots.iter().map(|(function, spot)| (*function, *spot)).collect();
        spots.sort_unstable_by_key(|(function, spot)| {
            (std::cmp::Reverse((spot.own.samples, spot.total.samples)), *function)
        });
        spots.truncate(most);
        spots
    }

    /// Adds what was counted elsewhere in the same recording.
    pub fn add(&mut self, other: &Self) {
        self.all.add(other.all);
        for (function, spot) in &other.spots {
            let sum = self.spots.entry(*function).or_default();
            sum.own.add(spot.own);
            sum.total.add(spot.total);
        }
    }
}

/// The heat of every phase, and last of what was taken outside of all phases. The phase of the selection is not looked at.
#[must_use]
pub fn heat(recording: &Recording, functions: &Functions, selection: &Selection) -> Vec<Heat> {
    let phases = recording.timeline.phases.len();
    let takes = |joined: &Joined| {
        let process = joined.process.and_then(|number| recording.process(number));
        process.is_some_and(|process| selection.takes_process(process)) && selection.takes(&joined.sample)
    };
    let mut count = Counting::new(recording, functions, phases + 1);
    for joined in join(recording).filter(takes) {
        count.add(&joined, joined.phase.unwrap_or(phases));
    }
    count.finish()
}

/// The pass over the samples.
struct Counting<'a> {
    stacks: &'a StackTable,
    functions: &'a Functions,
    heats: Vec<Heat>,
    /// For each heat, how often each stack was seen.
    seen: Vec<HashMap<StackId, u64, RandomState>>,
    /// What each thread showed last, and in which heat.
    last: Vec<Option<(usize, StackId)>>,
    marks: Marks,
}

impl<'a> Counting<'a> {
    fn new(recording: &'a Recording, functions: &'a Functions, heats: usize) -> Self {
        Self {
            stacks: &recording.stacks,
            functions,
            heats: vec![Heat::default(); heats],
            seen: vec![HashMap::default(); heats],
            last: vec![None; recording.threads.len()],
            marks: Marks::new(functions.known.len()),
        }
    }

    fn add(&mut self, joined: &Joined, heat: usize) {
        let stack = joined.sample.stack;
        let (Some(last), Some(seen)) = (self.last.get_mut(joined.sample.thread.index() as usize), self.seen.get_mut(heat))
        else {
            return;
        };
        *seen.entry(stack).or_default() += 1;
        let before = last.replace((heat, stack));
        if before != Some((heat, stack)) {
            let before = before.filter(|(of, _)| *of == heat).map(|(_, stack)| stack);
            self.begin(heat, before, stack);
        }
    }

    /// A thread shows another stack than before: runs begin for the functions that were not on it.
    fn begin(&mut self, heat: usize, before: Option<StackId>, stack: StackId) {
        let (stacks, functions) = (self.stacks, self.functions);
        let walk = |stack| stacks.walk(stack).filter_map(|frame| functions.of_frame(frame));
        self.marks.clear();
        for function in before.into_iter().flat_map(walk) {
            self.marks.mark(function);
        }
        let heat = &mut self.heats[heat];
        heat.all.runs += 1;
        let innermost = walk(stack).next();
        if let Some(innermost) = innermost
            && before.and_then(|before| walk(before).next()) != Some(innermost)
        {
            heat.spots.entry(innermost).or_default().own.runs += 1;
        }
        for function in walk(stack) {
            if self.marks.mark(function) {
                heat.spots.entry(function).or_default().total.runs += 1;
            }
        }
    }

    fn finish(mut self) -> Vec<Heat> {
        for (heat, seen) in self.heats.iter_mut().zip(self.seen) {
            for (stack, count) in seen {
                heat.all.samples += count;
                self.marks.clear();
                let walk = self.stacks.walk(stack).filter_map(|frame| self.functions.of_frame(frame));
                for (depth, function) in walk.enumerate() {
                    if self.marks.mark(function) {
                        let spot = heat.spots.entry(function).or_default();
                        spot.total.samples += count;
                        spot.own.samples += if depth == 0 { count } else { 0 };
                    }
                }
            }
        }
        self.heats
    }
}

/// A set of functions that is emptied in no time.
struct Marks {
    marked: Vec<u64>,
    now: u64,
}

impl Marks {
    fn new(functions: usize) -> Self {
        Self { marked: vec![0; functions], now: 0 }
    }

    const fn clear(&mut self) {
        self.now += 1;
    }

    /// Marks a function; `false` when it was marked already.
    fn mark(&mut self, function: FunctionId) -> bool {
        let Some(mark) = self.marked.get_mut(function.index() as usize) else {
            return false;
        };
        std::mem::replace(mark, self.now) != self.now
    }
}

//! Where the samples are, function by function: how many were taken in it itself, and how many in it or below it, and what
//! they weigh: as much as their number, or their CPU time.
//!
//! All lines of a function are one function, and recursion counts once. One pass over a recording gives the heat of every
//! phase. Samples of one thread that follow each other are no independent observations, so the runs are counted too:
//! [`compare`](super::compare) needs them to tell a change from noise.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Joined, Selection, join};
use crate::interned::{Id, Interner};
use crate::recording::{Frame, FrameId, ProcessNumber, Recording, StackId, StackTable, State};

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

/// Samples, and the runs that they come in: samples of one thread that follow each other, without rest, and show the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many samples.
    pub samples: u64,
    /// What they weigh: as much, or of CPU time the microseconds.
    pub weight: u64,
    /// In how many runs.
    pub runs: u64,
}

impl Count {
    const fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.weight = self.weight.saturating_add(other.weight);
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
    /// The squares of what each of them weighs, summed up: it tells how unequal they are.
    pub squares: u128,
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

    /// The `most` hottest functions: those with most samples or CPU time of their own; of equals the one with more in all. One without
    /// any of its own is not hot, whatever it calls.
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<(FunctionId, Spot)> {
        let hot = self.spots.iter().filter(|(_, spot)| spot.own.weight > 0);
        let mut spots: Vec<_> = hot.map(|(function, spot)| (*function, *spot)).collect();
        spots.sort_unstable_by_key(|(function, spot)| {
            (std::cmp::Reverse((spot.own.weight, spot.total.weight)), *function)
        });
        spots.truncate(most);
        spots
    }

    /// How equal the samples weigh: 1 where all do, less the more they differ (Kish's `(Σw)² / (n Σw²)`).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than a float has")]
    pub fn evenness(&self) -> f64 {
        let (n, sum, squares) = (self.all.samples as f64, self.all.weight as f64, self.squares as f64);
        if n > 0.0 && squares > 0.0 { (sum * sum / (n * squares)).min(1.0) } else { 1.0 }
    }

    /// Adds what was counted elsewhere in the same recording.
    pub fn add(&mut self, other: &Self) {
        self.all.add(other.all);
        self.squares = self.squares.saturating_add(other.squares);
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
    heat_of(recording, functions, selection, phases + 1, |joined| Some(joined.phase.unwrap_or(phases)))
}

/// The heat of so many sets of samples; `set` tells the number of the one that a sample is in, if it is in any.
#[must_use]
pub fn heat_of(
    recording: &Recording,
    functions: &Functions,
    selection: &Selection,
    sets: usize,
    mut set: impl FnMut(&Joined) -> Option<usize>,
) -> Vec<Heat> {
    let selected: Vec<bool> = recording.processes.iter().map(|process| selection.takes_process(process)).collect();
    let is_selected = |process: ProcessNumber| selected.get(process.index() as usize) == Some(&true);
    let mut count = Counting::new(recording, functions, sets);
    for joined in join(recording).filter(|joined| joined.process.is_some_and(is_selected)) {
        let weight = selection.weight(&joined.sample);
        if weight > 0 {
            if let Some(set) = set(&joined) {
                count.add(&joined, set, weight);
            }
        } else if joined.sample.state == State::Idle {
            count.rest(&joined);
        }
    }
    count.finish()
}

/// The pass over the samples.
struct Counting<'a> {
    stacks: &'a StackTable,
    functions: &'a Functions,
    heats: Vec<Heat>,
    /// For each heat, how often each stack was seen, and what that weighs.
    seen: Vec<HashMap<StackId, (u64, u64), RandomState>>,
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

    fn add(&mut self, joined: &Joined, heat: usize, weight: u64) {
        let stack = joined.sample.stack;
        let (Some(last), Some(seen)) =
            (self.last.get_mut(joined.sample.thread.index() as usize), self.seen.get_mut(heat))
        else {
            return;
        };
        let (samples, weights) = seen.entry(stack).or_default();
        *samples += 1;
        *weights = weights.saturating_add(weight);
        let squares = &mut self.heats[heat].squares;
        *squares = squares.saturating_add(u128::from(weight) * u128::from(weight));
        let before = last.replace((heat, stack));
        if before != Some((heat, stack)) {
            let before = before.filter(|(of, _)| *of == heat).map(|(_, stack)| stack);
            self.begin(heat, before, stack);
        }
    }

    /// A thread was idle: what it does next is another piece of work, however much it looks like the one before.
    fn rest(&mut self, joined: &Joined) {
        if let Some(last) = self.last.get_mut(joined.sample.thread.index() as usize) {
            *last = None;
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
            for (stack, (samples, weight)) in seen {
                let count = Count { samples, weight, runs: 0 };
                heat.all.add(count);
                self.marks.clear();
                let walk = self.stacks.walk(stack).filter_map(|frame| self.functions.of_frame(frame));
                for (depth, function) in walk.enumerate() {
                    if self.marks.mark(function) {
                        let spot = heat.spots.entry(function).or_default();
                        spot.total.add(count);
                        spot.own.add(if depth == 0 { count } else { Count::default() });
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::synthetic::{at, phase, recording, sample};
    use super::*;
    use crate::recording::State::{Idle, Running, Waiting};

    /// Name, own samples and runs, samples and runs in all.
    fn told(recording: &Recording, number: usize) -> Vec<(String, [u64; 4])> {
        let functions = Functions::of(&recording.stacks);
        let heats = heat(recording, &functions, &Selection::default());
        let row = |(id, Spot { own, total }): (FunctionId, Spot)| {
            (
                functions.get(id).map_or_else(String::new, |function| function.name.clone()),
                [own.samples, own.runs, total.samples, total.runs],
            )
        };
        heats[number].hottest(9).into_iter().map(row).collect()
    }

    #[test]
    fn recursion_and_lines_count_once() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "", 1000);
        sample(&mut recording, 1, 0, Running, &["main", "walk@1", "walk@2", "walk@3"]);
        sample(&mut recording, 1, 10, Running, &["main", "walk@1", "walk@3"]);
        sample(&mut recording, 1, 20, Waiting, &["main", "query"]);
        sample(&mut recording, 1, 30, Waiting, &["main", "query"]);
        sample(&mut recording, 1, 40, Running, &["main", "walk@3"]);
        sample(&mut recording, 1, 50, Idle, &["main", "accept"]);
        sample(&mut recording, 1, 60, Running, &["main", "walk@3"]);
        sample(&mut recording, 0, 60, Running, &["arbiter"]);
        // `main` calls them all and has no sample of its own.
        let expected = [("walk", [4, 3, 4, 3]), ("query", [2, 1, 2, 1])];
        assert_eq!(told(&recording, 0), expected.map(|(name, counts)| (name.to_owned(), counts)));
    }

    #[test]
    fn each_phase_has_its_own_heat_and_so_has_the_rest() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "", 10);
        phase(&mut recording, "empty", "", 0);
        phase(&mut recording, "b", "", 10);
        for millis in [0, 5, 10, 19, 20] {
            sample(&mut recording, 1, millis, Running, &["f"]);
        }
        let functions = Functions::of(&recording.stacks);
        let heats = heat(&recording, &functions, &Selection::default());
        let counts: Vec<(u64, u64)> = heats.iter().map(|heat| (heat.all.samples, heat.all.runs)).collect();
        assert_eq!(counts, [(2, 1), (0, 0), (2, 1), (1, 1)]);
        assert_eq!(recording.timeline.phases[0].ended, at(10));
        let mut sum = Heat::default();
        for heat in &heats {
            sum.add(heat);
        }
        assert_eq!(sum.hottest(1)[0].1.total.samples, 5);
    }

    proptest! {
        #[test]
        fn counts_are_what_counting_by_hand_gives(
            samples in proptest::collection::vec((0..30_u64, 0..5_usize, 0..3_u32), 0..60),
        ) {
            const STACKS: [&[&str]; 5] = [&[], &["a"], &["a", "b"], &["a", "b", "a"], &["c", "b"]];
            let mut recording = recording(2);
            phase(&mut recording, "one", "", 10);
            phase(&mut recording, "two", "", 10);
            for (millis, stack, process) in &samples {
                sample(&mut recording, *process, *millis, Running, STACKS[*stack]);
            }
            let functions = Functions::of(&recording.stacks);
            let heats = heat(&recording, &functions, &Selection::default());
            for (number, heat) in heats.iter().enumerate() {
                let of = |millis: u64| usize::try_from(millis / 10).expect("fits");
                let here = || samples.iter().filter(|(millis, _, process)| of(*millis) == number && *process > 0);
                prop_assert_eq!(heat.all.samples, here().count() as u64);
                for id in heat.functions() {
                    let name = functions.get(id).expect("known").name.as_str();
                    let total = here().filter(|(_, stack, _)| STACKS[*stack].contains(&name)).count() as u64;
                    let own = here().filter(|(_, stack, _)| STACKS[*stack].last() == Some(&name)).count() as u64;
                    let spot = heat.spot(id);
                    prop_assert_eq!((spot.own.samples, spot.total.samples), (own, total));
                    prop_assert!(spot.own.runs <= own && spot.total.runs <= total && spot.total.runs > 0);
                }
            }
        }
    }
}

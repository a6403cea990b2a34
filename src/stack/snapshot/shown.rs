//! The stack that a thread was shown with last, so that only what has changed since is looked up and stored anew.
//!
//! From one sample to the next most frames of a thread are where they were. What a frame is called depends on its code and on
//! where it executes in it; as long as the code is believed ([`code_cache`](super::code_cache)), equal frames under equal
//! callers are the same call. Calls that other threads or earlier samples have made are shared too, within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::code_cache::BELIEVED;
use super::frames::RawFrame;
use crate::clock::Moment;
use crate::recording::{Frame, Trace};

/// Calls of a process that are remembered, some 100 bytes each.
const MOST: usize = 20_000;

/// The calls that were seen in one process.
#[derive(Default)]
pub(super) struct Calls {
    /// By the places of caller and frame; the call holds both, so that nothing else can be there.
    known: HashMap<(usize, usize), Trace, RandomState>,
}

impl Calls {
    /// The stack in which `caller` has called a function.
    pub(super) fn call(&mut self, caller: &Trace, frame: Arc<Frame>) -> Trace {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let places = (caller.place(), Arc::as_ptr(&frame).addr());
        self.known.entry(places).or_insert_with(|| caller.call(frame)).clone()
    }
}

/// What one thread was shown with.
#[derive(Debug, Default)]
pub(super) struct Shown {
    steps: Vec<Step>,
    /// Since when the codes of all these frames are believed.
    believed: Moment,
    /// The number of deaths of code objects then.
    generation: Option<u64>,
}

/// A frame, and the stack up to it.
#[derive(Clone, Debug)]
struct Step {
    code: u64,
    instruction: u64,
    stack: Trace,
    /// Whether some frame up to this one stands around a request.
    serving: bool,
}

impl Shown {
    /// Keeps of what was shown as many frames, from the outermost in, as a new sample has too; the rest is to be named anew.
    pub(super) fn keep(&mut self, frames: &[RawFrame], generation: Option<u64>, now: Moment) {
        let is_believed = match generation {
            Some(_) => self.generation == generation,
            None => now.since(self.believed) < BELIEVED,
        };
        let same =
            |(step, frame): &(&Step, &RawFrame)| step.code == frame.code && step.instruction == frame.instruction;
        let kept = if is_believed { self.steps.iter().zip(frames).take_while(same).count() } else { 0 };
        self.steps.truncate(kept);
        if kept == 0 {
            (self.believed, self.generation) = (now, generation);
        }
    }

    /// How many frames are named.
    pub(super) const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Adds the next frame further in: with its name, or with none if it is not to be shown.
    pub(super) fn add(&mut self, raw: &RawFrame, named: Option<(Arc<Frame>, bool)>, calls: &mut Calls) {
        let (caller, inside) = (self.stack(), self.is_serving());
        let (stack, serving) = match named {
            Some((frame, serves)) => (calls.call(&caller, frame), inside || serves),
            None => (caller, inside),
        };
        self.steps.push(Step { code: raw.code, instruction: raw.instruction, stack, serving });
    }

    /// The whole stack.
    pub(super) fn stack(&self) -> Trace {
        self.steps.last().map(|step| step.stack.clone()).unwrap_or_default()
    }

    /// Whether it serves a request.
    pub(super) fn is_serving(&self) -> bool {
        self.steps.last().is_some_and(|step| step.serving)
    }
}

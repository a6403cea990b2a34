//! Distinct stacks as a prefix tree: two stacks that share their lower frames share the nodes for them.
//!
//! A [`StackId`] names the innermost frame together with all that called it; [`StackTable::EMPTY`] is a thread without any
//! Python frame. The table is bounded: when it is full, a new stack is cut at the deepest frame that is already known.

use foldhash::fast::RandomState;
use std::collections::HashMap;

use super::Trace;
use crate::interned::{Id, Interner};

/// One Python frame, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Function name; the qualified one (`Class.method`) on Python 3.11 and later.
    pub function: String,
    /// The file as the code object names it.
    pub file: String,
    /// The file relative to the entry of `sys.path` that it was imported from, where there is one.
    pub short_file: Option<String>,
    /// Line number from 1; 0 when unknown.
    pub line: u32,
}

impl Frame {
    /// Whether the frame belongs to gevent or eventlet, which switch greenlets.
    #[must_use]
    pub fn is_of_greenlets(&self) -> bool {
        self.file.contains("/gevent/") || self.file.contains("/eventlet/")
    }
}

/// The number of a frame in its table.
pub type FrameId = Id<Frame>;

/// A node of the prefix tree: a frame and what called it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    /// The caller's stack; [`StackTable::EMPTY`] below the outermost frame.
    pub caller: StackId,
    /// The innermost frame; `None` for the empty stack alone.
    pub frame: Option<FrameId>,
}

/// The number of a stack in its table.
pub type StackId = Id<Stack>;

/// All distinct frames and stacks of a recording.
#[derive(Clone, Debug)]
pub struct StackTable {
    frames: Interner<Frame>,
    stacks: Interner<Stack>,
    capacity: usize,
    /// Stacks that readers keep, by their place in memory.
    shared: HashMap<usize, (Trace, StackId), RandomState>,
}

/// How many stacks of readers are known by their place: some 100 bytes each, and their frames.
const SHARED: usize = 50_000;

impl Default for StackTable {
    fn default() -> Self {
        Self::with_capacity(Self::CAPACITY)
    }
}

impl StackTable {
    /// The stack without frames.
    pub const EMPTY: StackId = Id::from_index(0);

    /// How many nodes a table holds at most: 2 million, about 60 MB. Distinct frames, some 200 bytes each, are far fewer.
    pub const CAPACITY: usize = 2_000_000;

    /// An empty table for at most that many nodes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let mut stacks = Interner::default();
        stacks.intern(Stack { caller: Self::EMPTY, frame: None });
        Self { frames: Interner::default(), stacks, capacity, shared: HashMap::default() }
    }

    /// Stores a stack given from the outermost frame to the innermost. `false` when it had to be cut.
    pub fn insert(&mut self, frames: impl IntoIterator<Item = Frame>) -> (StackId, bool) {
        let mut stack = Self::EMPTY;
        for frame in frames {
            match self.call(stack, &frame) {
                Some(callee) => stack = callee,
                None => return (stack, false),
            }
        }
        (stack, true)
    }

    /// As [`StackTable::insert`], for a stack as a reader shows it: the part of it that was there before is found by its place.
    pub fn insert_trace(&mut self, trace: &Trace) -> (StackId, bool) {
        // Most often the stack is known, or the one that called it.
        let mut new: Vec<&Trace> = Vec::new();
        let (mut next, mut stack) = (trace, Self::EMPTY);
        while let Some((_, caller)) = next.split() {
            if let Some((_, known)) = self.shared.get(&next.place()) {
                stack = *known;
                break;
            }
            new.push(next);
            next = caller;
        }
        for trace in new.into_iter().rev() {
            let Some(callee) = trace.split().and_then(|(frame, _)| self.call(stack, frame)) else {
                return (stack, false);
            };
            stack = callee;
            self.remember(trace, stack);
        }
        (stack, true)
    }

    /// Notes the place of a stack that somebody keeps and will show again.
    fn remember(&mut self, trace: &Trace, stack: StackId) {
        if trace.is_lone() {
            return;
        }
        if self.shared.len() >= SHARED {
            self.shared.clear();
        }
        // While the table holds it, no other stack can be in its place.
        self.shared.insert(trace.place(), (trace.clone(), stack));
    }

    /// The stack in which `caller` has called `frame`; `None` when it is new and the table full, or the caller unknown.
    pub fn call(&mut self, caller: StackId, frame: &Frame) -> Option<StackId> {
        self.stacks.get(caller)?;
        let known = self.frames.find(frame);
        if self.stacks.len() >= self.capacity {
            return self.stacks.find(&Stack { caller, frame: Some(known?) });
        }
        let frame = Some(known.unwrap_or_else(|| self.frames.intern(frame.clone())));
        Some(self.stacks.intern(Stack { caller, frame }))
    }

    /// The frames of a stack from the innermost to the outermost.
    pub fn walk(&self, stack: StackId) -> impl Iterator<Item = FrameId> {
        // A caller always has a smaller number than its callee, so the walk ends whatever a file claims.
        std::iter::successors(self.stacks.get(stack), |node| self.stacks.get(node.caller)).map_while(|node| node.frame)
    }

    /// The frame of that number.
    #[must_use]
    pub fn frame(&self, id: FrameId) -> Option<&Frame> {
        self.frames.get(id)
    }

    /// All frames in the order of their numbers.
    #[must_use]
    pub const fn frames(&self) -> &Interner<Frame> {
        &self.frames
    }

    /// All stacks in the order of their numbers, the empty one first; callers come before their callees.
    #[must_use]
    pub const fn stacks(&self) -> &Interner<Stack> {
        &self.stacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn frame(function: &str) -> Frame {
        Frame { function: function.into(), file: "app.py".into(), short_file: None, line: 1 }
    }

    fn names(table: &StackTable, stack: StackId) -> Vec<&str> {
        table.walk(stack).filter_map(|id| Some(table.frame(id)?.function.as_str())).collect()
    }

    #[test]
    fn shared_callers_are_stored_once() {
        let mut table = StackTable::default();
        let (first, _) = table.insert(["main", "serve", "parse"].map(frame));
        let (second, _) = table.insert(["main", "serve", "query"].map(frame));
        assert_eq!(table.stacks().len(), 5);
        assert_eq!(names(&table, first), ["parse", "serve", "main"]);
        assert_eq!(names(&table, second), ["query", "serve", "main"]);
        assert_eq!(table.insert([]), (StackTable::EMPTY, true));
        assert_eq!(table.walk(StackTable::EMPTY).count(), 0);
    }

    #[test]
    fn recursion_keeps_every_level() {
        let mut table = StackTable::default();
        let (stack, whole) = table.insert((0..900).map(|_| frame("fib")));
        assert!(whole);
        assert_eq!(table.walk(stack).count(), 900);
    }

    #[test]
    fn a_full_table_cuts_at_what_it_knows() {
        let mut table = StackTable::with_capacity(3);
        let (known, _) = table.insert(["main", "serve"].map(frame));
        let (cut, whole) = table.insert(["main", "serve", "query"].map(frame));
        assert_eq!((cut, whole), (known, false));
        assert_eq!(table.insert(["main", "serve"].map(frame)), (known, true));
        assert_eq!(table.insert([frame("other")]), (StackTable::EMPTY, false));
    }
}

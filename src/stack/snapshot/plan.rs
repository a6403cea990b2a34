//! Which pieces of memory show one thread: foretold from what the last sample needed.
//!
//! Most frames are in the chunks of the thread's data stack; the rest (shims and `_PyCFrame`s on the C stack, frames of generators
//! and coroutines in their objects) are remembered piece by piece for as long as they are of use. A wrong plan costs another
//! read and never a wrong stack: what is missing is fetched and the sample begun anew.

use super::frames::{MOST_FRAMES, Pieces};
use super::layout::{CurrentFrame, FrameLayout, Layout};
use super::memory::{Batch, Memory, word};
use super::scattered::{PAGE, Scattered};

/// `_PyStackChunk`: previous, size, top, then the frames (`Include/cpython/pystate.h`).
const CHUNK_HEADER: usize = 24;
/// Chunks of one thread that are followed; a recursion of 1000 needs a dozen.
const MOST_CHUNKS: usize = 64;
/// A longer stretch of a chunk is not read whole, nor more than that of one thread's chunks; frames in the rest are fetched
/// one by one.
const LONGEST_CHUNK: usize = 1 << 20;
/// So much more of the newest chunk is read than was in use last time.
const SLACK: usize = 1024;
/// Frames outside of the chunks that are fetched at once.
const MOST_FETCHED: usize = 1024;
/// Generators' frames that are that near are read as one piece; and what is on the C stack, where it is deep in calls.
const GAP: u64 = 512;
const C_GAP: u64 = PAGE;

/// A stretch of the data stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    address: u64,
    /// How much of it is read.
    length: usize,
    /// How long it is.
    size: usize,
}

/// The pieces of one thread.
#[derive(Debug)]
pub(super) struct Plan {
    /// Address of its `PyThreadState`.
    pub(super) state: u64,
    /// Newest first.
    chunks: Vec<Chunk>,
    /// Frames in objects: read twice like the chunks.
    heap: Scattered,
    /// Links between frames on the C stack: read once, right after the state that points there.
    c_stack: Scattered,
    /// Stacks in a row that began with a generator.
    pub(super) adrift: u32,
    /// Numbers of its first piece and of its state in the batch.
    first: usize,
    state_at: usize,
    is_read: bool,
}

impl Plan {
    pub(super) const fn of(state: u64) -> Self {
        Self {
            state,
            chunks: Vec::new(),
            heap: Scattered::near(GAP),
            c_stack: Scattered::near(C_GAP),
            adrift: 0,
            first: 0,
            state_at: 0,
            is_read: false,
        }
    }

    /// Adds two copies to a batch, with the thread's state between them and what is on the C stack. The newest chunk is read just
    /// before these and just after. Generators come first and last: one that is the same in both copies did not run while the
    /// chunks were read, so it is what called the frame that the later copy shows on it.
    pub(super) fn add_to(&mut self, batch: &mut Batch, layout: &Layout) {
        self.first = batch.len();
        self.heap.add_reversed_to(batch);
        for chunk in self.chunks.iter().rev() {
            batch.add(chunk.address, chunk.length);
        }
        self.state_at = batch.add(self.state, layout.thread.length);
        self.c_stack.add_to(batch);
        for chunk in &self.chunks {
            batch.add(chunk.address, chunk.length);
        }
        self.heap.add_to(batch);
        self.is_read = true;
    }

    /// Adds the thread's state alone.
    pub(super) fn add_state_to(&mut self, batch: &mut Batch, layout: &Layout) {
        self.state_at = batch.add(self.state, layout.thread.length);
        self.first = self.state_at;
        self.is_read = false;
    }

    /// Whether it was read whole.
    pub(super) const fn is_read(&self) -> bool {
        self.is_read
    }

    /// What was read before the thread's state, and what after it.
    pub(super) const fn copies<'a>(&self, batch: &'a Batch) -> [Pieces<'a>; 2] {
        let twice = self.state_at - self.first;
        let later = self.state_at + 1;
        [Pieces::of(batch, self.first, twice), Pieces::of(batch, later, self.c_stack.len() + twice)]
    }

    /// Whether all that was read twice is the same in both copies, byte by byte.
    pub(super) fn stood_still(&self, batch: &Batch) -> bool {
        let (heap, chunks) = (self.heap.len(), self.chunks.len());
        let (first, later) = (self.first, self.state_at + 1 + self.c_stack.len());
        let same = |one, two| batch.piece(one).is_some_and(|one| Some(one) == batch.piece(two));
        // The second copy has them the other way round.
        let all = heap + chunks;
        (0..all).all(|place| same(first + place, later + all - 1 - place))
    }

    /// The thread's state as it was read.
    pub(super) fn state_in<'a>(&self, batch: &'a Batch) -> Option<&'a [u8]> {
        batch.piece(self.state_at)
    }

    /// Learns from a read, given the later pieces that were of use in it: forgets those that were not there or of no use for long,
    /// and measures the newest chunk. `false` when the chunks are not what they were.
    pub(super) fn learn(&mut self, batch: &Batch, layout: &Layout, touched: &[usize]) -> bool {
        let (first, c_stack) = (self.first, self.state_at + 1);
        let newest = c_stack + self.c_stack.len();
        let (heap, heaps) = (newest + self.chunks.len(), self.heap.len());
        let places = |from: usize| touched.iter().filter_map(move |number| number.checked_sub(from));
        self.c_stack.learn(places(c_stack), |place| batch.piece(c_stack + place).is_some());
        self.heap.learn(places(heap), |place| {
            batch.piece(first + heaps - 1 - place).is_some() && batch.piece(heap + place).is_some()
        });
        let Some((chunk, top)) = self.state_in(batch).and_then(|state| stack_of(state, layout)) else {
            return false;
        };
        match self.chunks.first_mut() {
            Some(known) if known.address == chunk => {
                let used = used_of(chunk, top).min(known.size) + SLACK;
                known.length = used.max(known.length.saturating_sub(SLACK / 2)).min(known.size);
                batch.piece(newest).is_some()
            }
            Some(_) => false,
            None => chunk == 0,
        }
    }

    /// Looks the chunks up anew.
    pub(super) fn refresh(&mut self, memory: &mut Memory, layout: &Layout) -> Option<()> {
        let mut state = vec![0; layout.thread.length];
        memory.read(self.state, &mut state)?;
        let (mut address, mut top) = stack_of(&state, layout)?;
        let (mut whole, mut followed) = (0, 0);
        self.chunks.clear();
        while address != 0 && followed < MOST_CHUNKS {
            followed += 1;
            let mut header = [0; CHUNK_HEADER];
            memory.read(address, &mut header)?;
            let size = usize::try_from(word(&header, 8)?).ok()?;
            if !(CHUNK_HEADER..=1 << 32).contains(&size) {
                return None;
            }
            let slack = if self.chunks.is_empty() { SLACK } else { 0 };
            let length = (used_of(address, top) + slack).min(size);
            whole += length;
            if whole <= LONGEST_CHUNK {
                self.chunks.push(Chunk { address, length, size });
            }
            address = word(&header, 0)?;
            // The top of an older chunk is kept in its header, in words behind the header.
            let mut older = [0; CHUNK_HEADER];
            if address != 0 {
                memory.read(address, &mut older)?;
            }
            top = address.wrapping_add(CHUNK_HEADER as u64).wrapping_add(word(&older, 16)?.wrapping_mul(8));
        }
        Some(())
    }

    /// Fetches what a walk did not find, and whatever else is missing from there on; what was copied shows the way. `None`
    /// when there is nothing to be found.
    pub(super) fn fetch(
        &mut self,
        memory: &mut Memory,
        layout: &Layout,
        copied: &Pieces<'_>,
        missing: u64,
    ) -> Option<()> {
        let mut bytes = vec![0; layout.frame.length];
        let (mut next, mut fetched) = (missing, 0);
        for _ in 0..MOST_FRAMES {
            if next == 0 || fetched >= MOST_FETCHED {
                break;
            }
            next = if let Some((known, _)) = copied.find(next, layout.frame.length) {
                word(known, layout.frame.previous)?
            } else {
                memory.read(next, &mut bytes)?;
                fetched += 1;
                if !layout.frame.can_be(&bytes) {
                    return None;
                }
                let end = next.saturating_add(layout.frame.length as u64);
                if !self.has(next, layout.frame.length) {
                    self.remember(next, end, &layout.frame, &bytes);
                }
                word(&bytes, layout.frame.previous)?
            };
        }
        Some(())
    }

    /// Adds a frame that is in none of the chunks. Where one generator was, the next of its size will be, so it is read by the page.
    fn remember(&mut self, address: u64, end: u64, layout: &FrameLayout, frame: &[u8]) {
        if layout.is_shim(frame) {
            return self.c_stack.remember(address, end);
        }
        let grain = if layout.is_generators(frame) { PAGE } else { 1 };
        self.heap.remember(address / grain * grain, end.div_ceil(grain).saturating_mul(grain));
    }

    /// Adds a word on the C stack.
    pub(super) fn remember_link(&mut self, address: u64) {
        self.c_stack.remember(address, address.saturating_add(8));
    }

    fn has(&self, address: u64, length: usize) -> bool {
        let end = address.saturating_add(length as u64);
        let chunk =
            |chunk: &Chunk| address >= chunk.address && end <= chunk.address.saturating_add(chunk.length as u64);
        self.chunks.iter().any(chunk) || self.heap.has(address, end) || self.c_stack.has(address, end)
    }
}

/// Where a thread's state says that its current frame is, in one copy.
pub(super) enum Current {
    Frame(u64),
    /// The word that says it, which is not in the copy.
    Missing(u64),
    Unknown,
}

/// Finds the current frame of a thread.
pub(super) fn current(pieces: &Pieces<'_>, state: &[u8], layout: &Layout, touched: &mut Vec<usize>) -> Current {
    match layout.thread.current {
        CurrentFrame::Here(offset) => word(state, offset).map_or(Current::Unknown, Current::Frame),
        CurrentFrame::Through { cframe, frame } => match word(state, cframe) {
            None => Current::Unknown,
            Some(0) => Current::Frame(0),
            Some(cframe) => {
                let address = cframe.wrapping_add(frame as u64);
                match pieces.find(address, 8) {
                    Some((bytes, piece)) => {
                        touched.push(piece);
                        word(bytes, 0).map_or(Current::Unknown, Current::Frame)
                    }
                    None => Current::Missing(address),
                }
            }
        },
    }
}

/// The newest chunk of a thread's data stack, and the end of what is in use of it.
fn stack_of(state: &[u8], layout: &Layout) -> Option<(u64, u64)> {
    Some((word(state, layout.thread.chunk)?, word(state, layout.thread.chunk + 8)?))
}

fn used_of(chunk: u64, top: u64) -> usize {
    usize::try_from(top.saturating_sub(chunk)).unwrap_or(usize::MAX).clamp(CHUNK_HEADER, LONGEST_CHUNK)
}

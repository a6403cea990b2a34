//! From copied memory to a chain of frames, and to what is certain of it.
//!
//! A thread runs on while its memory is copied, so a copy can show a frame that was popped, or a new one where an old one was
//! called from. Hence two copies, the pointer to the current frame read between them, all within a microsecond or two. Frames
//! that are the same in both were there all the time; the current one is what the pointer says; a few more may be new, if
//! they say of themselves that they wait for the next one (3.11 to 3.13). From 3.14 on frames do not say that, and the line of
//! the caller of a new frame can be younger than the call by what was executed in that microsecond. Pure: it sees bytes, and no process.

use std::cell::Cell;

use super::layout::FrameLayout;
use super::memory::{Batch, int, word};

/// More frames than this in one thread are not believed; py-spy has the same limit.
pub(super) const MOST_FRAMES: usize = 4096;

/// Frames that may be in the later copy alone.
const MOST_NEW: usize = 3;

/// One copy of the memory of a thread: some pieces of a batch.
pub(super) struct Pieces<'a> {
    batch: &'a Batch,
    first: usize,
    count: usize,
    /// The piece that was used last: the next frame is mostly in the same.
    last: Cell<usize>,
}

impl<'a> Pieces<'a> {
    pub(super) const fn of(batch: &'a Batch, first: usize, count: usize) -> Self {
        Self { batch, first, count, last: Cell::new(first) }
    }

    /// The bytes at an address, and the number of the piece that has them.
    pub(super) fn find(&self, address: u64, length: usize) -> Option<(&'a [u8], usize)> {
        let within = |number: usize| {
            let place = usize::try_from(address.checked_sub(self.batch.address(number))?).ok()?;
            let bytes = self.batch.piece(number)?.get(place..place.checked_add(length)?)?;
            Some((bytes, number))
        };
        let found = within(self.last.get()).or_else(|| (self.first..self.first + self.count).find_map(within))?;
        self.last.set(found.1);
        Some(found)
    }
}

/// One frame of a Python function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RawFrame {
    /// Where the frame is.
    pub(super) address: u64,
    /// Where its code object is.
    pub(super) code: u64,
    /// Where it executes.
    pub(super) instruction: u64,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the outermost frame.
    Whole,
    /// At a frame that is not in the copy.
    Missing(u64),
    /// At something that cannot be.
    Nonsense,
}

/// The frames of one copy, the innermost first.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) frames: Vec<RawFrame>,
    /// Numbers of the pieces that the frames were found in.
    pub(super) pieces: Vec<usize>,
    /// Frames that are no Python function's.
    shims: usize,
    /// So many frames, from the innermost on, are not what they seem.
    doubtful: usize,
    /// Whether the innermost frame says that it runs. It does not for moments of a call and of a return.
    runs: bool,
    /// Whether the outermost frame is a generator's.
    pub(super) adrift: bool,
    /// The frame that resumed a generator, where the earlier copy alone says so.
    bridged: Option<usize>,
    /// Whether frames say that at all.
    can_tell: bool,
}

impl Walk {
    /// Follows the frames of a thread from its current one.
    ///
    /// A generator forgets who has resumed it when it yields, and is asked again a microsecond later. One that looks as if it
    /// had yielded, though it is on the stack, has its caller from the earlier copy ([`Walk::confirmed`] says when that holds).
    pub(super) fn follow(
        &mut self,
        pieces: &Pieces<'_>,
        earlier: &Pieces<'_>,
        current: u64,
        layout: &FrameLayout,
    ) -> End {
        self.frames.clear();
        self.pieces.clear();
        self.shims = 0;
        self.doubtful = 0;
        self.runs = true;
        self.adrift = false;
        self.bridged = None;
        self.can_tell = layout.stacktop.is_some();
        let mut next = current;
        // Whether what runs inside the next frame is C code or its own, and not a frame that it called without C in between.
        let mut own = true;
        while next != 0 {
            if self.frames.len() + self.shims >= MOST_FRAMES || !next.is_multiple_of(8) {
                return End::Nonsense;
            }
            let Some((bytes, piece)) = pieces.find(next, layout.length) else {
                return End::Missing(next);
            };
            if self.pieces.last() != Some(&piece) {
                self.pieces.push(piece);
            }
            let fields = Fields::of(bytes, layout);
            let address = std::mem::replace(&mut next, fields.previous);
            if fields.is_shim {
                self.shims += 1;
                own = true;
                continue;
            }
            if fields.owner > 2 || fields.frame.code == 0 {
                return End::Nonsense;
            }
            if fields.stacktop.is_some_and(|top| (top == -1) != own) {
                self.doubtful = self.frames.len();
                self.runs &= !self.frames.is_empty();
            }
            self.adrift = fields.owner == 1;
            self.frames.push(RawFrame { address, ..fields.frame });
            own = fields.entry;
            if self.adrift && next == 0 {
                let before = earlier.find(address, layout.length).map(|(bytes, _)| Fields::of(bytes, layout));
                if let Some(before) = before.filter(|before| before.frame.code == fields.frame.code) {
                    next = before.previous;
                    own = before.entry;
                    self.bridged = (next != 0).then_some(self.frames.len());
                }
            }
        }
        End::Whole
    }

    /// How much of the walk is certain, given the copy before it, and whether that is the same to the last byte.
    pub(super) fn confirmed(&self, earlier: &Pieces<'_>, layout: &FrameLayout, still: bool) -> Agreed {
        if still && self.doubtful == 0 {
            return Agreed { frames: self.frames.len(), whole: true, new: 0 };
        }
        let before = |frame: &RawFrame| Some(Fields::of(earlier.find(frame.address, layout.length)?.0, layout).frame);
        // A generator's caller from before is its caller still if it has executed nothing in between: the same instruction resumed
        // it, perhaps twice. Otherwise nothing that is further in is certain.
        let ran = |caller: &RawFrame| {
            before(caller).is_none_or(|before| (before.code, before.instruction) != (caller.code, caller.instruction))
        };
        let cut = self.bridged.filter(|place| self.frames.get(*place).is_some_and(ran));
        let outer = self.frames.get(cut.unwrap_or(0)..).unwrap_or_default();
        let mut same = 0;
        for frame in outer.iter().rev() {
            let Some(before) = before(frame).filter(|before| before.code == frame.code) else {
                break;
            };
            same += 1;
            if before.instruction != frame.instruction {
                // It ran in between, so what it calls now is new.
                break;
            }
        }
        // The innermost frame was current between the copies. Of the few before it that are new, those are what they seem that say
        // of themselves that they wait for the next, and the innermost that it runs. One that is being made has its predecessor's
        // caller still. A generator that had yielded was not there any more when a new frame was copied, though that may say so:
        // what is in one cache line can be older than what is in the next.
        let new = self.frames.len() - same;
        let is_new = |frame: &RawFrame| before(frame).is_none_or(|before| before.code != frame.code);
        let in_the_making = self.can_tell && !self.runs && self.frames.first().is_some_and(is_new);
        let sound = cut.is_none() && self.doubtful == 0 && !in_the_making && (new == 0 || self.bridged.is_none());
        let whole = sound && (new <= 1 || new <= MOST_NEW && self.runs && self.can_tell);
        let frames = same.min(self.frames.len() - self.doubtful.min(self.frames.len()));
        Agreed { frames, whole, new }
    }

    /// Whether nothing shows by now that the innermost frames, which are new, were only being made while the later copy passed them:
    /// one can have its own code in it, its predecessor's caller, and say that it runs, as these are in different cache lines.
    /// What has become of one that has another code by now cannot be told, and to believe none of these would hide all that is short.
    pub(super) fn is_made(
        &self,
        new: usize,
        later: &Pieces<'_>,
        layout: &FrameLayout,
        mut read: impl FnMut(u64, &mut [u8]) -> Option<()>,
    ) -> bool {
        let link = |bytes: &[u8]| {
            let fields = Fields::of(bytes, layout);
            (fields.frame.code, fields.previous)
        };
        self.frames.iter().take(new).all(|frame| {
            let Some((copied, _)) = later.find(frame.address, layout.length) else { return false };
            let mut bytes = vec![0; layout.length];
            let ((code, caller), made) = (link(copied), read(frame.address, &mut bytes).map(|()| link(&bytes)));
            made.is_none_or(|(now, made_by)| now != code || made_by == caller)
        })
    }
}

/// The part of a stack that two copies show alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// So many frames from the outermost in.
    pub(super) frames: usize,
    /// Whether these are all.
    pub(super) whole: bool,
    /// So many of the innermost are in the later copy alone.
    pub(super) new: usize,
}

/// What the walk needs of a frame.
#[derive(Default)]
struct Fields {
    frame: RawFrame,
    previous: u64,
    owner: u8,
    is_shim: bool,
    /// Whether the frame was called from C.
    entry: bool,
    stacktop: Option<i32>,
}

impl Fields {
    fn of(bytes: &[u8], layout: &FrameLayout) -> Self {
        let field = |offset| word(bytes, offset).unwrap_or_default();
        let byte = |offset: usize| bytes.get(offset).copied().unwrap_or_default();
        let (code, owner) = (field(layout.code), byte(layout.owner));
        Self {
            frame: RawFrame {
                address: 0,
                code: if layout.tagged { code & !7 } else { code },
                instruction: field(layout.instruction),
            },
            previous: field(layout.previous),
            owner,
            is_shim: layout.is_shim(bytes),
            entry: layout.entry.is_some_and(|offset| byte(offset) != 0),
            stacktop: layout.stacktop.and_then(|offset| int(bytes, offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::pyspy::Found;
    use crate::stack::snapshot::layout::v3_12;
    use crate::stack::snapshot::memory::Memory;

    const VIEW: u64 = 0x10000;
    const INNER: u64 = 0x10080;
    const GENERATOR: u64 = 0x20000;
    const LENGTH: usize = 0x100;

    /// A frame of 3.12: where it is, its code, its caller, the instruction, whether its own code runs.
    type Shown = (u64, u64, u64, u64, bool);

    /// A copy of a stretch of the chunk and of a generator.
    fn copy(frames: &[Shown]) -> Batch {
        let frames = frames.to_vec();
        let mut memory = Memory::made(Box::new(move |base, bytes| {
            let mut put = |address: u64, value: &[u8]| {
                let place = address.checked_sub(base).and_then(|place| usize::try_from(place).ok());
                let place = place.and_then(|place| bytes.get_mut(place..place + value.len()));
                if let Some(place) = place {
                    place.copy_from_slice(value);
                }
            };
            for (at, code, previous, instruction, runs) in &frames {
                put(*at, &code.to_ne_bytes());
                put(at + 8, &previous.to_ne_bytes());
                put(at + 56, &instruction.to_ne_bytes());
                put(at + 64, &(if *runs { -1_i32 } else { 3 }).to_ne_bytes());
                put(at + 70, &[u8::from(*at == GENERATOR)]);
            }
            true
        }));
        let mut batch = Batch::default();
        batch.add(VIEW, LENGTH);
        batch.add(GENERATOR, LENGTH);
        memory.read_batch(&mut batch);
        batch
    }

    /// The codes of the walk from the inner frame through a later copy, and how much of it is believed, given an earlier one.
    fn agreed(earlier: &[Shown], later: &[Shown]) -> (Vec<u64>, Agreed) {
        let layout = v3_12(Found { version: (3, 12), interpreter: 0x30000, gil: 0, inside: false }).frame;
        let (earlier, later) = (copy(earlier), copy(later));
        let [earlier, later] = [&earlier, &later].map(|batch| Pieces::of(batch, 0, 2));
        let mut walk = Walk::default();
        assert_eq!(walk.follow(&later, &earlier, INNER, &layout), End::Whole);
        let agreed = walk.confirmed(&earlier, &layout, false);
        (walk.frames.iter().map(|frame| frame.code).collect(), agreed)
    }

    /// The codes, and whether they are believed to be all.
    fn believed(earlier: &[Shown], later: &[Shown]) -> (Vec<u64>, bool) {
        let (codes, agreed) = agreed(earlier, later);
        (codes, agreed.whole)
    }

    #[test]
    fn what_runs_on_a_generator_that_has_yielded_is_believed_only_if_it_did_before() {
        let view = (VIEW, 1, 0, 100, false);
        let earlier = [view, (GENERATOR, 2, VIEW, 200, false), (INNER, 3, GENERATOR, 300, true)];
        let yielded = |at| (GENERATOR, 2, 0, at, false);
        assert_eq!(believed(&earlier, &[view, yielded(200), (INNER, 3, GENERATOR, 310, true)]), (vec![3, 2, 1], true));
        // Another function, called by the view; of its frame the half with the caller is older.
        let called = (INNER, 4, GENERATOR, 400, true);
        for at in [200, 210] {
            assert_eq!(believed(&earlier, &[view, yielded(at), called]), (vec![4, 2, 1], false));
        }
        // The view has gone on, so it may have called that itself: it is all that is certain.
        let gone_on = (VIEW, 1, 0, 110, false);
        let (codes, agreed) = agreed(&earlier, &[gone_on, yielded(200), (INNER, 3, GENERATOR, 310, true)]);
        assert_eq!((codes, agreed), (vec![3, 2, 1], Agreed { frames: 1, whole: false, new: 2 }));
    }

    #[test]
    fn the_caller_of_a_frame_that_is_being_made_is_not_believed() {
        let generator = (GENERATOR, 2, VIEW, 200, false);
        let earlier = [(VIEW, 1, 0, 100, false), generator, (INNER, 3, GENERATOR, 300, true)];
        let later = |inner| [(VIEW, 1, 0, 100, false), generator, inner];
        assert_eq!(believed(&earlier, &later((INNER, 4, GENERATOR, 400, false))), (vec![4, 2, 1], false));
        assert_eq!(believed(&earlier, &later((INNER, 4, GENERATOR, 400, true))), (vec![4, 2, 1], true));
        // One that was there before is being left.
        assert_eq!(believed(&earlier, &later((INNER, 3, GENERATOR, 310, false))), (vec![3, 2, 1], true));
    }

    #[test]
    fn a_new_frame_is_made_if_it_has_its_code_and_its_caller_a_moment_later_too() {
        let layout = v3_12(Found { version: (3, 12), interpreter: 0x30000, gil: 0, inside: false }).frame;
        let later = copy(&[(VIEW, 1, 0, 100, false), (INNER, 4, VIEW, 400, true)]);
        let later = Pieces::of(&later, 0, 2);
        let mut walk = Walk::default();
        assert_eq!(walk.follow(&later, &later, INNER, &layout), End::Whole);
        let is_made = |new: usize, now: Shown| {
            let now = copy(&[(VIEW, 7, 0, 100, false), now]);
            walk.is_made(new, &later, &layout, |address, bytes| {
                let (found, _) = Pieces::of(&now, 0, 2).find(address, bytes.len())?;
                bytes.copy_from_slice(found);
                Some(())
            })
        };
        assert!(is_made(1, (INNER, 4, VIEW, 410, false)));
        // The caller is written after the code.
        assert!(!is_made(1, (INNER, 4, GENERATOR, 400, true)));
        assert!(is_made(0, (INNER, 4, GENERATOR, 400, true)));
        // It has ended, and another is where it was.
        assert!(is_made(1, (INNER, 5, GENERATOR, 400, true)));
        assert!(walk.is_made(1, &later, &layout, |_, _| None));
    }
}

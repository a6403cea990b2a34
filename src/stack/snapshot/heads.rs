//! What a sample reads of the interpreter as a whole: where its list of threads begins, who holds the GIL, and how many code objects
//! have died.
//!
//! They are read once, before the threads: a list that changed meanwhile leads to states that are not the interpreter's, and
//! whether a stack is whole never depends on them. From 3.12 on these words are near each other in `_PyRuntime`, and are read as
//! one piece: a piece costs 0.4 µs however short it is.

use super::layout::{Gil, Layout};
use super::memory::{Batch, int, word};
use super::scattered::PAGE;

/// Where these words are.
pub(super) struct Heads {
    pieces: Vec<(u64, u64)>,
    gil: Gil,
    list_at: u64,
    generation_at: Option<u64>,
}

impl Heads {
    pub(super) fn of(layout: &Layout) -> Self {
        let mut heads =
            Self { pieces: Vec::new(), gil: layout.gil, list_at: layout.threads, generation_at: layout.generation };
        heads.want(layout.threads, 8);
        match layout.gil {
            Gil::Current(address) => heads.want(address, 8),
            Gil::State { address, holder, locked } => heads.want(address, holder.max(locked) as u64 + 8),
            Gil::Unknown => {}
        }
        if let Some(address) = layout.generation {
            heads.want(address, 8);
        }
        heads
    }

    /// A stretch across two pages at most is mapped wherever both of its ends are.
    fn want(&mut self, address: u64, length: u64) {
        let end = address.saturating_add(length);
        let near = |piece: &&mut (u64, u64)| end.max(piece.1) - address.min(piece.0) <= PAGE;
        match self.pieces.iter_mut().find(near) {
            Some(piece) => *piece = (piece.0.min(address), piece.1.max(end)),
            None => self.pieces.push((address, end)),
        }
    }

    /// Adds what is to be read to an empty batch.
    pub(super) fn add_to(&self, batch: &mut Batch) {
        for (address, end) in &self.pieces {
            batch.add(*address, usize::try_from(end - address).unwrap_or(0));
        }
    }

    /// The first thread's state.
    pub(super) fn list(&self, batch: &Batch) -> Option<u64> {
        self.word(batch, self.list_at)
    }

    /// The state of the thread that holds the GIL.
    pub(super) fn holder(&self, batch: &Batch) -> Option<u64> {
        match self.gil {
            Gil::Current(address) => self.word(batch, address).filter(|state| *state != 0),
            Gil::State { address, holder, locked } => {
                let (bytes, place) = self.find(batch, address.saturating_add(locked as u64))?;
                let locked = int(bytes, place)? != 0;
                locked.then(|| self.word(batch, address.saturating_add(holder as u64))).flatten()
            }
            Gil::Unknown => None,
        }
    }

    /// The number that changes when a code object dies.
    pub(super) fn generation(&self, batch: &Batch) -> Option<u64> {
        self.word(batch, self.generation_at?)
    }

    fn word(&self, batch: &Batch, address: u64) -> Option<u64> {
        let (bytes, place) = self.find(batch, address)?;
        word(bytes, place)
    }

    fn find<'a>(&self, batch: &'a Batch, address: u64) -> Option<(&'a [u8], usize)> {
        let number = self.pieces.iter().position(|(first, end)| (*first..*end).contains(&address))?;
        let place = usize::try_from(address - self.pieces[number].0).ok()?;
        Some((batch.piece(number)?, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::pyspy::Found;
    use crate::stack::snapshot::layout::v3_12;
    use crate::stack::snapshot::memory::Memory;

    /// Memory in which each word is its address.
    fn read(heads: &Heads) -> Batch {
        let mut memory = Memory::made(Box::new(|address, bytes| {
            let words = (address..).step_by(8).take(bytes.len().div_ceil(8)).flat_map(u64::to_ne_bytes);
            bytes.iter_mut().zip(words).for_each(|(byte, word)| *byte = word);
            true
        }));
        let mut batch = Batch::default();
        heads.add_to(&mut batch);
        memory.read_batch(&mut batch);
        batch
    }

    #[test]
    fn words_near_each_other_are_one_piece_and_others_are_not() {
        let mut layout = v3_12(Found { version: (3, 12), interpreter: 0x10000, gil: 0, inside: false });
        layout.threads = 0x10048;
        for (address, pieces) in [(0x10400, 1), (0xff00, 1), (0x20000, 2)] {
            layout.gil = Gil::State { address, holder: 8, locked: 16 };
            let heads = Heads::of(&layout);
            let batch = read(&heads);
            assert_eq!(batch.len(), pieces);
            assert_eq!((heads.list(&batch), heads.holder(&batch)), (Some(0x10048), Some(address + 8)));
            assert_eq!(heads.generation(&batch), None);
        }
        layout.gil = Gil::Current(0x20000);
        layout.generation = Some(0x10100);
        let heads = Heads::of(&layout);
        let batch = read(&heads);
        assert_eq!((heads.holder(&batch), heads.generation(&batch)), (Some(0x20000), Some(0x10100)));
        assert_eq!(batch.len(), 2);
    }
}

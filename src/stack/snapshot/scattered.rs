//! The pieces of one thread that are not in the chunks of its data stack: where they were found is where they will be looked for.
//!
//! A piece that was of no use for a while is forgotten. Pieces that are near each other become one, as a further piece costs more
//! than some bytes. What is in them is not known here.

use super::memory::Batch;

/// Pieces of one thread and one kind.
const MOST: usize = 1024;
/// No piece becomes longer than that by being joined to another.
const LONGEST: u64 = 2 * PAGE;
pub(super) const PAGE: u64 = 4096;
/// After so many samples without use a piece is forgotten.
const FORGOTTEN: u32 = 32;

/// Pieces of one kind.
#[derive(Debug)]
pub(super) struct Scattered {
    /// Those that the last walk came through first, in its order: the next to the innermost frame changes soonest.
    pieces: Vec<Piece>,
    /// Pieces that are so near become one.
    gap: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    address: u64,
    end: u64,
    /// Samples since it was of use.
    unused: u32,
    /// When the last walk came to it.
    turn: u32,
}

impl Scattered {
    /// None yet; what will be less than `gap` bytes apart is read as one.
    pub(super) const fn near(gap: u64) -> Self {
        Self { pieces: Vec::new(), gap }
    }

    pub(super) const fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn add_to(&self, batch: &mut Batch) {
        for piece in &self.pieces {
            batch.add(piece.address, piece.length());
        }
    }

    /// Adds them the other way round.
    pub(super) fn add_reversed_to(&self, batch: &mut Batch) {
        for piece in self.pieces.iter().rev() {
            batch.add(piece.address, piece.length());
        }
    }

    /// Takes note of which pieces were of use, by their places in the order that a walk came to them, and forgets those that were
    /// not for long or are not there.
    pub(super) fn learn(&mut self, touched: impl Iterator<Item = usize>, there: impl Fn(usize) -> bool) {
        for piece in &mut self.pieces {
            piece.unused += 1;
            piece.turn = u32::MAX;
        }
        for (turn, place) in (0..).zip(touched) {
            if let Some(piece) = self.pieces.get_mut(place) {
                piece.unused = 0;
                piece.turn = piece.turn.min(turn);
            }
        }
        let mut place = 0;
        self.pieces.retain(|piece| {
            let there = there(place);
            place += 1;
            piece.unused <= FORGOTTEN && there
        });
        self.pieces.sort_by_key(|piece| piece.turn);
    }

    /// Adds a piece, or makes a near one longer.
    pub(super) fn remember(&mut self, address: u64, end: u64) {
        let near = |piece: &Piece| {
            address <= piece.end.saturating_add(self.gap)
                && end.saturating_add(self.gap) >= piece.address
                && end.max(piece.end) - address.min(piece.address) <= LONGEST
        };
        if let Some(piece) = self.pieces.iter_mut().find(|piece| near(piece)) {
            piece.address = piece.address.min(address);
            piece.end = piece.end.max(end);
            piece.unused = 0;
            return;
        }
        if self.pieces.len() >= MOST {
            let oldest = (0..self.pieces.len()).max_by_key(|place| self.pieces[*place].unused);
            oldest.map(|place| self.pieces.remove(place));
        }
        self.pieces.insert(0, Piece { address, end, unused: 0, turn: 0 });
    }

    /// Whether a stretch is in one of them.
    pub(super) fn has(&self, address: u64, end: u64) -> bool {
        self.pieces.iter().any(|piece| address >= piece.address && end <= piece.end)
    }
}

impl Piece {
    fn length(&self) -> usize {
        usize::try_from(self.end - self.address).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(scattered: &Scattered) -> Vec<(u64, usize)> {
        let mut batch = Batch::default();
        scattered.add_to(&mut batch);
        scattered.pieces.iter().map(|piece| (piece.address, piece.length())).collect()
    }

    #[test]
    fn near_pieces_become_one_and_none_becomes_too_long() {
        let mut scattered = Scattered::near(512);
        scattered.remember(0x1000, 0x1050);
        scattered.remember(0x1200, 0x1250);
        assert_eq!(lengths(&scattered), [(0x1000, 0x250)]);
        scattered.remember(0x2000, 0x2050);
        scattered.remember(0x2f00, 0x2f00 + LONGEST);
        assert_eq!(scattered.len(), 3);
        assert!(scattered.has(0x1100, 0x1108) && !scattered.has(0x1248, 0x1258));
    }

    #[test]
    fn what_is_of_no_use_or_not_there_is_forgotten_and_what_was_walked_first_comes_first() {
        let mut scattered = Scattered::near(0);
        for address in [0x1000, 0x2000, 0x3000] {
            scattered.remember(address, address + 8);
        }
        let order = |scattered: &Scattered| lengths(scattered).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(order(&scattered), [0x3000, 0x2000, 0x1000]);
        scattered.learn([2, 0].into_iter(), |_| true);
        assert_eq!(order(&scattered), [0x1000, 0x3000, 0x2000]);
        scattered.learn([0].into_iter(), |place| place != 1);
        assert_eq!(order(&scattered), [0x1000, 0x2000]);
        for _ in 0..FORGOTTEN {
            scattered.learn([0].into_iter(), |_| true);
        }
        assert_eq!(order(&scattered), [0x1000]);
    }
}

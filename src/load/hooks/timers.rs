//! The timers that scripts have set: which is due when.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Moment;

/// Timers that may be set at a time.
const MOST: usize = 100_000;

/// Timers by their number.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Moment, u32)>,
    by_number: HashMap<u32, Moment>,
}

impl Timers {
    /// Sets one; false when there are too many.
    pub(super) fn set(&mut self, number: u32, due: Moment) -> bool {
        if self.due.len() >= MOST {
            return false;
        }
        self.clear(number);
        self.by_number.insert(number, due);
        self.due.insert((due, number))
    }

    pub(super) fn clear(&mut self, number: u32) {
        if let Some(due) = self.by_number.remove(&number) {
            self.due.remove(&(due, number));
        }
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next one that is due by then, which is set no more.
    pub(super) fn take(&mut self, now: Moment) -> Option<u32> {
        let &(due, number) = self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, number));
        self.by_number.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_fire_in_order_and_only_when_set() {
        let mut timers = Timers::default();
        let at = Moment::from_nanos;
        for (number, due) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
            assert!(timers.set(number, at(due)));
        }
        timers.clear(3);
        assert_eq!(timers.next_due(), Some(at(10)));
        assert_eq!([timers.take(at(25)), timers.take(at(25)), timers.take(at(25))], [Some(2), Some(4), None]);
        assert_eq!(timers.take(at(30)), Some(1));
        assert_eq!(timers.next_due(), None);
    }
}

//! Rows of the ledger that wait to be written.
//!
//! Collected only when somebody wants them, under the ledger's lock, so that rows and counts that are taken together agree.
//! Their number is bounded: a disk that hangs costs rows, which are counted, and never memory without end.

use crate::clock::Moment;
use crate::recording::traffic::Tally;
use crate::recording::traffic::log::{RequestRow, UserRow, WindowRow};

/// Rows of requests, and of users, that may wait (some 50 MB).
const MOST: usize = 200_000;

/// Rows that wait.
#[derive(Debug, Default)]
pub(super) struct Rows {
    requests: Vec<RequestRow>,
    users: Vec<UserRow>,
    windows: Vec<WindowRow>,
    /// The number of the present window.
    number: u32,
    lost: u64,
}

/// Rows that are given away.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) requests: Vec<RequestRow>,
    pub(super) users: Vec<UserRow>,
    pub(super) windows: Vec<WindowRow>,
    /// Rows that were lost so far.
    pub(super) lost: u64,
}

impl Rows {
    pub(super) fn request(&mut self, row: impl FnOnce() -> RequestRow) {
        if self.requests.len() < MOST { self.requests.push(row()) } else { self.lost += 1 }
    }

    pub(super) fn user(&mut self, row: UserRow) {
        if self.users.len() < MOST { self.users.push(row) } else { self.lost += 1 }
    }

    /// The present window is over.
    pub(super) fn close(&mut self, tally: &Tally, began: Moment, ended: Moment) {
        if let Some(row) = WindowRow::of(tally, self.number, began, ended) {
            self.windows.push(row);
            self.number += 1;
        }
    }

    /// Gives all rows away, with the present window as it stands.
    pub(super) fn take(&mut self, tally: &Tally, began: Moment, now: Moment) -> Taken {
        let mut windows = std::mem::take(&mut self.windows);
        windows.extend(WindowRow::of(tally, self.number, began, now));
        // As much room as was needed now will be needed again.
        let requests = Vec::with_capacity(self.requests.len());
        let users = Vec::with_capacity(self.users.len());
        Taken {
            requests: std::mem::replace(&mut self.requests, requests),
            users: std::mem::replace(&mut self.users, users),
            windows,
            lost: self.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::traffic::log::UserState;

    fn user(number: u64) -> UserRow {
        let at = Moment::from_nanos(number);
        let (scenario, state) = (None, UserState::Active);
        UserRow { number, phase: 0, scenario, due: at, began: at, ended: None, state }
    }

    #[test]
    fn rows_without_end_are_counted_only() {
        let mut rows = Rows::default();
        (0..MOST as u64 + 7).for_each(|number| rows.user(user(number)));
        let taken = rows.take(&Tally::default(), Moment::default(), Moment::default());
        assert_eq!((taken.users.len(), taken.lost, taken.windows.len()), (MOST, 7, 0));
        rows.user(user(0));
        assert_eq!(rows.take(&Tally::default(), Moment::default(), Moment::default()).users.len(), 1);
    }

    #[test]
    fn the_present_window_keeps_its_number_until_it_is_closed() {
        let mut rows = Rows::default();
        let mut tally = Tally::default();
        let [early, late] = [1, 9].map(Moment::from_nanos);
        tally.begin(early);
        let numbers = |taken: &Taken| taken.windows.iter().map(|window| window.number).collect::<Vec<_>>();
        assert_eq!(numbers(&rows.take(&tally, early, late)), [0]);
        rows.close(&tally, early, late);
        assert_eq!(numbers(&rows.take(&tally, late, late)), [0, 1]);
        assert!(rows.take(&Tally::default(), late, late).windows.is_empty());
    }
}

//! The names of threads, looked up away from the loop that takes samples.
//!
//! A name stands in the module `threading`, several dictionaries away, where py-spy finds it; that takes half a millisecond,
//! and ten before py-spy knows the process. So a reader only says that it has met a thread without a name, and whoever opened it
//! lets the names be looked up when it has time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Options;
use super::pyspy::PySpyReader;
use crate::clock::Clock;

/// Names by Python's own ids of the threads.
pub(super) type ByIdent = HashMap<u64, Arc<str>>;

/// Looks up the names of the threads of one process.
pub struct Names {
    pid: i32,
    /// Attached when it is first needed.
    spy: Option<PySpyReader>,
    options: Options,
    clock: Clock,
    board: Board,
}

/// Where a reader asks for names, and finds them.
#[derive(Clone, Default)]
pub(super) struct Board {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    wanted: AtomicBool,
    /// How often names were looked up.
    edition: AtomicU64,
    known: Mutex<ByIdent>,
}

impl Names {
    /// For a process that py-spy knows already, or will be told to look at when there is need.
    pub(super) fn of(pid: i32, spy: Option<PySpyReader>, options: Options, clock: Clock) -> Self {
        Self { pid, spy, options, clock, board: Board::default() }
    }

    /// What is shared with the reader of the process.
    pub(super) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Looks the names up if the reader misses one. Takes up to 10 ms then, and nothing otherwise.
    pub fn look(&mut self) {
        let shared = &self.board.shared;
        if !shared.wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        if self.spy.is_none() {
            self.spy = PySpyReader::attach(self.pid, self.options, self.clock).ok();
        }
        let names = self.spy.as_mut().map(PySpyReader::thread_names).unwrap_or_default();
        *self.board.open() = names.into_iter().map(|(ident, name)| (ident, name.into())).collect();
        self.board.shared.edition.fetch_add(1, Ordering::Release);
    }
}

impl Board {
    /// Asks for the names to be looked up.
    pub(super) fn want(&self) {
        self.shared.wanted.store(true, Ordering::Relaxed);
    }

    /// How often names were looked up so far.
    pub(super) fn edition(&self) -> u64 {
        self.shared.edition.load(Ordering::Acquire)
    }

    /// The names as they were found last.
    pub(super) fn open(&self) -> MutexGuard<'_, ByIdent> {
        // Names are plain values: a panic elsewhere cannot leave them half written.
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

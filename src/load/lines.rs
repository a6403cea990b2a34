//! Lines that scripts print, on their way to whoever owns standard output.
//!
//! The channel is bounded: a script that logs faster than a terminal can show must not hold up its users. What finds no room
//! is counted, and the count is told in the next line that does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that may wait.
const ROOM: usize = 10_000;

/// Where lines go.
#[derive(Debug)]
pub(super) struct Lines {
    sender: SyncSender<String>,
    lost: AtomicU64,
}

/// Both ends.
pub(super) fn channel() -> (Lines, Receiver<String>) {
    let (sender, receiver) = sync_channel(ROOM);
    (Lines { sender, lost: AtomicU64::new(0) }, receiver)
}

impl Lines {
    /// Sends a line off.
    pub(super) fn say(&self, line: String) {
        let lost = self.lost.load(Relaxed);
        if lost > 0 && self.sender.try_send(format!("({lost} lines were not printed: too many at once)")).is_ok() {
            self.lost.fetch_sub(lost, Relaxed);
        }
        if self.sender.try_send(line).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

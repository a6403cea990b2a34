//! Lines that scripts print, on their way to whoever owns standard output.
//!
//! The channel is bounded, in lines and in bytes: a script that logs faster than a terminal can show must not hold up its users,
//! and what a server sends must not fill the memory. What finds no room is counted, and the count is told in the next line that
//! does. Nothing that could move a cursor gets through, wherever it comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::printable::printable;

/// Lines that may wait.
const ROOM: usize = 10_000;
/// Bytes of lines that may wait.
const MOST_BYTES: usize = 16 << 20;
/// The longest line, in bytes; further ones are cut off.
const LONGEST: usize = 64 << 10;

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Lines {
    sender: SyncSender<String>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// Where lines come from.
#[derive(Debug)]
pub struct Logged {
    receiver: Receiver<String>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends.
#[must_use]
pub fn channel() -> (Lines, Logged) {
    let (sender, receiver) = sync_channel(ROOM);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Lines { sender, waiting: waiting.clone(), lost: Arc::default() }, Logged { receiver, waiting })
}

impl Lines {
    /// Sends a line off. It may have lines of its own.
    pub fn say(&self, line: &str) {
        let lost = self.lost.load(Relaxed);
        if lost > 0 && self.send(format!("({lost} lines were not printed: too many at once)")) {
            self.lost.fetch_sub(lost, Relaxed);
        }
        if !self.send(shown(line)) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn send(&self, line: String) -> bool {
        let length = line.len();
        let fits = self.waiting.fetch_add(length, Relaxed) + length <= MOST_BYTES;
        let sent = fits && self.sender.try_send(line).is_ok();
        if !sent {
            self.waiting.fetch_sub(length, Relaxed);
        }
        sent
    }
}

impl Logged {
    /// What waits, line by line.
    pub fn take(&self) -> impl Iterator<Item = String> {
        self.receiver.try_iter().inspect(|line| {
            self.waiting.fetch_sub(line.len(), Relaxed);
        })
    }
}

/// A text without control characters, but for the ends of its lines and tabs.
fn shown(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(|part| printable(part, LONGEST)).collect::<Vec<_>>().join("\t");
    let start = cut(text);
    let mut shown = start.lines().map(line).collect::<Vec<_>>().join("\n");
    // What takes the place of a control character is longer than it.
    let end = cut(&shown).len();
    if start.len() < text.len() || end < shown.len() {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// As much of a text as is printed.
fn cut(text: &str) -> &str {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        let (lines, logged) = channel();
        lines.say("a\tb\u{1b}[2J\nc\r\n\u{9b}d");
        lines.say("");
        assert_eq!(logged.take().collect::<Vec<_>>(), ["a\tb\u{fffd}[2J\nc\n\u{fffd}d", ""]);
    }

    #[test]
    fn long_lines_are_cut() {
        for text in ["é".repeat(LONGEST), "\u{1b}".repeat(LONGEST), "\t".repeat(LONGEST + 1)] {
            let shown = shown(&text);
            assert!(shown.ends_with('…') && shown.len() <= LONGEST + '…'.len_utf8(), "{}", shown.len());
        }
        assert_eq!(shown(&"a".repeat(LONGEST)), "a".repeat(LONGEST));
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_told() {
        let (lines, logged) = channel();
        let line = "x".repeat(LONGEST);
        let room = MOST_BYTES / LONGEST;
        for _ in 0..room + 7 {
            lines.say(&line);
        }
        assert_eq!(logged.take().count(), room);
        lines.say("again");
        assert_eq!(logged.take().collect::<Vec<_>>(), ["(7 lines were not printed: too many at once)", "again"]);
        for _ in 0..ROOM + 3 {
            lines.say("short");
        }
        assert_eq!(logged.take().count(), ROOM);
        assert_eq!(logged.waiting.load(Relaxed), 0);
    }
}

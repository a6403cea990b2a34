//! What a process has written to a pipe, readable while it is still writing.
//!
//! A thread empties the pipe, so that the process never blocks on it, and wakes whoever waits for a line. The thread ends with the
//! pipe, and the pipe with the processes that write to it, which their guards kill.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::wait::PATIENCE;

/// The text that has come out of one pipe so far.
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Reads `pipe` to its end on a thread of its own.
    #[expect(clippy::disallowed_methods, reason = "the thread ends with the pipe")]
    pub fn of(mut pipe: impl Read + Send + 'static) -> Output {
        let shared = Arc::<Shared>::default();
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                writer.change(|seen| seen.bytes.extend_from_slice(&chunk[..length]));
            }
            writer.change(|seen| seen.ended = true);
        });
        Output { shared }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.shared.look().text()
    }

    /// The first line that contains `part`, as soon as it is there. Panics if the pipe ends without it or after [`PATIENCE`].
    pub fn wait_for(&self, part: &str) -> String {
        self.wait_for_lines(part, 1).remove(0)
    }

    /// All lines that contain `part`, as soon as there are `count` of them; panics as [`Output::wait_for`] does. To wait for one
    /// more of a kind, count those there were before.
    pub fn wait_for_lines(&self, part: &str, count: usize) -> Vec<String> {
        let text = self.wait_while(PATIENCE, |seen| !seen.ended && lines_with(part, &seen.text()).len() < count);
        let lines = lines_with(part, &text);
        assert!(lines.len() >= count, "waited for {count} × {part:?}, but there was only this:\n{text}");
        lines
    }

    /// Everything there was, once the last process that could write has closed the pipe.
    pub fn wait_for_end(&self) -> String {
        let text = self.wait_while(PATIENCE, |seen| !seen.ended);
        assert!(self.shared.look().ended, "some process keeps the pipe open; so far it wrote:\n{text}");
        text
    }

    fn wait_while(&self, deadline: Duration, mut unfinished: impl FnMut(&Seen) -> bool) -> String {
        let waited = self.shared.changed.wait_timeout_while(self.shared.look(), deadline, |seen| unfinished(seen));
        let (seen, _) = waited.expect("the reading thread does not panic");
        seen.text()
    }
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while looking")
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.look());
        self.changed.notify_all();
    }
}

impl Seen {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The finished lines of `text` that contain `part`.
fn lines_with(part: &str, text: &str) -> Vec<String> {
    let finished = text.rfind('\n').map_or("", |end| &text[..end]);
    finished.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
}

//! Waiting for what can only be seen by looking again, such as a state in `/proc`.
//!
//! The one file with a clock and a pause. What announces itself (a line, the end of a pipe) is waited for in `output`.

use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for an event that normally takes moments, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// Looks every 10 ms until there is something to see; `None` once `deadline` has passed.
#[expect(clippy::disallowed_methods, reason = "the clock and the pause of the tests")]
pub fn within<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || start.elapsed() >= deadline {
            return seen;
        }
        thread::sleep(PAUSE);
    }
}

/// As [`within`], and panics with `what` once `deadline` has passed.
pub fn until<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(deadline, look).unwrap_or_else(|| panic!("waited {deadline:?} in vain for {what}"))
}

//! Tells a stack that was read whole from one that broke off while it was read.
//!
//! Without stopping the process, a frame can be gone before its caller is read, and then the walk ends early or in memory
//! that means something else. The outermost frame gives that away, because there are few that a thread can start with: a
//! module, `python -m`, the start of a thread. Any other is suspect; it is real in a thread that C code has started, and
//! then it is there again when the stack is read again, and never was another. Greenlets can start with any function and switch all the time, so
//! in a process of gevent or eventlet nothing is suspected.

use std::collections::HashSet;
use std::sync::Arc;

use crate::recording::{Frame, ThreadStack};

/// What is known of the outermost frames of a process.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Whether the loop that switches greenlets, a greenlet of its own, has been seen.
    greenlets: bool,
    /// Threads that have been seen to start where Python code starts: they will not start elsewhere later.
    started: HashSet<u64>,
}

/// A thread and the outermost frame that it should not have.
pub(super) type Suspect = (u64, Option<Frame>);

impl Roots {
    /// The threads whose stacks may have broken off.
    pub(super) fn suspects(&mut self, stacks: &[ThreadStack]) -> Vec<Suspect> {
        self.greenlets |= stacks.iter().filter_map(outermost).any(|frame| frame.is_of_greenlets());
        if self.greenlets {
            return Vec::new();
        }
        let (sound, doubtful): (Vec<_>, Vec<_>) =
            stacks.iter().partition(|stack| outermost(stack).is_some_and(|frame| is_start(frame)));
        self.started.extend(sound.into_iter().map(|stack| stack.ident));
        let suspect = |stack: &ThreadStack| {
            // The line moves on between two reads, the function does not.
            let outermost = outermost(stack).map(|frame| Frame { line: 0, ..Frame::clone(frame) });
            (stack.ident, outermost)
        };
        doubtful.into_iter().map(suspect).collect()
    }

    /// Whether suspects that were the same in every read can be what they seem.
    pub(super) fn can_be_real(&self, suspects: &[Suspect]) -> bool {
        suspects.iter().all(|(ident, _)| !self.started.contains(ident))
    }
}

fn outermost(thread: &ThreadStack) -> Option<&Arc<Frame>> {
    thread.stack.iter().last()
}

/// Where Python code starts: a script or `-c`, `python -m` (`Lib/runpy.py`), a thread (`Lib/threading.py`).
fn is_start(frame: &Frame) -> bool {
    match frame.function.as_str() {
        "<module>" => true,
        "_run_module_as_main" => frame.file.ends_with("runpy.py") || frame.file == "<frozen runpy>",
        "Thread._bootstrap" | "_bootstrap" => frame.file.ends_with("threading.py"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::scripted::thread;

    fn rooted(function: &str, file: &str) -> ThreadStack {
        let frame = Frame { function: function.into(), file: file.into(), ..Frame::default() };
        ThreadStack { stack: std::iter::once(Arc::new(frame)).collect(), ..thread(7, function) }
    }

    #[test]
    fn a_stack_that_does_not_start_where_code_starts_is_suspect() {
        let mut roots = Roots::default();
        let whole = [
            rooted("<module>", "/srv/app.py"),
            rooted("_run_module_as_main", "<frozen runpy>"),
            rooted("_bootstrap", "/usr/lib/python3.6/threading.py"),
        ];
        let broken = [rooted("view", "/srv/app.py")];
        let suspects = roots.suspects(&broken);
        assert_eq!(suspects.len(), 1);
        assert!(roots.can_be_real(&suspects));
        assert!(roots.suspects(&whole).is_empty());
        let suspects = roots.suspects(&broken);
        assert!(!roots.can_be_real(&suspects));
        assert_eq!(roots.suspects(&[ThreadStack::default()]).len(), 1);
    }

    #[test]
    fn greenlets_may_start_anywhere() {
        let mut roots = Roots::default();
        assert!(roots.suspects(&[rooted("Hub.run", "/v/site-packages/gevent/hub.py")]).is_empty());
        assert!(roots.suspects(&[rooted("view", "/srv/app.py")]).is_empty());
    }
}

//! A stack as a reader shows it: the innermost frame, and the stack that called it, shared with whatever else it called.
//!
//! Consecutive samples of a thread differ in their innermost frames. A reader that remembers what it has shown makes new
//! calls for those alone, and whoever stores the sample knows the rest by its place in memory; copying and storing a stack
//! then costs the same at any depth. What is stored is a [`StackTable`](super::StackTable), which has ids in place of pointers.

use std::fmt;
use std::sync::Arc;

use super::Frame;

/// A stack of Python frames; empty for a thread without any.
#[derive(Clone, Default)]
pub struct Trace {
    innermost: Option<Arc<Call>>,
}

struct Call {
    frame: Arc<Frame>,
    caller: Trace,
}

impl Trace {
    /// The stack in which this one has called another function.
    #[must_use]
    pub fn call(&self, frame: Arc<Frame>) -> Self {
        Self { innermost: Some(Arc::new(Call { frame, caller: self.clone() })) }
    }

    /// The innermost frame, and the stack that called it.
    #[must_use]
    pub fn split(&self) -> Option<(&Arc<Frame>, &Self)> {
        self.innermost.as_ref().map(|call| (&call.frame, &call.caller))
    }

    /// Whether there is no frame.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.innermost.is_none()
    }

    /// The frames from the innermost to the outermost.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Frame>> {
        std::iter::successors(self.split(), |(_, caller)| caller.split()).map(|(frame, _)| frame)
    }

    /// The frames from the outermost to the innermost.
    #[must_use]
    pub fn frames(&self) -> Vec<&Arc<Frame>> {
        let mut frames: Vec<&Arc<Frame>> = self.iter().collect();
        frames.reverse();
        frames
    }

    /// Where it is in memory: no other stack is there while somebody holds this one; zero for the empty one.
    #[must_use]
    pub fn place(&self) -> usize {
        self.innermost.as_ref().map_or(0, |call| Arc::as_ptr(call).addr())
    }

    /// Whether nobody else holds it, so that it will not be seen again.
    #[must_use]
    pub fn is_lone(&self) -> bool {
        self.innermost.as_ref().is_some_and(|call| Arc::strong_count(call) == 1)
    }
}

/// From the outermost frame to the innermost.
impl FromIterator<Arc<Frame>> for Trace {
    fn from_iter<I: IntoIterator<Item = Arc<Frame>>>(frames: I) -> Self {
        frames.into_iter().fold(Self::default(), |trace, frame| trace.call(frame))
    }
}

impl Drop for Trace {
    /// One call after the other: a deep recursion of the target must not become one of pyperf's.
    fn drop(&mut self) {
        let mut next = self.innermost.take();
        while let Some(mut call) = next.and_then(Arc::into_inner) {
            next = call.caller.innermost.take();
        }
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place() || self.iter().eq(other.iter())
    }
}

impl Eq for Trace {}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Arc<Frame> {
        Arc::new(Frame { function: function.into(), ..Frame::default() })
    }

    fn names(trace: &Trace) -> Vec<&str> {
        trace.frames().into_iter().map(|frame| frame.function.as_str()).collect()
    }

    #[test]
    fn callers_are_shared_and_frames_come_in_both_orders() {
        let serve: Trace = ["main", "serve"].map(frame).into_iter().collect();
        let [view, query] = ["view", "query"].map(|function| serve.call(frame(function)));
        assert_eq!(names(&view), ["main", "serve", "view"]);
        assert_eq!(query.iter().map(|frame| frame.function.as_str()).collect::<Vec<_>>(), ["query", "serve", "main"]);
        let callers = [&view, &query].map(|trace| trace.split().expect("not empty").1.place());
        assert_eq!(callers, [serve.place(); 2]);
        assert_ne!(view, query);
        assert_eq!(view, ["main", "serve", "view"].map(frame).into_iter().collect());
        assert!(view.is_lone() && !serve.is_lone());
        assert!(Trace::default().is_empty() && Trace::default().split().is_none());
    }

    #[test]
    fn a_recursion_of_any_depth_goes_without_one() {
        let deep: Trace = (0..1_000_000).map(|_| frame("fib")).collect();
        assert_eq!(deep.iter().count(), 1_000_000);
        drop(deep);
    }
}

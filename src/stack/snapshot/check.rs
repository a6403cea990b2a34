//! Shows at the start that snapshots say what py-spy says.
//!
//! The target runs on, so only that can be compared which was the same in a snapshot before and in one after py-spy's read:
//! the frames from the outermost in. One such agreement is proof enough, since a wrong layout agrees on nothing.

use std::sync::Arc;

use super::{Refused, SnapshotReader};
use crate::recording::{Frame, ThreadStack, Trace};
use crate::stack::StackReader;
use crate::stack::pyspy::PySpyReader;

/// How often the two readers are compared, if they do not agree at once.
const TRIES: usize = 20;

impl SnapshotReader {
    /// Compares itself with py-spy's reader, and gives that back: as it is once they have agreed, with the reason if they do not.
    pub(super) fn check(&mut self, mut spy: PySpyReader) -> Result<PySpyReader, Box<Refused>> {
        let mut why = None;
        for _ in 0..TRIES {
            match self.compare(&mut spy) {
                Ok(true) => return Ok(spy),
                // Nothing stood still for long enough.
                Ok(false) => {}
                Err(difference) => why = Some(difference),
            }
        }
        match why {
            Some(why) => Err(Refused::of(spy, why)),
            // Code objects that call themselves so and strings where they belong are proof too, only a weaker one.
            None => Ok(spy),
        }
    }

    /// Reads before and after py-spy and compares; see [`agreement`].
    fn compare(&mut self, spy: &mut PySpyReader) -> Result<bool, String> {
        let before = self.read().map_err(|error| error.to_string())?;
        let theirs = spy.read().map_err(|error| error.to_string())?;
        let after = self.read().map_err(|error| error.to_string())?;
        agreement(&before, &theirs, &after)
    }
}

/// Whether snapshots before and after a read of py-spy's agree with it, as far as anything can be compared; an error tells the
/// difference.
fn agreement(before: &[ThreadStack], theirs: &[ThreadStack], after: &[ThreadStack]) -> Result<bool, String> {
    let of = |stacks: &[ThreadStack], ident| stacks.iter().find(|stack| stack.ident == ident).cloned();
    let mut compared = theirs.is_empty() && before.is_empty();
    // One that only begins has no id yet.
    for thread in theirs.iter().filter(|thread| thread.ident != 0) {
        let (before, after) = match (of(before, thread.ident), of(after, thread.ident)) {
            (Some(before), Some(after)) => (before, after),
            (None, None) => return Err(format!("snapshots do not show thread {:#x}, which py-spy does", thread.ident)),
            // It began or ended meanwhile.
            _ => continue,
        };
        if let (Some(ours), Some(theirs)) = (before.os_id, thread.os_id)
            && ours != theirs
        {
            return Err(format!("thread {:#x} is {ours} in a snapshot and {theirs} for py-spy", thread.ident));
        }
        let [before, theirs, after] = [&before.stack, &thread.stack, &after.stack].map(Trace::frames);
        let same = common(&before, &after);
        let agreed = common(&before[..same], &theirs);
        let still = before.len() == same && after.len() == same;
        if agreed < same || still && theirs.len() > same {
            return Err(difference(&before, &theirs, agreed));
        }
        compared |= same > 0 || still;
    }
    Ok(compared)
}

/// How many frames from the outermost in are the same.
fn common(one: &[&Arc<Frame>], two: &[&Arc<Frame>]) -> usize {
    one.iter().zip(two).take_while(|(one, two)| one == two).count()
}

fn difference(ours: &[&Arc<Frame>], theirs: &[&Arc<Frame>], agreed: usize) -> String {
    let told = |frames: &[&Arc<Frame>]| {
        let frame = frames.get(agreed);
        frame.map_or_else(|| "nothing".into(), |frame| format!("{} ({}:{})", frame.function, frame.file, frame.line))
    };
    format!("at depth {agreed} a snapshot shows {} where py-spy shows {}", told(ours), told(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::scripted::thread;

    fn threads(stacks: &[(u64, &str)]) -> Vec<ThreadStack> {
        stacks.iter().map(|(ident, stack)| thread(*ident, stack)).collect()
    }

    /// What comes of the same snapshot before and after.
    fn compared(ours: &[(u64, &str)], theirs: &[(u64, &str)]) -> Result<bool, String> {
        agreement(&threads(ours), &threads(theirs), &threads(ours))
    }

    #[test]
    fn what_stood_still_has_to_be_the_same_for_both() {
        let main = (1, "main;view");
        assert_eq!(compared(&[main, (2, "pool;wait")], &[main, (2, "pool;wait")]), Ok(true));
        assert!(
            compared(&[main], &[(1, "main;query")]).is_err_and(|why| why.contains("view") && why.contains("query"))
        );
        assert!(compared(&[main], &[(1, "main;view;query")]).is_err());
        assert_eq!(compared(&[], &[]), Ok(true));
    }

    #[test]
    fn only_what_both_snapshots_show_alike_is_compared() {
        let [before, after] = ["main;view;a", "main;view;b;c"].map(|stack| threads(&[(1, stack)]));
        assert_eq!(agreement(&before, &threads(&[(1, "main;view;b")]), &after), Ok(true));
        assert!(agreement(&before, &threads(&[(1, "main;query")]), &after).is_err());
        let other = threads(&[(1, "pool;b")]);
        assert_eq!(agreement(&before, &threads(&[(1, "main;query")]), &other), Ok(false));
    }

    #[test]
    fn a_thread_that_snapshots_do_not_show_is_a_difference_unless_it_came_or_went() {
        let (main, pool) = ((1, "main"), (2, "pool"));
        assert!(compared(&[main], &[main, pool]).is_err_and(|why| why.contains("0x2")));
        assert_eq!(agreement(&threads(&[main]), &threads(&[main, pool]), &threads(&[main, pool])), Ok(true));
        assert_eq!(compared(&[main], &[main, (0, "")]), Ok(true));
    }

    #[test]
    fn a_thread_has_one_id_for_the_kernel() {
        let of = |os_id| vec![ThreadStack { os_id, ..thread(1, "main") }];
        assert!(agreement(&of(Some(7)), &of(Some(8)), &of(Some(7))).is_err());
        assert_eq!(agreement(&of(Some(7)), &of(Some(7)), &of(None)), Ok(true));
        assert_eq!(agreement(&of(None), &of(Some(7)), &of(None)), Ok(true));
    }
}

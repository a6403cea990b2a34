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

    /// Whether the readers agree, as far as anything can be compared; an error tells the difference.
    fn compare(&mut self, spy: &mut PySpyReader) -> Result<bool, String> {
        let before = self.read().map_err(|error| error.to_string())?;
        let theirs = spy.read().map_err(|error| error.to_string())?;
        let after = self.read().map_err(|error| error.to_string())?;
        let of = |stacks: &[ThreadStack], ident| stacks.iter().find(|stack| stack.ident == ident).cloned();
        let mut compared = theirs.is_empty() && before.is_empty();
        for thread in &theirs {
            let (Some(before), Some(after)) = (of(&before, thread.ident), of(&after, thread.ident)) else {
                continue;
            };
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

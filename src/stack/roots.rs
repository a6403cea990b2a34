//! Tells a stack that was read whole from one that broke off while it was read.
//!
//! Without stopping the process, a frame can be gone before its caller is read, and then the walk ends early or in memory
//! that means something else. The outermost frame gives that away: a process has few of them (`<module>`, the start of a
//! thread, a greenlet or two), and each comes again and again. So an outermost frame is believed when it is seen for the
//! second time, and a stack below one that is not believed is read again.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::recording::ThreadStack;

/// How many frames may wait for their second time; beyond that, they are noise and forgotten.
const DOUBTED: usize = 256;

/// The outermost frames of a process, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Roots {
    hasher: RandomState,
    believed: HashSet<u64>,
    doubted: HashSet<u64>,
}

impl Roots {
    /// Whether every stack stands on an outermost frame that is believed.
    pub(super) fn believe(&mut self, stacks: &[ThreadStack]) -> bool {
        let mut all = true;
        for stack in stacks {
            // A thread without any frame is as rare as a new outermost one, and believed on the same terms.
            let outermost = stack.frames.first().map(|frame| (&frame.function, &frame.file));
            let root = self.hasher.hash_one(outermost);
            if self.believed.contains(&root) {
                continue;
            }
            if self.doubted.remove(&root) {
                self.believed.insert(root);
            } else {
                all = false;
                if self.doubted.len() >= DOUBTED {
                    self.doubted.clear();
                }
                self.doubted.insert(root);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::scripted::thread;

    #[test]
    fn an_outermost_frame_is_believed_the_second_time() {
        let mut roots = Roots::default();
        let whole = [thread(7, "<module>;run;view")];
        let broken = [thread(7, "run;view")];
        assert!(!roots.believe(&whole));
        assert!(roots.believe(&whole));
        assert!(!roots.believe(&broken));
        assert!(roots.believe(&whole));
        assert!(roots.believe(&[]));
    }

    #[test]
    fn noise_is_forgotten() {
        let mut roots = Roots::default();
        for number in 0..10 * DOUBTED {
            assert!(!roots.believe(&[thread(7, &format!("noise{number}"))]));
        }
        assert!(roots.doubted.len() <= DOUBTED);
    }
}

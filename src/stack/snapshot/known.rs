//! The threads that a reader has met: who they are for the kernel, what they are called, what they are doing.
//!
//! A sample shows addresses and ids; what belongs to a thread for longer than one sample is kept here, and forgotten with the
//! thread. Names are only asked for here: looking them up takes too long for a loop that samples.

use std::sync::Arc;
use std::time::Duration;

use super::SnapshotReader;
use super::shown::Shown;
use super::threads::{Taken, Who};
use crate::clock::Moment;
use crate::stack::state::Activity;

/// Between two looks for the name of a thread that had none, at first and at most.
pub(super) const NAMELESS_TURN: Duration = Duration::from_secs(1);
const NAMELESS_LONGEST: Duration = Duration::from_secs(30);

/// A thread of the last sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) who: Who,
    pub(super) gil: bool,
}

/// What is known of a thread that was seen before.
pub(super) struct Known {
    /// The kernel's id of it in pyperf's pid namespace.
    pub(super) outside: Option<i32>,
    pub(super) name: Option<Arc<str>>,
    /// When its name is to be asked for, and how long after that once more.
    pub(super) ask: Moment,
    pub(super) pause: Duration,
    /// The sample that it was in last.
    pub(super) sample: u64,
    pub(super) shown: Shown,
    /// What it is doing.
    pub(super) activity: Option<Activity>,
}

impl SnapshotReader {
    /// Looks what the threads of the last sample are doing; whether there are any, and all of them sleep.
    pub(super) fn look(&mut self) -> bool {
        let mut asleep = !self.seen.is_empty();
        for seen in &self.seen {
            if let Some(known) = self.known.get_mut(&seen.who) {
                known.activity = known.outside.and_then(|tid| self.kernel.look(tid));
                asleep &= matches!(known.activity, Some(Activity::Asleep(_) | Activity::GilWait));
            }
        }
        asleep
    }

    /// Finds out who the threads of a sample are, and forgets those that have ended.
    pub(super) fn meet(&mut self, taken: &Taken, now: Moment) {
        let sample = self.threads.tally.samples;
        for thread in &taken.threads {
            let known = self.known.entry(thread.who()).or_insert_with(|| {
                let outside = i32::try_from(thread.kernel_id).ok().and_then(|own| self.kernel.outside(own));
                Known {
                    outside,
                    name: self.board.open().get(&thread.ident).cloned(),
                    ask: now + self.patience,
                    pause: NAMELESS_TURN,
                    sample,
                    shown: Shown::default(),
                    activity: outside.and_then(|tid| self.kernel.look(tid)),
                }
            });
            known.sample = sample;
        }
        if self.known.len() > taken.threads.len() {
            self.known.retain(|_, known| {
                let lives = known.sample == sample;
                if let (false, Some(tid)) = (lives, known.outside) {
                    self.kernel.forget(tid);
                }
                lives
            });
        }
    }

    /// Gives the threads the names that were found for them, and asks for those that are missing.
    pub(super) fn give_names(&mut self, now: Moment) {
        let edition = self.board.edition();
        if edition != std::mem::replace(&mut self.edition, edition) {
            let mut names = self.board.open();
            for (who, known) in &mut self.known {
                known.name = names.get(&who.ident).cloned().or(known.name.take());
            }
            // The next thread with one of these idents is another.
            names.clear();
        }
        for known in self.known.values_mut().filter(|known| known.name.is_none() && known.ask <= now) {
            known.ask = now + known.pause;
            known.pause = (known.pause * 2).min(NAMELESS_LONGEST);
            self.board.want();
        }
    }
}

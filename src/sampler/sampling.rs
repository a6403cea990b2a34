//! The sampling loop: at each tick, one read of every open process, and nothing else.
//!
//! It opens no process, interns no string and touches no disk: whatever takes time happens in the other threads, so that
//! the only reason for a late tick is reading itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use super::recorder::Event;
use super::watch::{Lane, LaneChange};
use super::{Counters, Pace};
use crate::clock::{Clock, Moment};
use crate::recording::ProcessNumber;
use crate::stack::ReadError;
use crate::stop::{Stop, StopReason};

/// After that many failed reads in a row the reader's idea of the process is wrong, and it is opened anew.
const TOO_MANY_FAILURES: u32 = 20;

pub(super) struct Sampling {
    pub(super) pace: Pace,
    pub(super) start: Moment,
    pub(super) end: Option<Moment>,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) opened: Receiver<LaneChange>,
    pub(super) events: SyncSender<Event>,
    pub(super) counters: Arc<Counters>,
}

impl Sampling {
    pub(super) fn run(self) {
        let mut lanes = BTreeMap::new();
        let mut slot = 0;
        while self.wait_for(self.start + self.pace.due(slot)) {
            for change in self.opened.try_iter() {
                match change {
                    LaneChange::Open(number, lane) => lanes.insert(number, lane),
                    LaneChange::Close(number) => lanes.remove(&number),
                };
            }
            lanes.retain(|number, lane| self.read(*number, lane));
            let next = self.pace.next(slot, self.clock.now().since(self.start));
            self.counters.late.fetch_add(next - slot - 1, Relaxed);
            slot = next;
        }
    }

    /// Sleeps until a sample is due; `false` when the run is over first.
    fn wait_for(&self, due: Moment) -> bool {
        let due = match self.end {
            Some(end) if end <= due => end,
            _ => due,
        };
        if self.stop.wait(due.since(self.clock.now())).is_some() {
            return false;
        }
        if self.end.is_some_and(|end| due >= end) {
            self.stop.request(StopReason::DurationOver);
            return false;
        }
        true
    }

    /// Reads one process; `false` when its lane is to be closed.
    fn read(&self, number: ProcessNumber, lane: &mut Lane) -> bool {
        let moment = self.clock.now();
        let before = lane.reader.stopped();
        let result = lane.reader.read();
        let stopped = lane.reader.stopped().saturating_sub(before);
        self.counters.stopped_nanos.fetch_add(u64::try_from(stopped.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        match result {
            Ok(stacks) => {
                lane.failures = 0;
                if self.events.try_send(Event::Stacks(number, moment, stacks)).is_err() {
                    self.counters.dropped.fetch_add(1, Relaxed);
                }
                true
            }
            Err(ReadError::Gone) => false,
            Err(ReadError::Unreadable(_)) => {
                self.counters.unreadable.fetch_add(1, Relaxed);
                lane.failures += 1;
                let useless = lane.failures >= TOO_MANY_FAILURES;
                lane.useless.store(useless, Relaxed);
                !useless
            }
        }
    }
}

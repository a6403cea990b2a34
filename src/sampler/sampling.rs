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
use super::{Counters, Pace, STACKS};
use crate::clock::{Clock, Moment};
use crate::recording::{ProcessNumber, ThreadStack};
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
    pub(super) changes: Receiver<LaneChange>,
    pub(super) events: SyncSender<Event>,
    pub(super) counters: Arc<Counters>,
}

impl Sampling {
    pub(super) fn run(self) {
        let mut lanes = BTreeMap::new();
        let mut slot = 0;
        while self.wait_for(self.start + self.pace.due(slot)) {
            for change in self.changes.try_iter() {
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

    /// Gives stacks to the recorder, unless too many wait for it already.
    fn hand_over(&self, number: ProcessNumber, moment: Moment, stacks: Vec<ThreadStack>) {
        let count = stacks.len() as u64;
        let waiting = &self.counters.waiting;
        let room = waiting.load(Relaxed) < STACKS;
        if room && self.events.try_send(Event::Stacks(number, moment, stacks)).is_ok() {
            waiting.fetch_add(count, Relaxed);
        } else {
            self.counters.dropped.fetch_add(count, Relaxed);
        }
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
                self.hand_over(number, moment, stacks);
                true
            }
            Err(ReadError::Gone) => false,
            Err(failure) => {
                self.counters.unreadable.fetch_add(1, Relaxed);
                lane.failures += u32::from(!matches!(failure, ReadError::Busy));
                let useless = lane.failures >= TOO_MANY_FAILURES;
                lane.useless.store(useless, Relaxed);
                !useless
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interned::Id;
    use crate::stack::scripted::{ScriptedReader, thread};
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::sync_channel;

    /// Runs the loop over one scripted process until its lane closes; returns its events and what was lost.
    fn run(reader: ScriptedReader, room: usize) -> (Vec<Event>, crate::recording::Losses, bool) {
        let (lanes, changes) = sync_channel(1);
        let (events, received) = sync_channel(room);
        let clock = Clock::start();
        let counters = Arc::new(Counters::default());
        let useless = Arc::new(AtomicBool::new(false));
        let lane = Lane { reader: Box::new(reader), failures: 0, useless: Arc::clone(&useless) };
        lanes.send(LaneChange::Open(Id::from_index(0), lane)).expect("there is room");
        let stop = Stop::default();
        let sampling = Sampling {
            pace: Pace::new(10_000, 1),
            start: clock.now(),
            end: None,
            clock,
            stop: stop.clone(),
            changes,
            events,
            counters: Arc::clone(&counters),
        };
        let running = std::thread::Builder::new().spawn(move || sampling.run()).expect("a thread");
        // Our hold on the flag is the last one when the lane is gone.
        while Arc::strong_count(&useless) > 1 {
            std::thread::yield_now();
        }
        stop.request(StopReason::Interrupted);
        running.join().expect("it ends");
        (received.try_iter().collect(), counters.losses(), useless.load(Relaxed))
    }

    #[test]
    fn every_answer_of_a_reader_becomes_an_event_until_the_process_ends() {
        let answers = ["main;view", "main;query"].map(|stack| Ok(vec![thread(7, stack)]));
        let (events, losses, _) = run(ScriptedReader::new(answers), 8);
        assert!(matches!(&events[..], [Event::Stacks(..), Event::Stacks(..)]), "{events:?}");
        assert_eq!((losses.unreadable, losses.dropped), (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let answers = (0..5).map(|_| Ok(vec![thread(7, "main")]));
        let (events, losses, _) = run(ScriptedReader::new(answers), 2);
        assert_eq!((events.len(), losses.dropped), (2, 3));
    }

    #[test]
    fn a_reader_that_fails_again_and_again_is_given_back() {
        let torn = || Err(ReadError::Unreadable("torn".into()));
        let once = ScriptedReader::new([torn(), Ok(vec![thread(7, "main")])]);
        let (events, losses, useless) = run(once, 8);
        assert_eq!((events.len(), losses.unreadable, useless), (1, 1, false));
        let (_, losses, useless) = run(ScriptedReader::new((0..TOO_MANY_FAILURES + 5).map(|_| torn())), 8);
        assert_eq!((losses.unreadable, useless), (u64::from(TOO_MANY_FAILURES), true));
    }
}

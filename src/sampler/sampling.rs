//! The sampling loop of one process: at each tick one read, and nothing else.
//!
//! Each process has a thread of its own, so that one that is slow to read or cannot be stopped holds up no other. The loop
//! opens nothing, interns nothing and touches no disk: the only reason for a late tick is reading itself. What it read goes to
//! the recorder a few times a second, since waking the recorder costs as much as a read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::cost::Cost;
use super::recorder::Event;
use super::{Counters, Pace, STACKS};
use crate::clock::{Clock, Moment};
use crate::recording::{ProcessNumber, ThreadStack};
use crate::stack::{ReadError, StackReader};
use crate::stop::Stop;

/// After that many failed reads in a row the reader's idea of the process is wrong, and it is opened anew.
const TOO_MANY_FAILURES: u32 = 20;

/// How long stacks are kept before they are handed over, and how many reads at most.
const KEPT: Duration = Duration::from_millis(100);
const MOST_KEPT: usize = 64;

/// What the watch and a sampling loop tell each other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The watch: the process is gone, stop reading it.
    pub(super) closed: AtomicBool,
    /// The loop: it has ended. If the process lives, it has to be opened anew.
    pub(super) ended: AtomicBool,
}

pub(super) struct Sampling {
    pub(super) number: ProcessNumber,
    pub(super) reader: Box<dyn StackReader>,
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) lane: Arc<Lane>,
    pub(super) events: SyncSender<Event>,
    pub(super) counters: Arc<Counters>,
    pub(super) cost: Cost,
    /// Read, and not handed over yet.
    pub(super) kept: Vec<(Moment, Vec<ThreadStack>)>,
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.lane.ended.store(true, Relaxed);
    }
}

impl Sampling {
    pub(super) fn run(mut self) {
        self.sample();
        self.hand_over();
        self.cost.tell();
    }

    fn sample(&mut self) {
        let start = self.clock.now();
        let (mut slot, mut failures) = (0, 0);
        while self.is_on_at(start + self.pace.due(slot)) {
            match self.read() {
                Ok(()) => failures = 0,
                Err(ReadError::Gone) => return,
                Err(ReadError::Busy) => {}
                Err(ReadError::Unreadable(_)) => failures += 1,
            }
            if failures >= TOO_MANY_FAILURES {
                return;
            }
            let now = self.clock.now();
            self.cost.tell_at(now);
            let next = self.pace.next(slot, now.since(start));
            self.counters.late.fetch_add(next - slot - 1, Relaxed);
            slot = next;
            let oldest = self.kept.first().map_or(now, |(moment, _)| *moment);
            if self.kept.len() >= MOST_KEPT || (start + self.pace.due(slot)).since(oldest) >= KEPT {
                self.hand_over();
            }
        }
    }

    /// Sleeps until a sample is due; `false` when the run or the process is over first.
    fn is_on_at(&self, due: Moment) -> bool {
        self.stop.wait(due.since(self.clock.now())).is_none() && !self.lane.closed.load(Relaxed)
    }

    /// Reads the process once and keeps what it read for the recorder.
    fn read(&mut self) -> Result<(), ReadError> {
        let moment = self.clock.now();
        let (before, torn) = (self.reader.stopped(), self.reader.torn());
        let result = self.reader.read();
        self.counters.torn.fetch_add(self.reader.torn().saturating_sub(torn), Relaxed);
        let stopped = self.reader.stopped().saturating_sub(before);
        self.counters.stopped_nanos.fetch_add(u64::try_from(stopped.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        match result {
            Ok(stacks) => {
                self.counters.reads.fetch_add(1, Relaxed);
                self.kept.push((moment, stacks));
                Ok(())
            }
            Err(error) => {
                if !matches!(error, ReadError::Gone) {
                    self.counters.reads.fetch_add(1, Relaxed);
                    self.counters.unreadable.fetch_add(1, Relaxed);
                }
                Err(error)
            }
        }
    }

    /// Gives what was read to the recorder, unless too much waits for it already.
    fn hand_over(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        let reads = std::mem::take(&mut self.kept);
        let count = reads.iter().map(|(_, stacks)| stacks.len() as u64).sum();
        let waiting = self.counters.waiting.fetch_add(count, Relaxed);
        let event = Event::Stacks(self.number, reads);
        if waiting >= STACKS || self.events.try_send(event).is_err() {
            self.counters.waiting.fetch_sub(count, Relaxed);
            self.counters.dropped.fetch_add(count, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interned::Id;
    use crate::stack::scripted::{ScriptedReader, thread};
    use crate::stop::StopReason;
    use std::sync::mpsc::sync_channel;

    /// Runs the loop over one scripted process until it ends by itself; returns its events and what was lost.
    fn run(reader: ScriptedReader, room: usize) -> (Vec<Event>, crate::recording::Losses) {
        let (events, received) = sync_channel(room);
        let counters = Arc::new(Counters::default());
        let lane = Arc::new(Lane::default());
        let sampling = Sampling {
            number: Id::from_index(0),
            reader: Box::new(reader),
            pace: Pace::new(10_000, 1),
            clock: Clock::start(),
            stop: Stop::default(),
            lane: Arc::clone(&lane),
            events,
            counters: Arc::clone(&counters),
            cost: Cost::of_new_thread(counters.clone()),
            kept: Vec::new(),
        };
        sampling.run();
        assert!(lane.ended.load(Relaxed));
        (received.try_iter().collect(), counters.losses())
    }

    /// How many reads were handed over.
    fn reads(events: &[Event]) -> usize {
        let of = |event: &Event| if let Event::Stacks(_, reads) = event { reads.len() } else { 0 };
        events.iter().map(of).sum()
    }

    #[test]
    fn every_answer_of_a_reader_becomes_an_event_until_the_process_ends() {
        let answers = ["main;view", "main;query"].map(|stack| Ok(vec![thread(7, stack)]));
        let (events, losses) = run(ScriptedReader::new(answers), 8);
        assert_eq!((reads(&events), losses.unreadable, losses.dropped), (2, 0, 0), "{events:?}");
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let answers = (0..5 * MOST_KEPT).map(|_| Ok(vec![thread(7, "main")]));
        let (events, losses) = run(ScriptedReader::new(answers), 2);
        assert_eq!(reads(&events) as u64 + losses.dropped, 5 * MOST_KEPT as u64);
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn a_reader_that_fails_again_and_again_is_given_up() {
        let torn = || Err(ReadError::Unreadable("torn".into()));
        let once = ScriptedReader::new([torn(), Ok(vec![thread(7, "main")])]);
        let (events, losses) = run(once, 8);
        assert_eq!((reads(&events), losses.unreadable), (1, 1));
        let (_, losses) = run(ScriptedReader::new((0..TOO_MANY_FAILURES + 5).map(|_| torn())), 8);
        assert_eq!(losses.unreadable, u64::from(TOO_MANY_FAILURES));
    }

    #[test]
    fn a_process_that_cannot_be_stopped_for_a_while_is_not_given_up() {
        let busy = (0..2 * TOO_MANY_FAILURES).map(|_| Err(ReadError::Busy));
        let answers = busy.chain([Ok(vec![thread(7, "main")])]);
        let (events, losses) = run(ScriptedReader::new(answers), 8);
        assert_eq!((reads(&events), losses.unreadable), (1, u64::from(2 * TOO_MANY_FAILURES)));
    }

    #[test]
    fn a_stopped_run_reads_no_more() {
        let stop = Stop::default();
        stop.request(StopReason::Interrupted);
        let (events, received) = sync_channel(1);
        let sampling = Sampling {
            number: Id::from_index(0),
            reader: Box::new(ScriptedReader::new([Ok(Vec::new())])),
            pace: Pace::new(1, 1),
            clock: Clock::start(),
            stop,
            lane: Arc::default(),
            events,
            counters: Arc::default(),
            cost: Cost::of_new_thread(Arc::default()),
            kept: Vec::new(),
        };
        sampling.run();
        assert_eq!(received.try_iter().count(), 0);
    }
}

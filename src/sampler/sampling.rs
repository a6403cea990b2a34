//! The sampling loop: at each tick one read of each of its processes, and nothing else.
//!
//! One loop serves all processes whose readers never wait, so that a tick wakes one thread however many workers there are; a
//! reader that may be held up (it stops the process, or reads for milliseconds) has a loop of its own and holds up no other.
//! The loop interns nothing and writes nothing; it opens what tells a new thread's state, and asks once for each source file which of
//! the directories above it are packages. Otherwise the only reason for a late tick is reading itself. What it
//! read goes to the recorder a few times a second, since waking the recorder costs as much as a read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use super::cost::Cost;
use super::recorder::Event;
use super::{Counters, Pace, STACKS};
use crate::clock::{Clock, Moment};
use crate::process::priority;
use crate::recording::{ProcessNumber, ThreadStack};
use crate::stack::{ReadError, StackReader};
use crate::stop::Stop;

/// After that many failed reads in a row the reader's idea of the process is wrong, and it is opened anew.
const TOO_MANY_FAILURES: u32 = 20;

/// How long stacks are kept before they are handed over, and how many reads at most.
const KEPT: Duration = Duration::from_millis(100);
const MOST_KEPT: usize = 256;

/// What the watch and a sampling loop tell each other about one process.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The watch: the process is gone, stop reading it.
    pub(super) closed: AtomicBool,
    /// The loop: it reads the process no longer. If it lives, it has to be opened anew.
    pub(super) ended: AtomicBool,
}

/// A process that a loop reads.
pub(super) struct Sampled {
    pub(super) number: ProcessNumber,
    pub(super) reader: Box<dyn StackReader>,
    pub(super) lane: Arc<Lane>,
    /// Failed reads in a row.
    pub(super) failures: u32,
}

impl Drop for Sampled {
    fn drop(&mut self) {
        self.lane.ended.store(true, Relaxed);
    }
}

/// One read of one process.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) process: ProcessNumber,
    pub(super) moment: Moment,
    pub(super) stacks: Vec<ThreadStack>,
}

/// Where a loop gets its processes from.
pub(super) enum Source {
    /// It has all that it will ever have, and ends with the last.
    Given,
    /// More may come for as long as somebody holds the other end.
    Arriving(Receiver<Sampled>),
}

pub(super) struct Sampling {
    pub(super) processes: Vec<Sampled>,
    pub(super) source: Source,
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) events: SyncSender<Event>,
    pub(super) counters: Arc<Counters>,
    pub(super) cost: Cost,
    /// Read, and not handed over yet.
    pub(super) kept: Vec<Read>,
}

impl Sampling {
    pub(super) fn run(mut self) {
        // Such a loop takes microseconds of each tick; one that may be held up could take all that there is.
        if self.processes.iter().all(|process| process.reader.is_prompt()) {
            priority::come_first();
        }
        self.sample();
        self.hand_over();
        self.cost.tell();
    }

    fn sample(&mut self) {
        let start = self.clock.now();
        let mut slot = 0;
        while self.is_on_at(start + self.pace.due(slot)) {
            let mut processes = std::mem::take(&mut self.processes);
            processes.retain_mut(|process| self.goes_on(process));
            self.processes = processes;
            let now = self.clock.now();
            self.cost.tell_at(now);
            let next = self.pace.next(slot, now.since(start));
            self.counters.late.fetch_add((next - slot - 1) * self.processes.len() as u64, Relaxed);
            slot = next;
            let oldest = self.kept.first().map_or(now, |read| read.moment);
            if self.kept.len() >= MOST_KEPT || (start + self.pace.due(slot)).since(oldest) >= KEPT {
                self.hand_over();
            }
        }
    }

    /// Sleeps until samples are due; `false` when the run is over first, or nothing is left to be read.
    fn is_on_at(&mut self, due: Moment) -> bool {
        if self.stop.wait(due.since(self.clock.now())).is_some() {
            return false;
        }
        let Source::Arriving(arriving) = &self.source else {
            return !self.processes.is_empty();
        };
        loop {
            match arriving.try_recv() {
                Ok(process) => self.processes.push(process),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.processes.is_empty(),
            }
        }
    }

    /// Reads a process, unless it is gone; `false` when it is to be read no more.
    fn goes_on(&mut self, process: &mut Sampled) -> bool {
        if process.lane.closed.load(Relaxed) {
            return false;
        }
        match self.read(process) {
            Ok(()) => process.failures = 0,
            Err(ReadError::Gone) => return false,
            Err(ReadError::Busy) => {}
            Err(ReadError::Unreadable(_)) => process.failures += 1,
        }
        process.failures < TOO_MANY_FAILURES
    }

    /// Reads a process once and keeps what it read for the recorder.
    fn read(&mut self, process: &mut Sampled) -> Result<(), ReadError> {
        let moment = self.clock.now();
        let reader = &mut process.reader;
        let (before, torn) = (reader.stopped(), reader.torn());
        let result = reader.read();
        self.counters.torn.fetch_add(reader.torn().saturating_sub(torn), Relaxed);
        let stopped = reader.stopped().saturating_sub(before);
        self.counters.stopped_nanos.fetch_add(u64::try_from(stopped.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        match result {
            Ok(stacks) => {
                self.counters.reads.fetch_add(1, Relaxed);
                self.kept.push(Read { process: process.number, moment, stacks });
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
        let count = reads.iter().map(|read| read.stacks.len() as u64).sum();
        let waiting = self.counters.waiting.fetch_add(count, Relaxed);
        if waiting >= STACKS || self.events.try_send(Event::Stacks(reads)).is_err() {
            self.counters.waiting.fetch_sub(count, Relaxed);
            self.counters.dropped.fetch_add(count, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interned::Id;
    use crate::recording::Losses;
    use crate::stack::scripted::{ScriptedReader, thread};
    use crate::stop::StopReason;
    use std::sync::mpsc::sync_channel;

    type Answer = Result<Vec<ThreadStack>, ReadError>;

    fn sampled(number: u32, answers: impl IntoIterator<Item = Answer>) -> Sampled {
        let reader = Box::new(ScriptedReader::new(answers));
        Sampled { number: Id::from_index(number), reader, lane: Arc::default(), failures: 0 }
    }

    /// Runs the loop over scripted processes until it ends by itself; returns its events and what was lost.
    fn run(processes: Vec<Sampled>, source: Source, room: usize) -> (Vec<Event>, Losses) {
        let (events, received) = sync_channel(room);
        let counters = Arc::new(Counters::default());
        let lanes: Vec<Arc<Lane>> = processes.iter().map(|process| Arc::clone(&process.lane)).collect();
        let sampling = Sampling {
            processes,
            source,
            pace: Pace::new(10_000, 1),
            clock: Clock::start(),
            stop: Stop::default(),
            events,
            counters: Arc::clone(&counters),
            cost: Cost::of_new_thread(counters.clone()),
            kept: Vec::new(),
        };
        sampling.run();
        assert!(lanes.iter().all(|lane| lane.ended.load(Relaxed)));
        (received.try_iter().collect(), counters.losses())
    }

    fn run_one(answers: impl IntoIterator<Item = Answer>, room: usize) -> (Vec<Event>, Losses) {
        run(vec![sampled(0, answers)], Source::Given, room)
    }

    /// The processes of the reads that were handed over.
    fn reads(events: &[Event]) -> Vec<u32> {
        let of = |event: &Event| match event {
            Event::Stacks(reads) => reads.iter().map(|read| read.process.index()).collect(),
            _ => Vec::new(),
        };
        events.iter().flat_map(of).collect()
    }

    #[test]
    fn every_answer_of_a_reader_becomes_an_event_until_the_process_ends() {
        let answers = ["main;view", "main;query"].map(|stack| Ok(vec![thread(7, stack)]));
        let (events, losses) = run_one(answers, 8);
        assert_eq!((reads(&events).len(), losses.unreadable, losses.dropped), (2, 0, 0), "{events:?}");
    }

    #[test]
    fn processes_come_and_go_and_the_loop_reads_those_that_are_there() {
        let answers = |count: usize| (0..count).map(|_| Ok(vec![thread(7, "main")]));
        let (sender, arriving) = sync_channel(4);
        sender.send(sampled(1, answers(3))).expect("there is room");
        let gone = sampled(2, answers(3));
        gone.lane.closed.store(true, Relaxed);
        sender.send(gone).expect("there is room");
        drop(sender);
        let (events, _) = run(vec![sampled(0, answers(2))], Source::Arriving(arriving), 8);
        assert_eq!(reads(&events), [0, 1, 0, 1, 1]);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let answers = (0..5 * MOST_KEPT).map(|_| Ok(vec![thread(7, "main")]));
        let (events, losses) = run_one(answers, 2);
        assert_eq!(reads(&events).len() as u64 + losses.dropped, 5 * MOST_KEPT as u64);
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn a_reader_that_fails_again_and_again_is_given_up() {
        let torn = || Err(ReadError::Unreadable("torn".into()));
        let (events, losses) = run_one([torn(), Ok(vec![thread(7, "main")])], 8);
        assert_eq!((reads(&events).len(), losses.unreadable), (1, 1));
        let (_, losses) = run_one((0..TOO_MANY_FAILURES + 5).map(|_| torn()), 8);
        assert_eq!(losses.unreadable, u64::from(TOO_MANY_FAILURES));
    }

    #[test]
    fn a_process_that_cannot_be_stopped_for_a_while_is_not_given_up() {
        let busy = (0..2 * TOO_MANY_FAILURES).map(|_| Err(ReadError::Busy));
        let (events, losses) = run_one(busy.chain([Ok(vec![thread(7, "main")])]), 8);
        assert_eq!((reads(&events).len(), losses.unreadable), (1, u64::from(2 * TOO_MANY_FAILURES)));
    }

    #[test]
    fn a_stopped_run_reads_no_more() {
        let stop = Stop::default();
        stop.request(StopReason::Interrupted);
        let (events, received) = sync_channel(1);
        let sampling = Sampling {
            processes: vec![sampled(0, [Ok(Vec::new())])],
            source: Source::Given,
            pace: Pace::new(1, 1),
            clock: Clock::start(),
            stop,
            events,
            counters: Arc::default(),
            cost: Cost::of_new_thread(Arc::default()),
            kept: Vec::new(),
        };
        sampling.run();
        assert_eq!(received.try_iter().count(), 0);
    }
}

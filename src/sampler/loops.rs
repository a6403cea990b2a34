//! Starts the sampling loops and gives them their processes.
//!
//! There is one loop for all processes that are read in microseconds; it is started with the first of them. Whatever can be held
//! up gets a loop of its own. Which processes there are, and when they end, is the watch's business.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::cost::Cost;
use super::recorder::Event;
use super::sampling::{Sampled, Sampling, Source};
use super::{Counters, Pace, StartError, Task};
use crate::clock::Clock;
use crate::stop::Stop;

/// How many processes may wait to be taken over by the shared loop, which is done at its next tick.
const ARRIVING: usize = 1024;

/// What all loops of a run have in common.
pub(super) struct Loops {
    rate: u32,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) events: SyncSender<Event>,
    pub(super) counters: Arc<Counters>,
    /// To the shared loop, once there is one.
    shared: Option<SyncSender<Sampled>>,
    /// Loops that have not ended, as far as is known.
    running: Vec<Task<()>>,
}

impl Loops {
    /// None yet.
    pub(super) const fn of(
        rate: u32,
        clock: Clock,
        stop: Stop,
        events: SyncSender<Event>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { rate, clock, stop, events, counters, shared: None, running: Vec::new() }
    }

    /// Sees to it that a process is read from now on. What fails here can be tried again.
    pub(super) fn take(&mut self, process: Sampled) -> Result<(), StartError> {
        self.running.retain(|task| !task.is_over());
        if !process.reader.is_prompt() {
            let (name, seed) = (format!("sampling {}", process.number.index()), u64::from(process.number.index()));
            return self.start(&name, vec![process], Source::Given, seed);
        }
        let process = match &self.shared {
            None => process,
            Some(shared) => match shared.try_send(process) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(StartError::NoThread(ErrorKind::WouldBlock.into())),
                // That loop has failed.
                Err(TrySendError::Disconnected(process)) => process,
            },
        };
        let (shared, arriving) = sync_channel(ARRIVING);
        self.start("sampling", vec![process], Source::Arriving(arriving), 0)?;
        self.shared = Some(shared);
        Ok(())
    }

    /// Waits for all loops to end, which the end of the run tells them to.
    pub(super) fn finish(self, patience: Duration) {
        let deadline = self.clock.now() + patience;
        for task in self.running {
            task.result(deadline.since(self.clock.now()));
        }
    }

    fn start(&mut self, name: &str, processes: Vec<Sampled>, source: Source, seed: u64) -> Result<(), StartError> {
        let sampling = Sampling {
            processes,
            source,
            pace: Pace::new(self.rate, seed),
            clock: self.clock,
            stop: self.stop.clone(),
            events: self.events.clone(),
            counters: Arc::clone(&self.counters),
            cost: Cost::of_new_thread(Arc::clone(&self.counters)),
            kept: Vec::new(),
        };
        self.running.push(Task::spawn(name, None, move || sampling.run())?);
        Ok(())
    }
}

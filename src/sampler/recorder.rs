//! The one owner of the recording while it grows: takes events, interns stacks, writes the file once a second.
//!
//! A file that can no longer be written (full disk) ends the writing, not the run: memory still holds everything.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Counters;
use super::cost::Cost;
use super::sampling::Read;
use crate::clock::Moment;
use crate::recording::file::{FileError, RecordingFile};
use crate::recording::{
    CpuReading, Phase, Process, ProcessNumber, Recording, Role, Run, Sample, State, Thread, ThreadStack,
};

/// Between two batches of the file.
const BATCH: Duration = Duration::from_secs(1);

/// What the other threads tell the recorder.
#[derive(Debug)]
pub(super) enum Event {
    /// A process can be sampled from now on; numbers count up from 0.
    Born(Process),
    /// It has ended, or can be sampled no longer.
    Died(ProcessNumber, Moment),
    /// Its role turned out to be another one.
    Role(ProcessNumber, Role),
    /// The stacks of the threads of some processes, in the order of time.
    Stacks(Vec<Read>),
    /// What its CPU clock says.
    Cpu(CpuReading),
    /// The phases as they are known now, in place of those that were told before.
    Phases(Vec<Phase>),
    /// There will be no more.
    End {
        /// How long sampling went on.
        length: Duration,
    },
}

pub(super) struct Recorder {
    recording: Recording,
    file: Option<RecordingFile>,
    file_error: Option<FileError>,
    counters: Arc<Counters>,
    cost: Cost,
    first: Option<Moment>,
    last: Moment,
    written: Moment,
}

impl Recorder {
    pub(super) fn new(run: Run, file: Option<RecordingFile>, counters: Arc<Counters>) -> Self {
        Self {
            recording: Recording::new(run),
            file,
            file_error: None,
            cost: Cost::of_new_thread(Arc::clone(&counters)),
            counters,
            first: None,
            last: Moment::default(),
            written: Moment::default(),
        }
    }

    pub(super) fn run(mut self, events: &Receiver<Event>) -> (Recording, Option<FileError>) {
        loop {
            match events.recv_timeout(BATCH) {
                Ok(Event::End { length }) => {
                    self.recording.length = length;
                    break;
                }
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.last.since(self.written) >= BATCH {
                self.recording.length = self.last.since(self.first.unwrap_or(self.last));
                self.write();
            }
        }
        self.write();
        (self.recording, self.file_error)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Born(process) => self.recording.processes.push(process),
            Event::Died(number, moment) => {
                if let Some(process) = self.recording.processes.get_mut(number.index() as usize) {
                    process.died = Some(moment);
                }
            }
            Event::Role(number, role) => {
                if let Some(process) = self.recording.processes.get_mut(number.index() as usize) {
                    process.role = role;
                }
            }
            Event::Stacks(reads) => {
                for Read { process, moment, stacks } in reads {
                    self.first.get_or_insert(moment);
                    self.last = self.last.max(moment);
                    self.counters.waiting.fetch_sub(stacks.len() as u64, Relaxed);
                    for stack in stacks {
                        self.sample(process, moment, stack);
                    }
                }
            }
            Event::Cpu(reading) => self.recording.timeline.cpu.push(reading),
            Event::Phases(phases) => self.recording.timeline.phases = phases,
            Event::End { .. } => {}
        }
    }

    fn sample(&mut self, process: ProcessNumber, moment: Moment, thread: ThreadStack) {
        let ident = thread.ident;
        let (stack, whole) = self.recording.stacks.insert_trace(&thread.stack);
        if !whole {
            self.counters.truncated.fetch_add(1, Relaxed);
        }
        let kept = self.recording.thread(Thread { process, ident }, thread.name.as_deref(), thread.os_id);
        let (state, gil, cpu) = (thread.state, thread.gil, thread.cpu);
        let wait = thread.wait.map(|wait| self.recording.waits.intern(wait));
        if !self.recording.samples.push(Sample { moment, thread: kept, stack, state, gil, wait, cpu }) {
            self.counters.dropped.fetch_add(1, Relaxed);
            return;
        }
        if self.recording.process(process).is_some_and(|process| !process.role.is_supervisor()) {
            let counter = if thread.state == State::Idle { &self.counters.idle } else { &self.counters.samples };
            counter.fetch_add(1, Relaxed);
        }
    }

    fn write(&mut self) {
        self.recording.losses = self.counters.losses();
        self.recording.reads = self.counters.reads.load(Relaxed);
        self.recording.stopped = Duration::from_nanos(self.counters.stopped_nanos.load(Relaxed));
        self.cost.tell();
        self.recording.sampler_cpu = Duration::from_nanos(self.counters.cpu_nanos.load(Relaxed));
        self.written = self.last;
        if let Some(file) = &mut self.file
            && let Err(error) = file.append(&self.recording)
        {
            self.file_error = Some(error);
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interned::Id;
    use crate::recording::Mode;
    use std::sync::mpsc::sync_channel;
    use std::time::SystemTime;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn readings_and_the_latest_phases_are_kept() {
        let run =
            Run { target: "gunicorn".into(), started: SystemTime::UNIX_EPOCH, rate: 100, mode: Mode::NonBlocking };
        let recorder = Recorder::new(run, None, Arc::new(Counters::default()));
        let (events, received) = sync_channel(8);
        let phase = |ended| Phase { name: "peak".into(), arrivals: String::new(), began: at(1), ended };
        let reading = |moment, used| CpuReading { process: Id::from_index(0), moment, used: Duration::from_secs(used) };
        let told = [
            Event::Cpu(reading(at(1), 5)),
            Event::Phases(vec![phase(at(2))]),
            Event::Cpu(reading(at(2), 6)),
            Event::Phases(vec![phase(at(3))]),
            Event::End { length: Duration::from_secs(3) },
        ];
        for event in told {
            events.send(event).expect("there is room");
        }
        let (recording, error) = recorder.run(&received);
        assert!(error.is_none());
        assert_eq!(recording.timeline.phases, [phase(at(3))]);
        assert_eq!(recording.timeline.cpu, [reading(at(1), 5), reading(at(2), 6)]);
        assert_eq!(recording.length, Duration::from_secs(3));
        assert!(recording.sampler_cpu > Duration::ZERO);
    }
}

//! Keeps a run in a file while it goes on: once a second what came since is written, on a thread of its own.
//!
//! The driver never waits for the disk: rows wait in the ledger, within bounds. A file that can no longer be written (full disk)
//! ends the writing, not the run. What is written last is taken from the run's own result, so that both say the same.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use super::shared::Shared;
use crate::clock::Moment;
use crate::recording::Phase;
use crate::recording::file::{FileError, RecordingFile};
use crate::recording::traffic::log::{Batch, FailureRows, LoadHead, LoadState};
use crate::recording::traffic::{EndpointLabel, PhaseRun, Traffic};
use crate::scenario::phase::Arrivals;
use crate::stop::{Stop, StopReason};

/// Between two batches.
const BATCH: Duration = Duration::from_secs(1);

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Keeper {
    thread: JoinHandle<Keeping>,
    stop: Stop,
}

impl Keeper {
    /// Starts to write what the run's ledger collects.
    pub(super) fn start(shared: &Arc<Shared>, file: RecordingFile) -> std::io::Result<Self> {
        let stop = Stop::default();
        let mut keeping = Keeping {
            head: shared.head(),
            shared: shared.clone(),
            file: Some(file),
            begun: false,
            known: Vec::new(),
            error: None,
            lost: 0,
        };
        let told = stop.clone();
        let thread = std::thread::Builder::new().name("traffic".into()).spawn(move || {
            while told.wait(BATCH).is_none() {
                keeping.tick();
            }
            keeping
        })?;
        Ok(Self { thread, stop })
    }

    /// Ends the thread. `None` if it failed.
    pub(super) fn end(self) -> Option<Keeping> {
        self.stop.request(StopReason::DurationOver);
        self.thread.join().ok()
    }
}

/// How far the writing has come.
#[derive(Debug)]
pub(super) struct Keeping {
    shared: Arc<Shared>,
    /// `None` once it can no longer be written.
    file: Option<RecordingFile>,
    head: LoadHead,
    begun: bool,
    /// The counts of failures, kind by kind, that are in the file.
    known: Vec<u64>,
    error: Option<FileError>,
    lost: u64,
}

impl Keeping {
    /// Writes what came since the last time; nothing before the load has begun.
    fn tick(&mut self) {
        let phases = self.shared.ledger().phases().to_vec();
        let Some(began) = phases.first().map(|phase| phase.began) else { return };
        self.begin(began, &phases);
        let now = self.shared.now();
        let (failures, more_failures) = self.shared.ledger().grown_failures(&mut self.known);
        let active = self.shared.active.load(Relaxed);
        let state = LoadState { ended: now, cut_short: true, active, more_failures, ..LoadState::default() };
        self.append(now, &phases, (failures, None), state);
    }

    /// Writes the rest of a run that is over. Tells why the file is not whole, and how many rows it lacks.
    pub(super) fn conclude(mut self, traffic: &Traffic) -> (Option<FileError>, u64) {
        self.begin(traffic.began, &traffic.phases);
        let state = LoadState {
            ended: traffic.ended,
            over: true,
            cut_short: traffic.cut_short,
            active: traffic.abandoned,
            driver_cpu: traffic.driver_cpu,
            lost: 0,
            more_failures: traffic.failures.uncounted(),
        };
        let failures = traffic.failures.grown(&mut self.known);
        self.append(traffic.ended, &traffic.phases, (failures, Some(traffic)), state);
        (self.error, self.lost)
    }

    fn begin(&mut self, began: Moment, phases: &[PhaseRun]) {
        if !std::mem::replace(&mut self.begun, true) {
            self.head.began = began;
            self.head.phases = phases.to_vec();
            let head = self.head.clone();
            self.write(|file| file.begin_traffic(&head));
        }
    }

    fn append(
        &mut self,
        now: Moment,
        phases: &[PhaseRun],
        (failures, over): (Vec<FailureRows>, Option<&Traffic>),
        state: LoadState,
    ) {
        let taken = self.shared.ledger().take_rows(now);
        let Some(taken) = taken else { return };
        self.lost = taken.lost;
        // After the rows, so that none of them has an endpoint that is not in the file.
        let first = self.head.endpoints.len();
        let endpoints: Vec<EndpointLabel> = match over {
            Some(traffic) => traffic.endpoints.get(first..).unwrap_or_default().to_vec(),
            None => self.shared.endpoints_from(first),
        };
        let script = &self.shared.script;
        let words = |number: usize| script.phases.get(number).map_or(Arrivals::None, |phase| phase.arrivals).words();
        let batch = Batch {
            phases: timeline(phases, &words, self.shared.stopped(), now),
            requests: taken.requests,
            users: taken.users,
            windows: taken.windows,
            failures,
            endpoints: (first, endpoints.clone()),
            state: LoadState { lost: taken.lost, ..state },
        };
        self.head.endpoints.extend(endpoints);
        self.write(|file| file.append_traffic(&batch));
    }

    fn write(&mut self, write: impl FnOnce(&mut RecordingFile) -> Result<(), FileError>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write(file) {
            self.error = Some(error);
            self.file = None;
            self.shared.ledger().drop_rows();
        }
    }
}

/// The phases as they were run until now: what went before the load, those of the plan that have begun, and the time in which
/// nobody arrives any more. Without gaps.
fn timeline(phases: &[PhaseRun], words: &dyn Fn(usize) -> String, stopped: Option<Moment>, now: Moment) -> Vec<Phase> {
    let limit = stopped.map_or(now, |stopped| stopped.min(now));
    let mut last = phases.first().map_or(now, |phase| phase.began);
    let lead = Phase { name: "before load".into(), arrivals: String::new(), began: Moment::default(), ended: last };
    let mut all = vec![lead];
    for (number, phase) in phases.iter().enumerate().take_while(|(_, phase)| phase.began <= limit) {
        let ended = (phase.began + phase.length).min(limit).max(last);
        all.push(Phase { name: phase.name.clone(), arrivals: words(number), began: last, ended });
        last = ended;
    }
    if now > last {
        all.push(Phase { name: "drain".into(), arrivals: String::new(), began: last, ended: now });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    /// The timeline of two phases, of 10 and 5 seconds, that begin at second 2.
    fn told(stopped: Option<u64>, now: u64) -> Vec<(String, u64, u64)> {
        let phase = |name: &str, began, length| PhaseRun {
            name: name.into(),
            began: at(began),
            length: Duration::from_secs(length),
            planned: 7,
            most_users: None,
        };
        let phases = [phase("warm up", 2, 10), phase("peak", 12, 5)];
        let timeline = timeline(&phases, &|number| format!("{number} users"), stopped.map(at), at(now));
        assert!(timeline.is_sorted_by(|one, next| one.ended == next.began && next.began <= next.ended));
        let seconds = |moment: Moment| moment.as_nanos() / 1_000_000_000;
        timeline.into_iter().map(|phase| (phase.name, seconds(phase.began), seconds(phase.ended))).collect()
    }

    fn named(phases: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
        phases.iter().map(|(name, began, ended)| ((*name).to_owned(), *began, *ended)).collect()
    }

    #[test]
    fn phases_are_told_as_far_as_they_went() {
        let lead = ("before load", 0, 2);
        let warm_up = ("warm up", 2, 12);
        assert_eq!(told(None, 5), named(&[lead, ("warm up", 2, 5)]));
        assert_eq!(told(None, 13), named(&[lead, warm_up, ("peak", 12, 13)]));
        assert_eq!(told(None, 20), named(&[lead, warm_up, ("peak", 12, 17), ("drain", 17, 20)]));
        assert_eq!(told(Some(5), 9), named(&[lead, ("warm up", 2, 5), ("drain", 5, 9)]));
        assert_eq!(told(Some(18), 20), named(&[lead, warm_up, ("peak", 12, 17), ("drain", 17, 20)]));
    }
}

//! How much of the CPU time that processes used is in their samples, by their own clocks.
//!
//! Threads without Python use CPU too, and a thread that is never seen running carries none: what a graph of CPU time
//! lacks is told, not hidden.

use std::time::Duration;

use super::{Selection, join};
use crate::clock::Moment;
use crate::interned::Id;
use crate::recording::{ProcessNumber, Recording};

/// As much of it may be missing without a word.
const TOLERATED: f64 = 0.03;

/// The CPU time of some processes, between the first and the last reading of each one's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// What the clocks say.
    pub used: Duration,
    /// What the samples carry.
    pub carried: Duration,
}

impl Carried {
    /// Of the processes that are selected, and in the phase that is, if one is.
    #[must_use]
    pub fn of(recording: &Recording, selection: &Selection) -> Self {
        let spans: Vec<Option<Span>> = (0..)
            .map(Id::from_index)
            .zip(&recording.processes)
            .map(|(number, process)| {
                Span::of(recording, selection, number).filter(|_| selection.takes_process(process))
            })
            .collect();
        let mut sum = Self::default();
        for (number, span) in (0..).map(Id::from_index).zip(&spans) {
            let used = span.map_or(Duration::ZERO, |span| recording.timeline.cpu_between(number, span.from, span.to));
            sum.used = sum.used.saturating_add(used);
        }
        for joined in join(recording) {
            let span = joined.process.and_then(|process| spans.get(process.index() as usize)?.as_ref());
            if span.is_some_and(|span| span.has(joined.sample.moment)) {
                sum.carried = sum.carried.saturating_add(joined.sample.cpu);
            }
        }
        sum
    }

    /// The share of the CPU time that no sample carries, from 0 to 1, where it is worth a word.
    #[must_use]
    pub fn missing(&self) -> Option<f64> {
        let used = self.used.as_secs_f64();
        let share = if used > 0.0 { 1.0 - self.carried.as_secs_f64() / used } else { 0.0 };
        (share > TOLERATED).then_some(share)
    }
}

/// When the clock of a process is known.
#[derive(Clone, Copy)]
struct Span {
    from: Moment,
    to: Moment,
}

impl Span {
    fn of(recording: &Recording, selection: &Selection, number: ProcessNumber) -> Option<Self> {
        let mut readings = recording.timeline.cpu.iter().filter(|reading| reading.process == number);
        let first = readings.next()?.moment;
        let last = readings.next_back()?.moment;
        let phase = match selection.phase {
            Some(phase) => Some(recording.timeline.phases.get(phase)?),
            None => None,
        };
        let from = phase.map_or(first, |phase| phase.began.max(first));
        let to = phase.map_or(last, |phase| phase.ended.min(last));
        (from < to).then_some(Self { from, to })
    }

    /// What a sample carries was used before it.
    fn has(&self, moment: Moment) -> bool {
        self.from < moment && moment <= self.to
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{cpu, cpu_sample, phase, recording};
    use super::*;

    /// A worker that uses 8 ms in each 10 ms by its clock, of which its samples carry so many microseconds.
    fn carrying(micros: u64) -> Recording {
        let mut recording = recording(1);
        phase(&mut recording, "a", "", 1000);
        phase(&mut recording, "b", "", 1000);
        for tick in 0..=200_u64 {
            cpu_sample(&mut recording, 1, tick * 10, micros, &["view"]);
            cpu_sample(&mut recording, 0, tick * 10, 5_000, &["arbiter"]);
        }
        for second in 0..=2 {
            cpu(&mut recording, 1, second * 1000, second * 800);
            cpu(&mut recording, 0, second * 1000, second * 900);
        }
        recording
    }

    #[test]
    fn samples_add_up_to_the_clock_of_their_processes() {
        let recording = carrying(8_000);
        let whole = Carried::of(&recording, &Selection::default());
        assert_eq!((whole.used.as_millis(), whole.carried.as_millis()), (1600, 1600));
        assert_eq!(whole.missing(), None);
        let phase = Carried::of(&recording, &Selection { phase: Some(1), ..Selection::default() });
        assert_eq!((phase.used.as_millis(), phase.carried.as_millis()), (800, 800));
    }

    #[test]
    fn what_no_sample_carries_is_told_above_three_percent() {
        let missing = |micros| Carried::of(&carrying(micros), &Selection::default()).missing();
        assert!(missing(6_000).is_some_and(|share| (share - 0.25).abs() < 1e-9));
        assert_eq!((missing(7_800), missing(9_000)), (None, None));
        assert_eq!(Carried::of(&recording(1), &Selection::default()).missing(), None);
        let elsewhere = Selection { root: Some(99), ..Selection::default() };
        assert_eq!(Carried::of(&carrying(0), &elsewhere), Carried::default());
    }
}

//! What went on around the samples: the phases of the load, and the CPU that each process had used by when.

use std::time::Duration;

use super::ProcessNumber;
use crate::clock::Moment;

/// A stretch of time under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its name: the script's, or `before load` and `drain` around them.
    pub name: String,
    /// How users arrived in it, in words: `20 users/s`; empty where nobody arrived.
    pub arrivals: String,
    /// When it began. A moment on the edge belongs to the phase that begins.
    pub began: Moment,
    /// When it ended; the next one begins here.
    pub ended: Moment,
}

/// A reading of a process's own CPU clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuReading {
    /// Which process.
    pub process: ProcessNumber,
    /// When.
    pub moment: Moment,
    /// CPU time of all its threads since it began.
    pub used: Duration,
}

/// What went on around the samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The phases, in the order of time, without gaps.
    pub phases: Vec<Phase>,
    /// Readings of CPU clocks, one a second and process (24 bytes); those of one process in the order of time.
    pub cpu: Vec<CpuReading>,
}

impl Timeline {
    /// The number of the phase that a moment is in; `None` outside of all.
    #[must_use]
    pub fn phase_at(&self, moment: Moment) -> Option<usize> {
        let next = self.phases.partition_point(|phase| phase.began <= moment);
        let at = next.checked_sub(1)?;
        (moment < self.phases[at].ended).then_some(at)
    }

    /// The CPU time that a process used between two moments, its readings taken to be a straight line in between.
    #[must_use]
    pub fn cpu_between(&self, process: ProcessNumber, from: Moment, to: Moment) -> Duration {
        let readings: Vec<&CpuReading> = self.cpu.iter().filter(|reading| reading.process == process).collect();
        used_by(&readings, to).saturating_sub(used_by(&readings, from))
    }
}

/// What had been used by a moment; before the first reading and after the last one as much as they say.
fn used_by(readings: &[&CpuReading], moment: Moment) -> Duration {
    let next = readings.partition_point(|reading| reading.moment <= moment);
    let before = next.checked_sub(1).and_then(|at| readings.get(at));
    match (before, readings.get(next)) {
        (Some(before), Some(after)) => {
            let gap = after.moment.since(before.moment).as_secs_f64();
            let share = if gap > 0.0 { moment.since(before.moment).as_secs_f64() / gap } else { 0.0 };
            before.used + after.used.saturating_sub(before.used).mul_f64(share.clamp(0.0, 1.0))
        }
        (Some(only), None) | (None, Some(only)) => only.used,
        (None, None) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interned::Id;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn phase(name: &str, began: u64, ended: u64) -> Phase {
        Phase { name: name.into(), arrivals: String::new(), began: at(began), ended: at(ended) }
    }

    #[test]
    fn a_moment_on_the_edge_belongs_to_what_begins() {
        let phases = vec![phase("before load", 1, 3), phase("empty", 3, 3), phase("a", 3, 5)];
        let timeline = Timeline { phases, cpu: Vec::new() };
        let at = |seconds| timeline.phase_at(at(seconds));
        assert_eq!([at(0), at(1), at(2), at(3), at(4), at(5)], [None, Some(0), Some(0), Some(2), Some(2), None]);
    }

    #[test]
    fn cpu_time_between_readings_is_a_straight_line() {
        let process = Id::from_index(0);
        let reading = |seconds, used| CpuReading { process, moment: at(seconds), used: Duration::from_secs(used) };
        let cpu = vec![reading(10, 5), reading(20, 15), reading(30, 15)];
        let timeline = Timeline { phases: Vec::new(), cpu };
        let between = |from, to| timeline.cpu_between(process, at(from), at(to)).as_millis();
        assert_eq!(between(12, 17), 5000);
        assert_eq!(between(15, 25), 5000);
        assert_eq!(between(0, 99), 10_000);
        assert_eq!(timeline.cpu_between(Id::from_index(7), at(0), at(99)), Duration::ZERO);
    }
}

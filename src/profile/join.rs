//! The join: which phase a sample was taken in, and which process it is of.
//!
//! Phases are stretches of time, so the join is a look at the clock. Samples come nearly in the order of time: the cursor
//! keeps the stretch that it is in, and searches only when a moment lies outside of it. What a phase is called in a graph
//! stands here too: two phases of one name must stay two, whatever their script calls them.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::printable::printable;
use crate::recording::{Phase, ProcessNumber, Recording, Sample, Timeline};

/// The longest name of a phase, in characters.
const LONGEST: usize = 100;

/// Finds the phase of one moment after another.
#[derive(Clone, Debug)]
pub struct PhaseCursor<'a> {
    phases: &'a [Phase],
    /// The stretch in which `phase` is the answer; its end is not in it.
    from: Moment,
    to: Moment,
    phase: Option<usize>,
}

impl<'a> PhaseCursor<'a> {
    /// A cursor at the beginning of time.
    #[must_use]
    pub fn new(timeline: &'a Timeline) -> Self {
        Self { phases: &timeline.phases, from: Moment::default(), to: Moment::default(), phase: None }
    }

    /// The number of the phase that a moment is in, as [`Timeline::phase_at`] tells it; moments may come in any order.
    pub fn at(&mut self, moment: Moment) -> Option<usize> {
        if moment < self.from || moment >= self.to {
            self.seek(moment);
        }
        self.phase
    }

    fn seek(&mut self, moment: Moment) {
        let next = self.phases.partition_point(|phase| phase.began <= moment);
        // The far end of time is in no stretch, and is looked up each time.
        let end = self.phases.get(next).map_or(Moment::from_nanos(u64::MAX), |phase| phase.began);
        let Some((at, phase)) = next.checked_sub(1).and_then(|at| Some((at, self.phases.get(at)?))) else {
            (self.from, self.to, self.phase) = (Moment::default(), end, None);
            return;
        };
        (self.from, self.to, self.phase) = if moment < phase.ended {
            (phase.began, phase.ended.min(end), Some(at))
        } else {
            (phase.ended.max(phase.began), end, None)
        };
    }
}

/// A sample with what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The sample.
    pub sample: Sample,
    /// The number of its phase; `None` outside of all.
    pub phase: Option<usize>,
    /// Its process; `None` when the recording does not know its thread.
    pub process: Option<ProcessNumber>,
}

/// All samples of a recording, each with its phase and its process.
pub fn join(recording: &Recording) -> impl Iterator<Item = Joined> {
    let mut cursor = PhaseCursor::new(&recording.timeline);
    let processes: Vec<ProcessNumber> = recording.threads.iter().map(|thread| thread.process).collect();
    recording.samples.iter().map(move |sample| Joined {
        sample,
        phase: cursor.at(sample.moment),
        process: processes.get(sample.thread.index() as usize).copied(),
    })
}

/// How long a phase lasted.
#[must_use]
pub fn phase_length(phase: &Phase) -> Duration {
    phase.ended.since(phase.began)
}

/// The name of each phase, fit to be shown; a name that came before gets a number: `Ramp`, `Ramp #2`.
#[must_use]
pub fn phase_names(timeline: &Timeline) -> Vec<String> {
    told_apart(timeline.phases.iter().map(|phase| {
        let name = printable(&phase.name, LONGEST).replace(';', ",");
        if name.trim().is_empty() { "?".into() } else { name }
    }))
}

/// Each phase with its rate and its length: `Sustained · 20 users/s · 300 s`. No two are the same.
#[must_use]
pub fn phase_titles(timeline: &Timeline) -> Vec<String> {
    told_apart(phase_names(timeline).into_iter().zip(&timeline.phases).map(|(name, phase)| {
        let arrivals = printable(&phase.arrivals, LONGEST).replace(';', ",");
        let length = seconds(phase_length(phase));
        if arrivals.trim().is_empty() {
            format!("{name} · {length}")
        } else {
            format!("{name} · {arrivals} · {length}")
        }
    }))
}

/// The number of the phase of that name: as [`phase_names`] has it, or the first that is called so in the script.
#[must_use]
pub fn find_phase(timeline: &Timeline, name: &str) -> Option<usize> {
    let shown = phase_names(timeline).iter().position(|shown| shown == name);
    shown.or_else(|| timeline.phases.iter().position(|phase| phase.name == name))
}

/// A length of time: `300 s`, `1.5 s`.
fn seconds(length: Duration) -> String {
    let text = format!("{:.1}", length.as_secs_f64());
    format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
}

/// The texts, those that came before with a number behind them.
fn told_apart(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let apart = texts.map(|text| {
        if !times.contains_key(&text) {
            times.insert(text.clone(), 1);
            return text;
        }
        let mut number = times.get(&text).copied().unwrap_or(1);
        let numbered = loop {
            number += 1;
            let numbered = format!("{text} #{number}");
            if !times.contains_key(&numbered) {
                break numbered;
            }
        };
        times.insert(text, number);
        times.insert(numbered.clone(), 1);
        numbered
    });
    apart.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn phase(name: &str, arrivals: &str, began: u64, ended: u64) -> Phase {
        Phase { name: name.into(), arrivals: arrivals.into(), began: at(began), ended: at(ended) }
    }

    fn timeline(phases: Vec<Phase>) -> Timeline {
        Timeline { phases, cpu: Vec::new() }
    }

    #[test]
    fn an_edge_belongs_to_the_phase_that_begins() {
        let timeline = timeline(vec![phase("a", "", 1, 3), phase("empty", "", 3, 3), phase("b", "", 3, 5)]);
        let mut cursor = PhaseCursor::new(&timeline);
        let just_before = |second: u64| Moment::from_nanos(second * 1_000_000_000 - 1);
        let moments = [at(0), just_before(1), at(1), just_before(3), at(3), just_before(5), at(5), at(2)];
        let found = moments.map(|moment| cursor.at(moment));
        assert_eq!(found, [None, None, Some(0), Some(0), Some(2), Some(2), None, Some(0)]);
    }

    #[test]
    fn a_phase_is_called_by_name_rate_and_length() {
        let timeline = timeline(vec![
            phase("before load", "", 0, 2),
            phase("Ramp", "5 users/s", 2, 12),
            phase("Ramp", "5 users/s", 12, 22),
            phase("Ramp #2", "", 22, 23),
            phase("a;b\n", "", 23, 24),
        ]);
        assert_eq!(
            phase_titles(&timeline),
            [
                "before load · 2 s",
                "Ramp · 5 users/s · 10 s",
                "Ramp #2 · 5 users/s · 10 s",
                "Ramp #2 #2 · 1 s",
                "a,b\u{fffd} · 1 s"
            ]
        );
        assert_eq!(find_phase(&timeline, "Ramp"), Some(1));
        assert_eq!(find_phase(&timeline, "Ramp #2"), Some(2));
        assert_eq!(find_phase(&timeline, "a;b\n"), Some(4));
        assert_eq!(find_phase(&timeline, "Rampe"), None);
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
    }

    fn any_phases() -> impl Strategy<Value = Vec<Phase>> {
        let steps = proptest::collection::vec((0..4_u64, 0..6_u64), 0..8);
        steps.prop_map(|steps| {
            let mut now = 0;
            let next = |(gap, length): (u64, u64)| {
                let began = now + gap;
                now = began + length;
                phase("p", "", began, now)
            };
            steps.into_iter().map(next).collect()
        })
    }

    proptest! {
        #[test]
        fn the_cursor_tells_what_the_timeline_tells(
            phases in any_phases(),
            moments in proptest::collection::vec(0..60_u64, 0..60),
        ) {
            let timeline = timeline(phases);
            let mut cursor = PhaseCursor::new(&timeline);
            for moment in moments.into_iter().map(at).chain([Moment::from_nanos(u64::MAX)]) {
                prop_assert_eq!(cursor.at(moment), timeline.phase_at(moment));
            }
        }

        #[test]
        fn no_timeline_makes_the_cursor_fail(
            edges in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..8),
            moments in proptest::collection::vec(any::<u64>(), 0..20),
        ) {
            let phase = |(began, ended)| Phase { began: Moment::from_nanos(began), ended: Moment::from_nanos(ended), ..phase("p", "", 0, 0) };
            let timeline = timeline(edges.into_iter().map(phase).collect());
            let mut cursor = PhaseCursor::new(&timeline);
            for moment in moments {
                cursor.at(Moment::from_nanos(moment));
            }
        }

        #[test]
        fn no_two_phases_are_called_the_same(names in proptest::collection::vec("(a|b| #2|a #2|;|,){0,2}", 0..12)) {
            let phases: Vec<Phase> = names.iter().map(|name| phase(name, "", 0, 1)).collect();
            let count = phases.len();
            let timeline = timeline(phases);
            prop_assert_eq!(phase_names(&timeline).into_iter().collect::<HashSet<_>>().len(), count);
            prop_assert_eq!(phase_titles(&timeline).into_iter().collect::<HashSet<_>>().len(), count);
        }
    }
}

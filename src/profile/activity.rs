//! What the server did in each phase: its workers' CPU, its samples by state, its hottest functions, what grew.
//!
//! Everything comes from the recording alone: CPU from each process's own clock, shares from samples. Says numbers, no
//! sentences; how they are told is the report's business.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::compare::{Change, Verdict, compare};
use super::demand::Demand;
use super::hot::{FunctionId, Functions, Heat, Spot, heat, heat_of};
use super::presence::{Presence, PresenceCursor};
use super::{Origin, Selection, join, phase_length, phase_names, phase_titles};
use crate::interned::Id;
use crate::recording::traffic::flights::Flights;
use crate::recording::{Phase, Process, ProcessNumber, Recording, Role, State};

/// How many of the hottest functions are kept.
const HOTTEST: usize = 10;
/// A worker that uses so much of a core has none left.
const FULL_CORE: f64 = 0.9;
/// A worker that is idle for so small a share of its samples has no time left.
const HARDLY_IDLE: f64 = 0.1;
/// One worker has so many times its fair share.
const UNFAIR: f64 = 1.5;
/// Fewer samples do not tell whether the load is spread.
const ENOUGH: u64 = 100;

/// Samples by what their thread was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// On a core, or ready for one.
    pub running: u64,
    /// Inside a request and asleep.
    pub waiting: u64,
    /// Asleep without a request.
    pub idle: u64,
}

impl States {
    const fn count(&mut self, state: State) {
        match state {
            State::Running | State::Runnable => self.running += 1,
            State::Waiting | State::GilWait => self.waiting += 1,
            State::Idle => self.idle += 1,
        }
    }

    const fn add(&mut self, other: Self) {
        self.running += other.running;
        self.waiting += other.waiting;
        self.idle += other.idle;
    }

    /// All samples.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.running + self.waiting + self.idle
    }
}

/// A worker in a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerActivity {
    /// Which worker.
    pub process: ProcessNumber,
    /// CPU time used, as a share of one core while it lived; `None` where its clock was not read. May be above 1 with threads.
    pub cpu: Option<f64>,
    /// Its samples, those of all its threads.
    pub states: States,
}

impl WorkerActivity {
    fn is_saturated(&self) -> bool {
        let all = self.states.all();
        self.cpu.is_some_and(|cpu| cpu > FULL_CORE) || (all > 0 && float(self.states.idle) < HARDLY_IDLE * float(all))
    }
}

/// What the server did in a phase.
#[derive(Clone, Debug)]
pub struct PhaseActivity {
    /// The name, told apart from those of other phases.
    pub name: String,
    /// The name with rate and length.
    pub title: String,
    /// How long it lasted.
    pub length: Duration,
    /// The workers that lived in it.
    pub workers: Vec<WorkerActivity>,
    /// The samples of all of them.
    pub states: States,
    /// The hottest functions by samples of their own, idle threads left out.
    pub hottest: Vec<(FunctionId, Spot)>,
    /// The samples that those are a part of.
    pub samples: u64,
}

impl PhaseActivity {
    /// Whether every worker has used up a core, or is hardly ever idle.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        !self.workers.is_empty() && self.workers.iter().all(WorkerActivity::is_saturated)
    }

    /// The worker that runs more than one and a half times its fair share, and its part of all running samples.
    #[must_use]
    pub fn overloaded(&self) -> Option<(ProcessNumber, f64)> {
        let busiest = self.workers.iter().max_by_key(|worker| worker.states.running)?;
        let all = float(self.states.running);
        let part = float(busiest.states.running) / all.max(1.0);
        let fair = 1.0 / float(self.workers.len() as u64);
        let told = self.workers.len() > 1 && self.states.running >= ENOUGH && part > UNFAIR * fair;
        told.then_some((busiest.process, part))
    }
}

/// The function whose share grew most from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// The number of the first phase with load.
    pub from: usize,
    /// The number of the last one.
    pub to: usize,
    /// What grew; `None` when nothing did beyond the noise.
    pub change: Option<Change>,
}

/// What the server did, phase by phase.
#[derive(Clone, Debug)]
pub struct Activity {
    /// The phases, in the order of time.
    pub phases: Vec<PhaseActivity>,
    /// The functions that the phases name by number.
    pub functions: Functions,
    /// What grew; `None` without two phases with load.
    pub growth: Option<Growth>,
    /// What the load asked for; `None` where nothing is known of it.
    pub demand: Option<Demand>,
}

impl Activity {
    /// Looks at a recording.
    #[must_use]
    pub fn of(recording: &Recording) -> Self {
        let functions = Functions::of(&recording.stacks);
        let heats = heat(recording, &functions, &Selection::default());
        let states = states(recording);
        let (names, titles) = (phase_names(&recording.timeline), phase_titles(&recording.timeline));
        let phases = recording.timeline.phases.iter().zip(names.into_iter().zip(titles)).zip(&heats).enumerate();
        let phases = phases.map(|(number, ((phase, (name, title)), heat))| {
            let workers =
                workers(recording, phase, |process| states.get(&(number, process)).copied().unwrap_or_default());
            let mut sum = States::default();
            for worker in &workers {
                sum.add(worker.states);
            }
            let (hottest, samples, length) = (heat.hottest(HOTTEST), heat.all.samples, phase_length(phase));
            PhaseActivity { name, title, length, workers, states: sum, hottest, samples }
        });
        let phases = phases.collect();
        let growth = growth(&recording.timeline.phases, &functions, &heats);
        Self { phases, functions, growth, demand: None }
    }

    /// The same with the hottest functions, and what grew, of the samples alone that were taken while somebody of the first
    /// group was there.
    #[must_use]
    pub fn hottest_during(mut self, in_flight: &Presence, recording: &Recording) -> Self {
        let phases = recording.timeline.phases.len();
        let mut cursor = PresenceCursor::new(in_flight);
        let heats = heat_of(recording, &self.functions, &Selection::default(), phases + 1, |joined| {
            cursor.at(joined.sample.moment).is_wanted().then(|| joined.phase.unwrap_or(phases))
        });
        for (phase, heat) in self.phases.iter_mut().zip(&heats) {
            (phase.hottest, phase.samples) = (heat.hottest(HOTTEST), heat.all.samples);
        }
        self.growth = growth(&recording.timeline.phases, &self.functions, &heats);
        self
    }

    /// The same with what a load asked for meanwhile.
    #[must_use]
    pub fn under(mut self, flights: &Flights, recording: &Recording) -> Self {
        self.demand = Some(Demand::of(flights, &recording.timeline));
        self
    }
}

/// The samples of each process in each phase.
fn states(recording: &Recording) -> HashMap<(usize, ProcessNumber), States, RandomState> {
    let mut states: HashMap<_, States, RandomState> = HashMap::default();
    for joined in join(recording) {
        if let (Some(phase), Some(process)) = (joined.phase, joined.process) {
            states.entry((phase, process)).or_default().count(joined.sample.state);
        }
    }
    states
}

/// The workers that lived in a phase.
fn workers(recording: &Recording, phase: &Phase, states: impl Fn(ProcessNumber) -> States) -> Vec<WorkerActivity> {
    let numbered = (0..).map(Id::from_index).zip(&recording.processes);
    let worker = |(number, process): (ProcessNumber, &Process)| {
        let states = states(number);
        let (began, ended) =
            (phase.began.max(process.born), process.died.map_or(phase.ended, |died| died.min(phase.ended)));
        let lived = ended.since(began).as_secs_f64();
        if process.role != Role::Worker || (lived <= 0.0 && states.all() == 0) {
            return None;
        }
        let timeline = &recording.timeline;
        let known = lived > 0.0 && timeline.cpu.iter().any(|reading| reading.process == number);
        let cpu = known.then(|| timeline.cpu_between(number, began, ended).as_secs_f64() / lived);
        Some(WorkerActivity { process: number, cpu, states })
    };
    numbered.filter_map(worker).collect()
}

/// Between the first phase with load and the last.
fn growth(phases: &[Phase], functions: &Functions, heats: &[Heat]) -> Option<Growth> {
    let loaded = |phase: &Phase| !phase.arrivals.trim().is_empty() && phase.ended > phase.began;
    let (from, to) = (phases.iter().position(loaded)?, phases.iter().rposition(loaded)?);
    if from == to {
        return None;
    }
    let grew = |change: &Change| change.total.verdict == Verdict::Grew;
    let changes: Vec<Change> = compare(heats.get(from)?, heats.get(to)?).into_iter().filter(grew).collect();
    let most = changes.iter().map(|change| change.total.change()).fold(0.0, f64::max);
    // Callers grow with what they call. Of those that grew about as much the application's own tells most, and of these
    // the one that does the work itself.
    let telling = |change: &&Change| {
        let app = functions.get(change.function).is_some_and(|function| Origin::of(&function.file) == Origin::App);
        (app, change.own.after)
    };
    let about_as_much = changes.iter().filter(|change| change.total.change() >= 0.9 * most);
    let change = about_as_much.max_by(|one, other| {
        let ((app, own), (other_app, other_own)) = (telling(one), telling(other));
        app.cmp(&other_app).then(own.total_cmp(&other_own)).then(other.function.cmp(&one.function))
    });
    Some(Growth { from, to, change: change.copied() })
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{at, cpu, phase, recording, two_workers};
    use super::*;

    #[test]
    fn each_phase_says_what_its_workers_did() {
        let activity = Activity::of(&two_workers());
        let idle: Vec<u64> = activity.phases.iter().map(|phase| phase.states.idle).collect();
        assert_eq!(idle, [2000, 1800, 2000, 1000]);
        let cpu: Vec<Option<f64>> = activity.phases.iter().map(|phase| phase.workers[0].cpu).collect();
        assert_eq!(cpu, [Some(0.0), Some(0.2), Some(0.0), Some(1.0)]);
        assert_eq!(activity.phases[3].workers[1].cpu, None);
        let saturated: Vec<bool> = activity.phases.iter().map(PhaseActivity::is_saturated).collect();
        assert_eq!(saturated, [false; 4]);
        let uneven: Vec<_> = activity.phases.iter().map(|phase| phase.overloaded().map(|(_, part)| part)).collect();
        assert_eq!(uneven, [None, Some(1.0), None, Some(1.0)]);
        assert_eq!(activity.phases[3].hottest[0].1.own.samples, 600);
    }

    #[test]
    fn what_grew_is_the_function_that_does_the_work() {
        let activity = Activity::of(&two_workers());
        let growth = activity.growth.expect("two phases have load");
        assert_eq!((growth.from, growth.to), (1, 3));
        let change = growth.change.expect("slow grew");
        assert_eq!(activity.functions.get(change.function).map(|function| function.name.as_str()), Some("slow"));
        assert!((change.total.after - 0.6).abs() < 1e-9 && change.total.before == 0.0, "{change:?}");
    }

    #[test]
    fn workers_are_saturated_when_all_of_them_are() {
        let mut recording = two_workers();
        recording.processes[2].died = Some(at(30_000));
        let activity = Activity::of(&recording);
        // Its samples are there, so it is not left out; a process that neither lived nor was sampled is.
        assert_eq!(activity.phases[3].workers.len(), 2);
        cpu(&mut recording, 2, 0, 0);
        cpu(&mut recording, 2, 30_000, 0);
        cpu(&mut recording, 2, 40_000, 9_500);
        recording.processes[2].died = None;
        assert!(Activity::of(&recording).phases[3].is_saturated());
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let mut empty = recording(0);
        assert!(Activity::of(&empty).phases.is_empty());
        phase(&mut empty, "a", "1 user/s", 0);
        phase(&mut empty, "b", "1 user/s", 10);
        let activity = Activity::of(&empty);
        assert!(activity.growth.is_none() && !activity.phases[1].is_saturated());
        assert!(activity.phases[1].overloaded().is_none());
    }
}

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
use super::{Measure, Origin, Selection, join, phase_length, phase_names, phase_titles};
use crate::interned::Id;
use crate::recording::traffic::flights::Flights;
use crate::recording::{Phase, Process, ProcessNumber, Recording, Role, Sample, State, WaitId};

/// How many of the hottest functions are kept.
const HOTTEST: usize = 10;
/// A worker that uses so much of a core has none left.
const FULL_CORE: f64 = 0.9;
/// A worker that is idle for so small a share of its samples has no time left.
const HARDLY_IDLE: f64 = 0.1;
/// One worker has so many times its fair share.
const UNFAIR: f64 = 1.5;
/// Fewer samples do not tell whether the load is spread, nor what requests waited for.
const ENOUGH: u64 = 100;
/// What takes so large a share of the time in requests stands out.
const STANDS_OUT: f64 = 0.2;

/// Samples by what their thread was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// On a core; or ready for one, where that is not told apart.
    pub running: u64,
    /// Ready, and waiting for a core.
    pub runnable: u64,
    /// Waiting for the GIL.
    pub gil: u64,
    /// Inside a request and asleep, whatever for; but for the GIL, where that is told apart.
    pub waiting: u64,
    /// Asleep without a request.
    pub idle: u64,
}

impl States {
    const fn count(&mut self, state: State) {
        match state {
            State::Running => self.running += 1,
            State::Runnable => self.runnable += 1,
            State::GilWait => self.gil += 1,
            State::Waiting => self.waiting += 1,
            State::Idle => self.idle += 1,
        }
    }

    const fn add(&mut self, other: Self) {
        self.running += other.running;
        self.runnable += other.runnable;
        self.gil += other.gil;
        self.waiting += other.waiting;
        self.idle += other.idle;
    }

    /// All samples.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.busy() + self.idle
    }

    /// Those of the time in requests: all that are not idle.
    #[must_use]
    pub const fn busy(&self) -> u64 {
        self.running + self.runnable + self.gil + self.waiting
    }

    /// Those that work or would, had they a core.
    #[must_use]
    pub const fn working(&self) -> u64 {
        self.running + self.runnable
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
    /// What the waiting ones of these waited for, where that is known, and how many did; most first.
    pub waits: Vec<(WaitId, u64)>,
    /// The hottest functions by samples or CPU time of their own, idle threads left out.
    pub hottest: Vec<(FunctionId, Spot)>,
    /// What the samples weigh that those are a part of.
    pub weight: u64,
}

/// What took much of the time in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Waiting for a core.
    Core,
    /// Waiting for the GIL.
    Gil,
    /// Waiting for something else.
    Wait(WaitId),
}

impl PhaseActivity {
    /// Whether every worker has used up a core, or is hardly ever idle.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        !self.workers.is_empty() && self.workers.iter().all(WorkerActivity::is_saturated)
    }

    /// What stands out of the time in requests, and its share of it, from 0 to 1; the largest first.
    #[must_use]
    pub fn causes(&self) -> Vec<(Cause, f64)> {
        let busy = self.states.busy();
        let own = [(Cause::Core, self.states.runnable), (Cause::Gil, self.states.gil)];
        let waits = self.waits.iter().map(|(wait, count)| (Cause::Wait(*wait), *count));
        let shares = own.into_iter().chain(waits).map(|(cause, count)| (cause, float(count) / float(busy.max(1))));
        let mut causes: Vec<_> = shares.filter(|(_, share)| busy >= ENOUGH && *share >= STANDS_OUT).collect();
        causes.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        causes
    }

    /// The worker that runs more than one and a half times its fair share, and its part of all running samples.
    #[must_use]
    pub fn overloaded(&self) -> Option<(ProcessNumber, f64)> {
        let busiest = self.workers.iter().max_by_key(|worker| worker.states.working())?;
        let all = float(self.states.working());
        let part = float(busiest.states.working()) / all.max(1.0);
        let fair = 1.0 / float(self.workers.len() as u64);
        let told = self.workers.len() > 1 && self.states.working() >= ENOUGH && part > UNFAIR * fair;
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
    /// What the hottest functions are hot by.
    pub measure: Measure,
    /// The functions that the phases name by number.
    pub functions: Functions,
    /// What grew; `None` without two phases with load.
    pub growth: Option<Growth>,
    /// What the load asked for; `None` where nothing is known of it.
    pub demand: Option<Demand>,
}

impl Activity {
    /// Looks at a recording; which functions are hot is decided by what is measured.
    #[must_use]
    pub fn of(recording: &Recording, measure: Measure) -> Self {
        let functions = Functions::of(&recording.stacks);
        let heats = heat(recording, &functions, &Selection { measure, ..Selection::default() });
        let (states, mut waits) = (states(recording), waits(recording));
        let (names, titles) = (phase_names(&recording.timeline), phase_titles(&recording.timeline));
        let phases = recording.timeline.phases.iter().zip(names.into_iter().zip(titles)).zip(&heats).enumerate();
        let phases = phases.map(|(number, ((phase, (name, title)), heat))| {
            let workers =
                workers(recording, phase, |process| states.get(&(number, process)).copied().unwrap_or_default());
            let mut sum = States::default();
            for worker in &workers {
                sum.add(worker.states);
            }
            let waits = waits.get_mut(number).map(std::mem::take).unwrap_or_default();
            let (hottest, weight, length) = (heat.hottest(HOTTEST), heat.all.weight, phase_length(phase));
            PhaseActivity { name, title, length, workers, states: sum, waits, hottest, weight }
        });
        let phases = phases.collect();
        let growth = growth(&recording.timeline.phases, &functions, &heats);
        Self { phases, measure, functions, growth, demand: None }
    }

    /// The same with the hottest functions, and what grew, of the samples alone that were taken while somebody of the first
    /// group was there.
    #[must_use]
    pub fn hottest_during(mut self, in_flight: &Presence, recording: &Recording) -> Self {
        let phases = recording.timeline.phases.len();
        let mut cursor = PresenceCursor::new(in_flight);
        let selection = Selection { measure: self.measure, ..Selection::default() };
        let heats = heat_of(recording, &self.functions, &selection, phases + 1, |joined| {
            cursor.at(joined.sample.moment).is_wanted().then(|| joined.phase.unwrap_or(phases))
        });
        for (phase, heat) in self.phases.iter_mut().zip(&heats) {
            (phase.hottest, phase.weight) = (heat.hottest(HOTTEST), heat.all.weight);
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

/// What the workers waited for in each phase, most first.
fn waits(recording: &Recording) -> Vec<Vec<(WaitId, u64)>> {
    let mut waits: Vec<HashMap<WaitId, u64, RandomState>> = vec![HashMap::default(); recording.timeline.phases.len()];
    let is_worker = |number| recording.process(number).is_some_and(|process| process.role == Role::Worker);
    for joined in join(recording) {
        let Sample { wait: Some(wait), .. } = joined.sample else { continue };
        let of_phase = joined.phase.and_then(|phase| waits.get_mut(phase));
        if let Some(of_phase) = of_phase.filter(|_| joined.process.is_some_and(is_worker)) {
            *of_phase.entry(wait).or_default() += 1;
        }
    }
    let sorted = |of_phase: HashMap<WaitId, u64, RandomState>| {
        let mut sorted: Vec<_> = of_phase.into_iter().collect();
        sorted.sort_unstable_by_key(|(wait, count)| (std::cmp::Reverse(*count), *wait));
        sorted
    };
    waits.into_iter().map(sorted).collect()
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
    use super::super::synthetic::{at, cpu, cpu_sample, phase, recording, sample, two_workers, wait_sample};
    use super::*;

    #[test]
    fn each_phase_says_what_its_workers_did() {
        let activity = Activity::of(&two_workers(), Measure::Wall);
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
        let activity = Activity::of(&two_workers(), Measure::Wall);
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
        let activity = Activity::of(&recording, Measure::Wall);
        // Its samples are there, so it is not left out; a process that neither lived nor was sampled is.
        assert_eq!(activity.phases[3].workers.len(), 2);
        cpu(&mut recording, 2, 0, 0);
        cpu(&mut recording, 2, 30_000, 0);
        cpu(&mut recording, 2, 40_000, 9_500);
        recording.processes[2].died = None;
        assert!(Activity::of(&recording, Measure::Wall).phases[3].is_saturated());
    }

    #[test]
    fn what_requests_wait_for_stands_out() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "1 user/s", 1000);
        for tick in 0..100_u64 {
            let (state, wait) = match tick % 10 {
                0..3 => (State::GilWait, None),
                3..5 => (State::Runnable, None),
                5..8 => (State::Waiting, Some("10.0.0.5:5432")),
                8 => (State::Waiting, Some("10.0.0.6:6379")),
                _ => (State::Running, None),
            };
            match wait {
                Some(on) => wait_sample(&mut recording, 1, tick * 10, ("recv", Some(on)), &["view"]),
                None => sample(&mut recording, 1, tick * 10, state, &["view"]),
            }
            sample(&mut recording, 1, tick * 10, State::Idle, &["accept"]);
            // The master's waits are nobody's request.
            wait_sample(&mut recording, 0, tick * 10, ("recv", Some("10.0.0.6:6379")), &["arbiter"]);
        }
        let activity = Activity::of(&recording, Measure::Wall);
        let phase = &activity.phases[0];
        let States { running, runnable, gil, waiting, idle } = phase.states;
        assert_eq!((running, runnable, gil, waiting, idle), (10, 20, 30, 40, 100));
        let (database, cache) = (Id::from_index(1), Id::from_index(0));
        assert_eq!(phase.waits, [(database, 30), (cache, 10)]);
        let causes = phase.causes();
        assert_eq!(causes, [(Cause::Gil, 0.3), (Cause::Wait(database), 0.3), (Cause::Core, 0.2)]);
    }

    #[test]
    fn functions_are_hot_by_what_is_measured() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "1 user/s", 1000);
        for (millis, micros, function) in
            [(0, 9_000, "burn"), (10, 10, "spread"), (20, 10, "spread"), (30, 0, "spread")]
        {
            cpu_sample(&mut recording, 1, millis, micros, &["view", function]);
        }
        let hottest = |measure| {
            let activity = Activity::of(&recording, measure);
            let (function, spot) = activity.phases[0].hottest[0];
            let name = activity.functions.get(function).map(|function| function.name.clone());
            (name.unwrap_or_default(), spot.own.weight, activity.phases[0].weight)
        };
        assert_eq!(hottest(Measure::Wall), ("spread".to_owned(), 3, 4));
        assert_eq!(hottest(Measure::Cpu), ("burn".to_owned(), 9_000, 9_020));
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let mut empty = recording(0);
        assert!(Activity::of(&empty, Measure::Wall).phases.is_empty());
        phase(&mut empty, "a", "1 user/s", 0);
        phase(&mut empty, "b", "1 user/s", 10);
        let activity = Activity::of(&empty, Measure::Wall);
        assert!(activity.growth.is_none() && !activity.phases[1].is_saturated());
        assert!(activity.phases[1].overloaded().is_none());
    }
}

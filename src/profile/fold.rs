//! Folding: all samples that show the same labels become one path with a count: of samples, or of their CPU time.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Doing, Label, Leaves, Level, PhaseCursor, View};
use crate::interned::{Id, Interner};
use crate::recording::{FrameId, Recording, Sample, StackId, State, ThreadId};

/// Labels from the root of the graph to the innermost frame, and how much of what is measured shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The labels, outermost first.
    pub labels: Vec<Id<Label>>,
    /// How many samples; of CPU time the microseconds.
    pub count: u64,
}

/// The samples of a recording that count, folded.
#[derive(Clone, Debug)]
pub struct Profile {
    labels: Interner<Label>,
    /// The distinct paths, in the order of their labels: by rank, and then by text.
    pub paths: Vec<Path>,
    /// The sum of the counts: samples, or of CPU time microseconds.
    pub total: u64,
    /// Idle samples that were left out.
    pub idle: u64,
}

impl Profile {
    /// Folds what the view selects of a recording.
    #[must_use]
    pub fn of(recording: &Recording, view: &View) -> Self {
        let mut fold = Fold::new(recording, view);
        for sample in recording.samples.iter() {
            fold.add(sample);
        }
        fold.finish()
    }

    /// Puts the paths in order.
    fn new(labels: Interner<Label>, mut paths: Vec<Path>, idle: u64) -> Self {
        let mut order: Vec<(usize, &Label)> = labels.iter().enumerate().collect();
        order.sort_by(|(_, one), (_, other)| (one.rank, &one.text).cmp(&(other.rank, &other.text)));
        let mut places = vec![0; order.len()];
        for (place, (label, _)) in order.into_iter().enumerate() {
            places[label] = place;
        }
        let place = |label: &Id<Label>| places.get(label.index() as usize);
        paths.sort_unstable_by(|one, other| one.labels.iter().map(place).cmp(other.labels.iter().map(place)));
        let total = paths.iter().fold(0, |sum: u64, path| sum.saturating_add(path.count));
        Self { labels, paths, total, idle }
    }

    /// The label of that number; every label of a path has one.
    #[must_use]
    pub fn label(&self, id: Id<Label>) -> Option<&Label> {
        self.labels.get(id)
    }

    /// All labels.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter()
    }

    /// A path as one line of text, the labels joined by `;`.
    #[must_use]
    pub fn line(&self, path: &Path) -> String {
        let texts: Vec<&str> = self.texts(path).collect();
        texts.join(";")
    }

    /// What a path stands in order by, among those of any profile: ranks and texts of its labels, the outermost first.
    pub fn order<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (u32, &'a str)> {
        path.labels.iter().filter_map(|id| self.labels.get(*id).map(|label| (label.rank, label.text.as_str())))
    }

    /// The texts of a path's labels, the outermost first.
    pub fn texts<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a str> {
        path.labels.iter().filter_map(|id| Some(self.labels.get(*id)?.text.as_str()))
    }
}

/// How much each stack of each thread was seen; by what the thread was doing only where the view asks for it.
type Counts = HashMap<(ThreadId, StackId, Option<Doing>), u64, RandomState>;

/// A place above the frames.
#[derive(Clone, Copy)]
enum Above {
    /// The same for all samples of a thread.
    Thread(Id<Label>),
    Phase,
    State,
}

/// The labels of what a thread was doing.
#[derive(Clone, Copy)]
struct Shown {
    level: Id<Label>,
    leaf: Option<Id<Label>>,
}

struct Fold<'a> {
    recording: &'a Recording,
    view: &'a View,
    /// For each thread its levels; `None` where its process is not selected.
    threads: Vec<Option<Vec<Above>>>,
    /// Whether the view shows what threads were doing.
    by_state: bool,
    /// The labels of all phases, and last that of what is outside of them; empty when the view does not ask for phases.
    phases: Vec<Id<Label>>,
    cursor: PhaseCursor<'a>,
    labels: Interner<Label>,
    /// As many as labels of phases, and one when there is none.
    counts: Vec<Counts>,
    idle: u64,
}

impl<'a> Fold<'a> {
    fn new(recording: &'a Recording, view: &'a View) -> Self {
        let mut labels = Interner::default();
        let by_phase = view.levels.contains(&Level::Phase);
        let phases = if by_phase { Label::phases(&recording.timeline) } else { Vec::new() };
        let phases: Vec<Id<Label>> = phases.into_iter().map(|label| labels.intern(label)).collect();
        let threads = recording.threads.iter().zip(&recording.thread_labels).map(|(thread, known)| {
            let process = recording.process(thread.process)?;
            let mut level = |level: &Level| match level.label(recording, *thread, known) {
                Some(label) => Above::Thread(labels.intern(label)),
                None if *level == Level::Phase => Above::Phase,
                None => Above::State,
            };
            view.selection.takes_process(process).then(|| view.levels.iter().map(&mut level).collect())
        });
        let threads = threads.collect();
        let counts = vec![Counts::default(); phases.len().max(1)];
        let cursor = PhaseCursor::new(&recording.timeline);
        let by_state = view.leaves == Leaves::States || view.levels.contains(&Level::State);
        Self { recording, view, threads, by_state, phases, cursor, labels, counts, idle: 0 }
    }

    fn add(&mut self, sample: Sample) {
        let Some(Some(_)) = self.threads.get(sample.thread.index() as usize) else {
            return;
        };
        let Some(counts) = self.counts_of(sample) else {
            return;
        };
        let weight = self.view.selection.weight(&sample);
        if weight > 0 {
            let doing = self.by_state.then(|| Doing::of(&sample));
            let count = self.counts[counts].entry((sample.thread, sample.stack, doing)).or_default();
            *count = count.saturating_add(weight);
        } else if sample.state == State::Idle {
            self.idle += 1;
        }
    }

    /// Where a sample is counted; `None` when it is of a phase that was not asked for.
    fn counts_of(&mut self, sample: Sample) -> Option<usize> {
        if self.phases.is_empty() && self.view.selection.phase.is_none() {
            return Some(0);
        }
        let phase = self.cursor.at(sample.moment);
        let outside = self.counts.len() - 1;
        let counts = if self.phases.is_empty() { 0 } else { phase.unwrap_or(outside) };
        self.view.selection.takes_phase(phase).then_some(counts)
    }

    fn finish(mut self) -> Profile {
        let mut frames: HashMap<FrameId, Id<Label>, RandomState> = HashMap::default();
        let mut states: HashMap<Doing, Shown, RandomState> = HashMap::default();
        let mut merged: HashMap<Vec<Id<Label>>, u64, RandomState> = HashMap::default();
        for (number, counts) in std::mem::take(&mut self.counts).into_iter().enumerate() {
            let phase = self.phases.get(number).copied();
            // In a fixed order, so that the same recording gives the same labels in the same order.
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_unstable();
            for ((thread, stack, doing), count) in counts {
                let state = doing.map(|doing| *states.entry(doing).or_insert_with(|| self.state(doing)));
                let leaf = state.and_then(|state| state.leaf);
                let mut path: Vec<_> = leaf.into_iter().chain(self.frames(stack, &mut frames)).collect();
                let Some(Some(levels)) = self.threads.get(thread.index() as usize) else {
                    continue;
                };
                path.extend(levels.iter().rev().filter_map(|level| match level {
                    Above::Thread(label) => Some(*label),
                    Above::Phase => phase,
                    Above::State => state.map(|state| state.level),
                }));
                path.reverse();
                let sum = merged.entry(path).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let paths = merged.into_iter().map(|(labels, count)| Path { labels, count }).collect();
        Profile::new(self.labels, paths, self.idle)
    }

    /// The labels of what a thread was doing.
    fn state(&mut self, doing: Doing) -> Shown {
        let leaf = if self.view.leaves == Leaves::States { doing.leaf(self.recording) } else { None };
        let leaf = leaf.map(|label| self.labels.intern(label));
        Shown { level: self.labels.intern(doing.level(self.recording)), leaf }
    }

    /// The labels of a stack, the innermost first.
    fn frames(&mut self, stack: StackId, known: &mut HashMap<FrameId, Id<Label>, RandomState>) -> Vec<Id<Label>> {
        let (stacks, labels, style) = (&self.recording.stacks, &mut self.labels, self.view.style);
        let label = |id| {
            if let Some(label) = known.get(&id) {
                return Some(*label);
            }
            let label = labels.intern(Label::frame(stacks.frame(id)?, style));
            known.insert(id, label);
            Some(label)
        };
        let mut path: Vec<Id<Label>> = stacks.walk(stack).filter_map(label).collect();
        if path.is_empty() {
            path.push(self.labels.intern(Label::no_frame()));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FrameStyle, Level, Measure, Selection};
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Moment;
    use crate::recording::{Frame, Mode, Phase, Process, ProcessId, Role, Run, Thread};
    use std::time::SystemTime;

    const ALL: View = View {
        selection: Selection { measure: Measure::Wall, idle: false, supervisors: false, root: None, phase: None },
        levels: Vec::new(),
        style: FrameStyle { lines: true, full_files: false },
        leaves: Leaves::Frames,
    };

    /// Process, frames with their lines, state, GIL.
    type Taken<'a> = (u32, &'a [(&'a str, u32)], State, bool);

    /// A master and two workers with one thread each.
    fn recording(samples: &[Taken<'_>]) -> Recording {
        let mut recording = Recording::new(Run {
            target: "gunicorn".into(),
            started: SystemTime::UNIX_EPOCH,
            rate: 100,
            mode: Mode::NonBlocking,
        });
        for (pid, role) in [(10, Role::Master), (11, Role::Worker), (12, Role::Worker)] {
            recording.processes.push(Process {
                id: ProcessId { pid, started: 1 },
                role,
                root: 10,
                python: "3.11.7".into(),
                born: Moment::default(),
                died: None,
            });
        }
        for (process, frames, state, gil) in samples {
            let thread = Thread { process: Id::from_index(*process), ident: 7 };
            let thread = recording.thread(thread, Some("MainThread"), Some(10));
            let frames = frames.iter().map(|(function, line)| Frame {
                function: (*function).into(),
                file: "/srv/app.py".into(),
                short_file: Some("app.py".into()),
                line: *line,
            });
            let (stack, _) = recording.stacks.insert(frames);
            recording.samples.push(Sample {
                state: *state,
                gil: *gil,
                ..Sample::running(Moment::default(), thread, stack)
            });
        }
        recording
    }

    /// One sample of a worker in each of these seconds, in a function that is named after its second.
    fn second_by_second(seconds: &[u64], phases: &[(&str, u64, u64)]) -> Recording {
        let mut recording = recording(&[]);
        let at = |second: u64| Moment::from_nanos(second * 1_000_000_000);
        let thread = recording.thread(Thread { process: Id::from_index(1), ident: 7 }, None, Some(10));
        for second in seconds {
            let frame = Frame { function: format!("s{second}"), ..Frame::default() };
            let (stack, _) = recording.stacks.insert([frame]);
            recording.samples.push(Sample::running(at(*second), thread, stack));
        }
        recording.timeline.phases = phases
            .iter()
            .map(|(name, began, ended)| Phase {
                name: (*name).into(),
                arrivals: "5 users/s".into(),
                began: at(*began),
                ended: at(*ended),
            })
            .collect();
        recording
    }

    fn lines(recording: &Recording, view: &View) -> Vec<String> {
        let profile = Profile::of(recording, view);
        profile.paths.iter().map(|path| format!("{} {}", profile.line(path), path.count)).collect()
    }

    #[test]
    fn workers_are_merged_and_the_master_and_idlers_left_out() {
        let recording = recording(&[
            (0, &[("run", 1)], State::Running, false),
            (1, &[("view", 3)], State::Running, true),
            (2, &[("view", 3)], State::Waiting, false),
            (2, &[("wait", 9)], State::Idle, false),
        ]);
        assert_eq!(lines(&recording, &ALL), ["view (app.py:3) 2"]);
        let profile = Profile::of(&recording, &ALL);
        assert_eq!((profile.total, profile.idle), (2, 1));
    }

    #[test]
    fn selections_widen_and_narrow() {
        let recording = recording(&[
            (0, &[("run", 1)], State::Running, false),
            (1, &[("view", 3)], State::Running, true),
            (2, &[("wait", 9)], State::Idle, false),
        ]);
        let with = |change: fn(&mut Selection)| {
            let mut view = ALL;
            change(&mut view.selection);
            lines(&recording, &view)
        };
        assert_eq!(with(|s| s.idle = true), ["view (app.py:3) 1", "wait (app.py:9) 1"]);
        assert_eq!(with(|s| s.measure = Measure::Gil), ["view (app.py:3) 1"]);
        assert_eq!(with(|s| s.supervisors = true), ["run (app.py:1) 1", "view (app.py:3) 1"]);
        assert!(with(|s| s.root = Some(99)).is_empty());
    }

    #[test]
    fn without_line_numbers_a_function_is_one_frame() {
        let recording =
            recording(&[(1, &[("view", 3)], State::Running, true), (1, &[("view", 4)], State::Running, true)]);
        assert_eq!(lines(&recording, &ALL).len(), 2);
        let mut view = ALL;
        view.style.lines = false;
        assert_eq!(lines(&recording, &view), ["view (app.py) 2"]);
    }

    #[test]
    fn levels_stand_below_the_root() {
        let recording = recording(&[(1, &[("view", 3)], State::Running, true), (2, &[], State::Running, true)]);
        let view = View { levels: vec![Level::Role, Level::Worker, Level::Thread], ..ALL };
        assert_eq!(
            lines(&recording, &view),
            [
                "worker;worker 11;thread 10 (MainThread);view (app.py:3) 1",
                "worker;worker 12;thread 10 (MainThread);[no Python frame] 1",
            ]
        );
    }

    #[test]
    fn phases_stand_in_the_order_of_time_and_two_of_one_name_stay_two() {
        let phases = [("Zulu", 1, 3), ("Alpha", 3, 3), ("Ramp 20", 3, 5), ("Ramp 20", 5, 6)];
        let recording = second_by_second(&[0, 1, 2, 3, 4, 5, 6], &phases);
        let view = View { levels: vec![Level::Phase], ..ALL };
        assert_eq!(
            lines(&recording, &view),
            [
                "Zulu · 5 users/s · 2 s;s1 1",
                "Zulu · 5 users/s · 2 s;s2 1",
                "Ramp 20 · 5 users/s · 2 s;s3 1",
                "Ramp 20 · 5 users/s · 2 s;s4 1",
                "Ramp 20 #2 · 5 users/s · 1 s;s5 1",
                "outside of all phases;s0 1",
                "outside of all phases;s6 1",
            ]
        );
        let view = View { levels: vec![Level::Worker, Level::Phase, Level::Thread], ..ALL };
        assert_eq!(lines(&recording, &view)[0], "worker 11;Zulu · 5 users/s · 2 s;thread 10;s1 1");
    }

    #[test]
    fn one_phase_can_be_selected() {
        let recording = second_by_second(&[0, 1, 2, 3], &[("a", 1, 2), ("b", 2, 3)]);
        let mut view = ALL;
        view.selection.phase = Some(1);
        assert_eq!(lines(&recording, &view), ["s2 1"]);
        view.selection.phase = Some(7);
        assert!(lines(&recording, &view).is_empty());
    }

    /// A worker's samples: what it was doing, what it waited for, and its CPU time in microseconds.
    fn states() -> Recording {
        use super::super::synthetic::{cpu_sample, recording, sample, wait_sample};
        let mut recording = recording(1);
        cpu_sample(&mut recording, 1, 0, 9_000, &["view"]);
        cpu_sample(&mut recording, 1, 10, 1_500, &["view"]);
        wait_sample(&mut recording, 1, 20, ("recv", Some("10.0.0.5:5432")), &["view"]);
        wait_sample(&mut recording, 1, 30, ("recv;\n", Some("10.0.0.6:6379")), &["view"]);
        wait_sample(&mut recording, 1, 40, ("recv", Some("10.0.0.5:5432")), &["view"]);
        sample(&mut recording, 1, 50, State::GilWait, &["view"]);
        sample(&mut recording, 1, 60, State::Runnable, &["view"]);
        sample(&mut recording, 1, 70, State::Idle, &["accept"]);
        cpu_sample(&mut recording, 1, 80, 0, &["view"]);
        recording
    }

    #[test]
    fn cpu_time_is_weighed_and_waiting_told_apart() {
        let recording = states();
        let of = |measure, idle, leaves, levels| {
            let selection = Selection { measure, idle, ..Selection::default() };
            let style = FrameStyle { lines: false, full_files: false };
            lines(&recording, &View { selection, levels, style, leaves })
        };
        let (frames, leaves) = (Leaves::Frames, Leaves::States);
        assert_eq!(of(Measure::Cpu, false, leaves, vec![Level::State]), ["running;view (app.py) 10500"]);
        assert_eq!(of(Measure::Wall, false, frames, Vec::new()), ["view (app.py) 8"]);
        let waits = [
            "view (app.py);[runnable: waiting for a core] 1",
            "view (app.py);[waiting for the GIL] 1",
            "view (app.py);[waiting: recv 10.0.0.5:5432] 2",
            "view (app.py);[waiting: recv,\u{fffd} 10.0.0.6:6379] 1",
        ];
        assert_eq!(of(Measure::Wait, false, leaves, Vec::new()), waits);
        let idle = ["accept (app.py);[idle] 1"].into_iter().chain(waits).collect::<Vec<_>>();
        assert_eq!(of(Measure::Wait, true, leaves, Vec::new()), idle);
        let all = of(Measure::Wall, true, frames, vec![Level::State]);
        let roots = all.iter().map(|line| line.split(';').next().unwrap_or_default());
        let expected = [
            "running",
            "runnable: waiting for a core",
            "waiting for the GIL",
            "waiting: recv 10.0.0.5:5432",
            "waiting: recv,\u{fffd} 10.0.0.6:6379",
            "idle",
        ];
        assert_eq!(roots.collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn a_graph_of_cpu_time_adds_up_to_that_of_its_samples(
            samples in proptest::collection::vec((0..3_u32, 0..5_u64, 0..50_000_u64, any::<bool>()), 0..60),
            leaves in prop::sample::select(&[Leaves::Frames, Leaves::States][..]),
        ) {
            use super::super::synthetic::{cpu_sample, phase, recording, sample};
            let mut recording = recording(2);
            phase(&mut recording, "a", "", 20);
            phase(&mut recording, "b", "", 20);
            for (process, tick, micros, runs) in &samples {
                if *runs {
                    cpu_sample(&mut recording, *process, tick * 10, *micros, &["view"]);
                } else {
                    sample(&mut recording, *process, tick * 10, State::Waiting, &["view"]);
                }
            }
            let selected = |phase: Option<u64>| -> u64 {
                let counts = |tick: u64| phase.is_none_or(|phase| tick / 2 == phase);
                let taken = samples.iter().filter(|(process, tick, _, runs)| *process > 0 && *runs && counts(*tick));
                taken.map(|(_, _, micros, _)| micros).sum()
            };
            for phase in [None, Some(0), Some(1)] {
                let mut view = View { leaves, levels: vec![Level::Phase, Level::State], ..ALL };
                (view.selection.measure, view.selection.phase) = (Measure::Cpu, phase);
                let profile = Profile::of(&recording, &view);
                prop_assert_eq!(profile.total, selected(phase.map(|phase| phase as u64)));
                prop_assert_eq!(profile.paths.iter().map(|path| path.count).sum::<u64>(), profile.total);
            }
        }

        #[test]
        fn equal_beginnings_stand_together_and_no_sample_is_lost(
            seconds in proptest::collection::vec(0..20_u64, 0..60),
            names in proptest::collection::vec("[ab]{0,1}", 1..6),
        ) {
            let phases: Vec<(&str, u64, u64)> =
                (0..).step_by(3).zip(&names).map(|(began, name)| (name.as_str(), began, began + 3)).collect();
            let recording = second_by_second(&seconds, &phases);
            let view = View { levels: vec![Level::Phase, Level::Worker], ..ALL };
            let profile = Profile::of(&recording, &view);
            prop_assert_eq!(profile.total, seconds.len() as u64);
            let mut first: Vec<&str> = profile.paths.iter().filter_map(|path| profile.texts(path).next()).collect();
            first.dedup();
            prop_assert_eq!(first.len(), first.iter().collect::<std::collections::HashSet<_>>().len());
        }
    }
}

//! Folding: all samples that show the same labels become one path with a count.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Label, View};
use crate::interned::{Id, Interner};
use crate::recording::{FrameId, Recording, Sample, StackId, State, ThreadId};

/// Labels from the root of the graph to the innermost frame, and how many samples show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The labels, outermost first.
    pub labels: Vec<Id<Label>>,
    /// How many samples.
    pub count: u64,
}

/// The samples of a recording that count, folded.
#[derive(Clone, Debug)]
pub struct Profile {
    labels: Interner<Label>,
    /// The distinct paths, in the order of their text.
    pub paths: Vec<Path>,
    /// Samples that count.
    pub samples: u64,
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

    fn texts<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a str> {
        path.labels.iter().filter_map(|id| Some(self.labels.get(*id)?.text.as_str()))
    }
}

struct Fold<'a> {
    recording: &'a Recording,
    view: &'a View,
    /// For each thread the labels of its levels; `None` where its process is not selected.
    threads: Vec<Option<Vec<Id<Label>>>>,
    labels: Interner<Label>,
    counts: HashMap<(ThreadId, StackId), u64, RandomState>,
    idle: u64,
}

impl<'a> Fold<'a> {
    fn new(recording: &'a Recording, view: &'a View) -> Self {
        let mut labels = Interner::default();
        let threads = recording.threads.iter().zip(&recording.thread_labels).map(|(thread, known)| {
            let process = recording.process(thread.process)?;
            let mut level = |level: &super::Level| labels.intern(level.label(recording, *thread, known));
            view.selection.takes_process(process).then(|| view.levels.iter().map(&mut level).collect())
        });
        let threads = threads.collect();
        Self { recording, view, threads, labels, counts: HashMap::default(), idle: 0 }
    }

    fn add(&mut self, sample: Sample) {
        let Some(Some(_)) = self.threads.get(sample.thread.index() as usize) else {
            return;
        };
        if self.view.selection.takes(&sample) {
            *self.counts.entry((sample.thread, sample.stack)).or_default() += 1;
        } else if sample.state == State::Idle {
            self.idle += 1;
        }
    }

    fn finish(mut self) -> Profile {
        let mut frames: HashMap<FrameId, Id<Label>, RandomState> = HashMap::default();
        let mut merged: HashMap<Vec<Id<Label>>, u64, RandomState> = HashMap::default();
        // In a fixed order, so that the same recording gives the same labels in the same order.
        let mut counts: Vec<_> = std::mem::take(&mut self.counts).into_iter().collect();
        counts.sort_unstable();
        for ((thread, stack), count) in counts {
            let Some(Some(levels)) = self.threads.get(thread.index() as usize) else {
                continue;
            };
            let mut path: Vec<Id<Label>> = self
                .recording
                .stacks
                .walk(stack)
                .filter_map(|id| {
                    if let Some(known) = frames.get(&id) {
                        return Some(*known);
                    }
                    let frame = self.recording.stacks.frame(id)?;
                    let label = self.labels.intern(Label::frame(frame, self.view.style));
                    frames.insert(id, label);
                    Some(label)
                })
                .collect();
            if path.is_empty() {
                path.push(self.labels.intern(Label::no_frame()));
            }
            path.extend(levels.iter().rev());
            path.reverse();
            *merged.entry(path).or_default() += count;
        }
        let mut profile =
            Profile { labels: self.labels, samples: merged.values().sum(), paths: Vec::new(), idle: self.idle };
        let mut paths: Vec<Path> = merged.into_iter().map(|(labels, count)| Path { labels, count }).collect();
        paths.sort_by(|a, b| profile.texts(a).cmp(profile.texts(b)));
        profile.paths = paths;
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FrameStyle, Level, Selection};
    use super::*;
    use crate::clock::Moment;
    use crate::recording::{Frame, Mode, Process, ProcessId, Role, Run, Thread};
    use std::time::SystemTime;

    const ALL: View = View {
        selection: Selection { idle: false, gil_only: false, supervisors: false, root: None },
        levels: Vec::new(),
        style: FrameStyle { lines: true, full_files: false },
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
            let thread = recording.thread(thread, Some("MainThread".into()), Some(10));
            let frames = frames.iter().map(|(function, line)| Frame {
                function: (*function).into(),
                file: "/srv/app.py".into(),
                short_file: Some("app.py".into()),
                line: *line,
            });
            let (stack, _) = recording.stacks.insert(frames);
            recording.samples.push(Sample { moment: Moment::default(), thread, stack, state: *state, gil: *gil });
        }
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
        assert_eq!((profile.samples, profile.idle), (2, 1));
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
        assert_eq!(with(|s| s.gil_only = true), ["view (app.py:3) 1"]);
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
}

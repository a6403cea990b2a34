//! Follows the target's processes and opens a reader for each.
//!
//! Ten times a second it looks who was born and who died. Opening a process takes milliseconds and fails while its
//! interpreter is not up yet, so it happens here, off the sampling thread, and is tried again at growing intervals for as
//! long as the process lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::recorder::Event;
use super::{Counters, StartError};
use crate::clock::{Clock, Moment};
use crate::interned::Id;
use crate::process::tree::{Change, Member, ProcessTree};
use crate::process::{ProcessId, Role};
use crate::recording::{Process, ProcessNumber, ThreadStack};
use crate::stack::request::proven_role;
use crate::stack::{AttachError, StackReader};
use crate::stop::{Stop, StopReason};

/// How many opened or closed lanes may wait for the sampling thread. One turn opens half as many at most, so that the first
/// turn, before that thread runs, never waits for it.
pub(super) const CHANGES: usize = 1024;

/// Between two looks at the tree.
const TURN: Duration = Duration::from_millis(100);

/// How long to wait at the start for the first readable process: a program that was just launched needs a moment.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause between two tries to open a process.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens a process for sampling.
pub type Attach = Box<dyn FnMut(i32) -> Result<Attached, AttachError> + Send>;

/// An open process.
pub struct Attached {
    /// Reads its stacks.
    pub reader: Box<dyn StackReader>,
    /// The version of its Python.
    pub python: String,
}

/// A process that is being sampled, as the sampling thread sees it.
pub(super) struct Lane {
    pub(super) reader: Box<dyn StackReader>,
    pub(super) failures: u32,
    /// Tells the watch that the reader has to be replaced.
    pub(super) useless: Arc<AtomicBool>,
}

pub(super) enum LaneChange {
    Open(ProcessNumber, Lane),
    Close(ProcessNumber),
}

pub(super) struct Watch {
    tree: ProcessTree,
    attach: Attach,
    candidates: BTreeMap<i32, Candidate>,
    born: u32,
    lanes: SyncSender<LaneChange>,
    events: SyncSender<Event>,
    clock: Clock,
    counters: Arc<Counters>,
    unread: Vec<(ProcessId, String)>,
}

/// A living Python process of the tree.
struct Candidate {
    id: ProcessId,
    stage: Stage,
}

enum Stage {
    Opening {
        pause: Duration,
        again: Moment,
        failure: Option<AttachError>,
    },
    Open {
        number: ProcessNumber,
        /// As it was told to the recorder.
        role: Role,
        useless: Arc<AtomicBool>,
    },
}

impl Watch {
    pub(super) fn new(
        tree: ProcessTree,
        attach: Attach,
        lanes: SyncSender<LaneChange>,
        events: SyncSender<Event>,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        Self { tree, attach, candidates: BTreeMap::new(), born: 0, lanes, events, clock, counters, unread: Vec::new() }
    }

    /// Opens what is there now. At least one process must be readable within a second.
    pub(super) fn begin(&mut self, stop: &Stop) -> Result<(), StartError> {
        let deadline = self.clock.now() + FIRST;
        let first = self.tree.members().next().map(|member| member.facts.id.pid);
        loop {
            self.turn(stop);
            if self.tree.is_empty() {
                return Err(StartError::Gone);
            }
            if self.candidates.values().any(|candidate| matches!(candidate.stage, Stage::Open { .. })) {
                return Ok(());
            }
            let unsupported = |candidate: &Candidate| {
                matches!(candidate.stage, Stage::Opening { failure: Some(AttachError::Version { .. }), .. })
            };
            let hopeless = !self.candidates.is_empty() && self.candidates.values().all(unsupported);
            if hopeless || self.clock.now() >= deadline {
                return Err(self.nothing_readable(first));
            }
            if stop.wait(TURN / 2).is_some() {
                return Err(StartError::Interrupted);
            }
        }
    }

    fn nothing_readable(&self, first: Option<i32>) -> StartError {
        let failed = self.candidates.values().find_map(|candidate| match &candidate.stage {
            Stage::Opening { failure: Some(cause), .. } => Some((candidate.id.pid, cause.clone())),
            _ => None,
        });
        match failed {
            Some((pid, cause)) => StartError::Unreadable { pid, cause },
            None => StartError::NotPython {
                pid: first.or_else(|| self.tree.members().next().map(|member| member.facts.id.pid)).unwrap_or(0),
            },
        }
    }

    /// Follows the tree until the run ends. Returns the processes that could never be read, and why.
    pub(super) fn run(mut self, stop: &Stop) -> Vec<(ProcessId, String)> {
        while stop.wait(TURN).is_none() {
            self.turn(stop);
            if self.tree.is_empty() {
                stop.request(StopReason::TargetGone);
            }
        }
        for pid in self.candidates.keys().copied().collect::<Vec<_>>() {
            self.give_up(pid);
        }
        self.unread
    }

    fn turn(&mut self, stop: &Stop) {
        for change in self.tree.refresh() {
            match change {
                Change::Born(member) if member.facts.is_python() => self.expect(member.facts.id),
                Change::Born(_) => {}
                Change::Died(id) => self.retire(id),
            }
        }
        self.replace_useless();
        let now = self.clock.now();
        let due = |candidate: &Candidate| matches!(candidate.stage, Stage::Opening { again, .. } if again <= now);
        let due: Vec<i32> =
            self.candidates.iter().filter(|(_, candidate)| due(candidate)).map(|(pid, _)| *pid).collect();
        for pid in due.into_iter().take(CHANGES / 2) {
            if stop.reason().is_none() {
                self.open(pid);
            }
        }
        self.settle_roles();
    }

    fn expect(&mut self, id: ProcessId) {
        let stage = Stage::Opening { pause: TURN / 2, again: Moment::default(), failure: None };
        self.candidates.insert(id.pid, Candidate { id, stage });
    }

    fn retire(&mut self, id: ProcessId) {
        if self.candidates.get(&id.pid).is_some_and(|candidate| candidate.id == id) {
            self.close(id.pid);
            // One that ended before it could be opened was not withheld from the graph by anybody: it was too short.
            self.candidates.remove(&id.pid);
        }
    }

    fn close(&self, pid: i32) {
        if let Some(Candidate { stage: Stage::Open { number, .. }, .. }) = self.candidates.get(&pid) {
            let _ = self.lanes.send(LaneChange::Close(*number));
            let _ = self.events.send(Event::Died(*number, self.clock.now()));
        }
    }

    fn give_up(&mut self, pid: i32) {
        if let Some(Candidate { id, stage: Stage::Opening { failure: Some(why), .. } }) = self.candidates.remove(&pid) {
            self.unread.push((id, why.to_string()));
        }
    }

    fn replace_useless(&mut self) {
        let useless: Vec<ProcessId> = self
            .candidates
            .values()
            .filter(|candidate| matches!(&candidate.stage, Stage::Open { useless, .. } if useless.load(Relaxed)))
            .map(|candidate| candidate.id)
            .collect();
        for id in useless {
            self.close(id.pid);
            self.expect(id);
        }
    }

    fn open(&mut self, pid: i32) {
        let opened = (self.attach)(pid).and_then(|mut attached| {
            // A first read proves that the interpreter is up, and shows what the process is.
            let stacks = attached.reader.read();
            stacks.map(|stacks| (attached, stacks)).map_err(|error| AttachError::Unreadable(error.to_string()))
        });
        let now = self.clock.now();
        let Some(candidate) = self.candidates.get_mut(&pid) else {
            return;
        };
        match opened {
            Ok((attached, stacks)) => self.admit(pid, attached, &stacks),
            Err(why) => {
                if let Stage::Opening { pause, again, failure } = &mut candidate.stage {
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                    *again = now + *pause;
                    *failure = Some(why);
                }
            }
        }
    }

    fn admit(&mut self, pid: i32, attached: Attached, stacks: &[ThreadStack]) {
        let Some(candidate) = self.candidates.get_mut(&pid) else {
            return;
        };
        let id = candidate.id;
        if let Some(role) = proven_role(stacks) {
            self.tree.set_role(id, role);
        }
        let Some(&Member { role, root, .. }) = self.tree.members().find(|member| member.facts.id == id) else {
            return;
        };
        let number = Id::from_index(self.born);
        let useless = Arc::new(AtomicBool::new(false));
        candidate.stage = Stage::Open { number, role, useless: Arc::clone(&useless) };
        self.born += 1;
        let process = Process { id, role, root, python: attached.python, born: self.clock.now(), died: None };
        // In this order: the recorder must know the process before its first stacks come.
        let _ = self.events.send(Event::Born(process));
        let lane = Lane { reader: attached.reader, failures: 0, useless };
        let _ = self.lanes.send(LaneChange::Open(number, lane));
    }

    /// Tells the recorder what became clearer (a child of what turned out to be a master is a worker), and counts who is sampled.
    fn settle_roles(&mut self) {
        let mut sampled = 0;
        for member in self.tree.members() {
            let candidate = self.candidates.get_mut(&member.facts.id.pid);
            let Some(Candidate { stage: Stage::Open { number, role, .. }, .. }) = candidate else {
                continue;
            };
            if *role != member.role {
                *role = member.role;
                let _ = self.events.send(Event::Role(*number, *role));
            }
            sampled += u64::from(!role.is_supervisor());
        }
        self.counters.processes.store(sampled, Relaxed);
    }
}

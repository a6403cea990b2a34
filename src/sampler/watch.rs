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
pub type Opener = Box<dyn FnMut(i32) -> Result<Opened, AttachError> + Send>;

/// An open process.
pub struct Opened {
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
    opener: Opener,
    followed: BTreeMap<i32, Followed>,
    born: u32,
    lanes: SyncSender<LaneChange>,
    events: SyncSender<Event>,
    clock: Clock,
    counters: Arc<Counters>,
}

/// A living Python process of the tree.
struct Followed {
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
        opener: Opener,
        lanes: SyncSender<LaneChange>,
        events: SyncSender<Event>,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Self {
        Self { tree, opener, followed: BTreeMap::new(), born: 0, lanes, events, clock, counters }
    }

    /// Opens what is there now. At least one process must be readable within a second.
    pub(super) fn begin(&mut self, stop: &Stop) -> Result<(), StartError> {
        let deadline = self.clock.now() + FIRST;
        loop {
            self.turn(stop);
            if self.tree.is_empty() {
                return Err(StartError::Gone);
            }
            if self.followed.values().any(|process| matches!(process.stage, Stage::Open { .. })) {
                return Ok(());
            }
            let unsupported = |process: &Followed| {
                matches!(process.stage, Stage::Opening { failure: Some(AttachError::Version { .. }), .. })
            };
            let hopeless = !self.followed.is_empty() && self.followed.values().all(unsupported);
            if hopeless || self.clock.now() >= deadline {
                return Err(self.nothing_readable());
            }
            if stop.wait(TURN / 2).is_some() {
                return Err(StartError::Interrupted);
            }
        }
    }

    fn nothing_readable(&self) -> StartError {
        let failed = self.followed.values().find_map(|process| match &process.stage {
            Stage::Opening { failure: Some(cause), .. } => Some((process.id.pid, cause.clone())),
            _ => None,
        });
        match failed {
            Some((pid, cause)) => StartError::Unreadable { pid, cause },
            None => StartError::NotPython { pid: self.tree.members().next().map_or(0, |member| member.facts.id.pid) },
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
        let unread = |process: Followed| match process.stage {
            Stage::Opening { failure: Some(why), .. } => Some((process.id, why.to_string())),
            _ => None,
        };
        self.followed.into_values().filter_map(unread).collect()
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
        let due = |process: &Followed| matches!(process.stage, Stage::Opening { again, .. } if again <= now);
        let due: Vec<i32> = self.followed.iter().filter(|(_, process)| due(process)).map(|(pid, _)| *pid).collect();
        for pid in due.into_iter().take(CHANGES / 2) {
            if stop.reason().is_none() {
                self.open(pid);
            }
        }
        self.settle_roles();
    }

    fn expect(&mut self, id: ProcessId) {
        let stage = Stage::Opening { pause: TURN / 2, again: Moment::default(), failure: None };
        self.followed.insert(id.pid, Followed { id, stage });
    }

    fn retire(&mut self, id: ProcessId) {
        if self.followed.get(&id.pid).is_some_and(|process| process.id == id) {
            self.close(id.pid);
            // One that ended before it could be opened was not withheld from the graph by anybody: it was too short.
            self.followed.remove(&id.pid);
        }
    }

    fn close(&self, pid: i32) {
        if let Some(Followed { stage: Stage::Open { number, .. }, .. }) = self.followed.get(&pid) {
            let _ = self.lanes.send(LaneChange::Close(*number));
            let _ = self.events.send(Event::Died(*number, self.clock.now()));
        }
    }

    fn replace_useless(&mut self) {
        let useless: Vec<ProcessId> = self
            .followed
            .values()
            .filter(|process| matches!(&process.stage, Stage::Open { useless, .. } if useless.load(Relaxed)))
            .map(|process| process.id)
            .collect();
        for id in useless {
            self.close(id.pid);
            self.expect(id);
        }
    }

    fn open(&mut self, pid: i32) {
        let opened = (self.opener)(pid).and_then(|mut opened| {
            // A first read proves that the interpreter is up, and shows what the process is.
            let stacks = opened.reader.read();
            stacks.map(|stacks| (opened, stacks)).map_err(|error| AttachError::Unreadable(error.to_string()))
        });
        let now = self.clock.now();
        let Some(process) = self.followed.get_mut(&pid) else {
            return;
        };
        match opened {
            Ok((opened, stacks)) => self.admit(pid, opened, &stacks),
            Err(why) => {
                if let Stage::Opening { pause, again, failure } = &mut process.stage {
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                    *again = now + *pause;
                    *failure = Some(why);
                }
            }
        }
    }

    fn admit(&mut self, pid: i32, opened: Opened, stacks: &[ThreadStack]) {
        let Some(process) = self.followed.get_mut(&pid) else {
            return;
        };
        let id = process.id;
        if let Some(role) = proven_role(stacks) {
            self.tree.set_role(id, role);
        }
        let Some(&Member { role, root, .. }) = self.tree.members().find(|member| member.facts.id == id) else {
            return;
        };
        let number = Id::from_index(self.born);
        let useless = Arc::new(AtomicBool::new(false));
        process.stage = Stage::Open { number, role, useless: Arc::clone(&useless) };
        self.born += 1;
        let process = Process { id, role, root, python: opened.python, born: self.clock.now(), died: None };
        // In this order: the recorder must know the process before its first stacks come.
        let _ = self.events.send(Event::Born(process));
        let lane = Lane { reader: opened.reader, failures: 0, useless };
        let _ = self.lanes.send(LaneChange::Open(number, lane));
    }

    /// Tells the recorder what became clearer (a child of what turned out to be a master is a worker), and counts who is sampled.
    fn settle_roles(&mut self) {
        let mut sampled = 0;
        for member in self.tree.members() {
            let process = self.followed.get_mut(&member.facts.id.pid);
            let Some(Followed { stage: Stage::Open { number, role, .. }, .. }) = process else {
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

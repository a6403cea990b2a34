//! Follows the target's processes, opens a reader for each, and hands it to the loop that samples it.
//!
//! Ten times a second it looks who was born and who died, and once a second what the CPU clock of each says. Opening a
//! process takes milliseconds and fails while its interpreter is not up yet, so it happens here, off the sampling threads,
//! and is tried again at growing intervals for as long as the process lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::cost::Cost;
use super::loops::Loops;
use super::recorder::Event;
use super::sampling::{Lane, Sampled};
use super::{PATIENCE, StartError};
use crate::clock::Moment;
use crate::interned::Id;
use crate::process::tree::{Change, Member, ProcessTree};
use crate::process::{ProcessId, Role, cpu, open_files};
use crate::recording::{CpuReading, Process, ProcessNumber, ThreadStack};
use crate::stack::request::proven_role;
use crate::stack::{AttachError, Names, Reader};
use crate::stop::StopReason;

/// Between two looks at the tree.
const TURN: Duration = Duration::from_millis(100);

/// How long to wait at the start for the first readable process: a program that was just launched needs a moment.
const FIRST: Duration = Duration::from_secs(1);

/// Between two readings of the CPU clocks.
const CPU_TURN: Duration = Duration::from_secs(1);

/// The longest pause between two tries to open a process.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens a process for sampling.
pub type Opener = Box<dyn FnMut(i32) -> Result<Reader, AttachError> + Send>;

/// What the watch has to tell at the end.
#[derive(Default)]
pub(super) struct Told {
    /// The processes that could never be read, and why.
    pub(super) unread: Vec<(ProcessId, String)>,
    /// Processes that were read in another way than they should, and why; one a reason.
    pub(super) instead: Vec<(ProcessId, String)>,
}

pub(super) struct Watch {
    tree: ProcessTree,
    opener: Opener,
    followed: BTreeMap<i32, Followed>,
    born: u32,
    /// When the run began.
    began: Moment,
    /// The sampling loops, and what the watch has in common with them.
    loops: Loops,
    /// When the CPU clocks are to be read again.
    cpu_due: Moment,
    told: Told,
}

/// A living Python process of the tree.
struct Followed {
    id: ProcessId,
    stage: Stage,
}

enum Stage {
    Opening {
        /// Whether it was never read before, under this program or another.
        is_new: bool,
        pause: Duration,
        again: Moment,
        failure: Option<AttachError>,
    },
    Open {
        number: ProcessNumber,
        /// As it was told to the recorder.
        role: Role,
        lane: Arc<Lane>,
        names: Option<Box<Names>>,
    },
}

impl Watch {
    pub(super) fn new(tree: ProcessTree, opener: Opener, loops: Loops) -> Self {
        let began = loops.clock.now();
        Self {
            tree,
            opener,
            followed: BTreeMap::new(),
            born: 0,
            began,
            cpu_due: began + CPU_TURN,
            loops,
            told: Told::default(),
        }
    }

    /// Opens what is there now. At least one process must be readable within a second.
    pub(super) fn begin(&mut self) -> Result<(), StartError> {
        let deadline = self.loops.clock.now() + FIRST;
        loop {
            self.turn();
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
            if hopeless || self.loops.clock.now() >= deadline {
                return Err(self.nothing_readable());
            }
            if self.loops.stop.wait(TURN / 2).is_some() {
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

    /// Follows the tree until the run ends, at the latest at `end`. Returns what it has to tell.
    pub(super) fn run(mut self, end: Option<Moment>) -> Told {
        let mut cost = Cost::of_new_thread(Arc::clone(&self.loops.counters));
        let mut wait = self.next_turn(end);
        while self.loops.stop.wait(wait).is_none() {
            if end.is_some_and(|end| self.loops.clock.now() >= end) {
                self.loops.stop.request(StopReason::DurationOver);
                break;
            }
            self.turn();
            if self.tree.is_empty() {
                self.loops.stop.request(StopReason::TargetGone);
            }
            wait = self.next_turn(end);
            cost.tell_at(self.loops.clock.now());
        }
        self.read_clocks();
        let mut told = self.told;
        for process in self.followed.into_values() {
            if let Stage::Opening { failure: Some(why), .. } = process.stage {
                told.unread.push((process.id, why.to_string()));
            }
        }
        self.loops.finish(PATIENCE);
        cost.tell();
        told
    }

    fn next_turn(&self, end: Option<Moment>) -> Duration {
        end.map_or(TURN, |end| end.since(self.loops.clock.now()).min(TURN))
    }

    fn turn(&mut self) {
        let changes = self.tree.refresh();
        for change in &changes {
            match change {
                Change::Born(member) if member.facts.is_python() => {
                    let id = member.facts.id;
                    self.expect(id, !changes.contains(&Change::Died(id)));
                }
                Change::Born(_) => {}
                Change::Died(id) => self.retire(*id),
            }
        }
        self.reopen_ended();
        let now = self.loops.clock.now();
        let due = |process: &Followed| matches!(process.stage, Stage::Opening { again, .. } if again <= now);
        let due: Vec<i32> = self.followed.iter().filter(|(_, process)| due(process)).map(|(pid, _)| *pid).collect();
        for pid in due {
            if self.loops.stop.reason().is_none() {
                self.open(pid);
            }
        }
        self.look_for_names();
        open_files::read_wanted_tables();
        self.settle_roles();
        if now >= self.cpu_due {
            self.cpu_due = now + CPU_TURN;
            self.read_clocks();
        }
    }

    /// Lets readers that met threads without a name have them.
    fn look_for_names(&mut self) {
        for process in self.followed.values_mut() {
            if let Stage::Open { names: Some(names), .. } = &mut process.stage {
                names.look();
            }
        }
    }

    /// Reads the CPU clock of every process that is sampled.
    fn read_clocks(&self) {
        for process in self.followed.values() {
            if let Stage::Open { number, .. } = process.stage {
                self.read_clock(process.id, number);
            }
        }
    }

    fn read_clock(&self, id: ProcessId, process: ProcessNumber) {
        if let Some(used) = cpu::used_by(id.pid) {
            let _ = self.loops.events.send(Event::Cpu(CpuReading { process, moment: self.loops.clock.now(), used }));
        }
    }

    fn expect(&mut self, id: ProcessId, is_new: bool) {
        let stage = Stage::Opening { is_new, pause: TURN / 2, again: Moment::default(), failure: None };
        self.followed.insert(id.pid, Followed { id, stage });
    }

    /// Forgets a process. One that ended before it could be opened was withheld by nobody: it was too short.
    fn retire(&mut self, id: ProcessId) {
        if self.followed.get(&id.pid).is_none_or(|process| process.id != id) {
            return;
        }
        if let Some(Followed { stage: Stage::Open { number, lane, .. }, .. }) = self.followed.remove(&id.pid) {
            lane.closed.store(true, Relaxed);
            let _ = self.loops.events.send(Event::Died(number, self.loops.clock.now()));
        }
    }

    /// What a loop no longer reads although it lives, it had a wrong idea of.
    fn reopen_ended(&mut self) {
        let ended =
            |process: &&Followed| matches!(&process.stage, Stage::Open { lane, .. } if lane.ended.load(Relaxed));
        let ended: Vec<ProcessId> = self.followed.values().filter(ended).map(|process| process.id).collect();
        for id in ended {
            if let Some(Followed { stage: Stage::Open { number, .. }, .. }) = self.followed.get(&id.pid) {
                self.read_clock(id, *number);
            }
            self.retire(id);
            self.expect(id, false);
        }
    }

    fn open(&mut self, pid: i32) {
        let opened = (self.opener)(pid).and_then(|mut opened| {
            // A first read proves that the interpreter is up, and shows what the process is.
            let stacks = opened.stacks.read();
            stacks.map(|stacks| (opened, stacks)).map_err(|error| AttachError::Unreadable(error.to_string()))
        });
        let now = self.loops.clock.now();
        let Some(process) = self.followed.get_mut(&pid) else {
            return;
        };
        match opened {
            Ok((opened, stacks)) => self.admit(pid, opened, &stacks),
            Err(why) => {
                if let Stage::Opening { pause, again, failure, .. } = &mut process.stage {
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                    *again = now + *pause;
                    *failure = Some(why);
                }
            }
        }
    }

    fn admit(&mut self, pid: i32, mut opened: Reader, stacks: &[ThreadStack]) {
        let Some(Followed { id, stage: Stage::Opening { is_new, .. } }) = self.followed.get(&pid) else {
            return;
        };
        let (id, is_new) = (*id, *is_new);
        if let Some(why) = opened.instead
            && self.told.instead.iter().all(|(_, known)| *known != why)
        {
            self.told.instead.push((id, why));
        }
        if let Some(role) = proven_role(stacks) {
            self.tree.set_role(id, role);
        }
        let Some(&Member { role, root, .. }) = self.tree.members().find(|member| member.facts.id == id) else {
            return;
        };
        let began = self.loops.clock.after_boot(id.after_boot());
        let within_the_run = is_new && began > self.began;
        if within_the_run {
            opened.stacks.count_cpu_from_birth();
        }
        let names = opened.names.map(Box::new);
        let number = Id::from_index(self.born);
        let lane = Arc::new(Lane::default());
        let sampled = Sampled { number, reader: opened.stacks, lane: Arc::clone(&lane), failures: 0 };
        // The recorder must know the process before its first stacks come.
        let process = Process { id, role, root, python: opened.python, born: self.loops.clock.now(), died: None };
        let _ = self.loops.events.send(Event::Born(process));
        if within_the_run {
            let nothing = CpuReading { process: number, moment: began, used: Duration::ZERO };
            let _ = self.loops.events.send(Event::Cpu(nothing));
        }
        self.read_clock(id, number);
        self.born += 1;
        match self.loops.take(sampled) {
            Ok(()) => {
                self.followed.insert(pid, Followed { id, stage: Stage::Open { number, role, lane, names } });
            }
            // Tried again like any process that cannot be opened yet.
            Err(_) => {
                let _ = self.loops.events.send(Event::Died(number, self.loops.clock.now()));
            }
        }
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
                let _ = self.loops.events.send(Event::Role(*number, *role));
            }
            sampled += u64::from(!role.is_supervisor());
        }
        self.loops.counters.processes.store(sampled, Relaxed);
    }
}

//! Facts about processes: who is there, who descends from whom, which one is gunicorn's master, may we read it.
//!
//! Everything here reads and parses `/proc`; nothing here stops, signals or samples a process. There are three acts:
//! [`privilege`] changes what *this* process may do, [`priority`] when a thread of it gets a core, and [`duplicate`] holds a socket of
//! another one for a moment.

pub mod access;
pub mod cpu;
mod duplicate;
pub mod facts;
pub mod find;
pub mod gunicorn;
pub mod image;
pub mod listening;
pub mod open_files;
pub mod priority;
pub mod privilege;
mod socket_tables;
mod sockets;
pub mod tree;

use std::fmt;
use std::time::Duration;

/// One process for as long as it lives: a pid together with its start time, so that a reused pid is somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// The process id in pyperf's own pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat` (`fs/proc/array.c`).
    pub started: u64,
}

impl ProcessId {
    /// How long after boot it began, to the clock tick before (10 ms).
    #[must_use]
    pub fn after_boot(&self) -> Duration {
        of_ticks(self.started)
    }
}

/// How long so many of the kernel's clock ticks are.
fn of_ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / procfs::ticks_per_second().max(1)))
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}

/// What a process does in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// gunicorn's arbiter: it forks and watches workers, and serves no request.
    Master,
    /// A gunicorn worker.
    Worker,
    /// The manager of gunicorn's dirty workers (gunicorn 25 and later).
    DirtyArbiter,
    /// A gunicorn process for long work outside the request workers (gunicorn 25 and later).
    DirtyWorker,
    /// The topmost process of a tree that is not gunicorn.
    Main,
    /// Any other descendant.
    Child,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Master, Self::Worker, Self::DirtyArbiter, Self::DirtyWorker, Self::Main, Self::Child];

    /// Whether the process only looks after others, so that a graph of the application leaves it out.
    #[must_use]
    pub const fn is_supervisor(self) -> bool {
        matches!(self, Self::Master | Self::DirtyArbiter)
    }

    /// The name of the role in graphs, listings and recordings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
            Self::DirtyArbiter => "dirty arbiter",
            Self::DirtyWorker => "dirty worker",
            Self::Main => "main",
            Self::Child => "child",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

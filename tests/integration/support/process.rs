//! A started process and everything it has started in turn, which all end together.
//!
//! The process leads a group of its own. Its family is the group and all descendants: a gunicorn that was orphaned by its wrapper
//! is still in the group, and a process that left the group is still a descendant.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use procfs::process::Stat;

use super::wait::{self, PATIENCE};

/// Kills the process and its family on drop.
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; takes it whole, so that our copies of the pipes it was given are closed.
    pub fn spawn(mut command: Command) -> Process {
        let child = command.process_group(0).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, status: None }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits until it has ended, and then ends what it may have left behind. `None` if it still runs after `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        wait::within(deadline, || (self.status.is_some() || !is_alive(self.pid())).then_some(()))?;
        Some(self.end())
    }

    fn end(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        // Until it is waited for even a dead leader keeps its number, so the group's cannot pass to strangers.
        kill_family(self.pid());
        let status = self.child.wait().expect("a child can be waited for");
        self.status = Some(status);
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the process runs; a dead one that nobody has waited for does not.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| runs(&stat))
}

/// The process ids of all that runs.
pub fn all() -> Vec<i32> {
    everyone().iter().filter(|stat| runs(stat)).map(|stat| stat.pid).collect()
}

/// The state of a process as one letter of `proc_pid_stat(5)`.
pub fn state(pid: i32) -> char {
    stat(pid).expect("the process exists").state
}

/// The running children of a process, by pid.
pub fn children(parent: i32) -> Vec<i32> {
    let mut pids: Vec<i32> =
        everyone().iter().filter(|stat| stat.ppid == parent && runs(stat)).map(|stat| stat.pid).collect();
    pids.sort_unstable();
    pids
}

/// Sends a signal; panics if there is no such process or it is not ours to signal.
pub fn signal(pid: i32, signal: Signal) {
    signal::kill(Pid::from_raw(pid), signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

fn kill_family(leader: i32) {
    wait::until(&format!("the family of {leader} to die"), PATIENCE, || {
        let living = family(leader);
        living.iter().for_each(kill);
        living.is_empty().then_some(())
    });
}

/// Kills the process that was seen as `seen`, unless its number has passed to another one since.
fn kill(seen: &Stat) {
    if stat(seen.pid).is_some_and(|now| now.starttime == seen.starttime) {
        // It may have died this moment, which is as good.
        let _ = signal::kill(Pid::from_raw(seen.pid), Signal::SIGKILL);
    }
}

/// The running members of the leader's group and all running descendants of any of them.
fn family(leader: i32) -> Vec<Stat> {
    let everyone = everyone();
    let mut members = BTreeSet::from([leader]);
    loop {
        let belongs = |stat: &&Stat| stat.pgrp == leader || members.contains(&stat.ppid);
        let found: BTreeSet<i32> = everyone.iter().filter(belongs).map(|stat| stat.pid).chain([leader]).collect();
        if found.len() == members.len() {
            break;
        }
        members = found;
    }
    everyone.into_iter().filter(|stat| members.contains(&stat.pid) && runs(stat)).collect()
}

fn everyone() -> Vec<Stat> {
    let processes = procfs::process::all_processes().expect("/proc is readable");
    processes.flatten().filter_map(|process| process.stat().ok()).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    procfs::process::Process::new(pid).and_then(|process| process.stat()).ok()
}

/// See `proc_pid_stat(5)`: Z is a zombie, X is dead.
fn runs(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X')
}

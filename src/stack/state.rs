//! What the kernel says that a thread is doing, from `/proc/PID/task/TID/stat`, kept open (4 µs a look).
//!
//! No guess by function name: a thread is running when the kernel says R (on a core or ready for one), and otherwise
//! asleep. Whether a sleeping thread waits or is idle depends on whether it serves a request.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::recording::State;

/// The scheduler's view of a thread: field 3 of `stat` (`fs/proc/array.c`, `task_state_array`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// R: on a core or ready for one.
    Running,
    /// S, and the rarer states in which nothing runs.
    Sleeping,
    /// D: in the kernel, and deaf to signals and to ptrace until it comes out.
    Uninterruptible,
}

/// Decides the state of a thread. `None` stands for a thread that the kernel's list does not show.
pub(super) const fn decide(activity: Option<Activity>, serving: bool) -> State {
    match (activity, serving) {
        // Where nothing proves that a thread sleeps it counts: work must not disappear from a graph.
        (Some(Activity::Running), _) | (None, false) => State::Running,
        (_, true) => State::Waiting,
        (Some(_), false) => State::Idle,
    }
}

/// The kernel's threads of one process.
#[derive(Debug)]
pub(super) struct OsThreads {
    pid: i32,
    files: HashMap<i32, File>,
    /// `syscall` of each thread, where it may be read.
    calls: HashMap<i32, Option<File>>,
    namespace: Namespace,
}

/// Whose thread ids the target itself uses.
#[derive(Debug)]
enum Namespace {
    /// The same as pyperf.
    Ours,
    /// Its own (a container seen from the host): from the ids inside to those outside.
    Inner(HashMap<i32, i32>),
}

impl OsThreads {
    pub(super) fn new(pid: i32) -> Self {
        let inner = ns_pids(&format!("/proc/{pid}/status")).len() > 1;
        Self {
            pid,
            files: HashMap::new(),
            calls: HashMap::new(),
            namespace: if inner { Namespace::Inner(HashMap::new()) } else { Namespace::Ours },
        }
    }

    /// The id that a thread has for pyperf, from the id that it has for itself. `None` when there is no such thread.
    pub(super) fn outside(&mut self, own: i32) -> Option<i32> {
        let outside = match &mut self.namespace {
            Namespace::Ours => own,
            Namespace::Inner(map) => {
                if !map.contains_key(&own) {
                    *map = inner_threads(self.pid);
                }
                *map.get(&own)?
            }
        };
        self.activity(outside).map(|_| outside)
    }

    /// Whether a thread of the process, Python or not, is where neither signals nor ptrace reach it.
    pub(super) fn any_uninterruptible(&mut self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let tids: Vec<i32> = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
        tids.into_iter().any(|tid| self.activity(tid) == Some(Activity::Uninterruptible))
    }

    /// As [`OsThreads::activity`], in half the time, and without telling sleep that can be interrupted from sleep that cannot.
    ///
    /// `/proc/PID/task/TID/syscall` says `running` of exactly the threads in state R (`lib/syscall.c`, `task_current_syscall`).
    pub(super) fn glance(&mut self, tid: i32) -> Option<Activity> {
        let pid = self.pid;
        let open = || File::open(format!("/proc/{pid}/task/{tid}/syscall")).ok();
        let mut said = [0; 7];
        let file = self.calls.entry(tid).or_insert_with(open);
        match file.as_ref().map(|file| file.read_at(&mut said, 0)) {
            Some(Ok(7)) if said == *b"running" => Some(Activity::Running),
            Some(Ok(1..)) => Some(Activity::Sleeping),
            _ => {
                *file = None;
                self.activity(tid)
            }
        }
    }

    /// Closes what is open of a thread that has ended.
    pub(super) fn forget(&mut self, tid: i32) {
        self.files.remove(&tid);
        self.calls.remove(&tid);
    }

    /// What a thread is doing now; `None` when it has ended.
    pub(super) fn activity(&mut self, tid: i32) -> Option<Activity> {
        let pid = self.pid;
        let file = match self.files.entry(tid) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(File::open(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
            }
        };
        let mut stat = [0; 128];
        match file.read_at(&mut stat, 0) {
            Ok(length) if length > 0 => parse_activity(&stat[..length]),
            _ => {
                self.files.remove(&tid);
                None
            }
        }
    }
}

/// The state letter stands behind the thread's name, which is in parentheses and may itself contain any.
fn parse_activity(stat: &[u8]) -> Option<Activity> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    match stat.get(end_of_name + 2)? {
        b'R' => Some(Activity::Running),
        b'D' => Some(Activity::Uninterruptible),
        b'X' | b'Z' => None,
        _ => Some(Activity::Sleeping),
    }
}

/// The ids of a process or thread in each pid namespace that it belongs to, from pyperf's own inwards.
fn ns_pids(status: &str) -> Vec<i32> {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn inner_threads(pid: i32) -> HashMap<i32, i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return HashMap::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let ids = ns_pids(task.path().join("status").to_str()?);
            Some((*ids.last()?, *ids.first()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_letter_is_found_behind_any_name() {
        let of = |stat: &str| parse_activity(stat.as_bytes());
        assert_eq!(of("7 (python3) S 1 7"), Some(Activity::Sleeping));
        assert_eq!(of("7 (a) R (b) R 1 7"), Some(Activity::Running));
        assert_eq!(of("7 (nfs) D 1"), Some(Activity::Uninterruptible));
        assert_eq!(of("7 (python3) Z 1"), None);
        assert_eq!(of("7 (python3)"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn only_a_sleeper_without_a_request_is_idle() {
        use State::{Idle, Running, Waiting};
        assert_eq!(decide(Some(Activity::Running), false), Running);
        assert_eq!(decide(Some(Activity::Running), true), Running);
        assert_eq!(decide(Some(Activity::Sleeping), true), Waiting);
        assert_eq!(decide(Some(Activity::Sleeping), false), Idle);
        assert_eq!(decide(Some(Activity::Uninterruptible), true), Waiting);
        assert_eq!(decide(None, false), Running);
        assert_eq!(decide(None, true), Waiting);
    }

    #[test]
    fn our_own_main_thread_is_there_and_no_other_process_s() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut threads = OsThreads::new(own);
        assert_eq!(threads.outside(own), Some(own));
        assert!(threads.activity(own).is_some());
        assert!(threads.glance(own).is_some());
        threads.forget(own);
        assert_eq!(threads.glance(i32::MAX), None);
        assert_eq!(threads.outside(1), None);
    }
}

//! The kernel's threads of one process: what it says of each, and whose numbers they have.
//!
//! `/proc/PID/task/TID/syscall`, kept open (1.4 µs a look), says whether a thread runs and in which call it sleeps; it asks for the
//! right to read the process. Where it is refused, the letter in `stat` (4 µs) says at least whether the thread sleeps.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use foldhash::fast::RandomState;

use super::call::Call;

/// What the kernel says of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is on a core or ready for one.
    Running,
    /// It sleeps, in this call where that is told.
    Asleep(Option<Call>),
}

/// The scheduler's view of a thread: field 3 of `stat` (`fs/proc/array.c`, `task_state_array`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    /// R.
    Running,
    /// S, and the rarer states in which nothing runs.
    Sleeping,
    /// D: in the kernel, and deaf to signals and to ptrace until it comes out.
    Uninterruptible,
}

/// The kernel's threads of one process.
#[derive(Debug)]
pub(super) struct OsThreads {
    pid: i32,
    files: HashMap<i32, File, RandomState>,
    /// `syscall` of each thread, where it may be read.
    calls: HashMap<i32, Option<File>, RandomState>,
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
    pub(super) const fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn new(pid: i32) -> Self {
        let inner = ns_pids(&format!("/proc/{pid}/status")).len() > 1;
        Self {
            pid,
            files: HashMap::default(),
            calls: HashMap::default(),
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
        let lives = self.letter(outside).is_some();
        // It is asked again only where `syscall` may not be read.
        self.files.remove(&outside);
        lives.then_some(outside)
    }

    /// Whether a thread of the process, Python or not, is where neither signals nor ptrace reach it.
    pub(super) fn any_uninterruptible(&mut self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let tids: Vec<i32> = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
        tids.into_iter().any(|tid| self.letter(tid) == Some(Letter::Uninterruptible))
    }

    /// What a thread is doing now; `None` when it has ended.
    ///
    /// `syscall` says `running` of exactly the threads in state R (`lib/syscall.c`, `task_current_syscall`).
    pub(super) fn look(&mut self, tid: i32) -> Option<Said> {
        let pid = self.pid;
        let open = || File::open(format!("/proc/{pid}/task/{tid}/syscall")).ok();
        // A number and eight words of up to 18 letters.
        let mut said = [0; 192];
        let file = self.calls.entry(tid).or_insert_with(open);
        match file.as_ref().map(|file| file.read_at(&mut said, 0)) {
            Some(Ok(length @ 1..)) => {
                let said = said.get(..length)?;
                Some(if said.starts_with(b"running") { Said::Running } else { Said::Asleep(Call::parse(said)) })
            }
            _ => {
                *file = None;
                Some(match self.letter(tid)? {
                    Letter::Running => Said::Running,
                    Letter::Sleeping | Letter::Uninterruptible => Said::Asleep(None),
                })
            }
        }
    }

    /// Closes what is open of a thread that has ended.
    pub(super) fn forget(&mut self, tid: i32) {
        self.files.remove(&tid);
        self.calls.remove(&tid);
    }

    /// Whether a thread sleeps; `None` when it has ended.
    fn letter(&mut self, tid: i32) -> Option<Letter> {
        let pid = self.pid;
        let file = match self.files.entry(tid) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(File::open(format!("/proc/{pid}/task/{tid}/stat")).ok()?)
            }
        };
        let mut stat = [0; 128];
        match file.read_at(&mut stat, 0) {
            Ok(length) if length > 0 => parse_letter(&stat[..length]),
            _ => {
                self.files.remove(&tid);
                None
            }
        }
    }
}

/// The state letter stands behind the thread's name, which is in parentheses and may itself contain any.
fn parse_letter(stat: &[u8]) -> Option<Letter> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    match stat.get(end_of_name + 2)? {
        b'R' => Some(Letter::Running),
        b'D' => Some(Letter::Uninterruptible),
        b'X' | b'Z' => None,
        _ => Some(Letter::Sleeping),
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
        let of = |stat: &str| parse_letter(stat.as_bytes());
        assert_eq!(of("7 (python3) S 1 7"), Some(Letter::Sleeping));
        assert_eq!(of("7 (a) R (b) R 1 7"), Some(Letter::Running));
        assert_eq!(of("7 (nfs) D 1"), Some(Letter::Uninterruptible));
        assert_eq!(of("7 (python3) Z 1"), None);
        assert_eq!(of("7 (python3)"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn our_own_main_thread_is_there_and_no_other_process_s() {
        let own = i32::try_from(std::process::id()).expect("pids fit");
        let mut threads = OsThreads::new(own);
        assert_eq!(threads.outside(own), Some(own));
        assert!(threads.letter(own).is_some());
        assert!(threads.look(own).is_some());
        threads.forget(own);
        assert_eq!(threads.look(i32::MAX), None);
        assert_eq!(threads.outside(1), None);
    }
}

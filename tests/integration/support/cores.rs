//! What a process lacked of the machine's cores.

use std::fs;
use std::time::Duration;

/// How long the threads of a process were ready to run and had to wait for a core so far (second number of `schedstat`,
/// Documentation/scheduler/sched-stats.rst). 0 for a process that has ended.
pub fn waited_for(pid: i32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waited = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.filter_map(waited).sum())
}

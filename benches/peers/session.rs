//! The bench as a session of its own, which comes before everything else that the machine does.
//!
//! Linux shares the cores between sessions first and between the processes of each afterwards (`sched_autogroup_enabled`,
//! sched(7)). A session with the best nice value has the cores to itself, while its own processes (the tree, wrk and the
//! profiler) share them as fairly as ever. Without that a profiler that wakes up often wins its session time from the
//! others on the machine, and the sampled service seems to be faster than the one that is not.

use std::fs;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::setsid;

/// Moves this process, and all that it starts, to the front.
pub fn lead() {
    // Ctrl+C no longer reaches another session, but it ends cargo, and that ends the bench.
    let alone = set_pdeathsig(Signal::SIGTERM).and_then(|()| setsid()).is_ok();
    if !(alone && fs::write("/proc/self/autogroup", "-20").is_ok()) {
        println!(
            "not before the others on this machine (root is, where the kernel has autogroups): they are in all figures"
        );
    }
}

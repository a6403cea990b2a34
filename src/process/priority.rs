//! Puts a thread that has little to do, but on time, before the others of its session (sched(7)).
//!
//! Where all cores are busy, a thread of ordinary priority gets one when another gives it up, and what is sampled late is missing from
//! the moments when the machine is busiest: with four busy workers on two cores one of nine samples at 1 kHz, and one of 200 with this.
//! It takes the capability `SYS_NICE`, and is of no use between sessions that share the cores out by session (autogroups), where
//! who uses little is early anyway.

use rustix::process::setpriority_process;

/// Far enough for nine tenths of a core at worst: what a loop uses that is asked for more than it can do.
const NICE: i32 = -10;

/// Puts the calling thread first where that is allowed; elsewhere all goes on, only later.
pub fn come_first() {
    // Nobody else's pid: that is the calling thread alone (setpriority(2), "C library/kernel differences").
    let _ = setpriority_process(None, NICE);
}

#[cfg(test)]
mod tests {
    use std::thread::Builder;

    use procfs::process::Process;
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn a_thread_comes_first_where_it_may_and_no_other_does() {
        let others = getpriority_process(None).ok();
        let first = || {
            come_first();
            getpriority_process(None).ok()
        };
        let nice = Builder::new().spawn(first).expect("a thread").join().expect("no panic");
        assert_eq!(getpriority_process(None).ok(), others);
        // `CAP_SYS_NICE` (include/uapi/linux/capability.h); RLIMIT_NICE can allow it without.
        let capable = Process::myself().and_then(|own| own.status()).expect("our own").capeff & (1 << 23) != 0;
        assert!(nice == Some(NICE) || !capable && nice == others, "{nice:?}");
    }
}

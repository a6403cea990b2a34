//! System calls in which a thread sleeps: from `/proc/PID/task/TID/syscall` to the names that users know.
//!
//! Numbers are those of the architecture that pyperf was built for. A call that is not in the table is told by its number. Which
//! file or peer a number of a file stands for is not known here.

use std::ops::Range;

use nix::libc;

/// A system call with the arguments that are of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Call {
    /// -1 for a thread that sleeps in the kernel without having called it.
    pub(super) number: libc::c_long,
    arguments: [u64; 2],
}

/// Which file a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// None, or too many to tell.
    Nothing,
    /// The one with this number.
    File(i32),
    /// The one that the `struct pollfd` at this address names.
    Polled(u64),
}

/// Where a call says which file it is about.
#[derive(Clone, Copy)]
enum Shape {
    Plain,
    /// The first argument is the number of an open file.
    File,
    /// The first argument is the address of as many `struct pollfd` as the second one says.
    Poll,
}

use Shape::{File, Plain, Poll};

impl Call {
    /// Reads what the kernel writes (`fs/proc/base.c`, `proc_pid_syscall`): the number, six arguments, stack pointer, program counter;
    /// of a thread that is in no call, -1 and the latter two.
    pub(super) fn parse(said: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(said).ok()?.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
        let arguments = [argument()?, argument()?];
        Some(Self { number: restarted(number, arguments), arguments })
    }

    /// Whether it waits on a futex that lies there.
    pub(super) fn waits_in(&self, futexes: &Range<u64>) -> bool {
        self.number == libc::SYS_futex && futexes.contains(&self.arguments[0])
    }

    /// Its name in outputs.
    pub(super) fn name(&self) -> String {
        match known(self.number) {
            Some((_, name, _)) => (*name).into(),
            None if self.number < 0 => "page fault".into(),
            None => format!("system call {}", self.number),
        }
    }

    /// The file that it is about.
    pub(super) fn about(&self) -> About {
        let [first, second] = self.arguments;
        match known(self.number) {
            // The kernel looks at the lower half of the register alone.
            Some((_, _, File)) => About::File(((first & 0xffff_ffff) as u32).cast_signed()),
            Some((_, _, Poll)) if second == 1 => About::Polled(first),
            _ => About::Nothing,
        }
    }
}

/// The call that goes on as `restart_syscall` after a stop of the process, such as one by ptrace, as far as its arguments tell: these
/// stay in their registers (`kernel/signal.c`, `sys_restart_syscall`). It is a poll, a sleep, or a futex with a timeout.
fn restarted(number: libc::c_long, [_, second]: [u64; 2]) -> libc::c_long {
    // FUTEX_WAIT and FUTEX_WAIT_BITSET, private, with either clock (`include/uapi/linux/futex.h`).
    const WAITS: [u64; 4] = [0x80, 0x89, 0x180, 0x189];
    match second {
        _ if number != libc::SYS_restart_syscall => number,
        1 => libc::SYS_ppoll,
        _ if WAITS.contains(&second) => libc::SYS_futex,
        _ => number,
    }
}

fn known(number: libc::c_long) -> Option<&'static (libc::c_long, &'static str, Shape)> {
    CALLS.iter().chain(OLD_CALLS).find(|(known, _, _)| *known == number)
}

/// Newer calls have one number on all architectures (`include/uapi/asm-generic/unistd.h`).
const EPOLL_PWAIT2: libc::c_long = 441;
const FUTEX_WAITV: libc::c_long = 449;

/// Calls in which a thread can sleep; the commonest first.
const CALLS: &[(libc::c_long, &str, Shape)] = &[
    (libc::SYS_futex, "lock", Plain),
    (libc::SYS_recvfrom, "recv", File),
    (libc::SYS_ppoll, "poll", Poll),
    (libc::SYS_read, "read", File),
    (libc::SYS_clock_nanosleep, "sleep", Plain),
    (libc::SYS_nanosleep, "sleep", Plain),
    (libc::SYS_pselect6, "select", Plain),
    (libc::SYS_epoll_pwait, "epoll_wait", Plain),
    (EPOLL_PWAIT2, "epoll_wait", Plain),
    (libc::SYS_sendto, "send", File),
    (libc::SYS_write, "write", File),
    (libc::SYS_connect, "connect", File),
    (libc::SYS_accept4, "accept", File),
    (libc::SYS_accept, "accept", File),
    (libc::SYS_recvmsg, "recv", File),
    (libc::SYS_recvmmsg, "recv", File),
    (libc::SYS_sendmsg, "send", File),
    (libc::SYS_sendmmsg, "send", File),
    (libc::SYS_readv, "read", File),
    (libc::SYS_writev, "write", File),
    (libc::SYS_pread64, "read", File),
    (libc::SYS_preadv, "read", File),
    (libc::SYS_pwrite64, "write", File),
    (libc::SYS_pwritev, "write", File),
    (libc::SYS_sendfile, "sendfile", File),
    (libc::SYS_fsync, "fsync", File),
    (libc::SYS_fdatasync, "fdatasync", File),
    (libc::SYS_syncfs, "syncfs", File),
    (libc::SYS_sync, "sync", Plain),
    (libc::SYS_ftruncate, "ftruncate", File),
    (libc::SYS_fallocate, "fallocate", File),
    (libc::SYS_flock, "flock", File),
    (libc::SYS_fcntl, "fcntl", File),
    (libc::SYS_ioctl, "ioctl", File),
    (libc::SYS_getdents64, "getdents", File),
    (libc::SYS_lseek, "lseek", File),
    (libc::SYS_close, "close", File),
    (libc::SYS_splice, "splice", File),
    (libc::SYS_copy_file_range, "copy_file_range", File),
    (libc::SYS_openat, "open", Plain),
    (libc::SYS_statx, "stat", Plain),
    (libc::SYS_newfstatat, "stat", Plain),
    (libc::SYS_unlinkat, "unlink", Plain),
    (libc::SYS_renameat2, "rename", Plain),
    (libc::SYS_mkdirat, "mkdir", Plain),
    (libc::SYS_wait4, "wait4", Plain),
    (libc::SYS_waitid, "waitid", Plain),
    (libc::SYS_rt_sigtimedwait, "sigwait", Plain),
    (libc::SYS_rt_sigsuspend, "sigsuspend", Plain),
    (FUTEX_WAITV, "lock", Plain),
    (libc::SYS_semtimedop, "semop", Plain),
    (libc::SYS_semop, "semop", Plain),
    (libc::SYS_msgrcv, "msgrcv", Plain),
    (libc::SYS_msgsnd, "msgsnd", Plain),
    (libc::SYS_io_getevents, "io_getevents", Plain),
    (libc::SYS_mmap, "mmap", Plain),
    (libc::SYS_munmap, "munmap", Plain),
    (libc::SYS_mprotect, "mprotect", Plain),
    (libc::SYS_madvise, "madvise", Plain),
    (libc::SYS_brk, "brk", Plain),
    (libc::SYS_clone, "clone", Plain),
    (libc::SYS_execve, "execve", Plain),
    (libc::SYS_exit_group, "exit", Plain),
    (libc::SYS_getrandom, "getrandom", Plain),
    (libc::SYS_restart_syscall, "restart_syscall", Plain),
];

/// Calls that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(libc::c_long, &str, Shape)] = &[
    (libc::SYS_poll, "poll", Poll),
    (libc::SYS_select, "select", Plain),
    (libc::SYS_epoll_wait, "epoll_wait", Plain),
    (libc::SYS_open, "open", Plain),
    (libc::SYS_stat, "stat", Plain),
    (libc::SYS_lstat, "stat", Plain),
    (libc::SYS_unlink, "unlink", Plain),
    (libc::SYS_rename, "rename", Plain),
    (libc::SYS_mkdir, "mkdir", Plain),
    (libc::SYS_pause, "pause", Plain),
    (libc::SYS_fork, "fork", Plain),
    (libc::SYS_vfork, "vfork", Plain),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(libc::c_long, &str, Shape)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: libc::c_long, first: u64, second: u64) -> Call {
        let text = format!("{number} {first:#x} {second:#x} 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n");
        Call::parse(text.as_bytes()).expect("the kernel's form")
    }

    #[test]
    fn a_call_is_known_by_its_name_and_its_file() {
        let recv = call(libc::SYS_recvfrom, 7, 0x5000);
        assert_eq!((recv.name().as_str(), recv.about()), ("recv", About::File(7)));
        // Sign and rubbish in the upper half are not the file's number.
        assert_eq!(call(libc::SYS_read, 0xdead_0000_0003, 0).about(), About::File(3));
        assert_eq!(call(libc::SYS_clock_nanosleep, 0, 0).name(), "sleep");
        assert_eq!(call(libc::SYS_clock_nanosleep, 0, 0).about(), About::Nothing);
        assert_eq!(call(9999, 1, 2).name(), "system call 9999");
    }

    #[test]
    fn one_polled_file_can_be_told_and_several_cannot() {
        assert_eq!(call(libc::SYS_ppoll, 0x7f00, 1).about(), About::Polled(0x7f00));
        assert_eq!(call(libc::SYS_ppoll, 0x7f00, 0).about(), About::Nothing);
        assert_eq!(call(libc::SYS_ppoll, 0x7f00, 2).about(), About::Nothing);
    }

    #[test]
    fn only_a_futex_of_the_gil_is_the_gil() {
        assert!(call(libc::SYS_futex, 0x1010, 0x89).waits_in(&(0x1000..0x1100)));
        assert!(!call(libc::SYS_futex, 0x1100, 0x89).waits_in(&(0x1000..0x1100)));
        assert!(!call(libc::SYS_read, 0x1010, 0).waits_in(&(0x1000..0x1100)));
        assert!(!call(libc::SYS_futex, 0, 0x89).waits_in(&(0..0)));
    }

    #[test]
    fn a_call_that_goes_on_after_a_stop_is_the_same() {
        let poll = call(libc::SYS_restart_syscall, 0x7f00, 1);
        assert_eq!((poll.name().as_str(), poll.about()), ("poll", About::Polled(0x7f00)));
        assert!(call(libc::SYS_restart_syscall, 0x1010, 0x89).waits_in(&(0x1000..0x1100)));
        assert_eq!(call(libc::SYS_restart_syscall, 0x7f00, 0x7f10).name(), "restart_syscall");
    }

    #[test]
    fn what_is_no_call_is_none() {
        let fault = Call::parse(b"-1 0x7ffe 0x7f00\n").expect("it sleeps all the same");
        assert_eq!((fault.name().as_str(), fault.about()), ("page fault", About::Nothing));
        for nonsense in ["running\n", "", "7", "0 7 7", "0 0xg 0x1", "0 0x11111111111111111 0x0"] {
            assert_eq!(Call::parse(nonsense.as_bytes()), None, "{nonsense}");
        }
        assert_eq!(Call::parse(&[0xff, 0xfe]), None);
    }

    #[test]
    fn no_number_stands_twice_in_the_table() {
        let mut numbers: Vec<_> = CALLS.iter().chain(OLD_CALLS).map(|(number, _, _)| number).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}

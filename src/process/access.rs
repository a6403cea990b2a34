//! May pyperf read this process? If not: which of the kernel's gates is shut, and the one command that opens it.
//!
//! Reading another process's memory needs the right to attach with ptrace (`kernel/ptrace.c`, `__ptrace_may_access`): the
//! same user or `CAP_SYS_PTRACE`, a target that is dumpable, and Yama's consent. A seccomp filter that forbids
//! `process_vm_readv` is no obstacle, because `/proc/PID/mem` serves as well; one that forbids `ptrace` rules out blocking.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use procfs::process::Process;

use crate::printable::printable;
use crate::problem::{Advice, Exit};

/// Bit of `CAP_SYS_PTRACE` in a capability set (`include/uapi/linux/capability.h`).
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// The target may not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read process {pid} ({})", printable(.comm, 16))]
pub struct Denied {
    pid: i32,
    comm: String,
    command: String,
    gate: Gate,
    #[source]
    cause: Cause,
}

/// The kernel's words and pyperf's reading of them, as a chain of causes.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("its memory may not be opened: {error}")]
    Open {
        error: std::io::Error,
        #[source]
        gate: Gate,
    },
    #[error("it may not be stopped: {error}")]
    Stop {
        error: std::io::Error,
        #[source]
        gate: Gate,
    },
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Gate {
    #[error("it runs as user {theirs} and pyperf as user {ours}, without the capability SYS_PTRACE")]
    OtherUser { ours: u32, theirs: u32 },
    #[error("it changed its user after it started (gunicorn --user), so the kernel protects it even from its own user")]
    NotDumpable,
    #[error("kernel.yama.ptrace_scope is {0} and it is not a child of pyperf")]
    Yama(u8),
    #[error("kernel.yama.ptrace_scope is 3: no process may be read until the next boot")]
    YamaNever,
    #[error("pyperf is root, but in a container or namespace without the capability SYS_PTRACE")]
    RootWithoutCapability,
    #[error("process {0} traces it already: a debugger or another profiler")]
    Traced(i32),
    #[error("ptrace is forbidden by the seccomp filter that pyperf runs under")]
    Seccomp,
    #[error("a security module or another namespace forbids it, although pyperf has the capability SYS_PTRACE")]
    SecurityModule,
}

impl Advice for Denied {
    fn hint(&self) -> Option<String> {
        Some(match self.gate {
            Gate::OtherUser { .. } | Gate::NotDumpable | Gate::Yama(_) => {
                format!("sudo pyperf {}", self.command)
            }
            Gate::YamaNever => "set kernel.yama.ptrace_scope to 1 in /etc/sysctl.d and reboot".into(),
            Gate::RootWithoutCapability => "docker run --cap-add SYS_PTRACE …, or in Kubernetes \
                 securityContext.capabilities.add: [SYS_PTRACE]"
                .into(),
            Gate::Traced(_) | Gate::Seccomp => format!("pyperf {} --nonblocking", self.command),
            Gate::SecurityModule => "look for the refusal in the kernel's log: dmesg | tail, ausearch -m avc".into(),
        })
    }

    fn exit(&self) -> Exit {
        Exit::NotAllowed
    }
}

/// Checks that the memory of a process may be read, for a command that is named in the advice. A process that has ended in the meantime is no refusal.
///
/// # Errors
///
/// When the kernel refuses, with the gate that is shut.
pub fn check(pid: i32, command: &str) -> Result<(), Denied> {
    match File::open(format!("/proc/{pid}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let gate = gate(&Situation::read(pid));
            Err(Denied {
                pid,
                comm: Process::new(pid)
                    .and_then(|process| process.stat())
                    .map_or_else(|_| "unknown".into(), |stat| stat.comm),
                command: command.into(),
                gate,
                cause: Cause::Open { error, gate },
            })
        }
        _ => Ok(()),
    }
}

/// Why a process that may be read cannot be stopped for it (`--blocking`), where that can be told.
#[must_use]
pub fn why_not_stopped(pid: i32, command: &str) -> Option<Denied> {
    let target = Process::new(pid).and_then(|process| process.status()).ok()?;
    let own = Process::myself().and_then(|process| process.status()).ok()?;
    let gate = match (target.tracerpid, own.seccomp) {
        (0, Some(1..)) => Gate::Seccomp,
        (0, _) => return None,
        (tracer, _) => Gate::Traced(tracer),
    };
    let error = std::io::Error::from(nix::errno::Errno::EPERM);
    Some(Denied { pid, comm: target.name, command: command.into(), gate, cause: Cause::Stop { error, gate } })
}

/// What decides about access.
#[derive(Clone, Copy, Debug)]
struct Situation {
    ours: u32,
    theirs: u32,
    dumpable: bool,
    capable: bool,
    yama: u8,
}

impl Situation {
    fn read(pid: i32) -> Self {
        let status = Process::new(pid).and_then(|process| process.status());
        let own = Process::myself().and_then(|process| process.status());
        let theirs = status.map_or(0, |status| status.euid);
        Self {
            ours: nix::unistd::geteuid().as_raw(),
            theirs,
            // The kernel gives the files of a process that is not dumpable to root (fs/proc/base.c, task_dump_owner).
            dumpable: theirs == 0
                || fs::metadata(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.uid() == theirs),
            capable: own.is_ok_and(|own| own.capeff & CAP_SYS_PTRACE != 0),
            yama: fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")
                .ok()
                .and_then(|scope| scope.trim().parse().ok())
                .unwrap_or(0),
        }
    }
}

fn gate(situation: &Situation) -> Gate {
    match *situation {
        Situation { yama: 3.., .. } => Gate::YamaNever,
        Situation { capable: true, .. } => Gate::SecurityModule,
        Situation { ours: 0, .. } => Gate::RootWithoutCapability,
        Situation { ours, theirs, .. } if ours != theirs => Gate::OtherUser { ours, theirs },
        Situation { dumpable: false, .. } => Gate::NotDumpable,
        Situation { yama: 0, .. } => Gate::SecurityModule,
        Situation { yama, .. } => Gate::Yama(yama),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Situation = Situation { ours: 1000, theirs: 1000, dumpable: true, capable: false, yama: 0 };

    #[test]
    fn the_shut_gate_is_named() {
        assert_eq!(gate(&Situation { yama: 1, ..OPEN }), Gate::Yama(1));
        assert_eq!(gate(&Situation { yama: 3, ..OPEN }), Gate::YamaNever);
        assert_eq!(gate(&Situation { dumpable: false, ..OPEN }), Gate::NotDumpable);
        assert_eq!(gate(&Situation { ours: 0, ..OPEN }), Gate::RootWithoutCapability);
        assert_eq!(gate(&Situation { capable: true, ..OPEN }), Gate::SecurityModule);
        assert_eq!(gate(&Situation { theirs: 33, yama: 1, ..OPEN }), Gate::OtherUser { ours: 1000, theirs: 33 });
    }

    #[test]
    fn an_ended_process_is_no_refusal() {
        assert!(check(i32::MAX, "attach").is_ok());
    }
}

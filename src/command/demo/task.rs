//! A program that the demo has started, and its end.
//!
//! It leads a process group of its own, so that Ctrl+C at the terminal reaches pyperf alone, which then ends the program in
//! order; and so that what the program leaves behind can be found. (The standard library starts it with no signal blocked.)

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::command::signals::{Interrupts, TURN};
use crate::problem::Problem;

/// How often is looked whether it has ended before it is killed: for four seconds.
const GRACE: usize = 200;

/// A running program, ended on drop.
#[derive(Debug)]
pub(super) struct Task {
    child: Child,
    /// Once it was waited for its number may be another's.
    waited_for: bool,
}

impl Task {
    /// Starts it; what it prints goes to the file.
    pub(super) fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        // A Python that is told where to find things elsewhere would not find what is here.
        for name in ["PYTHONHOME", "PYTHONPATH", "GUNICORN_CMD_ARGS"] {
            command.env_remove(name);
        }
        Ok(Self { child: command.spawn()?, waited_for: false })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for its end, or for the user to lose patience.
    pub(super) fn finish(mut self, interrupts: &Interrupts) -> Result<io::Result<ExitStatus>, Problem> {
        while !self.has_ended() {
            interrupts.pause()?;
        }
        self.waited_for = true;
        Ok(self.child.wait())
    }

    /// Whether it has. It keeps its number, and that of its group, until it is waited for.
    pub(super) fn has_ended(&self) -> bool {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        !matches!(waitid(Id::Pid(Pid::from_raw(self.pid())), look), Ok(WaitStatus::StillAlive))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.waited_for {
            return;
        }
        let pid = Pid::from_raw(self.pid());
        let _ = kill(pid, Signal::SIGTERM);
        for _ in 0..GRACE {
            if self.has_ended() {
                break;
            }
            thread::park_timeout(TURN);
        }
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

//! A program that the demo has started, and its end.
//!
//! It leads a process group of its own, so that Ctrl+C at the terminal reaches pyperf alone, which then ends the program in
//! order; and so that what the program leaves behind can be found. The signals that pyperf blocks it finds blocked too: one
//! that is to end in order has to unblock them.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::clock::{Clock, Moment};
use crate::command::signals::{Interrupts, TURN};
use crate::problem::Problem;

/// What becomes of it when nobody wants it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is killed.
    AtOnce,
    /// It is told, and killed if it has not ended after so long.
    Within(Duration),
}

/// A running program, ended on drop.
#[derive(Debug)]
pub(super) struct Task {
    child: Child,
    end: End,
    /// Once it was waited for its number may be another's.
    waited_for: bool,
}

impl Task {
    /// Starts it; what it prints goes to the file.
    pub(super) fn start(command: &mut Command, log: &Path, end: End) -> io::Result<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        // A Python that is told where to find things elsewhere would not find what is here.
        for name in ["PYTHONHOME", "PYTHONPATH", "GUNICORN_CMD_ARGS"] {
            command.env_remove(name);
        }
        Ok(Self { child: command.spawn()?, end, waited_for: false })
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
        if let End::Within(grace) = self.end {
            let _ = kill(pid, Signal::SIGTERM);
            let clock = Clock::start();
            while !self.has_ended() && clock.now().since(Moment::default()) < grace {
                thread::park_timeout(TURN);
            }
        }
        // With it whatever of its group is left.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

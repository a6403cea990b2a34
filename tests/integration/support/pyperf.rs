//! The binary under test, run as a user would run it.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::output::Output;
use super::process::{self, Process};
use super::wait::PATIENCE;

/// A pyperf command line to be run.
pub struct Pyperf {
    command: Command,
}

impl Pyperf {
    /// `pyperf` with these arguments.
    pub fn new<Argument: Into<OsString>>(arguments: impl IntoIterator<Item = Argument>) -> Pyperf {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pyperf"));
        command.args(arguments.into_iter().map(Into::into));
        Pyperf { command }
    }

    /// Runs it in this directory.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Pyperf {
        self.command.current_dir(dir);
        self
    }

    /// Runs it with this environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Pyperf {
        self.command.env(name, value);
        self
    }

    /// Starts it, with nothing on its standard input.
    pub fn start(self) -> Running {
        Running::of(self.command)
    }

    /// Starts it and waits for its end, at most for [`PATIENCE`].
    pub fn run(self) -> Finished {
        self.start().wait(PATIENCE)
    }
}

/// A running pyperf; killed on drop.
pub struct Running {
    process: Process,
    stdout: Output,
    stderr: Output,
}

impl Running {
    /// Starts any command the way pyperf is started.
    pub fn of(mut command: Command) -> Running {
        let [(stdout, out), (stderr, err)] = [(); 2].map(|()| std::io::pipe().expect("a pipe can be had"));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Running { process: Process::spawn(command), stdout: Output::of(stdout), stderr: Output::of(stderr) }
    }

    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        process::signal(self.pid(), Signal::SIGINT);
    }

    /// What `kill` does.
    pub fn terminate(&self) {
        process::signal(self.pid(), Signal::SIGTERM);
    }

    /// What `kill -9` does.
    pub fn kill(&self) {
        process::signal(self.pid(), Signal::SIGKILL);
    }

    /// Waits for its end; panics with its output so far if it has not come after `deadline`.
    pub fn wait(mut self, deadline: Duration) -> Finished {
        let status = self.process.wait(deadline).unwrap_or_else(|| {
            panic!("still running after {deadline:?}\nstdout: {}\nstderr: {}", self.stdout.text(), self.stderr.text())
        });
        let (stdout, stderr) = (self.stdout.wait_for_end(), self.stderr.wait_for_end());
        Finished { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}

/// How it ended and all that it wrote.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Panics with its output unless it ended with code 0.
    pub fn succeeded(self) -> Finished {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

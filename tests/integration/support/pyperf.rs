//! The binary under test, run as a user would run it.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;

use super::namespace::Namespace;
use super::output::Output;
use super::process::{self, Process};
use super::wait::PATIENCE;

/// A pyperf command line to be run.
pub struct Pyperf {
    command: Command,
}

impl Pyperf {
    /// Where the binary is.
    pub const PROGRAM: &str = env!("CARGO_BIN_EXE_pyperf");

    /// `pyperf` with these arguments.
    pub fn new<Argument: Into<OsString>>(arguments: impl IntoIterator<Item = Argument>) -> Pyperf {
        Pyperf::by(Command::new(Pyperf::PROGRAM), arguments)
    }

    /// As [`Pyperf::new`], started inside the namespace.
    pub fn inside<Argument: Into<OsString>>(
        namespace: &Namespace,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Pyperf {
        Pyperf::by(namespace.command(Pyperf::PROGRAM), arguments)
    }

    /// Samples a process and its descendants.
    pub fn attach<'a>(pid: i32, arguments: impl IntoIterator<Item = &'a str>) -> Pyperf {
        let target = ["attach".to_owned(), "--pid".to_owned(), pid.to_string()];
        Pyperf::new(target.into_iter().chain(arguments.into_iter().map(str::to_owned)))
    }

    fn by<Argument: Into<OsString>>(mut command: Command, arguments: impl IntoIterator<Item = Argument>) -> Pyperf {
        command.args(arguments.into_iter().map(Into::into));
        // A test run by sudo is not a pyperf run by sudo.
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        Pyperf { command }
    }

    /// Runs it as another user, which only root can do.
    pub fn user(mut self, user: &User) -> Pyperf {
        self.command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        self
    }

    /// Runs it as sudo would when this user calls it.
    pub fn sudo_of(self, user: &User) -> Pyperf {
        self.env("SUDO_UID", &user.uid.to_string()).env("SUDO_GID", &user.gid.to_string())
    }

    /// Runs it in this directory.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Pyperf {
        self.command.current_dir(dir);
        self
    }

    /// Further arguments.
    pub fn arguments<Argument: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = Argument>) -> Pyperf {
        self.command.args(arguments.into_iter().map(Into::into));
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
        self.ended_with(0)
    }

    /// Panics with its output unless it ended with this code.
    pub fn ended_with(self, code: i32) -> Finished {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Panics unless its errors contain all of these.
    pub fn says(self, parts: &[&str]) -> Finished {
        let missing = parts.iter().find(|part| !self.stderr.contains(**part));
        assert!(missing.is_none(), "{missing:?} is missing in:\n{}", self.stderr);
        self
    }
}

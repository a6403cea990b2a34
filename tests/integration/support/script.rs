//! A sample script of `apps/` that runs by itself, without a server.

use std::process::{Command, Stdio};

use super::output::Output;
use super::process::Process;
use super::python::Python;

/// A running script; killed on drop.
pub struct Script {
    process: Process,
}

impl Script {
    /// Starts the script `apps/<name>` and waits until it says that it is ready.
    pub fn start(python: &Python, name: &str) -> Script {
        let mut command = Command::new(python.program());
        command.arg(super::apps().join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
        let (reader, writer) = std::io::pipe().expect("a pipe can be had");
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
        let process = Process::spawn(command);
        Output::of(reader).wait_for("ready");
        Script { process }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }
}

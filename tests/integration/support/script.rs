//! A sample script of `apps/` that runs by itself, without a server.

use std::process::{Command, Stdio};

use super::namespace::Namespace;
use super::output::Output;
use super::process::{self, Process};
use super::python::Python;

/// A running script; killed on drop.
pub struct Script {
    process: Process,
}

impl Script {
    /// Starts the script `apps/<name>` and waits until it says that it is ready.
    pub fn start(python: &Python, name: &str) -> Script {
        Script::spawn(Command::new(python.program()), name)
    }

    /// Starts the script in a pid namespace, and there in a network namespace of its own, whose loopback is down; returns also the
    /// pid of its Python outside.
    pub fn start_inside(namespace: &Namespace, python: &Python, name: &str) -> (Script, i32) {
        let mut command = namespace.command("unshare");
        command.arg("--net").arg(python.program()).env("LOOPBACK_IS_DOWN", "1");
        let script = Script::spawn(command, name);
        let pid = process::children(script.pid())[0];
        (script, pid)
    }

    fn spawn(mut command: Command, name: &str) -> Script {
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

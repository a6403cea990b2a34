//! The WebSocket server of the Python package `websockets`.

use std::io;
use std::process::{Command, Stdio};

use super::apps;
use super::environment::{Environment, Packages};
use super::output::Output;
use super::process::Process;
use super::python::Python;

/// A running server; killed on drop.
pub struct WebSockets {
    _process: Process,
    log: Output,
    port: u16,
}

impl WebSockets {
    /// Starts it and waits until it listens.
    pub fn start() -> WebSockets {
        let (reader, writer) = io::pipe().expect("a pipe can be had");
        let environment = Environment::new(&Python::default(), Packages::WebSockets);
        let mut command = Command::new(environment.python());
        command.arg(apps().join("websockets_server.py")).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command.stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
        let process = Process::spawn(command);
        let log = Output::of(reader);
        let line = log.wait_for("listening: ");
        let port = line.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("the line ends with a port");
        WebSockets { _process: process, log, port }
    }

    /// Where a path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    /// What it has written.
    pub fn log(&self) -> &Output {
        &self.log
    }
}

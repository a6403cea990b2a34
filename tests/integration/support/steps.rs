//! A script that stands still at one shape of its stack after the other, until it is told to go on.

use std::io::{PipeWriter, Write};
use std::process::Command;

use super::output::Output;
use super::process::Process;
use super::python::Python;

/// The running script `apps/steps.py`; killed on drop.
pub struct Steps {
    process: Process,
    input: PipeWriter,
    output: Output,
    taken: usize,
}

impl Steps {
    /// Starts it; it goes to its first shape.
    pub fn start(python: &Python) -> Steps {
        let mut command = Command::new(python.program());
        command.arg(super::apps().join("steps.py")).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        let (reader, writer) = std::io::pipe().expect("a pipe can be had");
        let (stdin, input) = std::io::pipe().expect("a pipe can be had");
        command.stdin(stdin).stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
        let process = Process::spawn(command);
        Steps { process, input, output: Output::of(reader), taken: 0 }
    }

    /// Waits until it stands; returns the name of the shape.
    pub fn stands_at(&mut self) -> String {
        self.taken += 1;
        let line = self.output.wait_for_lines("at ", self.taken).remove(self.taken - 1);
        line.trim_start_matches("at ").to_owned()
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.input.write_all(b"\n").expect("it reads");
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }
}

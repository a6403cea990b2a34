//! A pid namespace of its own with its own `/proc`: what a container is to the host, and a machine on which nothing else runs.
//!
//! Only root can make one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::output::Output;
use super::process::{self, Process};

/// A pid namespace; all processes in it die on drop.
pub struct Namespace {
    _unshare: Process,
    /// Its process 1, by the number that it has outside.
    init: i32,
}

impl Namespace {
    /// Makes one with nothing in it but a sleeping process 1.
    pub fn new() -> Namespace {
        let (reader, writer) = io::pipe().expect("a pipe can be had");
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", "echo made; exec sleep infinity"]);
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a pipe can be shared")).stderr(writer);
        let unshare = Process::spawn(command);
        Output::of(reader).wait_for("made");
        let init = process::children(unshare.pid())[0];
        Namespace { _unshare: unshare, init }
    }

    /// A command that runs `program` inside. What is started and can be signalled is nsenter, its parent outside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--pid", "--mount", "--"]).arg(program);
        command
    }

    /// The pid that a process inside has outside.
    pub fn outside(&self, inside: i32) -> i32 {
        let ours = identity(self.init);
        let is_meant = |pid: &i32| innermost(*pid) == Some(inside) && identity(*pid) == ours;
        process::all().into_iter().find(is_meant).expect("the process runs in this namespace")
    }
}

fn identity(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// The pid that a process has for itself.
fn innermost(pid: i32) -> Option<i32> {
    let status = procfs::process::Process::new(pid).and_then(|process| process.status()).ok()?;
    status.nspid?.last().copied()
}

//! A driver on its own CPU, and how the bench makes room for it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The CPU of the servers and of the bench.
pub const SERVER_CPU: &str = "0";
/// The CPU of the drivers.
const DRIVER_CPU: &str = "1";

/// Gives this process the servers' CPU, real-time priority if that is granted, and enough open files: for itself and for all that
/// it starts.
pub fn prepare(open_files: u64) {
    let own = std::process::id().to_string();
    let first = Command::new("chrt").args(["--rr", "-p", "1", &own]).stderr(Stdio::null()).status();
    if !first.is_ok_and(|status| status.success()) {
        println!("without real-time priority (root has it): what else runs here is in all figures");
    }
    let pinned = Command::new("taskset").args(["-a", "-c", "-p", SERVER_CPU, &own]).stdout(Stdio::null()).status();
    assert!(pinned.is_ok_and(|status| status.success()), "the bench needs taskset and two CPUs");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert!(hard >= open_files, "the bench needs {open_files} open files: ulimit -n {open_files}");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(open_files), hard).expect("a limit");
}

/// A driver that is about to be started.
pub fn command<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", DRIVER_CPU]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A file that is gone with its guard.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pyperf-bench-{}-{name}", std::process::id()));
        fs::write(&path, content).expect("a file");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

//! A driver as a process of its own on its own CPU: what it used, and what it said.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use pyperf::clock::Clock;

use crate::server::pause;

/// The CPU of the servers and of the bench.
pub const SERVER_CPU: &str = "0";
/// The CPU of the drivers.
const DRIVER_CPU: &str = "1";
/// The longest that a driver may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process used in its life.
#[derive(Clone, Debug, Default)]
pub struct Used {
    pub cpu: Duration,
    pub elapsed: Duration,
    /// How long its threads were ready to run and had to wait for the CPU: what others on the machine took from it.
    pub waited: Duration,
    /// The most memory that it held, in MiB.
    pub peak: f64,
    pub said: String,
}

/// Where a program is; without it there is no bench.
pub fn tool(name: &str, install: &str) -> PathBuf {
    let home = std::env::home_dir().map(|home| home.join(".cargo/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(home)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("there is no {name} here to compare with; install it: {install}"))
}

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

/// Runs a driver to its end.
pub fn run(command: &mut Command, clock: Clock) -> Used {
    let (began, before) = (clock.now(), cpu_of_children());
    let mut child = command.spawn().expect("taskset");
    let (mut peak, mut waited) = (0.0, Duration::ZERO);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peak = peak_of(&child).unwrap_or(peak);
        waited = waited.max(waited_of(&child));
        if clock.now().since(began) > PATIENCE {
            let _ = child.kill();
        }
        pause(Duration::from_millis(10));
    };
    let (elapsed, cpu) = (clock.now().since(began), cpu_of_children().saturating_sub(before));
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut said).expect("text");
    }
    assert!(status.success(), "{command:?} failed with {status}:\n{said}");
    Used { cpu, elapsed, waited, peak, said }
}

/// CPU time of the children that have been waited for.
fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("Linux has it");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// The most memory that a process has held so far, in MiB (`VmHWM` of proc(5)).
fn peak_of(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// How long the threads of a process have waited for a CPU (`schedstat`, Documentation/scheduler/sched-stats.rst).
fn waited_of(child: &Child) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
    let waited = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.filter_map(waited).sum())
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

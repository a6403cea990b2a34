//! A program as a process of its own, run to its end: what it used, and what it said.
//!
//! It stands alone so that all benches that compare whole programs measure them in one way.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use pyperf::clock::Clock;

use crate::cores;

/// The longest that a program may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between two looks at a running program.
const LOOK: Duration = Duration::from_millis(10);

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

/// Runs a program to its end, which has to be a good one.
pub fn run(command: &mut Command, clock: Clock) -> Used {
    let (status, used) = watch(command, clock);
    assert!(status.success(), "{command:?} failed with {status}:\n{}", used.said);
    used
}

/// Runs a program to its end; ends it when it takes longer than the bench has patience. What it writes to a piped standard
/// output must be short: it is read at the end.
pub fn watch(command: &mut Command, clock: Clock) -> (ExitStatus, Used) {
    let (began, before) = (clock.now(), cpu_of_children());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut peak, mut waited) = (0.0, Duration::ZERO);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peak = peak_of(&child).unwrap_or(peak);
        waited = waited.max(cores::waited_for(child.id().cast_signed()));
        if clock.now().since(began) > PATIENCE {
            let _ = child.kill();
        }
        std::thread::sleep(LOOK);
    };
    let (elapsed, cpu) = (clock.now().since(began), cpu_of_children().saturating_sub(before));
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut said).expect("text");
    }
    (status, Used { cpu, elapsed, waited, peak, said })
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

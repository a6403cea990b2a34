//! The profilers as a user starts them: what to type, and how many samples are in what they wrote.
//!
//! All are asked for the same: the whole tree, every thread whatever it does, the target never stopped (but for py-spy's own
//! default), and the shortest text format there is. What counts as a sample is one stack of one thread in the output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::{Used, watch};
use crate::service::Site;
use crate::support::environment::{Environment, Packages};
use crate::support::python::Python;
use crate::support::temp_dir::TempDir;
use crate::{austin, calls};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profiler {
    Pyperf,
    /// `py-spy --nonblocking`
    PySpy,
    /// py-spy as it is by default: the target is stopped for each sample.
    PySpyStopping,
    Austin3,
    Austin4,
    /// No profiler: [`calls`] that each would have to make.
    Calls,
}

impl Profiler {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pyperf => "pyperf",
            Self::PySpy => "py-spy 0.4.3 nonblocking",
            Self::PySpyStopping => "py-spy 0.4.3",
            Self::Austin3 => "Austin 3.7",
            Self::Austin4 => "Austin 4.0",
            Self::Calls => "the calls alone",
        }
    }
}

/// Where they are.
pub struct Profilers {
    py_spy: PathBuf,
    austin3: PathBuf,
    /// The words that start it; none if it cannot be had here.
    austin4: Vec<PathBuf>,
}

/// What a run came to.
pub struct Sampled {
    /// Stacks of one thread each.
    pub samples: u64,
    pub used: Used,
    /// What was written; of Austin 4 without sense.
    pub text: String,
}

impl Profilers {
    /// Installs all that can be had; says so when Austin 4 cannot.
    pub fn install() -> Self {
        let python = Python::default();
        let austin = |version: &str| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python-envs");
            let folder = folder.join(format!("{python}-austin-{version}"));
            Environment::at(folder, &python, &format!("austin-dist=={version}\n")).script("austin")
        };
        let austin4 = austin::four(austin("4.0.0")).unwrap_or_else(|why| {
            println!("Austin 4.0 cannot be had here: {why}");
            Vec::new()
        });
        let py_spy = Environment::new(&python, Packages::PySpy).script("py-spy");
        Self { py_spy, austin3: austin("3.7.0"), austin4 }
    }

    /// Whether it can be had here.
    pub fn has(&self, profiler: Profiler) -> bool {
        profiler != Profiler::Austin4 || !self.austin4.is_empty()
    }

    /// Samples the tree below `pid` for so many seconds.
    pub fn sample(&self, profiler: Profiler, pid: i32, rate: u32, seconds: u32, site: &Site) -> Sampled {
        let folder = TempDir::new();
        let file = folder.join("samples");
        let mut command = self.command(profiler, pid, rate, Some(seconds), &file);
        let (status, used) = watch(&mut command, site.clock);
        // Austin 3 ends with 254 when all is well, and with 0 when there was nothing to sample.
        let text = fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_else(|error| panic!("{command:?} wrote nothing ({status}): {error}"));
        let samples = count(profiler, &text);
        assert!(samples > 0, "{command:?} ended with {status} and without a sample");
        Sampled { samples, used, text }
    }

    /// What a user types to have samples in `file`; without an end, one that only a signal brings.
    pub fn command(&self, profiler: Profiler, pid: i32, rate: u32, seconds: Option<u32>, file: &Path) -> Command {
        let (pid, interval) = (pid.to_string(), (1_000_000 / rate).to_string());
        let rate = rate.to_string();
        let seconds = seconds.map(|seconds| seconds.to_string());
        let mut command = match profiler {
            Profiler::Pyperf => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pyperf"));
                command.args([
                    "attach",
                    "-p",
                    &pid,
                    "-r",
                    &rate,
                    "--idle",
                    "--by",
                    "role,worker",
                    "-f",
                    "collapsed",
                    "-q",
                ]);
                command
            }
            Profiler::PySpy | Profiler::PySpyStopping => {
                let mut command = Command::new(&self.py_spy);
                command.args(["record", "-p", &pid, "-r", &rate, "--idle", "--subprocesses", "--format", "raw"]);
                command.args((profiler == Profiler::PySpy).then_some("--nonblocking"));
                command
            }
            Profiler::Austin3 => {
                let mut command = Command::new(&self.austin3);
                command.args(["-C", "-p", &pid, "-i", &interval]);
                command
            }
            Profiler::Austin4 => {
                let mut command = Command::new(&self.austin4[0]);
                command.args(&self.austin4[1..]).args(["-C", "-p", &pid, "-i", &interval]);
                command
            }
            Profiler::Calls => calls::command(&pid, &rate),
        };
        if let Some(seconds) = &seconds {
            let austin = matches!(profiler, Profiler::Austin3 | Profiler::Austin4);
            command.args([if austin { "-x" } else { "-d" }, seconds]);
        }
        command.arg("-o").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        command
    }
}

/// The stacks in what a profiler wrote.
fn count(profiler: Profiler, text: &str) -> u64 {
    match profiler {
        // Lines of `frame;frame count`.
        Profiler::Pyperf | Profiler::PySpy | Profiler::PySpyStopping | Profiler::Calls => collapsed(text.lines()),
        // A line each: `Ppid;Ttid;frame;frame microseconds`.
        Profiler::Austin3 => text.lines().filter(|line| line.starts_with('P')).count() as u64,
        // Binary, and at its end the text `errors`, a zero byte, `invalid/all`.
        Profiler::Austin4 => {
            let told = text.rsplit_once("errors\0").and_then(|(_, told)| told.split('\0').next()?.split_once('/'));
            let [invalid, all] =
                told.map_or([0; 2], |(invalid, all)| [invalid, all].map(|text| text.parse().unwrap_or(0)));
            all - invalid
        }
    }
}

/// The sum of the counts of collapsed stacks.
pub fn collapsed<'a>(lines: impl Iterator<Item = &'a str>) -> u64 {
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// What a long run took and a short one did not: the start and the end of a program are in neither.
pub struct Beyond {
    cpu: f64,
    elapsed: f64,
    samples: f64,
}

impl Beyond {
    pub fn of([short, long]: [&Sampled; 2]) -> Self {
        let seconds = |long: Duration, short| long.saturating_sub(short).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench")]
        let samples = long.samples.saturating_sub(short.samples) as f64;
        Self {
            cpu: seconds(long.used.cpu, short.used.cpu),
            // py-spy counts samples and not seconds, and takes longer when it is behind.
            elapsed: seconds(long.used.elapsed, short.used.elapsed),
            samples,
        }
    }

    /// CPU time of each sample, in µs.
    pub fn micros_each(&self) -> f64 {
        self.cpu * 1e6 / self.samples
    }

    /// Samples in a second.
    pub fn rate(&self) -> f64 {
        self.samples / self.elapsed
    }

    /// CPU time, in % of a core.
    pub fn of_a_core(&self) -> f64 {
        self.cpu * 100.0 / self.elapsed
    }
}

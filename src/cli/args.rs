//! The flags, as typed. Letters and meanings are py-spy's wherever py-spy has the flag.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::processor::ProcessorArgs;

/// See why a Python service is slow, from outside: nothing to install in it, nothing to restart.
#[derive(Debug, Parser)]
#[command(name = "pyperf", version, propagate_version = false, infer_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sample a running gunicorn until Ctrl+C, then write a flamegraph
    ///
    /// Follows the master and its workers, present and future. The graph shows the workers, merged; idle threads are left
    /// out.
    #[command(visible_alias = "record")]
    Attach(AttachArgs),
    /// Print what every worker is doing right now
    Dump(DumpArgs),
    /// Draw a recording again, in another format or split in another way
    Report(ReportArgs),
    /// Run a load test that is written for Artillery
    ///
    /// Says first what in the script is ignored or read in another way, then sends the load, and at the end tells what came of
    /// it. Ctrl+C once: no more arrivals, users may finish for a moment, and the whole report; twice: the report now.
    Run(Box<RunArgs>),
    /// Run a load test and sample the gunicorn that serves it, on one clock
    ///
    /// The flags of `run` with Artillery's letters, those of `attach` in their long form. Everything goes into one folder: the
    /// recording, a flamegraph in which every sample stands under its phase, and the report.
    RunWithLoad(Box<RunWithLoadArgs>),
    /// Send so many requests to one address, without a script
    Quick(QuickArgs),
    /// Say everything that is wrong, ignored or changed in a script, and send nothing
    Check(CheckArgs),
    /// Show what pyperf does, on a small service that it brings along
    ///
    /// Starts a booking office in Python under gunicorn, sends it more and more requests for half a minute, and ends it again.
    /// Needs Python 3.8 and, the first time, pip's package index.
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(super) struct TargetArgs {
    /// Process to read, with all that descends from it
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "name")]
    pub(super) pid: Option<i32>,

    /// Python program to read: its script, module or title
    #[arg(long, default_value = "gunicorn")]
    pub(super) name: String,

    /// Read one process only, not its descendants
    #[arg(long)]
    pub(super) no_subprocesses: bool,

    /// Always on, as descendants are read unless told otherwise
    #[arg(short, long, hide = true, conflicts_with = "no_subprocesses")]
    pub(super) subprocesses: bool,

    /// Stop the process for each read: exact stacks, at the price of its speed
    #[arg(long)]
    pub(super) blocking: bool,

    /// Never stop the process (the default)
    #[arg(long, conflicts_with = "blocking")]
    pub(super) nonblocking: bool,

    /// Who reads the stacks when the process is not stopped: snapshots on `CPython` 3.11 and later, py-spy elsewhere
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) reader: ReaderArg,
}

#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,

    /// Sample every program of that name, not just one
    #[arg(long, conflicts_with = "pid")]
    pub(super) all: bool,

    /// Samples of each process per second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) rate: u32,

    /// Seconds to sample; until Ctrl+C if not given
    #[arg(short, long, value_name = "SECONDS", value_parser = duration)]
    pub(super) duration: Option<Duration>,

    /// File to write, `-` for standard output [default: profile-PID.svg, the pid being the master's]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    #[command(flatten)]
    pub(super) view: ViewArgs,

    /// One frame per function, at its first line
    #[arg(short = 'F', long)]
    pub(super) function: bool,

    /// Also keep everything that was sampled, for `pyperf report` and for SQL
    #[arg(long, value_name = "FILE")]
    pub(super) recording: Option<PathBuf>,

    /// Print nothing but the path of the file
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(super) struct ViewArgs {
    /// Kind of file to write
    #[arg(short, long, value_enum, default_value = "flamegraph")]
    pub(super) format: FormatArg,

    /// Levels below the root of the graph, outermost first
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,…")]
    pub(super) by: Vec<LevelArg>,

    /// Show each thread by itself; the same as a last level of `--by thread`
    #[arg(short, long)]
    pub(super) threads: bool,

    /// What counts [default: wall]
    #[arg(long, value_enum)]
    pub(super) mode: Option<ModeArg>,

    /// Count only threads that hold the GIL; the same as `--mode gil`
    #[arg(short, long)]
    pub(super) gil: bool,

    /// Count idle threads too
    #[arg(short, long)]
    pub(super) idle: bool,

    /// Show below each stack what its thread waited for, as a last frame; always with `--mode wait`
    #[arg(long)]
    pub(super) states: bool,

    /// Leave out line numbers: one frame per function
    #[arg(long)]
    pub(super) nolineno: bool,

    /// Show whole paths of files
    #[arg(long)]
    pub(super) full_filenames: bool,
}

#[derive(Debug, Args)]
pub(super) struct DumpArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,

    /// Print JSON
    #[arg(short, long)]
    pub(super) json: bool,

    /// Show local variables; again for longer values. What looks like a secret is hidden
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) locals: u8,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The recording: a file that `attach --recording` or `run-with-load` wrote; or two, the one of the server and that of `run
    /// --recording` on another machine, which are joined on the wall clock
    #[arg(required = true, num_args = 1..=2, value_name = "RECORDING")]
    pub(super) recordings: Vec<PathBuf>,

    /// How many seconds the clock of the second recording is ahead of that of the first
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "SECONDS")]
    pub(super) clock_offset: f64,

    /// Write what is said at the end of a run with load, in place of a graph
    #[arg(long, conflicts_with_all = ["diff", "json"])]
    pub(super) text: bool,

    /// Write everything about a run with load as JSON, in place of a graph
    #[arg(long, conflicts_with = "diff")]
    pub(super) json: bool,

    /// Only samples of one phase of the load
    #[arg(long, value_name = "NAME")]
    pub(super) phase: Option<String>,

    /// Only samples taken while a request to such an endpoint was in flight: a part of its name, or with `*` a pattern of the
    /// whole of it; the name is what reports show, as a rule `METHOD /path`. By time: the report says how often other
    /// endpoints were in flight too
    #[arg(long, value_name = "PATTERN")]
    pub(super) endpoint: Option<String>,

    /// What grew and what shrank from one phase of the load to another: a graph, and a table
    #[arg(long, num_args = 2, value_names = ["PHASE", "PHASE"], conflicts_with = "phase")]
    pub(super) diff: Option<Vec<String>>,

    /// File to write, `-` for standard output [default: the name of the recording with the ending of the format]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    #[command(flatten)]
    pub(super) view: ViewArgs,

    /// Print nothing but the path of the file
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Which script, and with which changes: Artillery's flags and letters.
#[derive(Debug, Args)]
pub(super) struct ScriptArgs {
    /// Scripts (.yml, .yaml or .json), laid over each other in this order
    #[arg(required = true, value_name = "SCRIPT")]
    pub(super) scripts: Vec<PathBuf>,

    /// Address of the server, in place of the script's
    #[arg(short, long, value_name = "URL")]
    pub(super) target: Option<String>,

    /// A further script, laid over the others; usually has target and phases
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Which of the script's environments to use
    #[arg(short, long, value_name = "NAME")]
    pub(super) environment: Option<String>,

    /// Variables, as a JSON object
    #[arg(short, long, value_name = "JSON")]
    pub(super) variables: Option<String>,

    /// Anything of the script, as a JSON object that is laid over it
    #[arg(long, value_name = "JSON")]
    pub(super) overrides: Option<String>,

    /// CSV file, in place of the one in the script
    #[arg(short, long, value_name = "FILE")]
    pub(super) payload: Option<PathBuf>,

    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub(super) insecure: bool,

    /// File of environment variables
    #[arg(long, alias = "env-file", value_name = "FILE")]
    pub(super) dotenv: Option<PathBuf>,

    /// One virtual user in place of the phases
    #[arg(short, long)]
    pub(super) solo: bool,

    /// Run one scenario only: its name, or a regular expression that one name fits
    #[arg(long, value_name = "NAME")]
    pub(super) scenario_name: Option<String>,

    /// Another script
    #[arg(short, long, hide = true, value_name = "SCRIPT")]
    pub(super) input: Vec<PathBuf>,

    /// Where chance comes from: equal seeds give equal arrivals and choices [default: a new one, which is printed]
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,

    #[command(flatten)]
    pub(super) processor: ProcessorArgs,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) script: ScriptArgs,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Folder for the results [default: pyperf-demo-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Three seconds in place of half a minute
    #[arg(long, hide = true)]
    pub(super) short: bool,

    /// Print nothing but the paths of the files
    #[arg(short, long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct QuickArgs {
    /// Where to send requests
    pub(super) url: String,

    /// Virtual users, all at once
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: u64,

    /// Requests of each user
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) num: u64,

    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub(super) insecure: bool,

    #[command(flatten)]
    pub(super) telling: TellingArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) script: ScriptArgs,

    #[command(flatten)]
    pub(super) telling: TellingArgs,

    /// A name for the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,

    /// Exit with 1 when a user failed or an answer was an error, not only when the script's `ensure` says so
    #[arg(long)]
    pub(super) fail_on_errors: bool,

    /// Also keep every request and user, as they come, for `pyperf report` and for SQL
    #[arg(long, value_name = "FILE")]
    pub(super) recording: Option<PathBuf>,

    #[command(flatten)]
    pub(super) elsewhere: ElsewhereArgs,
}

/// How a load is told about.
#[derive(Debug, Args)]
pub(super) struct TellingArgs {
    /// File to write the numbers to, as Artillery's JSON; in a folder it gets a name of its own
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Seconds that users may go on after Ctrl+C
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub(super) grace: f64,

    /// Which summary to print: Artillery 1's, or every metric by Artillery 2's name, as it goes and at the end
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(super) console: Option<ConsoleArg>,

    /// Print no report; what `log` steps say is still printed
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Labels for the run, kept in the JSON: key:value,…
    #[arg(long, value_name = "LABELS")]
    pub(super) tags: Option<String>,

    /// A note on the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(super) struct RunWithLoadArgs {
    #[command(flatten)]
    pub(super) script: ScriptArgs,

    #[command(flatten)]
    pub(super) telling: TellingArgs,

    /// A name for the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(super) run_name: Option<String>,

    /// Exit with 1 when a user failed or an answer was an error, not only when the script's `ensure` says so
    #[arg(long)]
    pub(super) fail_on_errors: bool,

    /// Folder for the results [default: pyperf-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// Seconds to sample before the load begins
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(super) lead: f64,

    /// Process to sample, with all that descends from it [default: the one that listens on the target's port]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "name")]
    pub(super) pid: Option<i32>,

    /// Python program to sample: its script, module or title
    #[arg(long, value_name = "PROGRAM")]
    pub(super) name: Option<String>,

    /// Sample one process only, not its descendants
    #[arg(long)]
    pub(super) no_subprocesses: bool,

    /// Stop the process for each read: exact stacks, at the price of its speed
    #[arg(long)]
    pub(super) blocking: bool,

    /// Never stop the process (the default)
    #[arg(long, conflicts_with = "blocking")]
    pub(super) nonblocking: bool,

    /// Who reads the stacks when the process is not stopped: snapshots on `CPython` 3.11 and later, py-spy elsewhere
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) reader: ReaderArg,

    /// Samples of each process per second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) rate: u32,

    /// Kind of graph to write
    #[arg(short, long, value_enum, default_value = "flamegraph")]
    pub(super) format: FormatArg,

    /// Levels below the root of the graph, outermost first
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,…", default_value = "phase")]
    pub(super) by: Vec<LevelArg>,

    /// Show each thread by itself; the same as a last level of `--by thread`
    #[arg(long)]
    pub(super) threads: bool,

    /// What counts in the graph, and makes functions hot in the report [default: wall]
    #[arg(long, value_enum)]
    pub(super) mode: Option<ModeArg>,

    /// Count only threads that hold the GIL; the same as `--mode gil`
    #[arg(short, long)]
    pub(super) gil: bool,

    /// Count idle threads too
    #[arg(long)]
    pub(super) idle: bool,

    /// Show below each stack what its thread waited for, as a last frame; always with `--mode wait`
    #[arg(long)]
    pub(super) states: bool,

    /// One frame per function, at its first line
    #[arg(long)]
    pub(super) function: bool,

    /// Leave out line numbers: one frame per function
    #[arg(long)]
    pub(super) nolineno: bool,

    /// Show whole paths of files
    #[arg(long)]
    pub(super) full_filenames: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConsoleArg {
    /// A short summary, and what went wrong and why
    Classic,
    /// Every metric by Artillery 2's name, for every ten seconds and at the end
    New,
}

/// Flags of Artillery that belong to its own services.
#[derive(Debug, Args)]
pub(super) struct ElsewhereArgs {
    #[arg(long, hide = true)]
    pub(super) record: bool,
    #[arg(long, hide = true)]
    pub(super) key: Option<String>,
    #[arg(long, hide = true)]
    pub(super) platform: Option<String>,
    #[arg(long, hide = true)]
    pub(super) platform_opt: Vec<String>,
    #[arg(long, hide = true)]
    pub(super) count: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReaderArg {
    /// Snapshots where they are possible, else py-spy
    Auto,
    /// Snapshots or nothing
    Snapshot,
    /// The py-spy library
    Pyspy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatArg {
    /// Interactive SVG
    Flamegraph,
    /// A line per distinct stack, with its count
    #[value(alias = "raw", help = "A line per distinct stack, with its count (py-spy's `raw`)")]
    Collapsed,
    /// JSON for speedscope
    Speedscope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeArg {
    /// Time: every sample of a thread that is not idle
    Wall,
    /// CPU time: each sample weighs what its thread used, so that the graph adds up to what the workers used
    Cpu,
    /// Samples of threads that held the GIL, idle ones among them
    Gil,
    /// Samples of threads that waited: in a request, for a core, or for the GIL
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LevelArg {
    /// Each process
    #[value(alias = "process")]
    Worker,
    /// Each thread
    Thread,
    /// Master, worker, child
    Role,
    /// Each phase of the load
    Phase,
    /// Running, waiting for a core, for the GIL, for what else, idle
    State,
}

/// A length of sampling: `None` inside is py-spy's word `unlimited`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duration(pub(super) Option<std::time::Duration>);

fn duration(text: &str) -> Result<Duration, String> {
    if text == "unlimited" {
        return Ok(Duration(None));
    }
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, or `unlimited`".to_string())?;
    match std::time::Duration::try_from_secs_f64(seconds) {
        Ok(length) if !length.is_zero() => Ok(Duration(Some(length))),
        _ => Err("must be more than 0".into()),
    }
}

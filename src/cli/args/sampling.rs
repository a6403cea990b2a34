//! The flags of sampling and of drawing what was sampled. Letters and meanings are py-spy's wherever py-spy has the flag.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

#[derive(Debug, Args)]
pub(in crate::cli) struct TargetArgs {
    /// Process to read, with all that descends from it
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "name")]
    pub(in crate::cli) pid: Option<i32>,

    /// Python program to read: its script, module or title
    #[arg(long, default_value = "gunicorn")]
    pub(in crate::cli) name: String,

    /// Read one process only, not its descendants
    #[arg(long)]
    pub(in crate::cli) no_subprocesses: bool,

    /// Always on, as descendants are read unless told otherwise
    #[arg(short, long, hide = true, conflicts_with = "no_subprocesses")]
    pub(in crate::cli) subprocesses: bool,

    #[command(flatten)]
    pub(in crate::cli) reading: ReadingArgs,
}

/// How stacks are read.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReadingArgs {
    /// Stop the process for each read: exact stacks, at the price of its speed
    #[arg(long)]
    pub(in crate::cli) blocking: bool,

    /// Never stop the process (the default)
    #[arg(long, conflicts_with = "blocking")]
    pub(in crate::cli) nonblocking: bool,

    /// Who reads the stacks when the process is not stopped: snapshots on `CPython` 3.11 and later, py-spy elsewhere
    #[arg(long, value_enum, default_value = "auto")]
    pub(in crate::cli) reader: ReaderArg,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AttachArgs {
    #[command(flatten)]
    pub(in crate::cli) target: TargetArgs,

    /// Sample every program of that name, not just one
    #[arg(long, conflicts_with = "pid")]
    pub(in crate::cli) all: bool,

    /// Samples of each process per second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(in crate::cli) rate: u32,

    /// Seconds to sample; until Ctrl+C if not given
    #[arg(short, long, value_name = "SECONDS", value_parser = duration)]
    pub(in crate::cli) duration: Option<Duration>,

    /// File to write, `-` for standard output [default: profile-PID.svg, the pid being the master's]
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) view: ViewArgs,

    /// One frame per function, at its first line
    #[arg(short = 'F', long)]
    pub(in crate::cli) function: bool,

    /// Also keep everything that was sampled, for `pyperf report` and for SQL
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) recording: Option<PathBuf>,

    /// Print nothing but the path of the file
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// What is shown of a stack.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::cli) struct ShownArgs {
    /// Show below each stack what its thread waited for, as a last frame; always with `--mode wait`
    #[arg(long)]
    pub(in crate::cli) states: bool,

    /// Leave out line numbers: one frame per function
    #[arg(long)]
    pub(in crate::cli) nolineno: bool,

    /// Show whole paths of files
    #[arg(long)]
    pub(in crate::cli) full_filenames: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ViewArgs {
    /// Kind of file to write
    #[arg(short, long, value_enum, default_value = "flamegraph")]
    pub(in crate::cli) format: FormatArg,

    /// Levels below the root of the graph, outermost first
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,…")]
    pub(in crate::cli) by: Vec<LevelArg>,

    /// Show each thread by itself; the same as a last level of `--by thread`
    #[arg(short, long)]
    pub(in crate::cli) threads: bool,

    /// What counts [default: wall]
    #[arg(long, value_enum)]
    pub(in crate::cli) mode: Option<ModeArg>,

    /// Count only threads that hold the GIL; the same as `--mode gil`
    #[arg(short, long)]
    pub(in crate::cli) gil: bool,

    /// Count idle threads too
    #[arg(short, long)]
    pub(in crate::cli) idle: bool,

    #[command(flatten)]
    pub(in crate::cli) shown: ShownArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DumpArgs {
    #[command(flatten)]
    pub(in crate::cli) target: TargetArgs,

    /// Print JSON
    #[arg(short, long)]
    pub(in crate::cli) json: bool,

    /// Show local variables; again for longer values. What looks like a secret is hidden
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) locals: u8,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// The recording: a file that `attach --recording` or `run-with-load` wrote; or two, the one of the server and that of `run
    /// --recording` on another machine, which are joined on the wall clock
    #[arg(required = true, num_args = 1..=2, value_name = "RECORDING")]
    pub(in crate::cli) recordings: Vec<PathBuf>,

    /// How many seconds the clock of the second recording is ahead of that of the first
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "SECONDS")]
    pub(in crate::cli) clock_offset: f64,

    /// Write what is said at the end of a run with load, in place of a graph
    #[arg(long, conflicts_with_all = ["diff", "json"])]
    pub(in crate::cli) text: bool,

    /// Write everything about a run with load as JSON, in place of a graph
    #[arg(long, conflicts_with = "diff")]
    pub(in crate::cli) json: bool,

    /// Only samples of one phase of the load
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) phase: Option<String>,

    /// Only samples taken while a request to such an endpoint was in flight: a part of its name, or with `*` a pattern of the
    /// whole of it; the name is what reports show, as a rule `METHOD /path`. By time: the report says how often other
    /// endpoints were in flight too
    #[arg(long, value_name = "PATTERN")]
    pub(in crate::cli) endpoint: Option<String>,

    /// What grew and what shrank from one phase of the load to another: a graph, and a table
    #[arg(long, num_args = 2, value_names = ["PHASE", "PHASE"], conflicts_with = "phase")]
    pub(in crate::cli) diff: Option<Vec<String>>,

    /// File to write, `-` for standard output [default: the name of the recording with the ending of the format]
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) view: ViewArgs,

    /// Print nothing but the path of the file
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReaderArg {
    /// Snapshots where they are possible, else py-spy
    Auto,
    /// Snapshots or nothing
    Snapshot,
    /// The py-spy library
    Pyspy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum FormatArg {
    /// Interactive SVG
    Flamegraph,
    /// A line per distinct stack, with its count
    #[value(alias = "raw", help = "A line per distinct stack, with its count (py-spy's `raw`)")]
    Collapsed,
    /// JSON for speedscope
    Speedscope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ModeArg {
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
pub(in crate::cli) enum LevelArg {
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
pub(in crate::cli) struct Duration(pub(in crate::cli) Option<std::time::Duration>);

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

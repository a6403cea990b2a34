//! The flags of load, alone and with sampling. Letters and meanings are Artillery's wherever Artillery has the flag.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::sampling::{FormatArg, LevelArg, ModeArg, ReadingArgs, ShownArgs};
use crate::cli::processor::ProcessorArgs;

/// Which script, and with which changes: Artillery's flags and letters.
#[derive(Debug, Args)]
pub(in crate::cli) struct ScriptArgs {
    /// Scripts (.yml, .yaml or .json), laid over each other in this order
    #[arg(required = true, value_name = "SCRIPT")]
    pub(in crate::cli) scripts: Vec<PathBuf>,

    /// Address of the server, in place of the script's
    #[arg(short, long, value_name = "URL")]
    pub(in crate::cli) target: Option<String>,

    /// A further script, laid over the others; usually has target and phases
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Which of the script's environments to use
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) environment: Option<String>,

    /// Variables, as a JSON object
    #[arg(short, long, value_name = "JSON")]
    pub(in crate::cli) variables: Option<String>,

    /// Anything of the script, as a JSON object that is laid over it
    #[arg(long, value_name = "JSON")]
    pub(in crate::cli) overrides: Option<String>,

    /// CSV file, in place of the one in the script
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) payload: Option<PathBuf>,

    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub(in crate::cli) insecure: bool,

    /// File of environment variables
    #[arg(long, alias = "env-file", value_name = "FILE")]
    pub(in crate::cli) dotenv: Option<PathBuf>,

    /// One virtual user in place of the phases
    #[arg(short, long)]
    pub(in crate::cli) solo: bool,

    /// Run one scenario only: its name, or a regular expression that one name fits
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) scenario_name: Option<String>,

    /// Another script
    #[arg(short, long, hide = true, value_name = "SCRIPT")]
    pub(in crate::cli) input: Vec<PathBuf>,

    /// Where chance comes from: equal seeds give equal arrivals and choices [default: a new one, which is printed]
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) seed: Option<u64>,

    #[command(flatten)]
    pub(in crate::cli) processor: ProcessorArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    pub(in crate::cli) script: ScriptArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Folder for the results [default: pyperf-demo-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,

    /// Three seconds in place of half a minute
    #[arg(long, hide = true)]
    pub(in crate::cli) short: bool,

    /// Print nothing but the paths of the files
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct QuickArgs {
    /// Where to send requests
    pub(in crate::cli) url: String,

    /// Virtual users, all at once
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) count: u64,

    /// Requests of each user
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) num: u64,

    /// Accept any TLS certificate
    #[arg(short = 'k', long)]
    pub(in crate::cli) insecure: bool,

    #[command(flatten)]
    pub(in crate::cli) telling: TellingArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    pub(in crate::cli) script: ScriptArgs,

    #[command(flatten)]
    pub(in crate::cli) telling: TellingArgs,

    /// A name for the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,

    /// Exit with 1 when a user failed or an answer was an error, not only when the script's `ensure` says so
    #[arg(long)]
    pub(in crate::cli) fail_on_errors: bool,

    /// Also keep every request and user, as they come, for `pyperf report` and for SQL
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) recording: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) elsewhere: ElsewhereArgs,
}

/// How a load is told about.
#[derive(Debug, Args)]
pub(in crate::cli) struct TellingArgs {
    /// File to write the numbers to, as Artillery's JSON; in a folder it gets a name of its own
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,

    /// Seconds that users may go on after Ctrl+C
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    pub(in crate::cli) grace: f64,

    /// Which summary to print: Artillery 1's, or every metric by Artillery 2's name, as it goes and at the end
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(in crate::cli) console: Option<ConsoleArg>,

    /// Print no report; what `log` steps say is still printed
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,

    /// Labels for the run, kept in the JSON: key:value,…
    #[arg(long, value_name = "LABELS")]
    pub(in crate::cli) tags: Option<String>,

    /// A note on the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) note: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(in crate::cli) struct RunWithLoadArgs {
    #[command(flatten)]
    pub(in crate::cli) script: ScriptArgs,

    #[command(flatten)]
    pub(in crate::cli) telling: TellingArgs,

    /// A name for the run, kept in the JSON
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) run_name: Option<String>,

    /// Exit with 1 when a user failed or an answer was an error, not only when the script's `ensure` says so
    #[arg(long)]
    pub(in crate::cli) fail_on_errors: bool,

    /// Folder for the results [default: pyperf-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,

    /// Seconds to sample before the load begins
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    pub(in crate::cli) lead: f64,

    /// Process to sample, with all that descends from it [default: the one that listens on the target's port]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "name")]
    pub(in crate::cli) pid: Option<i32>,

    /// Python program to sample: its script, module or title
    #[arg(long, value_name = "PROGRAM")]
    pub(in crate::cli) name: Option<String>,

    /// Sample one process only, not its descendants
    #[arg(long)]
    pub(in crate::cli) no_subprocesses: bool,

    #[command(flatten)]
    pub(in crate::cli) reading: ReadingArgs,

    /// Samples of each process per second
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(in crate::cli) rate: u32,

    /// Kind of graph to write
    #[arg(short, long, value_enum, default_value = "flamegraph")]
    pub(in crate::cli) format: FormatArg,

    /// Levels below the root of the graph, outermost first
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL,…", default_value = "phase")]
    pub(in crate::cli) by: Vec<LevelArg>,

    /// Show each thread by itself; the same as a last level of `--by thread`
    #[arg(long)]
    pub(in crate::cli) threads: bool,

    /// What counts in the graph, and makes functions hot in the report [default: wall]
    #[arg(long, value_enum)]
    pub(in crate::cli) mode: Option<ModeArg>,

    /// Count only threads that hold the GIL; the same as `--mode gil`
    #[arg(short, long)]
    pub(in crate::cli) gil: bool,

    /// Count idle threads too
    #[arg(long)]
    pub(in crate::cli) idle: bool,

    /// One frame per function, at its first line
    #[arg(long)]
    pub(in crate::cli) function: bool,

    #[command(flatten)]
    pub(in crate::cli) shown: ShownArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ConsoleArg {
    /// A short summary, and what went wrong and why
    Classic,
    /// Every metric by Artillery 2's name, for every ten seconds and at the end
    New,
}

/// Flags of Artillery that belong to its own services.
#[derive(Debug, Args)]
pub(in crate::cli) struct ElsewhereArgs {
    #[arg(long, hide = true)]
    pub(in crate::cli) record: bool,
    #[arg(long, hide = true)]
    pub(in crate::cli) key: Option<String>,
    #[arg(long, hide = true)]
    pub(in crate::cli) platform: Option<String>,
    #[arg(long, hide = true)]
    pub(in crate::cli) platform_opt: Vec<String>,
    #[arg(long, hide = true)]
    pub(in crate::cli) count: Option<u32>,
}

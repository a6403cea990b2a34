//! What is wanted of load, alone and with sampling.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::caller;
use super::sampling::{format, mode, verbosity, view};
use crate::cli::args::{
    Cli, ConsoleArg, DemoArgs, QuickArgs, RunArgs, RunWithLoadArgs, ScriptArgs, TellingArgs, ViewArgs,
};
use crate::cli::processor::Processing;
use crate::clock::{Clock, Moment};
use crate::process::find::Wanted;
use crate::process::tree::Follow;
use crate::profile::View;
use crate::random::mix;
use crate::report::Format;
use crate::report::load::Layout;
use crate::scenario::load::Wanted as Script;
use crate::stack::{Line, Options};
use crate::ui::Verbosity;

/// A load test to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The script.
    pub script: Script,
    /// How to run the functions that it calls.
    pub processing: Processing,
    /// Where the numbers go as JSON: a file or a folder.
    pub output: Option<PathBuf>,
    /// Where to keep the recording.
    pub recording: Option<PathBuf>,
    /// How long users may go on after an interruption.
    pub grace: Duration,
    /// Whether errors alone make the run a failure.
    pub fail_on_errors: bool,
    /// What the run is called: `name`, `tags`, `note`.
    pub labels: Vec<(&'static str, String)>,
    /// Which summary is printed.
    pub console: Console,
    /// Whose JSON is written.
    pub layout: Layout,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// A load test to run, and what to sample meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct RunWithLoad {
    /// The load.
    pub run: Run,
    /// Which program; else the one that listens where the load goes.
    pub wanted: Option<Wanted>,
    /// With or without its descendants.
    pub follow: Follow,
    /// Samples of each process per second.
    pub rate: u32,
    /// How to read stacks.
    pub reading: Options,
    /// What to show.
    pub view: View,
    /// As what.
    pub format: Format,
    /// Folder for the results.
    pub out: Option<PathBuf>,
    /// How long to sample before the load.
    pub lead: Duration,
}

/// A demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// The folder for the results; else one with the date in its name.
    pub out: Option<PathBuf>,
    /// Whether it is over after a few seconds.
    pub short: bool,
    /// The user's folder for caches, if the environment tells it: under sudo it tells root's.
    pub caches: Option<PathBuf>,
    /// The seed of the load.
    pub seed: u64,
    /// How long users may go on after an interruption.
    pub grace: Duration,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// Which summary of a load is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// Artillery 1's, and what it does not say.
    Classic,
    /// Every metric by Artillery 2's name.
    Metrics,
}

pub(super) fn run(args: RunArgs) -> Result<Run, clap::Error> {
    let mistake = |said: &str| Cli::command().error(ErrorKind::ValueValidation, said);
    let elsewhere = &args.elsewhere;
    if elsewhere.record || elsewhere.key.is_some() {
        return Err(mistake(
            "--record and --key send the run to a service of Artillery's; pyperf keeps it here: --output FILE",
        ));
    }
    if elsewhere.platform.as_deref().is_some_and(|platform| platform != "local") || !elsewhere.platform_opt.is_empty() {
        return Err(mistake("--platform runs the load in somebody's cloud; pyperf runs it on this machine"));
    }
    let run = told(script(args.script)?, args.fail_on_errors, args.name, args.telling)?;
    Ok(Run { recording: args.recording, ..run })
}

pub(super) fn run_with_load(args: RunWithLoadArgs) -> Result<RunWithLoad, clap::Error> {
    let Ok(lead) = Duration::try_from_secs_f64(args.lead) else {
        return Err(Cli::command().error(ErrorKind::ValueValidation, "--lead is a number of seconds, 0 or more"));
    };
    let follow = if args.no_subprocesses { Follow::RootsOnly } else { Follow::Descendants };
    let (mode, by) = mode(&args.reading)?;
    let line = if args.function { Line::First } else { Line::Current };
    let mut view = view(&ViewArgs {
        format: args.format,
        by: args.by,
        threads: args.threads,
        mode: args.mode,
        gil: args.gil,
        idle: args.idle,
        shown: args.shown,
    })?;
    view.selection.supervisors |= follow == Follow::RootsOnly;
    Ok(RunWithLoad {
        run: told(script(args.script)?, args.fail_on_errors, args.run_name, args.telling)?,
        wanted: args.pid.map(Wanted::Pid).or_else(|| args.name.map(Wanted::Name)),
        follow,
        rate: args.rate,
        reading: Options { mode, line, locals: 0, by },
        view,
        format: format(args.format),
        out: args.out,
        lead,
    })
}

/// `quick`: the script that it stands for.
pub(super) fn quick(args: QuickArgs) -> Result<Run, clap::Error> {
    let request = serde_json::json!({"get": {"url": args.url}});
    let text = serde_json::json!({
        "config": {"target": args.url, "phases": [{"name": "quick", "duration": 1, "arrivalCount": args.count}]},
        "scenarios": [{"name": "quick", "flow": [{"loop": [request], "count": args.num}]}],
    });
    let script = Script {
        text: Some(text.to_string()),
        insecure: args.insecure,
        environ: environ(),
        seed: new_seed(),
        ..Script::default()
    };
    told((script, Processing::default()), false, None, args.telling)
}

pub(super) fn told(
    (script, processing): (Script, Processing),
    fail_on_errors: bool,
    name: Option<String>,
    args: TellingArgs,
) -> Result<Run, clap::Error> {
    let Ok(grace) = Duration::try_from_secs_f64(args.grace) else {
        return Err(Cli::command().error(ErrorKind::ValueValidation, "--grace is a number of seconds, 0 or more"));
    };
    let labels = [("name", name), ("tags", args.tags), ("note", args.note)];
    // Artillery takes these two from the environment.
    let wants_new = script.environ.get("OUTPUT_FORMAT").is_some_and(|format| format == "new");
    let is_legacy = script.environ.contains_key("ARTILLERY_USE_LEGACY_REPORT_FORMAT");
    Ok(Run {
        processing,
        output: args.output,
        recording: None,
        grace,
        fail_on_errors,
        labels: labels.into_iter().filter_map(|(label, text)| text.map(|text| (label, text))).collect(),
        console: match args.console {
            Some(ConsoleArg::New) => Console::Metrics,
            None if wants_new => Console::Metrics,
            Some(ConsoleArg::Classic) | None => Console::Classic,
        },
        layout: if is_legacy { Layout::Artillery1 } else { Layout::Artillery2 },
        verbosity: verbosity(args.quiet),
        script,
    })
}

pub(super) fn demo(args: DemoArgs) -> Demo {
    Demo {
        out: args.out,
        short: args.short,
        caches: caches(),
        seed: new_seed(),
        grace: Duration::from_secs(5),
        verbosity: verbosity(args.quiet),
    }
}

/// By the XDG base directory specification, where a relative path counts as none.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn caches() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    if caller().is_some() { None } else { own() }
}

pub(super) fn script(args: ScriptArgs) -> Result<(Script, Processing), clap::Error> {
    let processing = args.processor.meaning()?;
    let script = Script {
        files: args.scripts.into_iter().chain(args.input).collect(),
        config: args.config,
        environment: args.environment,
        target: args.target,
        variables: args.variables,
        overrides: args.overrides,
        payload: args.payload,
        insecure: args.insecure,
        solo: args.solo,
        scenario: args.scenario_name,
        dotenv: args.dotenv,
        text: None,
        environ: environ(),
        seed: args.seed.unwrap_or_else(new_seed),
    };
    Ok((script, processing))
}

/// The environment, as far as it is text.
pub(super) fn environ() -> std::collections::BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// A seed that differs from run to run, short enough to be typed.
pub(super) fn new_seed() -> u64 {
    let wall = Clock::start().wall(Moment::default()).duration_since(UNIX_EPOCH);
    mix(wall.map_or(0, |since| u64::from(since.subsec_nanos())) ^ u64::from(std::process::id())) % 1_000_000
}

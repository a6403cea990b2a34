//! What a command line means, in the words of the rest of the program.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::args::{
    AttachArgs, Cli, Command, ConsoleArg, DemoArgs, DumpArgs, FormatArg, LevelArg, ModeArg, QuickArgs, ReaderArg,
    ReportArgs, RunArgs, RunWithLoadArgs, ScriptArgs, TargetArgs, TellingArgs, ViewArgs,
};
use super::processor::Processing;
use crate::clock::{Clock, Moment};
use crate::process::find::Wanted;
use crate::process::privilege::Caller;
use crate::process::tree::Follow;
use crate::profile::{FrameStyle, Leaves, Level, Measure, Selection, View};
use crate::random::mix;
use crate::recording::Mode;
use crate::report::Format;
use crate::report::load::Layout;
use crate::scenario::load::Wanted as Script;
use crate::stack::{By, Line, Options};
use crate::ui::Verbosity;

/// What the user wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Sample and draw.
    Attach(Attach),
    /// Show the stacks of this moment.
    Dump(Dump),
    /// Draw a recording again.
    Report(Render),
    /// Send load.
    Run(Run),
    /// Send load and sample who serves it.
    RunWithLoad(RunWithLoad),
    /// Say what there is to say of a script.
    Check(Script, Processing),
    /// Show what pyperf does.
    Demo(Demo),
}

/// What to sample, and what to make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Which program.
    pub wanted: Wanted,
    /// With or without its descendants.
    pub follow: Follow,
    /// Samples of each process per second.
    pub rate: u32,
    /// When to end by itself.
    pub duration: Option<Duration>,
    /// How to read stacks.
    pub reading: Options,
    /// The file to write; else one per tree with a name of its own.
    pub output: Option<PathBuf>,
    /// As what.
    pub format: Format,
    /// What to show.
    pub view: View,
    /// Where to keep the recording.
    pub recording: Option<PathBuf>,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// What to show the stacks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Which program.
    pub wanted: Wanted,
    /// With or without its descendants.
    pub follow: Follow,
    /// How to read stacks.
    pub reading: Options,
    /// JSON in place of text.
    pub json: bool,
}

/// A recording to draw again.
#[derive(Clone, Debug, PartialEq)]
pub struct Render {
    /// The recording, or that of the server and that of the load.
    pub recordings: Vec<PathBuf>,
    /// How far the clock of the second one is ahead, in seconds.
    pub clock_offset: f64,
    /// What is made of it.
    pub what: Rendered,
    /// The file to write; else one beside the recording.
    pub output: Option<PathBuf>,
    /// Only samples of this phase.
    pub phase: Option<String>,
    /// Only samples of the endpoints that this means.
    pub endpoint: Option<String>,
    /// One phase against another, by their names.
    pub diff: Option<(String, String)>,
    /// As what.
    pub format: Format,
    /// What to show.
    pub view: View,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// What is made of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// A graph, or another format of samples.
    Graph,
    /// What is said at the end of a run with load.
    Text,
    /// Everything about a run with load.
    Json,
}

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

impl TryFrom<Cli> for Wish {
    type Error = clap::Error;

    fn try_from(cli: Cli) -> Result<Self, clap::Error> {
        Ok(match cli.command {
            Command::Attach(args) => Self::Attach(attach(args)?),
            Command::Dump(args) => Self::Dump(dump(args)?),
            Command::Report(args) => Self::Report(render(args)?),
            Command::Run(args) => Self::Run(run(*args)?),
            Command::RunWithLoad(args) => Self::RunWithLoad(run_with_load(*args)?),
            Command::Quick(args) => Self::Run(quick(args)?),
            Command::Check(args) => {
                let (script, processing) = script(args.script)?;
                Self::Check(script, processing)
            }
            Command::Demo(args) => Self::Demo(demo(args)),
        })
    }
}

fn attach(args: AttachArgs) -> Result<Attach, clap::Error> {
    let line = if args.function { Line::First } else { Line::Current };
    let follow = follow(&args.target);
    let (mode, by) = mode(args.target.blocking, args.target.reader)?;
    let mut view = view(&args.view)?;
    view.selection.supervisors |= follow == Follow::RootsOnly;
    Ok(Attach {
        follow,
        rate: args.rate,
        duration: args.duration.and_then(|duration| duration.0),
        reading: Options { mode, line, locals: 0, by },
        output: args.output,
        format: format(args.view.format),
        view,
        recording: args.recording,
        verbosity: verbosity(args.quiet),
        wanted: match args.target.pid {
            Some(pid) => Wanted::Pid(pid),
            None if args.all => Wanted::All(args.target.name),
            None => Wanted::Name(args.target.name),
        },
    })
}

fn dump(args: DumpArgs) -> Result<Dump, clap::Error> {
    let (mode, by) = mode(args.target.blocking, args.target.reader)?;
    if by == By::Snapshot && args.locals > 0 {
        return Err(
            Cli::command().error(ErrorKind::ArgumentConflict, "--locals needs py-spy: leave out --reader snapshot")
        );
    }
    Ok(Dump {
        follow: follow(&args.target),
        reading: Options { mode, line: Line::Current, locals: args.locals, by },
        json: args.json,
        wanted: match args.target.pid {
            Some(pid) => Wanted::Pid(pid),
            None => Wanted::All(args.target.name),
        },
    })
}

fn render(args: ReportArgs) -> Result<Render, clap::Error> {
    Ok(Render {
        format: format(args.view.format),
        view: view(&args.view)?,
        recordings: args.recordings,
        clock_offset: args.clock_offset,
        what: match (args.text, args.json) {
            (true, _) => Rendered::Text,
            (false, true) => Rendered::Json,
            (false, false) => Rendered::Graph,
        },
        output: args.output,
        phase: args.phase,
        endpoint: args.endpoint,
        diff: args.diff.and_then(|names| names.try_into().ok()).map(|[before, after]: [String; 2]| (before, after)),
        verbosity: verbosity(args.quiet),
    })
}

fn run(args: RunArgs) -> Result<Run, clap::Error> {
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

fn run_with_load(args: RunWithLoadArgs) -> Result<RunWithLoad, clap::Error> {
    let Ok(lead) = Duration::try_from_secs_f64(args.lead) else {
        return Err(Cli::command().error(ErrorKind::ValueValidation, "--lead is a number of seconds, 0 or more"));
    };
    let follow = if args.no_subprocesses { Follow::RootsOnly } else { Follow::Descendants };
    let (mode, by) = mode(args.blocking, args.reader)?;
    let line = if args.function { Line::First } else { Line::Current };
    let mut view = view(&ViewArgs {
        format: args.format,
        by: args.by,
        threads: args.threads,
        mode: args.mode,
        gil: args.gil,
        idle: args.idle,
        states: args.states,
        nolineno: args.nolineno,
        full_filenames: args.full_filenames,
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
fn quick(args: QuickArgs) -> Result<Run, clap::Error> {
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

fn told(
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

fn demo(args: DemoArgs) -> Demo {
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
fn caches() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    if caller().is_some() { None } else { own() }
}

fn script(args: ScriptArgs) -> Result<(Script, Processing), clap::Error> {
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
fn environ() -> std::collections::BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// A seed that differs from run to run, short enough to be typed.
fn new_seed() -> u64 {
    let wall = Clock::start().wall(Moment::default()).duration_since(UNIX_EPOCH);
    mix(wall.map_or(0, |since| u64::from(since.subsec_nanos())) ^ u64::from(std::process::id())) % 1_000_000
}

fn view(args: &ViewArgs) -> Result<View, clap::Error> {
    let measure = measure(args)?;
    let mut levels = args.by.clone();
    if args.threads && !levels.contains(&LevelArg::Thread) {
        levels.push(LevelArg::Thread);
    }
    if let Some(twice) = (1..levels.len()).find(|at| levels[..*at].contains(&levels[*at])) {
        let said = format!("--by names the level {:?} twice", levels[twice]).to_lowercase();
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, said));
    }
    Ok(View {
        selection: Selection {
            measure,
            idle: args.idle,
            // Told apart by its role, a master cannot be taken for the application.
            supervisors: levels.contains(&LevelArg::Role),
            root: None,
            phase: None,
        },
        levels: levels.into_iter().map(level).collect(),
        style: FrameStyle { lines: !args.nolineno, full_files: args.full_filenames },
        leaves: if args.states || measure == Measure::Wait { Leaves::States } else { Leaves::Frames },
    })
}

fn measure(args: &ViewArgs) -> Result<Measure, clap::Error> {
    let clash = |said: &str| Err(Cli::command().error(ErrorKind::ArgumentConflict, said));
    match (args.mode, args.gil, args.idle) {
        (Some(ModeArg::Wall | ModeArg::Cpu | ModeArg::Wait), true, _) => {
            clash("--gil means --mode gil: leave out one of the two")
        }
        (Some(ModeArg::Cpu), _, true) => clash("--idle does not go with --mode cpu: idle threads use no CPU time"),
        (Some(ModeArg::Gil), ..) | (None, true, _) => Ok(Measure::Gil),
        (Some(ModeArg::Cpu), ..) => Ok(Measure::Cpu),
        (Some(ModeArg::Wait), ..) => Ok(Measure::Wait),
        (Some(ModeArg::Wall) | None, false, _) => Ok(Measure::Wall),
    }
}

const fn level(level: LevelArg) -> Level {
    match level {
        LevelArg::Worker => Level::Worker,
        LevelArg::Thread => Level::Thread,
        LevelArg::Role => Level::Role,
        LevelArg::Phase => Level::Phase,
        LevelArg::State => Level::State,
    }
}

const fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Flamegraph => Format::Flamegraph,
        FormatArg::Collapsed => Format::Collapsed,
        FormatArg::Speedscope => Format::Speedscope,
    }
}

fn mode(blocking: bool, reader: ReaderArg) -> Result<(Mode, By), clap::Error> {
    match (blocking, reader) {
        (true, ReaderArg::Snapshot) => {
            Err(Cli::command()
                .error(ErrorKind::ArgumentConflict, "--blocking is py-spy's: leave out --reader snapshot"))
        }
        (true, _) => Ok((Mode::Blocking, By::PySpy)),
        (false, ReaderArg::Auto) => Ok((Mode::NonBlocking, By::Auto)),
        (false, ReaderArg::Snapshot) => Ok((Mode::NonBlocking, By::Snapshot)),
        (false, ReaderArg::Pyspy) => Ok((Mode::NonBlocking, By::PySpy)),
    }
}

const fn follow(target: &TargetArgs) -> Follow {
    if target.no_subprocesses { Follow::RootsOnly } else { Follow::Descendants }
}

const fn verbosity(quiet: bool) -> Verbosity {
    if quiet { Verbosity::PathOnly } else { Verbosity::Normal }
}

/// The user who called sudo, if somebody did.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn caller() -> Option<Caller> {
    let id = |name| std::env::var(name).ok()?.parse().ok();
    Some(Caller { uid: id("SUDO_UID")?, gid: id("SUDO_GID")? })
}

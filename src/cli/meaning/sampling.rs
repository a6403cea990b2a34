//! What is wanted of sampling, and of drawing what was sampled.

use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::cli::args::{
    AttachArgs, Cli, DumpArgs, FormatArg, LevelArg, ModeArg, ReaderArg, ReadingArgs, ReportArgs, TargetArgs, ViewArgs,
};
use crate::process::find::Wanted;
use crate::process::tree::Follow;
use crate::profile::{FrameStyle, Leaves, Level, Measure, Selection, View};
use crate::recording::Mode;
use crate::report::Format;
use crate::stack::{By, Line, Options};
use crate::ui::Verbosity;

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

pub(super) fn attach(args: AttachArgs) -> Result<Attach, clap::Error> {
    let line = if args.function { Line::First } else { Line::Current };
    let follow = follow(&args.target);
    let (mode, by) = mode(&args.target.reading)?;
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

pub(super) fn dump(args: DumpArgs) -> Result<Dump, clap::Error> {
    let (mode, by) = mode(&args.target.reading)?;
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

pub(super) fn render(args: ReportArgs) -> Result<Render, clap::Error> {
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

pub(super) fn view(args: &ViewArgs) -> Result<View, clap::Error> {
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
        style: FrameStyle { lines: !args.shown.nolineno, full_files: args.shown.full_filenames },
        leaves: if args.shown.states || measure == Measure::Wait { Leaves::States } else { Leaves::Frames },
    })
}

pub(super) fn measure(args: &ViewArgs) -> Result<Measure, clap::Error> {
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

pub(super) const fn level(level: LevelArg) -> Level {
    match level {
        LevelArg::Worker => Level::Worker,
        LevelArg::Thread => Level::Thread,
        LevelArg::Role => Level::Role,
        LevelArg::Phase => Level::Phase,
        LevelArg::State => Level::State,
    }
}

pub(super) const fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Flamegraph => Format::Flamegraph,
        FormatArg::Collapsed => Format::Collapsed,
        FormatArg::Speedscope => Format::Speedscope,
    }
}

pub(super) fn mode(args: &ReadingArgs) -> Result<(Mode, By), clap::Error> {
    match (args.blocking, args.reader) {
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

pub(super) const fn follow(target: &TargetArgs) -> Follow {
    if target.no_subprocesses { Follow::RootsOnly } else { Follow::Descendants }
}

pub(super) const fn verbosity(quiet: bool) -> Verbosity {
    if quiet { Verbosity::PathOnly } else { Verbosity::Normal }
}

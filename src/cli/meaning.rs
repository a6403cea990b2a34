//! What a command line means, in the words of the rest of the program.

use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::args::{AttachArgs, Cli, Command, DumpArgs, FormatArg, LevelArg, ReportArgs, TargetArgs, ViewArgs};
use crate::process::find::Wanted;
use crate::process::privilege::Caller;
use crate::process::tree::Follow;
use crate::profile::{FrameStyle, Level, Selection, View};
use crate::recording::Mode;
use crate::report::Format;
use crate::stack::{Line, Options};
use crate::ui::Verbosity;

/// What the user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Sample and draw.
    Attach(Attach),
    /// Show the stacks of this moment.
    Dump(Dump),
    /// Draw a recording again.
    Report(Render),
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Render {
    /// The recording.
    pub recording: PathBuf,
    /// The file to write; else one beside the recording.
    pub output: Option<PathBuf>,
    /// As what.
    pub format: Format,
    /// What to show.
    pub view: View,
    /// How much to say.
    pub verbosity: Verbosity,
}

impl TryFrom<Cli> for Wish {
    type Error = clap::Error;

    fn try_from(cli: Cli) -> Result<Self, clap::Error> {
        Ok(match cli.command {
            Command::Attach(args) => Self::Attach(attach(args)?),
            Command::Dump(args) => Self::Dump(dump(args)),
            Command::Report(args) => Self::Report(render(args)?),
        })
    }
}

fn attach(args: AttachArgs) -> Result<Attach, clap::Error> {
    let line = if args.function { Line::First } else { Line::Current };
    let follow = follow(&args.target);
    let mut view = view(&args.view)?;
    view.selection.supervisors |= follow == Follow::RootsOnly;
    Ok(Attach {
        follow,
        rate: args.rate,
        duration: args.duration.and_then(|duration| duration.0),
        reading: Options { mode: mode(&args.target), line, locals: 0 },
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

fn dump(args: DumpArgs) -> Dump {
    Dump {
        follow: follow(&args.target),
        reading: Options { mode: mode(&args.target), line: Line::Current, locals: args.locals },
        json: args.json,
        wanted: match args.target.pid {
            Some(pid) => Wanted::Pid(pid),
            None => Wanted::All(args.target.name),
        },
    }
}

fn render(args: ReportArgs) -> Result<Render, clap::Error> {
    Ok(Render {
        format: format(args.view.format),
        view: view(&args.view)?,
        recording: args.recording,
        output: args.output,
        verbosity: verbosity(args.quiet),
    })
}

fn view(args: &ViewArgs) -> Result<View, clap::Error> {
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
            idle: args.idle,
            gil_only: args.gil,
            // Told apart by its role, a master cannot be taken for the application.
            supervisors: levels.contains(&LevelArg::Role),
            root: None,
        },
        levels: levels.into_iter().map(level).collect(),
        style: FrameStyle { lines: !args.nolineno, full_files: args.full_filenames },
    })
}

const fn level(level: LevelArg) -> Level {
    match level {
        LevelArg::Worker => Level::Worker,
        LevelArg::Thread => Level::Thread,
        LevelArg::Role => Level::Role,
    }
}

const fn format(format: FormatArg) -> Format {
    match format {
        FormatArg::Flamegraph => Format::Flamegraph,
        FormatArg::Collapsed => Format::Collapsed,
        FormatArg::Speedscope => Format::Speedscope,
    }
}

const fn mode(target: &TargetArgs) -> Mode {
    if target.blocking { Mode::Blocking } else { Mode::NonBlocking }
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

//! What a command line means, in the words of the rest of the program: of [`sampling`] and of [`load`] in a file each.

mod load;
mod sampling;

pub use load::{Console, Demo, Run, RunWithLoad};
pub use sampling::{Attach, Dump, Render, Rendered};

use load::{demo, quick, run, run_with_load, script};
use sampling::{attach, dump, render};

use super::args::{Cli, Command};
use super::processor::Processing;
use crate::process::privilege::Caller;
use crate::scenario::load::Wanted as Script;

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
                let (wanted, processing) = script(args.script)?;
                Self::Check(wanted, processing)
            }
            Command::Demo(args) => Self::Demo(demo(args)),
        })
    }
}

/// The user who called sudo, if somebody did.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn caller() -> Option<Caller> {
    let id = |name| std::env::var(name).ok()?.parse().ok();
    Some(Caller { uid: id("SUDO_UID")?, gid: id("SUDO_GID")? })
}

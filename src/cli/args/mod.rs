//! The flags, as typed: the commands here, what is typed of [`sampling`] and of [`load`] in a file each.

mod load;
mod sampling;

use clap::{Parser, Subcommand};

pub(super) use load::*;
pub(super) use sampling::*;

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

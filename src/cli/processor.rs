//! Flags about the JavaScript of scripts, and what they mean.

use std::time::Duration;

use clap::{Args, CommandFactory, ValueEnum, error::ErrorKind};

use super::args::Cli;
use crate::load::hooks::{Limits, Runtime};

/// How to run the functions of a script's processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processing {
    /// With what.
    pub runtime: Runtime,
    /// Within which bounds.
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RuntimeArg {
    /// The embedded one, or Node.js for a processor that needs more
    Auto,
    /// The embedded one
    Quickjs,
    /// A Node.js process
    Node,
}

/// Flags about the JavaScript of scripts.
#[derive(Debug, Args)]
pub(super) struct ProcessorArgs {
    /// What runs the functions of the script's processor
    #[arg(long = "processor-runtime", value_enum, value_name = "RUNTIME", default_value = "auto")]
    runtime: RuntimeArg,

    /// Memory of the processor, in MiB
    #[arg(long = "processor-heap", value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    heap: u32,

    /// Stack of the processor, in KiB
    #[arg(long = "processor-stack", value_name = "KIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    stack: u32,

    /// Seconds that a function may compute without a pause
    #[arg(long = "processor-time", value_name = "SECONDS", default_value = "1")]
    time: f64,

    /// Seconds that a function may take altogether, waiting included
    #[arg(long = "processor-wait", value_name = "SECONDS", default_value = "120")]
    wait: f64,
}

impl ProcessorArgs {
    /// What the flags mean.
    pub(super) fn meaning(&self) -> Result<Processing, clap::Error> {
        let seconds = |seconds: f64, flag: &str| {
            let length = Duration::try_from_secs_f64(seconds).ok().filter(|length| !length.is_zero());
            let said = || format!("{flag} is a number of seconds, more than 0");
            length.ok_or_else(|| Cli::command().error(ErrorKind::ValueValidation, said()))
        };
        let size = |count: u32, unit: usize| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(unit);
        let limits = Limits {
            heap: size(self.heap, 1 << 20),
            stack: size(self.stack, 1 << 10),
            run: seconds(self.time, "--processor-time")?,
            wait: seconds(self.wait, "--processor-wait")?,
            ..Limits::default()
        };
        let runtime = match self.runtime {
            RuntimeArg::Auto => Runtime::Auto,
            RuntimeArg::Quickjs => Runtime::QuickJs,
            RuntimeArg::Node => Runtime::Node,
        };
        Ok(Processing { runtime, limits })
    }
}

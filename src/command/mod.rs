//! The commands, one a file, each to be read from top to bottom.

mod attach;
mod check;
mod demo;
mod dump;
mod endpoint;
mod folder;
mod graphs;
mod joined;
mod load;
mod output;
mod place;
mod processor;
mod publish;
mod render;
mod results;
mod run;
mod run_with_load;
mod sampling;
mod serving;
mod signals;

use crate::cli::{self, Wish};
use crate::problem::Problem;
use crate::process::privilege;

/// Does what the user wants.
///
/// # Errors
///
/// With all there is to say about what went wrong.
pub fn run(wish: Wish) -> Result<(), Problem> {
    // Before any thread is started and any file touched.
    privilege::become_caller(cli::caller())?;
    privilege::allow_many_files();
    signals::survive_full_files()?;
    match wish {
        Wish::Attach(wish) => attach::run(&wish),
        Wish::Dump(wish) => dump::run(&wish),
        Wish::Report(wish) => render::run(wish),
        Wish::Run(wish) => run::run(&wish),
        Wish::RunWithLoad(wish) => run_with_load::run(&wish),
        Wish::Check(wish, processing) => check::run(&wish, processing),
        Wish::Demo(wish) => demo::run(&wish),
    }
}

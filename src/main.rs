//! The `pyperf` program: understand the command line, hand over, turn the outcome into an exit code.

use std::process::ExitCode;

use pyperf::cli::{self, Parsed};
use pyperf::problem::Exit;
use pyperf::{command, ui};

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os()) {
        Parsed::Wish(wish) => match command::run(*wish) {
            Ok(()) => Exit::Fine,
            Err(problem) => {
                ui::problem(&problem);
                problem.exit
            }
        },
        Parsed::Text(text) => {
            ui::Ui::new(ui::Verbosity::Normal).result(&text);
            Exit::Fine
        }
        Parsed::Mistake(text) => {
            ui::mistake(&text);
            Exit::Usage
        }
    };
    ExitCode::from(exit as u8)
}

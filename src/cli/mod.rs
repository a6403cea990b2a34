//! The command line: what was typed ([`args`]) and what it means ([`meaning`]), in two sets of types.
//!
//! `args` is clap and nothing else; `meaning` is plain data in the words of the other modules, so that no command ever sees
//! a flag. Environment variables are read here and nowhere else.

pub mod args;
mod meaning;
mod processor;

pub use meaning::{Attach, Console, Demo, Dump, Render, Rendered, Run, RunWithLoad, Wish, caller};
pub use processor::Processing;

use clap::Parser;
use clap::error::ErrorKind;

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// To do something.
    Wish(Box<Wish>),
    /// To read a text: help or the version.
    Text(String),
    /// Nothing that makes sense; the text says why.
    Mistake(String),
}

/// Understands a command line, the program's name first.
pub fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Parsed {
    match args::Cli::try_parse_from(words) {
        Ok(cli) => match Wish::try_from(cli) {
            Ok(wish) => Parsed::Wish(Box::new(wish)),
            Err(mistake) => Parsed::Mistake(mistake.render().ansi().to_string()),
        },
        Err(text) if matches!(text.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Parsed::Text(text.render().ansi().to_string())
        }
        Err(mistake) => Parsed::Mistake(mistake.render().ansi().to_string()),
    }
}

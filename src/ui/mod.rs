//! The only owner of stdout and stderr: results on the one, everything else on the other.
//!
//! Colours appear on a terminal only and honour `NO_COLOR` (anstream). A reader that went away (`pyperf dump | head`) is no
//! error.

mod live;
mod load;

use std::io::{IsTerminal, StdoutLock, Write, stderr, stdout};

use anstyle::{AnsiColor, Style};

use crate::load::{Load, Stops};
use crate::problem::Problem;
use crate::recording::traffic::Window;
use crate::sampler::Sampler;
use crate::stop::Stop;

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// A live line while it runs, a sentence at the end.
    Normal,
    /// The path of the file and nothing else.
    PathOnly,
}

/// Talks to the user.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    verbosity: Verbosity,
}

impl Ui {
    /// Somebody who says that much.
    #[must_use]
    pub const fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// Shows how the sampler is doing until the end is asked for.
    pub fn follow(self, sampler: &Sampler, stop: &Stop) {
        let live = self.verbosity == Verbosity::Normal && stderr().is_terminal();
        live::follow(sampler, stop, live);
    }

    /// Shows how a load is doing until it is over.
    ///
    /// `told` says what is printed of each window that is over. Returns how many windows were told.
    /// `more` is a further line of what is shown meanwhile.
    pub fn follow_load(
        self,
        load: &Load,
        stops: &Stops,
        told: &dyn Fn(&Window) -> String,
        more: &dyn Fn() -> Option<String>,
    ) -> usize {
        load::follow(self, load, stops, told, more)
    }

    /// How a sampler is doing, in a line.
    #[must_use]
    pub fn sampling(self, sampler: &Sampler) -> String {
        live::standing(sampler.rate(), &sampler.progress())
    }

    /// How things stand, on stderr.
    pub fn remark(self, text: &str) {
        if self.verbosity == Verbosity::Normal {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Something to know that is no failure.
    pub fn note(self, text: &str) {
        if self.verbosity == Verbosity::Normal {
            let style = Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold();
            let _ = writeln!(anstream::stderr(), "{style}note:{style:#} {text}");
        }
    }

    /// What was found in a script, on stderr; the first words in colour.
    pub fn findings(self, text: &str) {
        let mut err = anstream::stderr().lock();
        let _ = err.write_all(coloured(text).as_bytes());
    }

    /// A file that was written, and what there is to say of it.
    pub fn written(self, path: &str, about: &str) {
        match self.verbosity {
            Verbosity::Normal => self.result(&format!("{path}: {about}\n")),
            Verbosity::PathOnly => self.result(&format!("{path}\n")),
        }
    }

    /// A text as it is, its line ends included; its colours only where they can be seen.
    pub fn result(self, text: &str) {
        let mut out = anstream::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// Standard output, for a file that goes there.
    pub fn stdout(self) -> StdoutLock<'static> {
        stdout().lock()
    }
}

/// Findings with the words that weigh them in colour.
#[must_use]
pub fn coloured(text: &str) -> String {
    let weights = [("error:", AnsiColor::Red), ("ignored:", AnsiColor::Yellow), ("note:", AnsiColor::Cyan)];
    let line = |line: &str| {
        let found = weights.iter().find_map(|(word, colour)| Some((line.strip_prefix(word)?, word, *colour)));
        found.map_or_else(
            || format!("{line}\n"),
            |(rest, word, colour)| {
                let style = Style::new().fg_color(Some(colour.into())).bold();
                format!("{style}{word}{style:#}{rest}\n")
            },
        )
    };
    text.lines().map(line).collect()
}

/// Shows a problem.
pub fn problem(problem: &Problem) {
    let mut err = anstream::stderr().lock();
    let style = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
    let dim = Style::new().bold();
    let _ = writeln!(err, "{style}error:{style:#} {}", problem.sentence);
    for cause in &problem.causes {
        let _ = writeln!(err, "  {dim}because:{dim:#} {cause}");
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(err, "  {dim}try:{dim:#}     {hint}");
    }
}

/// Shows a mistake in the command line, as clap words it.
pub fn mistake(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

//! Outputs: plain functions from a [`Report`] to bytes, chosen by [`Format`].

pub mod load;
pub mod whole;

mod activity;
mod amount;
mod collapsed;
mod columns;
mod demand;
mod diff;
mod dump;
mod flamegraph;
mod speedscope;
mod table;

use std::collections::BTreeSet;
use std::io::{self, Write};

pub use activity::{json as activity_json, text as activity_text};
pub use diff::Diff;
pub use dump::{DumpedProcess, json as dump_json, text as dump_text};

use crate::printable::printable;
use crate::profile::carried::Carried;
use crate::profile::{Measure, Profile, View, phase_titles};
use crate::recording::{Process, Recording, Role};

/// A recording as it is to be shown.
#[derive(Debug)]
pub struct Report<'a> {
    /// The recording.
    pub recording: &'a Recording,
    /// What of it.
    pub view: View,
    /// Its folded samples.
    pub profile: Profile,
    target: String,
    /// Which samples were kept, in words; `None` for all.
    pub only: Option<String>,
}

/// The kinds of file that a report can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An interactive picture for a browser.
    Flamegraph,
    /// One line per distinct stack: `outer;inner count`; of CPU time the count is in microseconds.
    Collapsed,
    /// A file for speedscope, one profile per thread in the order of time.
    Speedscope,
}

impl Format {
    /// What a file of this format is usually called at its end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Flamegraph => "svg",
            Self::Collapsed => "txt",
            Self::Speedscope => "speedscope.json",
        }
    }
}

impl<'a> Report<'a> {
    /// Folds the recording as the view says.
    #[must_use]
    pub fn of(recording: &'a Recording, view: View) -> Self {
        let (profile, target) = (Profile::of(recording, &view), recording.run.target.clone());
        Self { recording, view, profile, target, only: None }
    }

    /// Names what is shown, where that is not the whole target.
    #[must_use]
    pub fn about(mut self, target: String) -> Self {
        self.target = target;
        self
    }

    /// The same of a recording in which some samples are left out; the text says which were kept.
    #[must_use]
    pub fn only(mut self, kept: Option<String>) -> Self {
        self.only = kept;
        self
    }

    /// The sum of the graph in words: `12 samples`, `1.25 s of CPU time`.
    #[must_use]
    pub fn amount(&self) -> String {
        amount::amount(self.view.selection.measure, self.profile.total)
    }

    /// Target, duration, rate and what the graph adds up to, on one line.
    #[must_use]
    pub fn title(&self) -> String {
        let (target, rate) = (printable(&self.target, 200), self.recording.run.rate);
        let titles = phase_titles(&self.recording.timeline);
        let phase = self.view.selection.phase.and_then(|number| titles.get(number));
        let length = format!("{:.1} s", self.recording.length.as_secs_f64());
        let length = phase.unwrap_or(&length);
        format!("{target} · {length} at {rate} Hz · {}", self.amount())
    }

    /// How it was sampled and what is missing, on one line.
    #[must_use]
    pub fn subtitle(&self) -> String {
        let losses = self.recording.losses.in_words();
        let stopped = self.recording.stopped.as_secs_f64();
        let mut parts = vec![self.recording.run.mode.name().to_string()];
        if stopped > 0.0 {
            parts.push(format!("processes stopped for {stopped:.2} s in all"));
        }
        parts.push(if losses.is_empty() { "nothing lost".into() } else { format!("lost: {losses}") });
        match self.view.selection.measure {
            Measure::Cpu => parts.extend(self.not_carried()),
            _ if self.profile.idle > 0 => parts.push(format!("{} idle samples left out", self.profile.idle)),
            _ => {}
        }
        parts.extend(self.only.clone());
        parts.join(" · ")
    }

    /// How much CPU time no sample carries, where that is much. Of samples that were picked by endpoint nothing is known.
    fn not_carried(&self) -> Option<String> {
        let carried = Carried::of(self.recording, &self.view.selection);
        let missing = carried.missing().filter(|_| self.only.is_none())?;
        let percent = columns::percent(missing);
        Some(format!("{percent} of the CPU time is in no sample: of threads without Python, or never seen running"))
    }

    /// What is in the report, for the end of a run.
    #[must_use]
    pub fn summary(&self) -> String {
        let shown = |process: &&Process| self.view.selection.takes_process(process);
        let shown: Vec<&Process> = self.recording.processes.iter().filter(shown).collect();
        // One that was opened again, or re-executed, is recorded twice.
        let count = shown.iter().map(|process| process.id).collect::<BTreeSet<_>>().len();
        let noun = match (shown.iter().all(|process| process.role == Role::Worker), count) {
            (true, 1) => "worker",
            (true, _) => "workers",
            (false, 1) => "process",
            (false, _) => "processes",
        };
        format!(
            "{} of {} {noun} in {:.1} s; {}",
            self.amount(),
            count,
            self.recording.length.as_secs_f64(),
            self.subtitle()
        )
    }

    /// Writes the report in a format.
    ///
    /// # Errors
    ///
    /// When the writer fails. A flamegraph of no samples is an error too: there is nothing to draw.
    pub fn write(&self, format: Format, to: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Flamegraph => flamegraph::write(self, to),
            Format::Collapsed => collapsed::write(self, to),
            Format::Speedscope => speedscope::write(self, to),
        }
    }
}

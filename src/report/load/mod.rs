//! Reports of load: plain functions from a [`Traffic`] to text and JSON.
//!
//! [`LoadReport`] sums a run up once; what is written of it is in one file each: Artillery's summary and JSON, the details
//! that Artillery does not tell, the checks of `ensure`. Nothing here prints, asks the time or knows how the load was made.

mod apdex;
mod artillery;
mod checks;
mod details;
mod failed;
pub(super) mod figures;
pub(super) mod hints;
mod legacy;
mod listing;
mod metrics;
mod ours;
pub mod progress;
mod sockets;
mod summary;

pub use apdex::Apdex;
pub use checks::{Checked, check, held, text as checks_text};
pub use listing::window;
pub use metrics::{Metrics, Names, fields};

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::recording::traffic::{Numbers, Traffic};
use crate::scenario::plugins::{ByEndpoint, Plugins};

/// Whose JSON is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// That of Artillery 2, with a part of our own.
    #[default]
    Artillery2,
    /// That of Artillery 1.
    Artillery1,
}

/// A run, summed up.
#[derive(Clone, Debug)]
pub struct LoadReport<'a> {
    /// The run.
    pub traffic: &'a Traffic,
    /// Its numbers.
    pub numbers: Numbers,
    /// Its numbers by Artillery's names.
    pub metrics: Metrics,
    /// What had to hold at its end.
    pub checked: Vec<Checked>,
    names: Names<'a>,
    by_endpoint: &'a ByEndpoint,
    labels: &'a [(&'static str, String)],
    doubts: &'a [String],
}

impl<'a> LoadReport<'a> {
    /// Sums a run up. `extended` says whether the script asks for `http.extendedMetrics`.
    #[must_use]
    pub fn of(traffic: &'a Traffic, plugins: &'a Plugins, extended: bool) -> Self {
        Self::with(traffic, Numbers::of(&traffic.total, &traffic.endpoints), plugins, extended)
    }

    /// The same of numbers that are known already.
    #[must_use]
    pub fn with(traffic: &'a Traffic, numbers: Numbers, plugins: &'a Plugins, extended: bool) -> Self {
        let names = Names { scenarios: &traffic.scenarios, namespace: &plugins.by_endpoint.namespace, extended };
        let metrics = Metrics::of(&numbers, &names);
        let checked = check(&plugins.ensure, &metrics);
        Self { traffic, numbers, metrics, checked, names, by_endpoint: &plugins.by_endpoint, labels: &[], doubts: &[] }
    }

    /// The same under what the run is called: `name`, `tags`, `note`.
    #[must_use]
    pub fn labelled(mut self, labels: &'a [(&'static str, String)]) -> Self {
        self.labels = labels;
        self
    }

    /// The same with what is doubtful in functions that are to put a token on requests.
    #[must_use]
    pub fn doubting(mut self, doubts: &'a [String]) -> Self {
        self.doubts = doubts;
        self
    }

    /// Every metric by Artillery 2's name, in the layout of its console.
    #[must_use]
    pub fn listing(&self, zone: &TimeZone) -> String {
        listing::run(self, zone)
    }

    /// Whether every check held that is not optional.
    #[must_use]
    pub fn held(&self) -> bool {
        held(&self.checked)
    }

    /// The summary that users of Artillery 1 know.
    #[must_use]
    pub fn summary(&self, zone: &TimeZone) -> String {
        summary::text(self, zone)
    }

    /// What Artillery does not say. Empty when there is nothing to say.
    #[must_use]
    pub fn details(&self) -> String {
        details::text(self)
    }

    /// `Checks:` and a line for each; the score of Apdex. Empty when the script asks for neither.
    #[must_use]
    pub fn verdicts(&self) -> String {
        let mut text = checks_text(&self.checked);
        if let Some(apdex) = Apdex::of(&self.metrics.counters) {
            text.push_str(&apdex.line());
            text.push('\n');
        }
        text
    }

    /// The JSON that is written.
    #[must_use]
    pub fn value(&self, layout: Layout) -> Value {
        match layout {
            Layout::Artillery2 => artillery::whole(self),
            Layout::Artillery1 => legacy::whole(self),
        }
    }

    /// Writes Artillery's JSON, with a part of our own under `pyperf`.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write_json(&self, layout: Layout, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *to, &self.value(layout))?;
        to.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests;

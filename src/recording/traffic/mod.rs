//! What a load run came to: users, requests, latencies, errors and the failures that were kept, as plain data on one clock.
//!
//! The engine adds to a [`Tally`]; every ten seconds it is summed up as a [`Window`] and added to the total. Nothing here knows
//! how requests are sent, what Artillery calls these numbers, or how they are printed.

pub(in crate::recording) mod failures;
pub mod flights;
mod latency;
pub mod log;
pub mod named;
mod numbers;
mod progress;
mod series;
mod tally;

use std::time::{Duration, SystemTime};

pub use failures::{Failure, FailureKind, Failures, Kept, Signature};
pub use latency::Latency;
pub use named::{Named, Rate};
pub use numbers::{EndpointNumbers, Numbers, Summary};
pub use progress::Progress;
pub use series::{Exchange, Outcome, Series, SeriesKey};
pub use tally::{Tally, Users};

use crate::clock::Moment;

/// What a load run came to.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The script's target.
    pub target: String,
    /// The seed of the run's choices.
    pub seed: u64,
    /// The wall time of moment zero.
    pub anchor: SystemTime,
    /// The phases, by number.
    pub phases: Vec<PhaseRun>,
    /// The names of the scenarios, by number.
    pub scenarios: Vec<String>,
    /// What requests are filed under, by number.
    pub endpoints: Vec<EndpointLabel>,
    /// When the load began.
    pub began: Moment,
    /// When the last user was done.
    pub ended: Moment,
    /// Whether the run ended before its plan was over.
    pub cut_short: bool,
    /// Users that were still active when the run was cut short.
    pub abandoned: u64,
    /// Ten seconds each, aligned to the wall clock.
    pub windows: Vec<Window>,
    /// All windows together.
    pub total: Tally,
    /// Steps that failed, a few of each kind with all that is known of them.
    pub failures: Failures,
    /// CPU time that the driver itself took.
    pub driver_cpu: Duration,
}

/// A phase as it was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseRun {
    /// Its name, or its number in words.
    pub name: String,
    /// When it began.
    pub began: Moment,
    /// How long it was planned to last.
    pub length: Duration,
    /// Users planned to arrive in it.
    pub planned: u64,
    /// At so many active users further arrivals were dropped.
    pub most_users: Option<u64>,
}

/// What requests are filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointLabel {
    /// The method.
    pub method: String,
    /// The address as written, without host and query.
    pub path: String,
    /// The query as written, with its question mark.
    pub query: String,
    /// The name that the script gives it.
    pub name: Option<String>,
    /// What its metrics are called; several endpoints may share them, `None` has none.
    pub metric: Option<String>,
}

/// What stands in the place of a method for what is no request: events and messages.
const MESSAGES: [&str; 3] = ["EMIT", "SEND", "WAIT"];

impl EndpointLabel {
    /// Whether it is a message of Socket.IO or WebSocket, and no request.
    #[must_use]
    pub fn is_message(&self) -> bool {
        MESSAGES.contains(&self.method.as_str())
    }

    /// The name, or method and address; what sounds like a secret in it is hidden.
    #[must_use]
    pub fn label(&self) -> String {
        let address = || crate::redact::text(&format!("{} {}{}", self.method, self.path, self.query));
        self.name.clone().unwrap_or_else(address)
    }
}

/// Some seconds of a run, summed up.
#[derive(Clone, Debug)]
pub struct Window {
    /// When it began; a whole number of windows of the wall clock.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// What happened in it.
    pub numbers: Numbers,
}

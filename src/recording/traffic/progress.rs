//! Where a running load stands: a snapshot, for whoever shows it.

use std::time::Duration;

/// Where a running load stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The name of the phase; `before` and `after` while the flows of these names run.
    pub phase: String,
    /// Its number, from 1.
    pub number: usize,
    /// How many phases there are; none in `before` and `after`.
    pub of: usize,
    /// How long the phase still lasts; while draining, how long the users still get, if that has an end.
    pub left: Option<Duration>,
    /// Users planned to arrive in the phase.
    pub planned: u64,
    /// Users of the phase that arrived and began.
    pub created: u64,
    /// Users of the phase that arrived while too many were active.
    pub skipped: u64,
    /// Users that are active now.
    pub active: u64,
    /// Requests a second, of late.
    pub rate: f64,
    /// The median of latency from send, of late; `None` when there were no answers.
    pub p50: Option<Duration>,
    /// The 95th percentile of the same.
    pub p95: Option<Duration>,
    /// Errors, of the whole run.
    pub errors: u64,
    /// The 99th percentile of how late users began, of the whole run.
    pub lateness: Option<Duration>,
    /// Whether all users have arrived and only their ends are waited for.
    pub draining: bool,
}

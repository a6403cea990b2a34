//! The present ten seconds of a run: everything that users do is entered here.
//!
//! One owner behind one lock, and nothing under it that takes long: when the ten seconds are over the tally is put aside, and
//! whoever watches the run sums it up ([`super::books`]), on a thread that has no arrivals to release.

use std::time::{Duration, UNIX_EPOCH};

use super::plan::Plan;
use super::rows::{Rows, Taken};
use crate::clock::{Clock, Moment};
use crate::recording::traffic::log::{FailureRows, RequestRow, UserRow};
use crate::recording::traffic::{Failure, Failures, PhaseRun, Signature, Tally};
use crate::scenario::phase::Phase;
use crate::scenario::script::Script;

/// The length of a window, as in Artillery 2.
const WINDOW: Duration = Duration::from_secs(10);

/// A window that is over and not summed up yet.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) tally: Tally,
    pub(super) began: Moment,
    pub(super) ended: Moment,
}

/// The present window of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    window: Tally,
    began: Moment,
    closed: Vec<Closed>,
    /// A tally that was summed up, kept for the memory of its histograms.
    spare: Option<Tally>,
    failures: Failures,
    phases: Vec<PhaseRun>,
    /// `None` unless somebody wants them.
    rows: Option<Rows>,
    clock: Clock,
}

impl Ledger {
    pub(super) fn new(seed: u64, clock: Clock) -> Self {
        Self {
            window: Tally::default(),
            began: Moment::default(),
            closed: Vec::new(),
            spare: None,
            failures: Failures::new(seed),
            phases: Vec::new(),
            rows: None,
            clock,
        }
    }

    /// From now on rows are collected, which somebody has to take.
    pub(super) fn collect_rows(&mut self) {
        self.rows = Some(Rows::default());
    }

    /// Nobody takes rows any more.
    pub(super) fn drop_rows(&mut self) {
        self.rows = None;
    }

    /// Collects the row of a request, which is only made if somebody wants it.
    pub(super) fn request(&mut self, row: impl FnOnce() -> RequestRow) {
        if let Some(rows) = &mut self.rows {
            rows.request(row);
        }
    }

    /// Collects the row of a user.
    pub(super) fn user(&mut self, row: UserRow) {
        if let Some(rows) = &mut self.rows {
            rows.user(row);
        }
    }

    /// The rows since the last call; what is counted in the windows agrees with them.
    pub(super) fn take_rows(&mut self, now: Moment) -> Option<Taken> {
        Some(self.rows.as_mut()?.take(&self.window, self.began, now))
    }

    /// Kinds of failures that grew since their counts were `known`, and how many failures have no kind.
    pub(super) fn grown_failures(&self, known: &mut Vec<u64>) -> (Vec<FailureRows>, u64) {
        (self.failures.grown(known), self.failures.uncounted())
    }

    /// The load begins: from now on the phases of the plan follow one another.
    pub(super) fn begin(&mut self, script: &Script, plan: &Plan, now: Moment) {
        let run = |(index, phase): (usize, &Phase)| {
            let (start, length) = plan.phase(index).unwrap_or_default();
            let most_users = phase.most_users;
            PhaseRun { name: phase.label(index), began: now + start, length, planned: plan.expected(index), most_users }
        };
        self.phases = script.phases.iter().enumerate().map(run).collect();
        self.began = now;
    }

    /// The tally of now.
    pub(super) const fn tally(&mut self) -> &mut Tally {
        &mut self.window
    }

    /// When the present window began, and what it holds.
    pub(super) const fn window(&self) -> (Moment, &Tally) {
        (self.began, &self.window)
    }

    /// The phases; none before the load begins.
    pub(super) fn phases(&self) -> &[PhaseRun] {
        &self.phases
    }

    /// Keeps a failure, if chance will have it.
    pub(super) fn failure(&mut self, signature: Signature, example: impl FnOnce() -> Failure) {
        self.failures.add(signature, example);
    }

    /// All failures that were kept; there are none afterwards.
    pub(super) fn take_failures(&mut self) -> Failures {
        std::mem::replace(&mut self.failures, Failures::new(0))
    }

    /// Closes the present window when its time is over. Returns how many wait to be summed up.
    pub(super) fn roll(&mut self, now: Moment) -> usize {
        let end = self.began + self.until_boundary(self.began);
        if now >= end {
            self.close(end.max(self.began));
            self.began = now;
        }
        self.closed.len()
    }

    /// Closes the present window now.
    pub(super) fn close(&mut self, ended: Moment) {
        if let Some(rows) = &mut self.rows {
            rows.close(&self.window, self.began, ended);
        }
        if self.window.first.is_some() {
            let tally = std::mem::replace(&mut self.window, self.spare.take().unwrap_or_default());
            self.closed.push(Closed { tally, began: self.began, ended });
        }
    }

    /// The oldest window that waits to be summed up.
    pub(super) fn take_closed(&mut self) -> Option<Closed> {
        if self.closed.is_empty() { None } else { Some(self.closed.remove(0)) }
    }

    /// Takes the memory of a tally back.
    pub(super) fn reuse(&mut self, tally: Tally) {
        self.spare = Some(tally);
    }

    /// From a moment to the next whole number of windows of the wall clock.
    fn until_boundary(&self, moment: Moment) -> Duration {
        let since = self.clock.wall(moment).duration_since(UNIX_EPOCH).unwrap_or_default();
        let into = u64::try_from(since.as_nanos() % WINDOW.as_nanos()).unwrap_or_default();
        WINDOW.saturating_sub(Duration::from_nanos(into))
    }
}

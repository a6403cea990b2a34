//! The books of a run: everything that users do is entered here, and handed back at the end.
//!
//! One owner behind one lock. Entries go into the tally of the present ten seconds; when these are over they are summed up,
//! kept as a window, and added to the total.

use std::time::{Duration, UNIX_EPOCH};

use super::plan::Plan;
use crate::clock::{Clock, Moment};
use crate::recording::traffic::{
    EndpointLabel, Failure, Failures, Latency, Numbers, PhaseRun, Signature, Tally, Traffic, Window,
};
use crate::scenario::script::Script;

/// The length of a window, as in Artillery 2.
const WINDOW: Duration = Duration::from_secs(10);

/// How a run is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The phase that is under way: its number, from 0, and its name; `None` before and after all phases.
    pub phase: Option<(usize, String)>,
    /// How many phases there are.
    pub phases: usize,
    /// How long the phase goes on.
    pub left: Duration,
    /// Users planned to arrive in all phases.
    pub planned: u64,
    /// Users that have begun.
    pub created: u64,
    /// Users that have come to their end.
    pub completed: u64,
    /// Users that ended before that.
    pub failed: u64,
    /// Users that were dropped, because too many were active.
    pub skipped: u64,
    /// Users that are active now.
    pub active: u64,
    /// Requests a second, over the present window.
    pub request_rate: f64,
    /// Of answers in the present window: from sending to the head.
    pub p50: Duration,
    /// The same.
    pub p95: Duration,
    /// Errors so far, and answers of 400 and more.
    pub errors: u64,
    /// How late users began in the present window, p99.
    pub lateness: Duration,
}

/// The books of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    window: Tally,
    began: Moment,
    total: Tally,
    windows: Vec<Window>,
    failures: Failures,
    phases: Vec<PhaseRun>,
    scenarios: Vec<String>,
    endpoints: Vec<EndpointLabel>,
    target: String,
    seed: u64,
    clock: Clock,
    load_began: Option<Moment>,
}

impl Ledger {
    pub(super) fn new(script: &Script, seed: u64, clock: Clock) -> Self {
        let endpoint = |endpoint: &crate::scenario::endpoint::Endpoint| EndpointLabel {
            method: endpoint.method.clone(),
            path: endpoint.path.clone(),
            query: endpoint.query.clone(),
            name: endpoint.name.clone(),
        };
        Self {
            window: Tally::default(),
            began: Moment::default(),
            total: Tally::default(),
            windows: Vec::new(),
            failures: Failures::new(seed),
            phases: Vec::new(),
            scenarios: script.scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
            endpoints: script.endpoints.iter().map(endpoint).collect(),
            target: crate::redact::text(&script.target),
            seed,
            clock,
            load_began: None,
        }
    }

    /// The load begins: from now on the phases of the plan follow one another.
    pub(super) fn begin(&mut self, script: &Script, plan: &Plan, now: Moment) {
        let run = |(index, phase): (usize, &crate::scenario::phase::Phase)| {
            let (start, length) = plan.phase(index).unwrap_or_default();
            PhaseRun { name: phase.label(index), began: now + start, length, planned: plan.expected(index) }
        };
        self.phases = script.phases.iter().enumerate().map(run).collect();
        self.load_began = Some(now);
        self.began = now;
    }

    /// The tally of now.
    pub(super) const fn tally(&mut self) -> &mut Tally {
        &mut self.window
    }

    /// Keeps a failure, if chance will have it.
    pub(super) fn failure(&mut self, signature: Signature, example: impl FnOnce() -> Failure) {
        self.failures.add(signature, example);
    }

    /// Closes the present window when its time is over.
    pub(super) fn roll(&mut self, now: Moment) {
        let end = self.began + self.until_boundary(self.began);
        if now >= end {
            self.close(end.max(self.began));
            self.began = now;
        }
    }

    fn close(&mut self, ended: Moment) {
        if self.window.first.is_some() {
            let numbers = Numbers::of(&self.window);
            self.windows.push(Window { began: self.began, ended, numbers });
            self.total.add(&self.window);
            self.window.clear();
        }
    }

    /// From a moment to the next whole number of windows of the wall clock.
    fn until_boundary(&self, moment: Moment) -> Duration {
        let since = self.clock.wall(moment).duration_since(UNIX_EPOCH).unwrap_or_default();
        let into = u64::try_from(since.as_nanos() % WINDOW.as_nanos()).unwrap_or_default();
        WINDOW.saturating_sub(Duration::from_nanos(into))
    }

    pub(super) fn progress(&self, now: Moment, active: u64) -> Progress {
        let under_way = |phase: &PhaseRun| phase.began <= now && now < phase.began + phase.length;
        let index = self.phases.iter().position(under_way);
        let phase = index.and_then(|index| self.phases.get(index));
        let mut users = self.total.all_users();
        users.add(self.window.all_users());
        let mut latency = Latency::default();
        let mut errors = 0;
        for tally in [&self.window, &self.total] {
            errors += tally.errors.values().sum::<u64>();
            errors += tally.series.iter().filter(|(key, _)| is_error(key.outcome)).map(|(_, series)| series.count).sum::<u64>();
        }
        self.window.series.values().for_each(|series| latency.add(&series.first_byte));
        let seconds = now.since(self.began).as_secs_f64().max(0.5);
        Progress {
            phase: index.zip(phase.map(|phase| phase.name.clone())),
            phases: self.phases.len(),
            left: phase.map_or(Duration::ZERO, |phase| (phase.began + phase.length).since(now)),
            planned: self.phases.iter().map(|phase| phase.planned).sum(),
            created: users.created,
            completed: users.completed,
            failed: users.failed,
            skipped: users.skipped,
            active,
            #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
            request_rate: self.window.requests as f64 / seconds,
            p50: latency.quantile(0.5),
            p95: latency.quantile(0.95),
            errors,
            lateness: self.window.lateness.quantile(0.99),
        }
    }

    /// Closes the books.
    pub(super) fn finish(&mut self, now: Moment, cut_short: bool, abandoned: u64, driver_cpu: Duration) -> Traffic {
        self.close(now);
        Traffic {
            target: std::mem::take(&mut self.target),
            seed: self.seed,
            anchor: self.clock.wall(Moment::default()),
            phases: std::mem::take(&mut self.phases),
            scenarios: std::mem::take(&mut self.scenarios),
            endpoints: std::mem::take(&mut self.endpoints),
            began: self.load_began.unwrap_or(now),
            ended: now,
            cut_short,
            abandoned,
            windows: std::mem::take(&mut self.windows),
            total: std::mem::take(&mut self.total),
            failures: std::mem::replace(&mut self.failures, Failures::new(self.seed)),
            driver_cpu,
        }
    }
}

const fn is_error(outcome: crate::recording::traffic::Outcome) -> bool {
    matches!(outcome, crate::recording::traffic::Outcome::Status(400..))
}

//! The books of a run: everything that users do is entered here, and handed back at the end.
//!
//! One owner behind one lock. Entries go into the tally of the present ten seconds; when these are over they are summed up,
//! kept as a window, and added to the total.

use std::time::{Duration, UNIX_EPOCH};

use super::plan::Plan;
use super::publish::Outlet;
use crate::clock::{Clock, Moment};
use crate::recording::traffic::{
    EndpointLabel, Failure, Failures, Latency, Numbers, PhaseRun, Progress, Signature, Tally, Traffic, Window,
};
use crate::scenario::script::Script;

/// The length of a window, as in Artillery 2.
const WINDOW: Duration = Duration::from_secs(10);

/// Lateness below this is not worth a word.
const LATE: Duration = Duration::from_millis(2);

/// What the endpoints of a script are called, by their numbers.
fn endpoint_labels(script: &Script) -> Vec<EndpointLabel> {
    let label = |endpoint: &crate::scenario::endpoint::Endpoint| EndpointLabel {
        method: endpoint.method.clone(),
        path: endpoint.path.clone(),
        query: endpoint.query.clone(),
        name: endpoint.name.clone(),
        metric: script.plugins.by_endpoint.metric(endpoint),
    };
    script.endpoints.iter().map(label).collect()
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
    outlet: Option<Outlet>,
}

impl Ledger {
    pub(super) fn new(script: &Script, seed: u64, clock: Clock) -> Self {
        Self {
            window: Tally::default(),
            began: Moment::default(),
            total: Tally::default(),
            windows: Vec::new(),
            failures: Failures::new(seed),
            phases: Vec::new(),
            scenarios: script.scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
            endpoints: endpoint_labels(script),
            target: crate::redact::text(&script.target),
            seed,
            clock,
            load_began: None,
            outlet: None,
        }
    }

    /// The same, with every window that is closed put into an outlet too.
    pub(super) fn publishing(mut self, outlet: Option<Outlet>) -> Self {
        self.outlet = outlet;
        self
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
            let window = Window { began: self.began, ended, numbers: Numbers::of(&self.window, &self.endpoints) };
            if let Some(outlet) = &self.outlet {
                outlet.offer(&window);
            }
            self.windows.push(window);
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

    /// Where the run stands; `patience` is how long users still get, once they are waited for only so long.
    pub(super) fn progress(&self, now: Moment, active: u64, patience: Option<Duration>) -> Progress {
        let under_way = |phase: &PhaseRun| phase.began <= now && now < phase.began + phase.length;
        let index = self.phases.iter().position(under_way).unwrap_or(self.phases.len().saturating_sub(1));
        let phase = self.phases.get(index);
        let end = phase.map_or(now, |phase| phase.began + phase.length);
        let mut latency = Latency::default();
        self.window.series.values().for_each(|series| latency.add(&series.from_send));
        let some = |length: Duration| (latency.count() > 0).then_some(length);
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        let mut users = self.total.users.get(&number).copied().unwrap_or_default();
        users.add(self.window.users.get(&number).copied().unwrap_or_default());
        let draining = patience.is_some() || (self.load_began.is_some() && now >= end);
        Progress {
            phase: phase.map_or_else(|| "before".to_owned(), |phase| phase.name.clone()),
            number: index + 1,
            of: self.phases.len(),
            left: if draining { patience } else { Some(end.since(now)) },
            planned: phase.map_or(0, |phase| phase.planned),
            created: users.created,
            skipped: users.skipped,
            active,
            #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
            rate: self.window.requests as f64 / now.since(self.began).as_secs_f64().max(0.5),
            p50: some(latency.quantile(0.5)),
            p95: some(latency.quantile(0.95)),
            errors: [&self.window, &self.total].iter().flat_map(|tally| tally.errors.values()).sum(),
            lateness: Some(self.window.lateness.quantile(0.99).max(self.total.lateness.quantile(0.99)))
                .filter(|lateness| *lateness >= LATE),
            draining,
        }
    }

    /// Closes the books.
    pub(super) fn finish(&mut self, now: Moment, cut_short: bool, abandoned: u64, driver_cpu: Duration) -> Traffic {
        self.close(now);
        // That there is no more is told by the outlet's end.
        self.outlet = None;
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

//! The books of a run: windows that are over, summed up and added to the total.
//!
//! Kept apart from the present window, so that summing up never holds up a user.

use std::time::Duration;

use super::ledger::{Closed, Ledger};
use super::publish::Outlet;
use crate::clock::{Clock, Moment};
use crate::recording::traffic::log::LoadHead;
use crate::recording::traffic::{EndpointLabel, Latency, Numbers, Progress, Tally, Traffic, Window};
use crate::scenario::endpoint::Endpoint;
use crate::scenario::script::Script;

/// Lateness below this is not worth a word.
const LATE: Duration = Duration::from_millis(2);

/// The books of a run.
#[derive(Debug)]
pub(super) struct Books {
    total: Tally,
    windows: Vec<Window>,
    scenarios: Vec<String>,
    endpoints: Vec<EndpointLabel>,
    target: String,
    outlet: Option<Outlet>,
    /// The errors of a run whose books are closed: there is only `after` left to do.
    closed: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) began: Moment,
    pub(super) ended: Moment,
    pub(super) cut_short: bool,
    pub(super) abandoned: u64,
    /// CPU time that the driver took from `began` to `ended`.
    pub(super) driver_cpu: Duration,
}

/// What an endpoint is called.
fn label(script: &Script, endpoint: &Endpoint) -> EndpointLabel {
    let label = EndpointLabel {
        method: endpoint.method.clone(),
        path: endpoint.path.clone(),
        query: endpoint.query.clone(),
        name: endpoint.name.clone(),
        metric: script.plugins.by_endpoint.metric(endpoint),
    };
    // The plugin is about requests.
    EndpointLabel { metric: label.metric.clone().filter(|_| !label.is_message()), ..label }
}

impl Books {
    /// Empty books. Every window that is entered is put into the outlet too.
    pub(super) fn new(script: &Script, outlet: Option<Outlet>) -> Self {
        Self {
            total: Tally::default(),
            windows: Vec::new(),
            scenarios: script.scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
            endpoints: script.endpoints.iter().map(|endpoint| label(script, endpoint)).collect(),
            target: crate::redact::text(&script.target),
            outlet,
            closed: None,
        }
    }

    /// Sums a window up. Its tally comes back empty.
    pub(super) fn enter(&mut self, closed: Closed) -> Tally {
        let Closed { mut tally, began, ended } = closed;
        let window = Window { began, ended, numbers: Numbers::of(&tally, &self.endpoints) };
        if let Some(outlet) = &self.outlet {
            outlet.offer(&window);
        }
        self.windows.push(window);
        self.total.add(&tally);
        tally.clear();
        tally
    }

    /// What is known of the load before it begins; its phases are not among it.
    pub(super) fn head(&self, seed: u64) -> LoadHead {
        LoadHead {
            target: self.target.clone(),
            seed,
            began: Moment::default(),
            phases: Vec::new(),
            scenarios: self.scenarios.clone(),
            endpoints: self.endpoints.clone(),
        }
    }

    /// Adds an endpoint that the script itself does not have; its number.
    pub(super) fn add_endpoint(&mut self, script: &Script, endpoint: &Endpoint) -> u32 {
        self.endpoints.push(label(script, endpoint));
        u32::try_from(self.endpoints.len() - 1).unwrap_or(u32::MAX)
    }

    /// The endpoints from that number on.
    pub(super) fn endpoints_from(&self, number: usize) -> &[EndpointLabel] {
        self.endpoints.get(number..).unwrap_or_default()
    }

    /// The windows from that number on.
    pub(super) fn windows_from(&self, number: usize) -> &[Window] {
        self.windows.get(number..).unwrap_or_default()
    }

    /// Where the run stands; `patience` is how long users still get, once they are waited for only so long.
    pub(super) fn progress(&self, ledger: &Ledger, now: Moment, active: u64, patience: Option<Duration>) -> Progress {
        if let Some(errors) = self.closed {
            return Progress { phase: "after".to_owned(), errors, ..Progress::default() };
        }
        let (window_began, window) = ledger.window();
        let phases = ledger.phases();
        let index = phases.partition_point(|phase| phase.began <= now).saturating_sub(1);
        let phase = phases.get(index);
        let end = phase.map_or(now, |phase| phase.began + phase.length);
        let mut latency = Latency::default();
        window.series.values().for_each(|series| latency.add(&series.from_send));
        let some = |length: Duration| (latency.count() > 0).then_some(length);
        let number = u16::try_from(index).unwrap_or(u16::MAX);
        let mut users = self.total.users.get(&number).copied().unwrap_or_default();
        users.add(window.users.get(&number).copied().unwrap_or_default());
        let draining = patience.is_some() || (phase.is_some() && now >= end);
        Progress {
            phase: phase.map_or_else(|| "before".to_owned(), |phase| phase.name.clone()),
            number: index + 1,
            of: phases.len(),
            left: if draining { patience } else { Some(end.since(now)) },
            planned: phase.map_or(0, |phase| phase.planned),
            created: users.created,
            skipped: users.skipped,
            active,
            #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
            rate: window.requests as f64 / now.since(window_began).as_secs_f64().max(0.5),
            p50: some(latency.quantile(0.5)),
            p95: some(latency.quantile(0.95)),
            errors: errors(window) + errors(&self.total),
            lateness: Some(window.lateness.quantile(0.99).max(self.total.lateness.quantile(0.99)))
                .filter(|lateness| *lateness >= LATE),
            draining,
        }
    }

    /// Closes the books.
    pub(super) fn finish(&mut self, ledger: &mut Ledger, seed: u64, clock: Clock, end: End) -> Traffic {
        ledger.close(end.ended);
        while let Some(closed) = ledger.take_closed() {
            self.enter(closed);
        }
        // That there is no more is told by the outlet's end.
        self.outlet = None;
        self.closed = Some(errors(&self.total));
        Traffic {
            target: std::mem::take(&mut self.target),
            seed,
            anchor: clock.wall(Moment::default()),
            phases: ledger.phases().to_vec(),
            scenarios: std::mem::take(&mut self.scenarios),
            endpoints: std::mem::take(&mut self.endpoints),
            began: end.began,
            ended: end.ended,
            cut_short: end.cut_short,
            abandoned: end.abandoned,
            windows: std::mem::take(&mut self.windows),
            total: std::mem::take(&mut self.total),
            failures: ledger.take_failures(),
            driver_cpu: end.driver_cpu,
        }
    }
}

/// Errors, and answers of 400 and more.
fn errors(tally: &Tally) -> u64 {
    let answers = tally.codes.iter().filter(|((_, status), _)| *status >= 400).map(|(_, count)| count);
    tally.errors.values().sum::<u64>() + answers.sum::<u64>()
}

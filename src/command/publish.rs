//! What `publish-metrics` needs of a run: a publisher that calls the numbers by Artillery's names.
//!
//! The load does not know these names and the report does not send anything: here the two meet.

use crate::clock::Clock;
use crate::load::publish::{Outlet, Published, Publisher};
use crate::load::{Broken, Stops};
use crate::recording::traffic::Window;
use crate::report::load::{Metrics, Names, fields};
use crate::scenario::script::Script;
use crate::ui::Ui;

/// The publisher of a run, if its script has anything to publish to.
#[derive(Debug, Default)]
pub(super) struct Publishing(Option<Publisher>);

/// Starts to publish. The outlet belongs to the run: its end is the publisher's. Who sends the users home wants no more waiting
/// for destinations either.
pub(super) fn start(script: &Script, clock: Clock, stops: &Stops) -> Result<(Publishing, Option<Outlet>), Broken> {
    if script.plugins.publish.is_empty() {
        return Ok((Publishing::default(), None));
    }
    let scenarios: Vec<String> = script.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let (namespace, extended) = (script.plugins.by_endpoint.namespace.clone(), script.http.extended_metrics);
    let name = move |window: &Window| {
        let names = Names { scenarios: &scenarios, namespace: &namespace, extended };
        published(window, Metrics::of(&window.numbers, &names), clock)
    };
    let (publisher, outlet) = Publisher::start(&script.plugins.publish, clock, &stops.users, name)?;
    Ok((Publishing(Some(publisher)), Some(outlet)))
}

fn published(window: &Window, metrics: Metrics, clock: Clock) -> Published {
    Published {
        began: clock.wall(window.began),
        ended: clock.wall(window.ended),
        counters: metrics.counters,
        rates: metrics.rates,
        summaries: metrics.summaries.iter().map(|(name, summary)| (name.clone(), fields(summary).to_vec())).collect(),
    }
}

impl Publishing {
    /// Waits for the last window to be sent, and tells what could not be.
    pub(super) fn finish(self, ui: Ui) {
        self.0.map(Publisher::finish).into_iter().flatten().for_each(|told| ui.note(&told));
    }
}

//! `pyperf run`: send the load that a script describes, then tell what came of it.

use std::io::Write;

use super::load::{self, Windows};
use super::{output, publish, signals};
use crate::cli::Run;
use crate::clock::Clock;
use crate::load::{Load, Options, Stops};
use crate::problem::Problem;
use crate::report::load::LoadReport;
use crate::ui::Ui;

/// Sends, then tells.
pub(super) fn run(wish: &Run) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let (script, sources) = load::prepare(ui, wish)?;
    let clock = Clock::start();
    let json = wish.output.as_deref().map(|path| load::place(path, clock));
    json.as_deref().map_or(Ok(()), output::check)?;
    let stops = Stops::default();
    let writing = signals::stop_load_on_interrupt(&stops)?;

    let windows = Windows::of(wish, &script, clock);
    let (plugins, extended) = (script.plugins.clone(), script.http.extended_metrics);
    let (publishing, outlet) = publish::start(&script, clock, &stops)?;
    let options = Options { seed: wish.script.seed, proxies: load::proxies(wish)?, grace: wish.grace, windows: outlet };
    let load = Load::start(script, &sources, options, clock, &stops)?;
    let told = ui.follow_load(&load, &stops, &|over| windows.text(over), &|| None);
    let traffic = load.finish();
    publishing.finish(ui);
    let traffic = traffic?;
    ui.result(&traffic.windows.iter().skip(told).map(|over| windows.text(over)).collect::<String>());

    let report = LoadReport::of(&traffic, &plugins, extended).labelled(&wish.labels);
    load::tell(ui, wish, &report);
    if let Some(path) = &json {
        writing.begin();
        let fill = |to: &mut dyn Write| report.write_json(wish.layout, to);
        output::deliver(ui, &fill, "the numbers as JSON", path, &writing)?;
    }
    load::verdict(wish, &traffic, &report, writing.exit())
}

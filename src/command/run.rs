//! `pyperf run`: send the load that a script describes, then tell what came of it.

use std::io::Write;
use std::path::Path;

use super::load::{self, Prepared, Shown};
use super::{output, publish, signals};
use crate::cli::Run;
use crate::clock::{Clock, Moment};
use crate::load::{Broken, Load, Options, Stops};
use crate::problem::Problem;
use crate::recording::file::RecordingFile;
use crate::redact;
use crate::ui::Ui;

/// Sends, then tells.
pub(super) fn run(wish: &Run) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let clock = Clock::start();
    let prepared = load::prepare(ui, wish, clock)?;
    let json = wish.output.as_deref().map(|path| load::place(path, clock));
    json.as_deref().map_or(Ok(()), output::check)?;
    let stops = Stops::default();
    let writing = signals::stop_load_on_interrupt(&stops)?;

    let shown = Shown::of(wish, &prepared, clock);
    let Prepared { script, sources, proxies, functions } = prepared;
    let (publishing, outlet) = publish::start(&script, clock, &stops)?;
    let keep = |path: &Path| {
        let (target, started) = (redact::text(&script.target), clock.wall(Moment::default()));
        RecordingFile::create_for_load(path, &target, started)
    };
    let recording = wish.recording.as_deref().map(keep).transpose()?;
    let (processor, lines) = functions.map(|ready| (ready.processor, ready.lines)).unzip();
    let (seed, grace, windows) = (wish.script.seed, wish.grace, outlet);
    let options = Options { seed, proxies, grace, processor, lines, windows, recording };
    let load = Load::start(script, &sources, options, clock, &stops).map_err(|broken| forget(wish, broken))?;
    let told = ui.follow_load(&load, &stops, &|over| shown.window(over), &|| None);
    let ended = load.finish();
    publishing.finish(ui);
    let ended = ended.map_err(|broken| forget(wish, broken))?;
    ui.result(&shown.windows_from(told, &ended.traffic));

    let report = shown.report(wish, &ended.traffic);
    load::tell(ui, wish, &report);
    if let Some(path) = &json {
        writing.begin();
        let fill = |to: &mut dyn Write| report.write_json(wish.layout, to);
        output::deliver(ui, &fill, "the numbers as JSON", path, &writing)?;
    }
    let verdict = load::verdict(wish, &report, writing.exit());
    load::kept(ui, ended, verdict)
}

/// Nothing was recorded of a run that could not begin, and the next try may want the name.
fn forget(wish: &Run, broken: Broken) -> Problem {
    if matches!(broken, Broken::Settings(_) | Broken::Before(_)) {
        wish.recording.as_deref().map(std::fs::remove_file);
    }
    broken.into()
}

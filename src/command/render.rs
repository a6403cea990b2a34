//! `pyperf report`: draw a recording again, or two that were made on two machines.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::endpoint::{self, Kept};
use super::joined::{self, Joined};
use super::output;
use super::signals::{self, Writing};
use crate::cli::{Render, Rendered};
use crate::problem::{Exit, Problem};
use crate::profile::endpoint::narrowed;
use crate::profile::{Level, Measure, find_phase, phase_names};
use crate::recording::{Detail, Recording};
use crate::report::load::LoadReport;
use crate::report::whole::Whole;
use crate::report::{Diff, Format, Report};
use crate::scenario::plugins::Plugins;
use crate::ui::Ui;

/// Reads, folds, writes.
pub(super) fn run(mut wish: Render) -> Result<(), Problem> {
    let path = place(&mut wish);
    output::check(&path)?;
    let mut joined = joined::read(&wish, Ui::new(wish.verbosity))?;
    let recording = &joined.recording;
    if wish.view.selection.measure == Measure::Cpu && recording.detail == Detail::Coarse {
        return Err(no_cpu_times());
    }
    if let Some(name) = &wish.phase {
        wish.view.selection.phase = Some(phase(recording, name)?);
    }
    if wish.view.levels.contains(&Level::Phase) && recording.timeline.phases.is_empty() {
        return Err(no_phases());
    }
    let keep = |pattern| endpoint::keep(recording, joined.flights.as_ref(), pattern, &wish.view.selection);
    let kept = wish.endpoint.as_deref().map(keep).transpose()?;
    // Only now: until here there is nothing that an interrupt could leave half done.
    let writing = signals::give_up_on_interrupt()?;
    writing.begin();
    if wish.what != Rendered::Graph {
        return whole(&wish, &joined, kept, &path, &writing);
    }
    let words = kept.map(|kept| {
        joined.recording.samples = narrowed(&joined.recording.samples, &kept.in_flight);
        kept.words
    });
    let recording = &joined.recording;
    if let Some((before, after)) = &wish.diff {
        let phases = [phase(recording, before)?, phase(recording, after)?];
        return diff(&wish, recording, phases, words, &path, &writing);
    }
    let report = Report::of(recording, wish.view).only(words);
    if let Some(nothing) = output::nothing_to_draw(&report) {
        return Err(nothing);
    }
    let fill = |to: &mut dyn Write| report.write(wish.format, to);
    output::deliver(Ui::new(wish.verbosity), &fill, &report.summary(), &path, &writing)
}

fn place(wish: &mut Render) -> PathBuf {
    let extension = match wish.what {
        Rendered::Graph => wish.format.extension(),
        Rendered::Text => "txt",
        Rendered::Json => "json",
    };
    let first = wish.recordings.first().cloned().unwrap_or_default();
    wish.output.take().unwrap_or_else(|| first.with_extension(extension))
}

/// What is said at the end of a run with load.
fn whole(wish: &Render, joined: &Joined, kept: Option<Kept>, path: &Path, writing: &Writing) -> Result<(), Problem> {
    let traffic = joined.traffic.as_ref().ok_or_else(no_phases)?;
    let plugins = Plugins::default();
    let load = LoadReport::of(traffic, &plugins, false);
    let whole = Whole::of(&joined.recording, traffic, &load, wish.view.selection.measure).from_place(joined.place);
    let whole = joined.flights.iter().fold(whole, Whole::under);
    let whole = kept.into_iter().fold(whole, |whole, kept| whole.hottest_during(&kept.in_flight, kept.words));
    let fill = |to: &mut dyn Write| match wish.what {
        Rendered::Text => whole.write_text(to),
        Rendered::Json | Rendered::Graph => whole.write_json(to),
    };
    output::deliver(Ui::new(wish.verbosity), &fill, "samples and load", path, writing)
}

/// One phase against another: a graph in the file, a table on standard output.
fn diff(
    wish: &Render,
    recording: &Recording,
    [before, after]: [usize; 2],
    only: Option<String>,
    path: &Path,
    writing: &Writing,
) -> Result<(), Problem> {
    if wish.format != Format::Flamegraph {
        return Err(Problem::new(Exit::Usage, "a difference is drawn as a flamegraph only"));
    }
    let Some(diff) = Diff::of(recording, before, after) else {
        return Err(Problem::new(Exit::Failed, "one of the two phases took no time"));
    };
    let diff = diff.only(only);
    let ui = Ui::new(wish.verbosity);
    let table = diff.table(&wish.view.selection);
    // Where the graph itself goes to standard output, nothing else may.
    if path == Path::new("-") {
        ui.remark(&table);
    } else {
        ui.result(&table);
    }
    let fill = |to: &mut dyn Write| diff.flamegraph(&wish.view, to);
    output::deliver(ui, &fill, "red grew, blue shrank", path, writing)
}

/// The phase of a name.
fn phase(recording: &Recording, name: &str) -> Result<usize, Problem> {
    if recording.timeline.phases.is_empty() {
        return Err(no_phases());
    }
    find_phase(&recording.timeline, name).ok_or_else(|| {
        let there: Vec<String> = phase_names(&recording.timeline).iter().map(|name| format!("`{name}`")).collect();
        let problem = Problem::new(Exit::Usage, format!("the recording has no phase `{name}`"));
        problem.hint(format!("one of {}", there.join(", ")))
    })
}

fn no_cpu_times() -> Problem {
    let problem = Problem::new(Exit::Usage, "the recording has no CPU times: an older pyperf made it");
    problem.hint("record anew, or draw it with --mode wall")
}

fn no_phases() -> Problem {
    let problem = Problem::new(Exit::Usage, "the recording has no phases: no load was sent while it was made");
    problem.hint("pyperf run-with-load SCRIPT makes one with phases")
}

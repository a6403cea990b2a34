//! `pyperf report`: draw a recording again.

use std::io::Write;
use std::path::Path;

use super::output;
use super::signals::{self, Writing};
use crate::cli::Render;
use crate::problem::{Exit, Problem};
use crate::profile::{Level, find_phase, phase_names};
use crate::recording::{Recording, file};
use crate::report::{Diff, Format, Report};
use crate::ui::Ui;

/// Reads, folds, writes.
pub(super) fn run(mut wish: Render) -> Result<(), Problem> {
    let path = wish.output.take().unwrap_or_else(|| wish.recording.with_extension(wish.format.extension()));
    output::check(&path)?;
    let recording = file::read(&wish.recording)?;
    if let Some(name) = &wish.phase {
        wish.view.selection.phase = Some(phase(&recording, name)?);
    }
    if wish.view.levels.contains(&Level::Phase) && recording.timeline.phases.is_empty() {
        return Err(no_phases());
    }
    // Only now: until here there is nothing that an interrupt could leave half done.
    let writing = signals::give_up_on_interrupt()?;
    writing.begin();
    if let Some((before, after)) = &wish.diff {
        return diff(&wish, &recording, [phase(&recording, before)?, phase(&recording, after)?], &path, &writing);
    }
    let report = Report::of(&recording, wish.view);
    if let Some(nothing) = output::nothing_to_draw(&report) {
        return Err(nothing);
    }
    let fill = |to: &mut dyn Write| report.write(wish.format, to);
    output::deliver(Ui::new(wish.verbosity), &fill, &report.summary(), &path, &writing)
}

/// One phase against another: a graph in the file, a table on standard output.
fn diff(
    wish: &Render,
    recording: &Recording,
    [before, after]: [usize; 2],
    path: &Path,
    writing: &Writing,
) -> Result<(), Problem> {
    if wish.format != Format::Flamegraph {
        return Err(Problem::new(Exit::Usage, "a difference is drawn as a flamegraph only"));
    }
    let Some(diff) = Diff::of(recording, before, after) else {
        return Err(Problem::new(Exit::Failed, "one of the two phases took no time"));
    };
    let ui = Ui::new(wish.verbosity);
    ui.result(&diff.table(&wish.view.selection));
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

fn no_phases() -> Problem {
    let problem = Problem::new(Exit::Usage, "the recording has no phases: no load was sent while it was made");
    problem.hint("pyperf run-with-load SCRIPT makes one with phases")
}

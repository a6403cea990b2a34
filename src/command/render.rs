//! `pyperf report`: draw a recording again, or two that were made on two machines.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::output;
use super::signals::{self, Writing};
use crate::cli::{Render, Rendered};
use crate::problem::{Exit, Problem};
use crate::profile::{Level, find_phase, phase_names};
use crate::recording::traffic::Traffic;
use crate::recording::{Recording, file};
use crate::report::load::LoadReport;
use crate::report::whole::Whole;
use crate::report::{Diff, Format, Report};
use crate::scenario::plugins::Plugins;
use crate::ui::Ui;

/// Reads, folds, writes.
pub(super) fn run(mut wish: Render) -> Result<(), Problem> {
    let path = place(&mut wish);
    output::check(&path)?;
    let (recording, traffic) = read(&wish)?;
    if let Some(name) = &wish.phase {
        wish.view.selection.phase = Some(phase(&recording, name)?);
    }
    if wish.view.levels.contains(&Level::Phase) && recording.timeline.phases.is_empty() {
        return Err(no_phases());
    }
    // Only now: until here there is nothing that an interrupt could leave half done.
    let writing = signals::give_up_on_interrupt()?;
    writing.begin();
    if wish.what != Rendered::Graph {
        return whole(&wish, &recording, traffic.as_ref(), &path, &writing);
    }
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

fn place(wish: &mut Render) -> PathBuf {
    let extension = match wish.what {
        Rendered::Graph => wish.format.extension(),
        Rendered::Text => "txt",
        Rendered::Json => "json",
    };
    let first = wish.recordings.first().cloned().unwrap_or_default();
    wish.output.take().unwrap_or_else(|| first.with_extension(extension))
}

/// The samples and the load: of one file, or of one file each.
fn read(wish: &Render) -> Result<(Recording, Option<Traffic>), Problem> {
    let mut files = wish.recordings.iter();
    let first = files.next().ok_or_else(no_phases)?;
    let second = files.next();
    // A graph of one file needs no replay of its requests.
    let is_wanted = second.is_some() || wish.what != Rendered::Graph;
    let mut recording = file::read(first)?;
    let traffic = if is_wanted { file::read_traffic(first)? } else { None };
    let Some(second) = second else { return Ok((recording, traffic)) };
    let (mut other, load) = (file::read(second)?, file::read_traffic(second)?);
    let refused = |sentence: &str, hint: &str| Problem::new(Exit::Usage, sentence).hint(hint);
    match (traffic, load) {
        (None, Some(load)) => {
            let behind = recording.behind(&other, wish.clock_offset);
            recording.take_phases(&other, behind);
            Ok((recording, Some(load)))
        }
        // The other way round: the samples are in the second file.
        (Some(load), None) => {
            let behind = other.behind(&recording, -wish.clock_offset);
            other.take_phases(&recording, behind);
            Ok((other, Some(load)))
        }
        (None, None) => Err(refused(
            "neither of the two recordings has a load",
            "pyperf run --recording FILE SCRIPT makes one that has",
        )),
        (Some(_), Some(_)) => Err(refused(
            "both recordings have a load; one of them is to have the samples alone",
            "pyperf attach --recording FILE makes one",
        )),
    }
}

/// What is said at the end of a run with load.
fn whole(
    wish: &Render,
    recording: &Recording,
    traffic: Option<&Traffic>,
    path: &Path,
    writing: &Writing,
) -> Result<(), Problem> {
    let traffic = traffic.ok_or_else(no_phases)?;
    let plugins = Plugins::default();
    let load = LoadReport::of(traffic, &plugins, false);
    let whole = Whole::of(recording, traffic, &load);
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

fn no_phases() -> Problem {
    let problem = Problem::new(Exit::Usage, "the recording has no phases: no load was sent while it was made");
    problem.hint("pyperf run-with-load SCRIPT makes one with phases")
}

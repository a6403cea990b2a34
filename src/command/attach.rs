//! `pyperf attach`: sample a running program until told to stop, then draw it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::output;
use super::signals::{self, Writing};
use crate::cli::Attach;
use crate::clock::{Clock, Moment};
use crate::problem::{Exit, Problem};
use crate::process::facts::Facts;
use crate::process::find::find;
use crate::process::tree::ProcessTree;
use crate::process::{access, gunicorn};
use crate::profile::Level;
use crate::recording::file::RecordingFile;
use crate::recording::{Mode, Recording, Run, rate_reached};
use crate::report::Report;
use crate::sampler::{Opened, Options, Outcome, Sampler, StartError};
use crate::stack::pyspy::PySpyReader;
use crate::stop::{Stop, StopReason};
use crate::ui::Ui;

/// Samples, then writes.
pub(super) fn run(wish: &Attach) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let stop = Stop::default();
    if wish.reading.mode == Mode::Blocking {
        signals::never_suspend()?;
    }
    let writing = signals::stop_on_interrupt(&stop)?;

    let roots = find(&wish.wanted)?;
    let words = format!("attach {}", wish.wanted);
    for root in &roots {
        access::check(*root, &words)?;
    }
    let graphs = graphs(wish, &roots);
    for (path, _) in &graphs {
        output::check(path)?;
    }
    let clock = Clock::start();
    let run = Run {
        target: describe(&roots),
        started: clock.wall(Moment::default()),
        rate: wish.rate,
        mode: wish.reading.mode,
    };
    let file = wish.recording.as_deref().map(|path| RecordingFile::create(path, &run)).transpose()?;

    let tree = ProcessTree::new(roots, wish.follow);
    let options = Options { run, duration: wish.duration, file };
    let reading = wish.reading;
    let opener = Box::new(move |pid| {
        let reader = PySpyReader::attach(pid, reading, clock)?;
        Ok(Opened { python: reader.version(), reader: Box::new(reader) })
    });
    let sampler = Sampler::start(tree, opener, options, clock, &stop).map_err(|error| {
        // Nothing was recorded, and the next try may want the name.
        wish.recording.as_deref().map(std::fs::remove_file);
        refusal(&words, wish.reading.mode, error)
    })?;
    ui.follow(&sampler, &stop);
    let outcome =
        sampler.finish().ok_or_else(|| Problem::new(Exit::Failed, "the recorder failed, and what it held is lost"))?;
    tell(ui, &outcome, wish, stop.reason());
    deliver_all(ui, wish, &outcome.recording, &graphs, &writing)?;
    match (outcome.file_error, stop.reason()) {
        (Some(error), _) => Err(error.into()),
        (None, Some(StopReason::Failed)) => {
            Err(Problem::new(Exit::Failed, "sampling broke off; what came before is written"))
        }
        (None, _) => Ok(()),
    }
}

/// Draws every graph, whatever becomes of the others, and then fails with the first problem. Of several trees some may have
/// been idle: that is one only where all were.
fn deliver_all(
    ui: Ui,
    wish: &Attach,
    recording: &Recording,
    graphs: &[(PathBuf, Option<i32>)],
    writing: &Writing,
) -> Result<(), Problem> {
    writing.begin();
    let mut written = 0;
    let (mut empty, mut failed) = (None, None);
    for (path, root) in graphs {
        let report = report(wish, recording, *root);
        if let Some(nothing) = output::nothing_to_draw(&report) {
            if graphs.len() > 1 {
                ui.note(&format!("{} is not written: {}", path.display(), nothing.causes.join(", ")));
            }
            empty.get_or_insert(nothing);
        } else if let Err(problem) = output::deliver(ui, &report, wish.format, path, writing) {
            failed.get_or_insert(problem);
        } else {
            written += 1;
        }
    }
    match (failed, empty) {
        (Some(problem), _) => Err(problem),
        (None, Some(nothing)) if written == 0 => Err(nothing),
        _ => Ok(()),
    }
}

/// The report of one tree, or of all.
fn report<'a>(wish: &Attach, recording: &'a Recording, root: Option<i32>) -> Report<'a> {
    let mut view = wish.view.clone();
    view.selection.root = root;
    let roots: BTreeSet<i32> = recording.processes.iter().map(|process| process.root).collect();
    if root.is_none() && roots.len() > 1 {
        view.levels.insert(0, Level::Tree);
    }
    let report = Report::of(recording, view);
    match root {
        Some(root) => report.about(describe(&[root])),
        None => report,
    }
}

/// A start that failed because a process may not be read, or not be stopped, gets that for its reason.
fn refusal(words: &str, mode: Mode, error: StartError) -> Problem {
    let StartError::Unreadable { pid, .. } = error else {
        return error.into();
    };
    match (access::check(pid, words), mode) {
        (Err(denied), _) => denied.into(),
        (Ok(()), Mode::Blocking) => access::why_not_stopped(pid, words).map_or_else(|| error.into(), Problem::from),
        (Ok(()), Mode::NonBlocking) => error.into(),
    }
}

/// The files to write, each with the pid of the root whose tree it shows; without one it shows all.
fn graphs(wish: &Attach, roots: &[i32]) -> Vec<(PathBuf, Option<i32>)> {
    match (&wish.output, roots) {
        (Some(path), _) => vec![(path.clone(), None)],
        (None, [only]) => vec![(default_path(wish, *only), None)],
        (None, several) => several.iter().map(|root| (default_path(wish, *root), Some(*root))).collect(),
    }
}

fn default_path(wish: &Attach, root: i32) -> PathBuf {
    let master = served_by(root).unwrap_or(root);
    format!("profile-{master}.{}", wish.format.extension()).into()
}

/// The Python process that a wrapper given by `--pid` (sh, tini, uv) has started.
fn served_by(root: i32) -> Option<i32> {
    let facts = Facts::read(root)?;
    if facts.is_python() {
        return Some(root);
    }
    let mut below: Vec<i32> =
        Facts::all().into_values().filter(|facts| facts.parent == root).map(|facts| facts.id.pid).collect();
    below.sort_unstable();
    below.into_iter().find_map(served_by)
}

fn describe(roots: &[i32]) -> String {
    let of = |root: &i32| {
        let facts = Facts::read(served_by(*root)?)?;
        let app = gunicorn::service(&facts).app.map(|app| format!(" {app}")).unwrap_or_default();
        let names = facts.names();
        let name = if gunicorn::is_gunicorn(&facts) { "gunicorn" } else { names.last().copied().unwrap_or("python") };
        Some(format!("{name}{app}, pid {}", facts.id))
    };
    roots.iter().filter_map(of).collect::<Vec<_>>().join(" + ")
}

fn tell(ui: Ui, outcome: &Outcome, wish: &Attach, reason: Option<StopReason>) {
    if reason == Some(StopReason::TargetGone) {
        ui.note("the program has ended; this is what it did until then");
    }
    for (id, why) in &outcome.unread {
        ui.note(&format!("process {id} could not be read: {why}"));
    }
    let reached = rate_reached(wish.rate, outcome.recording.reads, &outcome.recording.losses);
    if reached < 0.9 * f64::from(wish.rate) {
        ui.note(&format!("{reached:.0} of {} Hz were reached; ask for less with --rate", wish.rate));
    }
}

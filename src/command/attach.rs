//! `pyperf attach`: sample a running program until told to stop, then draw it.

use std::path::{Path, PathBuf};

use super::output;
use super::signals::{self, Writing};
use crate::cli::Attach;
use crate::clock::Clock;
use crate::problem::{Exit, Problem};
use crate::process::facts::Facts;
use crate::process::find::find;
use crate::process::tree::ProcessTree;
use crate::process::{access, gunicorn};
use crate::profile::Level;
use crate::recording::file::RecordingFile;
use crate::recording::{Mode, Recording, Run};
use crate::report::Report;
use crate::sampler::{Attached, Options, Outcome, Sampler, StartError};
use crate::stack::pyspy::PySpyReader;
use crate::stop::Stop;
use crate::ui::Ui;

/// Samples, then writes.
pub(super) fn run(wish: &Attach) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let stop = Stop::default();
    let writing = signals::stop_on_interrupt(&stop)?;

    let roots = find(&wish.wanted)?;
    for root in &roots {
        access::check(*root, &wish.wanted)?;
    }
    let graphs = graphs(wish, &roots);
    for (path, _) in &graphs {
        output::check(path)?;
    }
    let clock = Clock::start();
    let run =
        Run { target: describe(&roots), started: clock.wall(clock.now()), rate: wish.rate, mode: wish.reading.mode };
    let file = wish.recording.as_deref().map(|path| RecordingFile::create(path, &run)).transpose()?;

    let tree = ProcessTree::new(roots, wish.follow);
    let options = Options { run, duration: wish.duration, file };
    let reading = wish.reading;
    let attach = Box::new(move |pid| {
        let reader = PySpyReader::attach(pid, reading, clock)?;
        Ok(Attached { python: reader.version(), reader: Box::new(reader) })
    });
    let sampler = Sampler::start(tree, attach, options, clock, &stop).map_err(|error| refusal(wish, error))?;
    ui.follow(&sampler, &stop);
    let outcome =
        sampler.finish().ok_or_else(|| Problem::new(Exit::Failed, "the recorder failed, and what it held is lost"))?;
    tell(ui, &outcome, wish);
    for (path, root) in &graphs {
        draw(ui, wish, &outcome.recording, (path, *root), &writing)?;
    }
    match outcome.file_error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// A start that failed because the process may not be stopped gets that for its reason.
fn refusal(wish: &Attach, error: StartError) -> Problem {
    let denied = match &error {
        StartError::Unreadable { pid, .. } if wish.reading.mode == Mode::Blocking => {
            access::why_not_stopped(*pid, &wish.wanted)
        }
        _ => None,
    };
    denied.map_or_else(|| error.into(), Problem::from)
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

fn tell(ui: Ui, outcome: &Outcome, wish: &Attach) {
    for (id, why) in &outcome.unread {
        ui.note(&format!("process {id} could not be read: {why}"));
    }
    if outcome.recording.losses.late > 0 {
        let reached = crate::recording::rate_reached(wish.rate, outcome.recording.length, &outcome.recording.losses);
        if reached < 0.9 * f64::from(wish.rate) {
            ui.note(&format!("{reached:.0} of {} Hz were reached; ask for less with --rate", wish.rate));
        }
    }
}

fn draw(
    ui: Ui,
    wish: &Attach,
    recording: &Recording,
    (path, root): (&Path, Option<i32>),
    writing: &Writing,
) -> Result<(), Problem> {
    let mut view = wish.view.clone();
    view.selection.root = root;
    let roots: std::collections::BTreeSet<i32> = recording.processes.iter().map(|process| process.root).collect();
    if root.is_none() && roots.len() > 1 {
        view.levels.insert(0, Level::Tree);
    }
    writing.begin();
    output::deliver(ui, &Report::of(recording, view), wish.format, path, writing)
}

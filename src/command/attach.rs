//! `pyperf attach`: sample a running program until told to stop, then draw it.

use super::graphs::{self, Graph};
use super::output;
use super::signals;
use crate::cli::Attach;
use crate::clock::{Clock, Moment};
use crate::problem::{Exit, Problem};
use crate::process::access;
use crate::process::find::find;
use crate::process::tree::ProcessTree;
use crate::recording::file::RecordingFile;
use crate::recording::{Mode, Run, rate_reached};
use crate::sampler::{Options, Outcome, Sampler, StartError};
use crate::stack::Opening;
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
    let graphs = Graph::all(wish, &roots);
    for graph in &graphs {
        output::check(&graph.path)?;
    }
    let clock = Clock::start();
    let run = Run {
        target: graphs::describe(&roots),
        started: clock.wall(Moment::default()),
        rate: wish.rate,
        mode: wish.reading.mode,
    };
    let file = wish.recording.as_deref().map(|path| RecordingFile::create(path, &run)).transpose()?;

    let tree = ProcessTree::new(roots, wish.follow);
    let options = Options { run, duration: wish.duration, file };
    let mut opening = Opening::new(wish.reading, clock);
    let opener = Box::new(move |pid| opening.open(pid));
    let sampler = Sampler::start(tree, opener, options, clock, &stop).map_err(|error| {
        // Nothing was recorded, and the next try may want the name.
        wish.recording.as_deref().map(std::fs::remove_file);
        refusal(&words, wish.reading.mode, error)
    })?;
    ui.follow(&sampler, &stop);
    let outcome =
        sampler.finish().ok_or_else(|| Problem::new(Exit::Failed, "the recorder failed, and what it held is lost"))?;
    tell(ui, &outcome, wish, stop.reason());
    graphs::deliver_all(ui, wish, &outcome.recording, &graphs, &writing)?;
    match (outcome.file_error, stop.reason()) {
        (Some(error), _) => Err(error.into()),
        (None, Some(StopReason::Failed)) => {
            Err(Problem::new(Exit::Failed, "sampling broke off; what came before is written"))
        }
        (None, _) => Ok(()),
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

fn tell(ui: Ui, outcome: &Outcome, wish: &Attach, reason: Option<StopReason>) {
    if reason == Some(StopReason::TargetGone) {
        ui.note("the program has ended; this is what it did until then");
    }
    for (id, why) in &outcome.unread {
        ui.note(&format!("process {id} could not be read: {why}"));
    }
    for (id, why) in &outcome.instead {
        ui.note(&format!("process {id} was read by py-spy, as no snapshots can be taken of it: {why}"));
    }
    let reached = rate_reached(wish.rate, outcome.recording.reads, &outcome.recording.losses);
    if reached < 0.9 * f64::from(wish.rate) {
        ui.note(&format!("{reached:.0} of {} Hz were reached; ask for less with --rate", wish.rate));
    }
}

//! `pyperf attach`: sample a running program until told to stop, then draw it.

use super::graphs::{self, Graph};
use super::sampling::{self, Target};
use super::{output, signals};
use crate::cli::Attach;
use crate::clock::{Clock, Moment};
use crate::problem::{Exit, Problem};
use crate::process::find::find;
use crate::recording::file::RecordingFile;
use crate::recording::{Mode, Run};
use crate::sampler::Options;
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
    sampling::check(&roots, &words)?;
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

    let options = Options { run, duration: wish.duration, file };
    let target = Target { roots, follow: wish.follow, reading: wish.reading, command: &words };
    let sampler = sampling::start(target, options, clock, &stop).inspect_err(|_| {
        // Nothing was recorded, and the next try may want the name.
        wish.recording.as_deref().map(std::fs::remove_file);
    })?;
    ui.follow(&sampler, &stop);
    let outcome = sampling::finish(sampler)?;
    sampling::tell(ui, &outcome, stop.reason());
    let drawn = graphs::deliver_all(ui, wish, &outcome.recording, &graphs, &writing);
    let broken = || Problem::new(Exit::Failed, "sampling broke off; what came before is written");
    let broken = (stop.reason() == Some(StopReason::Failed)).then(broken);
    output::foremost([drawn.err(), outcome.file_error.map(Problem::from), broken].into_iter().flatten())
}

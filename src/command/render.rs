//! `pyperf report`: draw a recording again.

use super::output;
use super::signals;
use crate::cli::Render;
use crate::problem::Problem;
use crate::recording::file;
use crate::report::Report;
use crate::ui::Ui;

/// Reads, folds, writes.
pub(super) fn run(wish: Render) -> Result<(), Problem> {
    let path = wish.output.unwrap_or_else(|| wish.recording.with_extension(wish.format.extension()));
    output::check(&path)?;
    let recording = file::read(&wish.recording)?;
    // Only now: until here there is nothing that an interrupt could leave half done.
    let writing = signals::give_up_on_interrupt()?;
    writing.begin();
    let report = Report::of(&recording, wish.view);
    if let Some(nothing) = output::nothing_to_draw(&report) {
        return Err(nothing);
    }
    let fill = |to: &mut dyn std::io::Write| report.write(wish.format, to);
    output::deliver(Ui::new(wish.verbosity), &fill, &report.summary(), &path, &writing)
}

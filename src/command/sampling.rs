//! What the commands that sample have in common: starting on a program, and saying why that failed or what was missed.

use crate::clock::Clock;
use crate::problem::{Exit, Problem};
use crate::process::tree::{Follow, ProcessTree};
use crate::process::{ProcessId, access};
use crate::recording::{Mode, rate_reached};
use crate::sampler::{self, Outcome, Sampler, StartError};
use crate::stack::{Opening, Options};
use crate::stop::{Stop, StopReason};
use crate::ui::Ui;

/// What is sampled, and how.
pub(super) struct Target<'a> {
    /// The topmost processes.
    pub(super) roots: Vec<i32>,
    /// Whether those below them belong to it.
    pub(super) follow: Follow,
    /// How their stacks are read.
    pub(super) reading: Options,
    /// The command as the user typed it, for advice.
    pub(super) command: &'a str,
}

/// Whether every topmost process may be read.
pub(super) fn check(roots: &[i32], command: &str) -> Result<(), Problem> {
    Ok(roots.iter().try_for_each(|root| access::check(*root, command))?)
}

/// Starts to sample.
pub(super) fn start(
    target: Target<'_>,
    options: sampler::Options,
    clock: Clock,
    stop: &Stop,
) -> Result<Sampler, Problem> {
    let Target { roots, follow, reading, command } = target;
    let mut opening = Opening::new(reading, clock);
    let opener = Box::new(move |pid| opening.open(pid));
    let started = Sampler::start(ProcessTree::new(roots, follow), opener, options, clock, stop);
    started.map_err(|error| refusal(command, reading.mode, error))
}

/// A start that failed because a process may not be read, or not be stopped, gets that for its reason.
fn refusal(command: &str, mode: Mode, error: StartError) -> Problem {
    let StartError::Unreadable { pid, .. } = error else {
        return error.into();
    };
    match (access::check(pid, command), mode) {
        (Err(denied), _) => denied.into(),
        (Ok(()), Mode::Blocking) => access::why_not_stopped(pid, command).map_or_else(|| error.into(), Problem::from),
        (Ok(()), Mode::NonBlocking) => error.into(),
    }
}

/// Ends sampling and takes what was sampled.
pub(super) fn finish(sampler: Sampler) -> Result<Outcome, Problem> {
    sampler.finish().ok_or_else(|| Problem::new(Exit::Failed, "the recorder failed, and what it held is lost"))
}

/// Says that a process was read in another way than it should.
pub(super) fn tell_instead(ui: Ui, id: ProcessId, why: &str) {
    ui.note(&format!("process {id} was read by py-spy, as no snapshots can be taken of it: {why}"));
}

/// Says what the samples lack.
pub(super) fn tell(ui: Ui, outcome: &Outcome, reason: Option<StopReason>) {
    if reason == Some(StopReason::TargetGone) {
        ui.note("the program has ended; this is what it did until then");
    }
    for (id, why) in &outcome.unread {
        ui.note(&format!("process {id} could not be read: {why}"));
    }
    for (id, why) in &outcome.instead {
        tell_instead(ui, *id, why);
    }
    let asked = outcome.recording.run.rate;
    let reached = rate_reached(asked, outcome.recording.reads, &outcome.recording.losses);
    if reached < 0.9 * f64::from(asked) {
        ui.note(&format!("{reached:.0} of {asked} Hz were reached; ask for less with --rate"));
    }
}

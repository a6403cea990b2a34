//! `pyperf run-with-load`: samples and load on one clock, in one graph and one report.

use std::time::Duration;

use super::load::{self, Prepared, Shown};
use super::results::Results;
use super::sampling::{self, Target};
use super::{graphs, output, publish, serving, signals};
use crate::cli::RunWithLoad;
use crate::clock::{Clock, Moment};
use crate::load::{Ended, Load, Options, Stops};
use crate::problem::Problem;
use crate::recording::file::{self, RecordingFile};
use crate::recording::traffic::Traffic;
use crate::recording::{Mode, Phase, Run};
use crate::report::whole::Whole;
use crate::sampler::{self, Outcome};
use crate::stop::Stop;
use crate::ui::{Ui, Verbosity};

/// How advice names this command.
const COMMAND: &str = "run-with-load";

/// Samples and sends, then tells.
pub(super) fn run(wish: &RunWithLoad) -> Result<(), Problem> {
    let ui = Ui::new(wish.run.verbosity);
    let clock = Clock::start();
    let prepared = load::prepare(ui, &wish.run, clock)?;
    let shown = Shown::of(&wish.run, &prepared, clock);
    let Prepared { script, sources, proxies, functions } = prepared;
    let (stops, sampling) = (Stops::default(), Stop::default());
    if wish.reading.mode == Mode::Blocking {
        signals::never_suspend()?;
    }
    let writing = signals::stop_load_on_interrupt(&stops)?;

    // Whatever can fail is tried before the first request.
    serving::reachable(&script)?;
    let roots = serving::roots(ui, wish, &script)?;
    sampling::check(&roots, COMMAND)?;
    let results = Results::place(wish, &roots, clock)?;
    let target = format!("{} under {}", graphs::describe(&roots), crate::redact::text(&script.target));
    let run = Run { target, started: clock.wall(Moment::default()), rate: wish.rate, mode: wish.reading.mode };
    let recording = RecordingFile::create(&results.recording(), &run)?;

    let options = sampler::Options { run, duration: None, file: Some(recording.clone()) };
    let target = Target { roots, follow: wish.follow, reading: wish.reading, command: COMMAND };
    let sampler = sampling::start(target, options, clock, &sampling).inspect_err(|_| results.give_up())?;
    let began = clock.now();
    ui.remark(&format!("sampling at {} Hz; the load begins in {:.1} s", wish.rate, wish.lead.as_secs_f64()));
    let _ = stops.arrivals.wait(wish.lead);

    let (publishing, outlet) = publish::start(&script, clock, &stops)?;
    let (processor, lines) = functions.map(|ready| (ready.processor, ready.lines)).unzip();
    let (seed, grace, recording) = (wish.run.script.seed, wish.run.grace, Some(recording));
    let options = Options { seed, proxies, grace, processor, lines, windows: outlet, recording };
    let load = Load::start(script, &sources, options, clock, &stops)?;
    let told = ui.follow_load(&load, &stops, &|over| shown.window(over), &|| Some(ui.sampling(&sampler)));
    let ended = load.finish();
    publishing.finish(ui);
    if let Ok(ended) = &ended {
        sampler.set_phases(phases(&ended.traffic, &shown.arrivals, began, clock.now()));
    }
    let (outcome, ended) = (sampling::finish(sampler)?, ended?);

    ui.result(&shown.windows_from(told, &ended.traffic));
    sampling::tell(ui, &outcome, sampling.reason());
    tell(wish, &shown, (outcome, ended), &results, &writing)
}

/// Prints what there is to say of both halves, and writes the results.
fn tell(
    wish: &RunWithLoad,
    shown: &Shown,
    (outcome, mut ended): (Outcome, Ended),
    results: &Results,
    writing: &signals::Writing,
) -> Result<(), Problem> {
    let ui = Ui::new(wish.run.verbosity);
    let report = shown.report(&wish.run, &ended.traffic);
    load::tell(ui, &wish.run, &report);
    // The rows are in the file: what stayed in memory meanwhile are their sums.
    let flights = file::read_flights(&results.recording()).unwrap_or_else(|error| {
        ui.note(&format!("requests cannot be told phase by phase: {error}"));
        None
    });
    let whole = Whole::of(&outcome.recording, &ended.traffic, &report, wish.view.selection.measure);
    let whole = flights.iter().fold(whole, Whole::under);
    if wish.run.verbosity == Verbosity::Normal {
        ui.result(&format!("{}\n", whole.details()));
    }
    writing.begin();
    let failed = results.deliver(ui, wish, &whole, writing);
    let verdict = load::verdict(&wish.run, &report, writing.exit());
    // Both halves write one file: what keeps the one from it keeps the other.
    ended.unwritten = outcome.file_error.or(ended.unwritten);
    let about = match ended.unwritten {
        None => "every sample, for `pyperf report` and for SQL",
        Some(_) => "what was recorded until it could no longer be written",
    };
    ui.written(&results.recording().display().to_string(), about);
    output::foremost(failed.into_iter().chain(load::kept(ui, ended, verdict).err()))
}

/// The phases of the recording: those of the script, with what was sampled before and after them.
fn phases(traffic: &Traffic, words: &[String], sampled: Moment, now: Moment) -> Vec<Phase> {
    let began = traffic.phases.first().map_or(traffic.began, |phase| phase.began).max(sampled);
    let quiet = |name: &str, began, ended| Phase { name: name.into(), arrivals: String::new(), began, ended };
    let mut phases = vec![quiet("before load", sampled, began)];
    let mut edge = began;
    for (run, words) in traffic.phases.iter().zip(words) {
        let ended = (run.began + run.length).min(traffic.ended).max(edge);
        if run.began >= traffic.ended && !phases.is_empty() && run.length > Duration::ZERO {
            // The run was cut short before it.
            break;
        }
        phases.push(Phase { name: run.name.clone(), arrivals: words.clone(), began: edge, ended });
        edge = ended;
    }
    phases.push(quiet("drain", edge, now.max(edge)));
    phases.retain(|phase| phase.began < phase.ended);
    phases
}

//! `pyperf run-with-load`: samples and load on one clock, in one graph and one report.

use std::io::Write;
use std::time::Duration;

use super::folder::Folder;
use super::load::{self, Windows};
use super::{graphs, output, publish, serving, signals};
use crate::cli::RunWithLoad;
use crate::clock::{Clock, Moment};
use crate::load::{Load, Options, Stops};
use crate::problem::{Exit, Problem};
use crate::process::access;
use crate::process::tree::ProcessTree;
use crate::recording::file::RecordingFile;
use crate::recording::traffic::Traffic;
use crate::recording::{Mode, Phase, Run};
use crate::report::Report;
use crate::report::load::LoadReport;
use crate::report::whole::Whole;
use crate::sampler::{self, Sampler, StartError};
use crate::stack::Opening;
use crate::stop::Stop;
use crate::ui::{Ui, Verbosity};

/// Samples and sends, then tells.
pub(super) fn run(wish: &RunWithLoad) -> Result<(), Problem> {
    let ui = Ui::new(wish.run.verbosity);
    let (script, sources) = load::prepare(ui, &wish.run)?;
    let (stops, sampling) = (Stops::default(), Stop::default());
    if wish.reading.mode == Mode::Blocking {
        signals::never_suspend()?;
    }
    let writing = signals::stop_load_on_interrupt(&stops)?;

    // Whatever can fail is tried before the first request.
    let proxies = load::proxies(&wish.run)?;
    serving::reachable(&script)?;
    let roots = serving::roots(ui, wish, &script)?;
    for root in &roots {
        access::check(*root, "run-with-load")?;
    }
    let clock = Clock::start();
    let folder = Folder::make(wish.out.as_deref(), clock)?;
    let json = wish.run.output.as_deref().map(|path| load::place(path, clock));
    json.as_deref().map_or(Ok(()), output::check)?;

    let target = format!("{} under {}", graphs::describe(&roots), crate::redact::text(&script.target));
    let run = Run { target, started: clock.wall(Moment::default()), rate: wish.rate, mode: wish.reading.mode };
    let recording = RecordingFile::create(&folder.file("run.pyperf"), &run)?;
    let master = roots.first().copied().unwrap_or_default();
    let options = sampler::Options { run, duration: None, file: Some(recording.clone()) };
    let sampler = sample(wish, roots, options, clock, &sampling).inspect_err(|_| {
        let _ = std::fs::remove_file(folder.file("run.pyperf"));
        folder.give_up();
    })?;
    let sampling_began = clock.now();
    ui.remark(&format!("sampling at {} Hz; the load begins in {:.1} s", wish.rate, wish.lead.as_secs_f64()));
    let _ = stops.arrivals.wait(wish.lead);

    let windows = Windows::of(&wish.run, &script, clock);
    let (plugins, extended) = (script.plugins.clone(), script.http.extended_metrics);
    let words: Vec<String> = script.phases.iter().map(|phase| phase.arrivals.words()).collect();
    let (publishing, outlet) = publish::start(&script, clock, &stops)?;
    let options = Options {
        seed: wish.run.script.seed,
        proxies,
        grace: wish.run.grace,
        windows: outlet,
        recording: Some(recording),
    };
    let load = Load::start(script, &sources, options, clock, &stops)?;
    let told = ui.follow_load(&load, &stops, &|over| windows.text(over), &|| Some(ui.sampling(&sampler)));
    let ended = load.finish();
    publishing.finish(ui);
    if let Ok(ended) = &ended {
        sampler.set_phases(phases(&ended.traffic, &words, sampling_began, clock.now()));
    }
    let outcome =
        sampler.finish().ok_or_else(|| Problem::new(Exit::Failed, "the recorder failed, and what it held is lost"))?;
    let ended = ended?;
    let traffic = &ended.traffic;
    ui.result(&traffic.windows.iter().skip(told).map(|over| windows.text(over)).collect::<String>());

    let load_report = LoadReport::of(traffic, &plugins, extended).labelled(&wish.run.labels);
    load::tell(ui, &wish.run, &load_report);
    let whole = Whole::of(&outcome.recording, traffic, &load_report);
    if wish.run.verbosity == Verbosity::Normal {
        ui.result(&format!("{}\n", whole.details()));
    }
    writing.begin();
    deliver(ui, wish, &whole, &folder, master, &writing)?;
    if let Some(path) = &json {
        let fill = |to: &mut dyn Write| load_report.write_json(wish.run.layout, to);
        output::deliver(ui, &fill, "the numbers as Artillery's JSON", path, &writing)?;
    }
    outcome
        .file_error
        .map_or(Ok(()), |error| Err(error.into()))
        .and_then(|()| load::kept(ui, &ended, load::verdict(&wish.run, traffic, &load_report, writing.exit())))
}

/// Starts to sample.
fn sample(
    wish: &RunWithLoad,
    roots: Vec<i32>,
    options: sampler::Options,
    clock: Clock,
    stop: &Stop,
) -> Result<Sampler, StartError> {
    let mut opening = Opening::new(wish.reading, clock);
    let opener = Box::new(move |pid| opening.open(pid));
    Sampler::start(ProcessTree::new(roots, wish.follow), opener, options, clock, stop)
}

/// Writes the graph, the report as text and as JSON, and says where everything is.
fn deliver(
    ui: Ui,
    wish: &RunWithLoad,
    whole: &Whole<'_>,
    folder: &Folder,
    master: i32,
    writing: &signals::Writing,
) -> Result<(), Problem> {
    let graph = Report::of(whole.recording, wish.view.clone());
    let path = folder.file(&format!("profile-{master}.{}", wish.format.extension()));
    match output::nothing_to_draw(&graph) {
        Some(nothing) => ui.note(&format!("{}: {}", nothing.sentence, nothing.causes.join(", "))),
        None => {
            output::deliver(ui, &|to| graph.write(wish.format, to), &graph.summary(), &path, writing)?;
        }
    }
    output::deliver(ui, &|to| whole.write_json(to), "everything as JSON", &folder.file("report.json"), writing)?;
    output::deliver(ui, &|to| whole.write_text(to), "what was printed here", &folder.file("report.txt"), writing)?;
    ui.written(&folder.file("run.pyperf").display().to_string(), "every sample, for `pyperf report` and for SQL");
    Ok(())
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

//! What the server did in each phase, as text and as JSON: CPU, states, hottest functions, and what that means.

use std::fmt::Write;

use serde_json::{Value, json};

use super::columns::{WIDTH, clip, clip_front, percent, points, share, wrap};
use super::demand;
use crate::printable::printable;
use crate::profile::activity::{Activity, Growth, PhaseActivity, WorkerActivity};
use crate::profile::compare::Shift;
use crate::profile::demand::{Demand, PhaseDemand};
use crate::profile::hot::{FunctionId, Spot};
use crate::recording::{ProcessNumber, Recording};

/// Workers that are shown in each phase.
const MOST_WORKERS: usize = 32;
/// The longest name in JSON, in characters.
const LONGEST: usize = 400;

/// A section for each phase, and one on what grew.
#[must_use]
pub fn text(activity: &Activity, recording: &Recording) -> String {
    let mut out = demand::table(activity, recording);
    for (number, phase) in activity.phases.iter().enumerate() {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "{}", clip(&phase.title, WIDTH));
        told(&mut out, activity, recording, (number, phase));
    }
    if let Some(growth) = &activity.growth {
        out.push('\n');
        wrap(&mut out, &grown(activity, growth));
    }
    out
}

fn told(out: &mut String, activity: &Activity, recording: &Recording, (number, phase): (usize, &PhaseActivity)) {
    let states = phase.states;
    if states.all() == 0 {
        out.push_str("  no samples of workers\n");
    } else {
        let part = |count| percent(share(count, states.all()));
        let (running, waiting, idle) = (part(states.running), part(states.waiting), part(states.idle));
        let _ = writeln!(out, "  threads: {running} running, {waiting} waiting, {idle} idle");
    }
    for worker in phase.workers.iter().take(MOST_WORKERS) {
        let cpu = worker.cpu.map_or("CPU unknown".to_owned(), |cpu| format!("{} of a core", percent(cpu)));
        let idle = percent(share(worker.states.idle, worker.states.all()));
        let _ = writeln!(out, "  {}: {cpu}, idle {idle}", called(recording, worker.process));
    }
    if phase.workers.len() > MOST_WORKERS {
        let _ = writeln!(out, "  and {} more workers", phase.workers.len() - MOST_WORKERS);
    }
    if let Some((demand, of_phase)) = asked(activity, number) {
        demand::in_flight(out, demand, of_phase);
    }
    hottest(out, activity, phase);
    for sentence in meaning(recording, phase) {
        wrap(out, &sentence);
    }
}

/// What the load asked for in the phase of that number.
fn asked(activity: &Activity, number: usize) -> Option<(&Demand, &PhaseDemand)> {
    let demand = activity.demand.as_ref()?;
    Some((demand, demand.phases.get(number)?))
}

fn hottest(out: &mut String, activity: &Activity, phase: &PhaseActivity) {
    if phase.hottest.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {:>7}  {:>7}  function", "self", "total");
    for (function, spot) in &phase.hottest {
        let Some(function) = activity.functions.get(*function) else {
            continue;
        };
        let part = |count| percent(share(count, phase.samples));
        let (own, total) = (part(spot.own.samples), part(spot.total.samples));
        let (name, place) = (clip(&function.name, 40), clip_front(function.place(), 36));
        let _ = writeln!(out, "  {own:>7}  {total:>7}  {name} ({place})");
    }
}

/// What is wrong in a phase, in sentences.
fn meaning(recording: &Recording, phase: &PhaseActivity) -> Vec<String> {
    let mut sentences = Vec::new();
    if phase.is_saturated() {
        let who = match phase.workers.len() {
            1 => "The worker is".to_owned(),
            count => format!("All {count} workers are"),
        };
        sentences.push(format!("{who} saturated in {}: requests wait for a free worker.", phase.name));
    }
    if let Some((process, part)) = phase.overloaded() {
        let (who, of) = (called(recording, process), phase.workers.len());
        let part = percent(part);
        sentences.push(format!("The load is uneven in {}: of {of} workers {who} does {part} of the work.", phase.name));
    }
    sentences
}

fn grown(activity: &Activity, growth: &Growth) -> String {
    let name = |number: usize| activity.phases.get(number).map_or("?", |phase| phase.name.as_str());
    let (from, to) = (name(growth.from), name(growth.to));
    let changed = growth.change.and_then(|change| Some((activity.functions.get(change.function)?, change.total)));
    let Some((function, Shift { before, after, low, high, .. })) = changed else {
        return format!("No function's share of samples grew from {from} to {to} by more than the noise.");
    };
    format!(
        "What grew most from {from} to {to} is {} ({}): from {} to {} of samples, {} points (95 % interval {} to {}).",
        clip(&function.name, 60),
        clip_front(function.place(), 60),
        percent(before),
        percent(after),
        points(after - before),
        points(low),
        points(high)
    )
}

fn called(recording: &Recording, number: ProcessNumber) -> String {
    recording.process(number).map_or("?".to_owned(), |process| format!("{} {}", process.role, process.id))
}

/// The same as [`text`], for programs: `phases`, and `growth` where there are two phases with load.
#[must_use]
pub fn json(activity: &Activity, recording: &Recording) -> Value {
    let phases: Vec<Value> =
        activity.phases.iter().enumerate().map(|phase| phase_json(activity, recording, phase)).collect();
    let name = |number: usize| activity.phases.get(number).map(|phase| phase.name.as_str());
    let growth = activity.growth.as_ref().map(|growth| {
        let change = growth.change.map(|change| {
            let mut fields = function_json(activity, change.function);
            fields["total"] = shift_json(&change.total);
            fields["self"] = shift_json(&change.own);
            fields
        });
        json!({"from": name(growth.from), "to": name(growth.to), "function": change})
    });
    json!({"phases": phases, "growth": growth})
}

fn phase_json(activity: &Activity, recording: &Recording, (number, phase): (usize, &PhaseActivity)) -> Value {
    let states = phase.states;
    let hot = |(function, spot): &(FunctionId, Spot)| {
        let mut fields = function_json(activity, *function);
        fields["self"] = json!(share(spot.own.samples, phase.samples));
        fields["total"] = json!(share(spot.total.samples, phase.samples));
        fields
    };
    let mut fields = json!({
        "name": phase.name,
        "arrivals": recording.timeline.phases.get(number).map_or("", |phase| phase.arrivals.as_str()),
        "cores": demand::cores(phase),
        "seconds": phase.length.as_secs_f64(),
        "samples": states.all(),
        "running": share(states.running, states.all()),
        "waiting": share(states.waiting, states.all()),
        "idle": share(states.idle, states.all()),
        "saturated": phase.is_saturated(),
        "uneven": phase.overloaded().is_some(),
        "workers": phase.workers.iter().map(|worker| worker_json(recording, worker)).collect::<Vec<_>>(),
        "hottest": phase.hottest.iter().map(hot).collect::<Vec<_>>(),
    });
    if let (Some(fields), Some((demand, of_phase))) = (fields.as_object_mut(), asked(activity, number)) {
        fields.extend(demand::json(demand, of_phase));
    }
    fields
}

fn worker_json(recording: &Recording, worker: &WorkerActivity) -> Value {
    let states = worker.states;
    json!({
        "pid": recording.process(worker.process).map(|process| process.id.pid),
        "cores": worker.cpu,
        "samples": states.all(),
        "running": share(states.running, states.all()),
        "waiting": share(states.waiting, states.all()),
        "idle": share(states.idle, states.all()),
    })
}

fn function_json(activity: &Activity, function: FunctionId) -> Value {
    let function = activity.functions.get(function);
    let name = function.map(|function| printable(&function.name, LONGEST));
    let file = function.map(|function| printable(function.place(), LONGEST));
    json!({"name": name, "file": file})
}

fn shift_json(shift: &Shift) -> Value {
    json!({"before": shift.before, "after": shift.after, "low": shift.low, "high": shift.high})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::synthetic::{cpu, phase, recording, sample, two_workers};
    use crate::recording::State;

    const TEXT: &str = "\
before load · 10 s
  threads: 0.0 % running, 0.0 % waiting, 100.0 % idle
  worker 11: 0.0 % of a core, idle 100.0 %
  worker 12: CPU unknown, idle 100.0 %

Light · 2 users/s · 10 s
  threads: 10.0 % running, 0.0 % waiting, 90.0 % idle
  worker 11: 20.0 % of a core, idle 80.0 %
  worker 12: CPU unknown, idle 100.0 %
     self    total  function
  100.0 %  100.0 %  fast (app.py)
The load is uneven in Light: of 2 workers worker 11 does 100.0 % of the work.

pause · 10 s
  threads: 0.0 % running, 0.0 % waiting, 100.0 % idle
  worker 11: 0.0 % of a core, idle 100.0 %
  worker 12: CPU unknown, idle 100.0 %

Heavy · 20 users/s · 10 s
  threads: 50.0 % running, 0.0 % waiting, 50.0 % idle
  worker 11: 100.0 % of a core, idle 0.0 %
  worker 12: CPU unknown, idle 100.0 %
     self    total  function
   60.0 %   60.0 %  slow (app.py)
   40.0 %   40.0 %  fast (app.py)
The load is uneven in Heavy: of 2 workers worker 11 does 100.0 % of the work.

What grew most from Light to Heavy is slow (app.py): from 0.0 % to 60.0 % of samples, +60.0 points
  (95 % interval +52.9 to +65.7).
";

    fn told(recording: &Recording) -> String {
        let text = text(&Activity::of(recording), recording);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        text
    }

    #[test]
    fn a_recording_reads_like_this() {
        let text = told(&two_workers());
        assert_eq!(text, TEXT);
    }

    #[test]
    fn saturated_workers_are_told() {
        let mut recording = recording(1);
        phase(&mut recording, "Heavy", "20 users/s", 1000);
        sample(&mut recording, 1, 0, State::Running, &["view"]);
        cpu(&mut recording, 1, 0, 0);
        cpu(&mut recording, 1, 1000, 950);
        let text = told(&recording);
        assert!(text.contains("The worker is saturated in Heavy: requests wait for a free worker.\n"), "{text}");
    }

    #[test]
    fn foreign_names_do_no_harm() {
        let mut recording = recording(1);
        let hostile = "\u{1b}[2J\n".repeat(100);
        phase(&mut recording, &hostile, &hostile, 1000);
        phase(&mut recording, &hostile, &hostile, 1000);
        for tick in 0..200 {
            let name = if tick < 100 { "view" } else { &hostile };
            sample(&mut recording, 1, tick * 10, State::Running, &[name]);
        }
        let json = json(&Activity::of(&recording), &recording);
        for text in [told(&recording), json["phases"][1]["hottest"][0]["name"].to_string()] {
            assert!(!text.contains('\u{1b}') && text.len() < 8000, "{text}");
        }
    }

    #[test]
    fn json_has_the_same_numbers() {
        let recording = two_workers();
        let json = json(&Activity::of(&recording), &recording);
        let heavy = &json["phases"][3];
        assert_eq!((&heavy["name"], &heavy["idle"], &heavy["uneven"]), (&json!("Heavy"), &json!(0.5), &json!(true)));
        assert_eq!((&heavy["workers"][0]["pid"], &heavy["workers"][0]["cores"]), (&json!(11), &json!(1.0)));
        assert_eq!(heavy["workers"][1]["cores"], Value::Null);
        assert_eq!(heavy["hottest"][0], json!({"name": "slow", "file": "app.py", "self": 0.6, "total": 0.6}));
        assert_eq!((&json["growth"]["from"], &json["growth"]["to"]), (&json!("Light"), &json!("Heavy")));
        assert_eq!(json["growth"]["function"]["self"]["after"], json!(0.6));
        let nothing = super::json(&Activity::of(&crate::profile::synthetic::recording(0)), &recording);
        assert_eq!(nothing, json!({"phases": [], "growth": null}));
    }
}

//! What the server did in each phase, as text and as JSON: CPU, states, hottest functions, and what that means.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::amount::noun;
use super::columns::{WIDTH, clip, clip_front, percent, points, share, wrap};
use super::demand;
use crate::printable::printable;
use crate::profile::activity::{Activity, Cause, Growth, PhaseActivity, States, WorkerActivity};
use crate::profile::compare::Shift;
use crate::profile::demand::{Demand, PhaseDemand};
use crate::profile::hot::{FunctionId, Spot};
use crate::profile::{Measure, wait_words};
use crate::recording::{Detail, ProcessNumber, Recording, Wait, WaitId};

/// Workers that are shown in each phase.
const MOST_WORKERS: usize = 32;
/// What was waited for that is shown in each phase, most first.
const MOST_WAITS: usize = 5;
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
        wrap(out, &format!("  threads: {}", in_states(recording.detail, states)));
        waits(out, recording, phase);
    }
    for worker in phase.workers.iter().take(MOST_WORKERS) {
        let cpu = worker.cpu.map_or("CPU unknown".to_owned(), |cpu| format!("{} of a core", percent(cpu)));
        wrap(out, &format!("  {}: {cpu}, {}", called(recording, worker.process), of_worker(recording.detail, worker)));
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

/// How threads spent their time, as far as that is known.
fn in_states(detail: Detail, states: States) -> String {
    let part = |count| percent(share(count, states.all()));
    let (running, waiting, idle) = (part(states.running), part(states.waiting), part(states.idle));
    match detail {
        Detail::Coarse => format!("{running} running, {waiting} waiting, {idle} idle"),
        Detail::Fine => {
            let (core, gil) = (part(states.runnable), part(states.gil));
            format!("{running} running, {core} waiting for a core, {gil} for the GIL, {waiting} other, {idle} idle")
        }
    }
}

/// The same of one worker, in fewer words: what is zero is left out.
fn of_worker(detail: Detail, worker: &WorkerActivity) -> String {
    let states = worker.states;
    let part = |(what, count): (&str, u64)| format!("{what} {}", percent(share(count, states.all())));
    let idle = part(("idle", states.idle));
    let waits = [("a core", states.runnable), ("the GIL", states.gil), ("other", states.waiting)];
    let waits: Vec<String> = waits.into_iter().filter(|(_, count)| *count > 0).map(part).collect();
    match (detail, waits.is_empty()) {
        (Detail::Coarse, _) | (_, true) => idle,
        _ if states.runnable + states.gil == 0 => format!("{idle}, {}", part(("waiting", states.waiting))),
        _ => format!("{idle}, waiting for {}", waits.join(", ")),
    }
}

/// What the waiting threads waited for.
fn waits(out: &mut String, recording: &Recording, phase: &PhaseActivity) {
    let waits: Vec<(&Wait, u64)> = known_waits(recording, phase).collect();
    for (wait, count) in waits.iter().take(MOST_WAITS) {
        let part = percent(share(*count, phase.states.all()));
        let _ = writeln!(out, "  {part:>7}  waiting: {}", clip(&wait_words(wait), WIDTH - 22));
    }
    if waits.len() > MOST_WAITS {
        let more = waits.iter().skip(MOST_WAITS).fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        let (part, others) = (percent(share(more, phase.states.all())), waits.len() - MOST_WAITS);
        let _ = writeln!(out, "  {part:>7}  waiting for {others} others");
    }
}

fn known_waits<'a>(recording: &'a Recording, phase: &PhaseActivity) -> impl Iterator<Item = (&'a Wait, u64)> {
    let known = |(wait, count): &(WaitId, u64)| Some((recording.waits.get(*wait)?, *count));
    phase.waits.iter().filter_map(known).collect::<Vec<_>>().into_iter()
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
    let by = match activity.measure {
        Measure::Wall => String::new(),
        measure => format!(", by {}", noun(measure)),
    };
    let _ = writeln!(out, "  {:>7}  {:>7}  function{by}", "self", "total");
    for (function, spot) in &phase.hottest {
        let Some(function) = activity.functions.get(*function) else {
            continue;
        };
        let part = |weight| percent(share(weight, phase.weight));
        let (own, total) = (part(spot.own.weight), part(spot.total.weight));
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
    if recording.detail == Detail::Fine {
        sentences.extend(phase.causes().into_iter().map(|cause| stands_out(recording, phase, cause)));
    }
    sentences
}

/// What took much of the time in requests.
fn stands_out(recording: &Recording, phase: &PhaseActivity, (cause, part): (Cause, f64)) -> String {
    let time = format!("{} of the time in requests in {} went to waiting", percent(part), phase.name);
    match cause {
        Cause::Core => format!("{time} for a core: the machine is short of CPU."),
        Cause::Gil => format!("{time} for the GIL: threads of one worker keep each other from running."),
        Cause::Wait(wait) => {
            let words = recording.waits.get(wait).map_or_else(|| "?".to_owned(), wait_words);
            format!("{time} in {}.", clip(&words, 60))
        }
    }
}

fn grown(activity: &Activity, growth: &Growth) -> String {
    let of = noun(activity.measure);
    let name = |number: usize| activity.phases.get(number).map_or("?", |phase| phase.name.as_str());
    let (from, to) = (name(growth.from), name(growth.to));
    let changed = growth.change.and_then(|change| Some((activity.functions.get(change.function)?, change.total)));
    let Some((function, Shift { before, after, low, high, .. })) = changed else {
        return format!("No function's share of {of} grew from {from} to {to} by more than the noise.");
    };
    format!(
        "What grew most from {from} to {to} is {} ({}): from {} to {} of {of}, {} points (95 % interval {} to {}).",
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

/// The same as [`text`], for programs: `phases`, and `growth` where there are two phases with load; `hottestBy` says what
/// `self` and `total` are shares of.
///
/// Of a phase and of a worker `running`, `runnable` (waiting for a core), `gilWait`, `waiting` (for other things) and `idle` are
/// shares of `samples` that add up to 1; in a recording that does not tell them apart, the second and the third are `null`.
/// `waits` of a phase has what was waited for, most first: `call` of the system, `on` what (or `null`), and its `share`.
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
    json!({"phases": phases, "growth": growth, "hottestBy": noun(activity.measure)})
}

fn phase_json(activity: &Activity, recording: &Recording, (number, phase): (usize, &PhaseActivity)) -> Value {
    let states = phase.states;
    let hot = |(function, spot): &(FunctionId, Spot)| {
        let mut fields = function_json(activity, *function);
        fields["self"] = json!(share(spot.own.weight, phase.weight));
        fields["total"] = json!(share(spot.total.weight, phase.weight));
        fields
    };
    let mut fields = json!({
        "name": phase.name,
        "arrivals": recording.timeline.phases.get(number).map_or("", |phase| phase.arrivals.as_str()),
        "cores": demand::cores(phase),
        "seconds": phase.length.as_secs_f64(),
        "samples": states.all(),
        "waits": known_waits(recording, phase).take(MOST_WAITS).map(|wait| wait_json(wait, states)).collect::<Vec<_>>(),
        "saturated": phase.is_saturated(),
        "uneven": phase.overloaded().is_some(),
        "workers": phase.workers.iter().map(|worker| worker_json(recording, worker)).collect::<Vec<_>>(),
        "hottest": phase.hottest.iter().map(hot).collect::<Vec<_>>(),
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(states_json(recording.detail, states));
        fields.extend(
            asked(activity, number).map(|(demand, of_phase)| demand::json(demand, of_phase)).unwrap_or_default(),
        );
    }
    fields
}

fn worker_json(recording: &Recording, worker: &WorkerActivity) -> Value {
    let mut fields = states_json(recording.detail, worker.states);
    fields.insert("pid".into(), recording.process(worker.process).map(|process| process.id.pid).into());
    fields.insert("cores".into(), worker.cpu.into());
    fields.insert("samples".into(), worker.states.all().into());
    fields.into()
}

fn states_json(detail: Detail, states: States) -> Map<String, Value> {
    let part = |count| share(count, states.all());
    let fine = |count| (detail == Detail::Fine).then(|| part(count));
    let mut fields = Map::new();
    for (state, count) in [("running", states.running), ("waiting", states.waiting), ("idle", states.idle)] {
        fields.insert(state.into(), part(count).into());
    }
    fields.insert("runnable".into(), fine(states.runnable).into());
    fields.insert("gilWait".into(), fine(states.gil).into());
    fields
}

fn wait_json((wait, count): (&Wait, u64), states: States) -> Value {
    let on = wait.on.as_deref().map(|on| printable(on, LONGEST));
    json!({"call": printable(&wait.call, LONGEST), "on": on, "share": share(count, states.all())})
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
    use crate::profile::synthetic::{cpu, cpu_sample, phase, recording, sample, two_workers, wait_sample};
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
        let text = text(&Activity::of(recording, Measure::Wall), recording);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        text
    }

    #[test]
    fn a_recording_reads_like_this() {
        let mut recording = two_workers();
        recording.detail = Detail::Coarse;
        assert_eq!(told(&recording), TEXT);
    }

    const FINE: &str = "\
Heavy · 20 users/s · 1 s
  threads: 10.0 % running, 20.0 % waiting for a core, 30.0 % for the GIL, 40.0 % other, 0.0 % idle
   35.0 %  waiting: recv 10.0.0.5:5432
    5.0 %  waiting: sleep
  worker 11: CPU unknown, idle 0.0 %, waiting for a core 20.0 %, the GIL 30.0 %, other 40.0 %
     self    total  function, by CPU time
  100.0 %  100.0 %  view (app.py)
The worker is saturated in Heavy: requests wait for a free worker.
35.0 % of the time in requests in Heavy went to waiting in recv 10.0.0.5:5432.
30.0 % of the time in requests in Heavy went to waiting for the GIL: threads of one worker keep each
  other from running.
20.0 % of the time in requests in Heavy went to waiting for a core: the machine is short of CPU.
";

    /// A worker whose threads wait for everything there is.
    fn waiting() -> Recording {
        let mut recording = recording(1);
        phase(&mut recording, "Heavy", "20 users/s", 1000);
        for tick in 0..100_u64 {
            match tick % 20 {
                0..2 => cpu_sample(&mut recording, 1, tick * 10, 9_000, &["view"]),
                2..6 => sample(&mut recording, 1, tick * 10, State::Runnable, &["view"]),
                6..12 => sample(&mut recording, 1, tick * 10, State::GilWait, &["view"]),
                12 => wait_sample(&mut recording, 1, tick * 10, ("sleep", None), &["nap"]),
                _ => wait_sample(&mut recording, 1, tick * 10, ("recv", Some("10.0.0.5:5432")), &["query"]),
            }
        }
        recording
    }

    #[test]
    fn what_requests_waited_for_is_told() {
        let recording = waiting();
        let activity = Activity::of(&recording, Measure::Cpu);
        let text = text(&activity, &recording);
        assert_eq!(text, FINE);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let json = json(&activity, &recording);
        let heavy = &json["phases"][0];
        for fields in [heavy, &heavy["workers"][0]] {
            let states = ["running", "runnable", "gilWait", "waiting", "idle"].map(|state| fields[state].as_f64());
            assert_eq!(states, [0.1, 0.2, 0.3, 0.4, 0.0].map(Some));
        }
        assert_eq!(heavy["waits"][0], json!({"call": "recv", "on": "10.0.0.5:5432", "share": 0.35}));
        assert_eq!((&heavy["waits"][1]["on"], &json["hottestBy"]), (&Value::Null, &json!("CPU time")));
    }

    #[test]
    fn foreign_waits_do_no_harm() {
        let mut recording = recording(1);
        phase(&mut recording, "Heavy", "20 users/s", 1000);
        for tick in 0..200_u64 {
            let on = if tick < 150 { "\u{1b}[2J\n".repeat(500) } else { format!("peer {tick}") };
            wait_sample(&mut recording, 1, tick, ("recv", Some(&on)), &["query"]);
        }
        let text = told(&recording);
        assert!(!text.contains('\u{1b}') && text.contains("waiting for 46 others"), "{text}");
        let json = json(&Activity::of(&recording, Measure::Wall), &recording).to_string();
        assert!(!json.contains("u001b") && json.len() < 8000, "{json}");
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
        let json = json(&Activity::of(&recording, Measure::Wall), &recording);
        for text in [told(&recording), json["phases"][1]["hottest"][0]["name"].to_string()] {
            assert!(!text.contains('\u{1b}') && text.len() < 8000, "{text}");
        }
    }

    #[test]
    fn json_has_the_same_numbers() {
        let mut recording = two_workers();
        recording.detail = Detail::Coarse;
        let json = json(&Activity::of(&recording, Measure::Wall), &recording);
        let heavy = &json["phases"][3];
        assert_eq!((&heavy["name"], &heavy["idle"], &heavy["uneven"]), (&json!("Heavy"), &json!(0.5), &json!(true)));
        assert_eq!((&heavy["workers"][0]["pid"], &heavy["workers"][0]["cores"]), (&json!(11), &json!(1.0)));
        assert_eq!(heavy["workers"][1]["cores"], Value::Null);
        assert_eq!(
            (&heavy["running"], &heavy["runnable"], &heavy["gilWait"]),
            (&json!(0.5), &Value::Null, &Value::Null)
        );
        assert_eq!(heavy["hottest"][0], json!({"name": "slow", "file": "app.py", "self": 0.6, "total": 0.6}));
        assert_eq!((&json["growth"]["from"], &json["growth"]["to"]), (&json!("Light"), &json!("Heavy")));
        assert_eq!(json["growth"]["function"]["self"]["after"], json!(0.6));
        let nothing = super::json(&Activity::of(&crate::profile::synthetic::recording(0), Measure::Wall), &recording);
        assert_eq!(nothing, json!({"phases": [], "growth": null, "hottestBy": "samples"}));
    }
}

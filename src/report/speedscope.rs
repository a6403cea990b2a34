//! A file for speedscope: one sampled profile per thread, in the order of time, all sharing one table of frames.
//!
//! The shape is that of speedscope's own `file-format-spec.ts`. A sample weighs the time between two ticks, or its CPU time.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::Report;
use super::columns::float;
use crate::interned::Interner;
use crate::profile::{Doing, Label, Leaves, Level, Measure, PhaseCursor};
use crate::recording::{FrameId, StackId, State, ThreadId};

#[derive(Serialize)]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: &'static str,
    shared: Shared,
    profiles: Vec<Sampled>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<SharedFrame>,
}

#[derive(Serialize)]
struct SharedFrame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: f64,
    end_value: f64,
    samples: Vec<Vec<u32>>,
    weights: Vec<f64>,
}

/// What a thread showed, and what stands below it: of equal neighbours one.
type Taken = (StackId, Option<Doing>);

/// An entry of the table of frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Entry {
    Frame(FrameId),
    State(Doing),
}

/// Writes one JSON document.
pub(super) fn write(report: &Report<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut frames = Interner::default();
    let mut threads: BTreeMap<ThreadId, Vec<(Taken, u64)>> = BTreeMap::new();
    let mut cursor = PhaseCursor::new(&report.recording.timeline);
    let selection = &report.view.selection;
    for sample in report.recording.samples.iter() {
        let weight = selection.weight(&sample);
        if weight == 0 || !selection.takes_phase(cursor.at(sample.moment)) {
            continue;
        }
        // Equal neighbours are one sample of more weight.
        let shown = (sample.stack, (report.view.leaves == Leaves::States).then(|| Doing::of(&sample)));
        let taken = threads.entry(sample.thread).or_default();
        match taken.last_mut() {
            Some((before, sum)) if *before == shown => *sum = sum.saturating_add(weight),
            _ => taken.push((shown, weight)),
        }
    }
    let profiles = threads.into_iter().filter_map(|(thread, samples)| profile(report, thread, &samples, &mut frames));
    let profiles = profiles.collect();
    let shared = Shared { frames: frames.iter().map(|entry| shared(report, *entry)).collect() };
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: report.title(),
        exporter: "pyperf",
        shared,
        profiles,
    };
    serde_json::to_writer(to, &file).map_err(io::Error::from)
}

fn profile(
    report: &Report<'_>,
    thread: ThreadId,
    samples: &[(Taken, u64)],
    frames: &mut Interner<Entry>,
) -> Option<Sampled> {
    let known = report.recording.threads.get(thread)?;
    let process = report.recording.process(known.process)?;
    if !report.view.selection.takes_process(process) {
        return None;
    }
    let label = report.recording.thread_labels.get(thread.index() as usize)?;
    let of_process = Level::Worker.label(report.recording, *known, label)?.text;
    let of_thread = Level::Thread.label(report.recording, *known, label)?.text;
    let (unit, divisor) = match report.view.selection.measure {
        Measure::Cpu => ("microseconds", 1.0),
        Measure::Wall | Measure::Gil | Measure::Wait => ("seconds", f64::from(report.recording.run.rate.max(1))),
    };
    let weights: Vec<f64> = samples.iter().map(|(_, weight)| float(*weight) / divisor).collect();
    let mut outermost_first = |(stack, doing): Taken| -> Vec<u32> {
        let leaf = doing.filter(|doing| doing.state() != State::Running).map(Entry::State);
        let walk = report.recording.stacks.walk(stack).map(Entry::Frame);
        let mut stack: Vec<u32> = leaf.into_iter().chain(walk).map(|entry| frames.intern(entry).index()).collect();
        stack.reverse();
        stack
    };
    Some(Sampled {
        r#type: "sampled",
        name: format!("{of_process} {of_thread}"),
        unit,
        start_value: 0.0,
        end_value: weights.iter().sum(),
        samples: samples.iter().map(|(taken, _)| outermost_first(*taken)).collect(),
        weights,
    })
}

fn shared(report: &Report<'_>, entry: Entry) -> SharedFrame {
    let bare =
        |label: Option<Label>| SharedFrame { name: label.unwrap_or_else(Label::no_frame).text, file: None, line: None };
    let frame = match entry {
        Entry::Frame(id) => report.recording.stacks.frame(id),
        Entry::State(doing) => return bare(doing.leaf(report.recording)),
    };
    let Some(frame) = frame else {
        return bare(None);
    };
    let style = report.view.style;
    SharedFrame {
        name: frame.function.clone(),
        file: Some(style.file(frame).into()),
        line: (style.lines && frame.line > 0).then_some(frame.line),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Format;
    use super::*;
    use crate::profile::synthetic::{cpu_sample, recording, sample, wait_sample};
    use crate::profile::{FrameStyle, Selection, View};

    fn written(measure: Measure) -> Value {
        let mut recording = recording(1);
        cpu_sample(&mut recording, 1, 0, 9_000, &["view"]);
        cpu_sample(&mut recording, 1, 10, 500, &["view"]);
        wait_sample(&mut recording, 1, 20, ("recv", None), &["view"]);
        sample(&mut recording, 1, 30, State::GilWait, &["view"]);
        let (selection, style) =
            (Selection { measure, ..Selection::default() }, FrameStyle { lines: false, full_files: false });
        let mut bytes = Vec::new();
        let view = View { selection, levels: Vec::new(), style, leaves: Leaves::States };
        Report::of(&recording, view).write(Format::Speedscope, &mut bytes).expect("memory can be written");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn cpu_time_has_its_unit() {
        let profile = &written(Measure::Cpu)["profiles"][0];
        assert_eq!((&profile["unit"], &profile["weights"]), (&json!("microseconds"), &json!([9_500.0])));
        assert_eq!(profile["endValue"], json!(9_500.0));
    }

    #[test]
    fn what_was_waited_for_is_a_frame() {
        let file = written(Measure::Wall);
        let names: Vec<&Value> =
            file["shared"]["frames"].as_array().expect("frames").iter().map(|frame| &frame["name"]).collect();
        assert_eq!(names, ["view", "[waiting: recv]", "[waiting for the GIL]"]);
        let profile = &file["profiles"][0];
        assert_eq!(profile["samples"], json!([[0], [0, 1], [0, 2]]));
        assert_eq!((&profile["unit"], &profile["weights"]), (&json!("seconds"), &json!([0.02, 0.01, 0.01])));
    }
}

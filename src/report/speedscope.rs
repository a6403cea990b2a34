//! A file for speedscope: one sampled profile per thread, in the order of time, all sharing one table of frames.
//!
//! The shape is that of speedscope's own `file-format-spec.ts`. A sample weighs the time between two ticks.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::Report;
use crate::interned::Interner;
use crate::profile::{Label, Level, PhaseCursor};
use crate::recording::{FrameId, Sample, StackId, ThreadId};

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

/// Writes one JSON document.
pub(super) fn write(report: &Report<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut frames = Interner::default();
    let mut threads: BTreeMap<ThreadId, Vec<(StackId, u64)>> = BTreeMap::new();
    let mut cursor = PhaseCursor::new(&report.recording.timeline);
    let selection = &report.view.selection;
    let counts = |sample: &Sample| selection.takes(sample) && selection.takes_phase(cursor.at(sample.moment));
    for sample in report.recording.samples.iter().filter(counts) {
        // Equal neighbours are one sample of more weight.
        let taken = threads.entry(sample.thread).or_default();
        match taken.last_mut() {
            Some((stack, count)) if *stack == sample.stack => *count += 1,
            _ => taken.push((sample.stack, 1)),
        }
    }
    let profiles = threads.into_iter().filter_map(|(thread, samples)| profile(report, thread, &samples, &mut frames));
    let profiles = profiles.collect();
    let shared = Shared { frames: frames.iter().map(|id| shared(report, *id)).collect() };
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
    samples: &[(StackId, u64)],
    frames: &mut Interner<FrameId>,
) -> Option<Sampled> {
    let known = report.recording.threads.get(thread)?;
    let process = report.recording.process(known.process)?;
    if !report.view.selection.takes_process(process) {
        return None;
    }
    let label = report.recording.thread_labels.get(thread.index() as usize)?;
    let of_process = Level::Worker.label(report.recording, *known, label)?.text;
    let of_thread = Level::Thread.label(report.recording, *known, label)?.text;
    let rate = f64::from(report.recording.run.rate.max(1));
    let weights: Vec<f64> =
        samples.iter().map(|(_, count)| f64::from(u32::try_from(*count).unwrap_or(u32::MAX)) / rate).collect();
    let mut outermost_first = |stack: StackId| -> Vec<u32> {
        let mut stack: Vec<u32> =
            report.recording.stacks.walk(stack).map(|frame| frames.intern(frame).index()).collect();
        stack.reverse();
        stack
    };
    Some(Sampled {
        r#type: "sampled",
        name: format!("{of_process} {of_thread}"),
        unit: "seconds",
        start_value: 0.0,
        end_value: weights.iter().sum(),
        samples: samples.iter().map(|(stack, _)| outermost_first(*stack)).collect(),
        weights,
    })
}

fn shared(report: &Report<'_>, id: FrameId) -> SharedFrame {
    let Some(frame) = report.recording.stacks.frame(id) else {
        return SharedFrame { name: Label::no_frame().text, file: None, line: None };
    };
    let style = report.view.style;
    SharedFrame {
        name: frame.function.clone(),
        file: Some(style.file(frame).into()),
        line: (style.lines && frame.line > 0).then_some(frame.line),
    }
}

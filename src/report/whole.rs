//! One report of both halves of a run: what the users saw, what the server was doing, and what the looking cost.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Layout, LoadReport};
use super::{activity_json, activity_text};
use crate::profile::activity::Activity;
use crate::recording::Recording;
use crate::recording::traffic::Traffic;

/// Both halves of a run.
#[derive(Clone, Debug)]
pub struct Whole<'a> {
    /// What was sampled.
    pub recording: &'a Recording,
    /// What was sent.
    pub traffic: &'a Traffic,
    /// That, summed up.
    pub load: &'a LoadReport<'a>,
    activity: Activity,
}

impl<'a> Whole<'a> {
    /// Both halves together: what the server was doing is worked out once.
    #[must_use]
    pub fn of(recording: &'a Recording, traffic: &'a Traffic, load: &'a LoadReport<'a>) -> Self {
        Self { recording, traffic, load, activity: Activity::of(recording) }
    }

    /// What the server was doing, phase by phase, and what the looking cost.
    #[must_use]
    pub fn details(&self) -> String {
        let activity = activity_text(&self.activity, self.recording);
        format!("{activity}\n{}", self.receipt())
    }

    /// What sampling and load took from the machine.
    #[must_use]
    pub fn receipt(&self) -> String {
        let recording = self.recording;
        let share = |used: Duration, length: Duration| 100.0 * used.as_secs_f64() / length.as_secs_f64().max(0.001);
        let load = self.traffic.ended.since(self.traffic.began);
        let mut text = String::from("What this run cost\n");
        let _ = writeln!(
            text,
            "  Sampling used {:.2} s of CPU, {:.1} % of one core.",
            recording.sampler_cpu.as_secs_f64(),
            share(recording.sampler_cpu, recording.length)
        );
        let _ = writeln!(
            text,
            "  Sending used {:.2} s of CPU, {:.1} % of one core, on the machine that also serves.",
            self.traffic.driver_cpu.as_secs_f64(),
            share(self.traffic.driver_cpu, load)
        );
        if !recording.stopped.is_zero() {
            let _ = writeln!(text, "  Processes were stopped for {:.2} s in all.", recording.stopped.as_secs_f64());
        }
        let losses = recording.losses.in_words();
        let lost = if losses.is_empty() { "nothing was lost".to_owned() } else { format!("lost: {losses}") };
        let _ = writeln!(text, "  {} reads of processes; {lost}.", recording.reads);
        text
    }

    /// Writes everything as JSON: Artillery's keys, and under `pyperf` the rest.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write_json(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut whole = self.load.value(Layout::Artillery2);
        if let Some(own) = whole.get_mut("pyperf").and_then(Value::as_object_mut) {
            let recording = self.recording;
            let millis = |length: Duration| length.as_secs_f64() * 1e3;
            own.insert("activity".into(), activity_json(&self.activity, recording));
            own.insert(
                "overhead".into(),
                json!({
                    "samplerCpuMs": millis(recording.sampler_cpu),
                    "driverCpuMs": millis(self.traffic.driver_cpu),
                    "stoppedMs": millis(recording.stopped),
                    "reads": recording.reads,
                    "losses": recording.losses.named().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
                }),
            );
        }
        serde_json::to_writer_pretty(&mut *to, &whole)?;
        to.write_all(b"\n")
    }

    /// Writes what is told on the terminal.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write_text(&self, to: &mut dyn Write) -> io::Result<()> {
        write!(to, "{}\n{}\n", self.load.summary(&jiff::tz::TimeZone::system()), self.load.details())?;
        write!(to, "{}{}", self.load.verdicts(), self.details())
    }
}

//! One report of both halves of a run: what the users saw, what the server was doing, and what the looking cost.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::columns::wrap;
use super::load::hints::SHORTEST_SHARED;
use super::load::{Layout, LoadReport};
use super::{activity_json, activity_text};
use crate::profile::Measure;
use crate::profile::activity::Activity;
use crate::profile::presence::Presence;
use crate::recording::Recording;
use crate::recording::traffic::Traffic;
use crate::recording::traffic::flights::Flights;

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
    place: Place,
    only: Option<String>,
}

/// Where the load came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The machine that also serves.
    Shared,
    /// Another one.
    Apart,
}

impl<'a> Whole<'a> {
    /// Both halves together: what the server was doing is worked out once. Functions are hot by what is measured.
    #[must_use]
    pub fn of(recording: &'a Recording, traffic: &'a Traffic, load: &'a LoadReport<'a>, measure: Measure) -> Self {
        let activity = Activity::of(recording, measure);
        Self { recording, traffic, load, activity, place: Place::Shared, only: None }
    }

    /// The same with the requests and users of the load, by the recording's clock.
    #[must_use]
    pub fn under(mut self, flights: &Flights) -> Self {
        self.activity = self.activity.under(flights, self.recording);
        self
    }

    /// The same of a load that came from there.
    #[must_use]
    pub fn from_place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The same with the hottest functions, and what grew, of the samples alone that were taken while somebody of the first
    /// group was there; the words say of which.
    #[must_use]
    pub fn hottest_during(mut self, in_flight: &Presence, words: String) -> Self {
        self.activity = self.activity.hottest_during(in_flight, self.recording);
        self.only = Some(words);
        self
    }

    /// What the server was doing, phase by phase, and what the looking cost.
    #[must_use]
    pub fn details(&self) -> String {
        let mut text = String::new();
        if let Some(kept) = &self.only {
            wrap(&mut text, &format!("Functions {kept}."));
            text.push('\n');
        }
        format!("{text}{}\n{}", activity_text(&self.activity, self.recording), self.receipt())
    }

    /// What sampling and load took from the machine.
    #[must_use]
    pub fn receipt(&self) -> String {
        let recording = self.recording;
        let load = self.traffic.ended.since(self.traffic.began);
        let mut text = String::from("What this run cost\n");
        let place = match (recording.run.rate, self.place) {
            // Nothing was sampled here, and where the server was is not known.
            (0, _) => "",
            (_, Place::Shared) => ", on the machine that also serves",
            (_, Place::Apart) => ", on another machine",
        };
        if recording.run.rate > 0 {
            let _ = writeln!(text, "  Sampling used {}.", cost(recording.sampler_cpu, recording.length));
        }
        let _ = writeln!(text, "  Sending used {}{place}.", cost(self.traffic.driver_cpu, load));
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
            own.insert("functions".into(), self.only.as_deref().into());
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

/// CPU time, and what share of a core that was: of less than a second it says nothing, as a clock of CPU time ticks in
/// hundredths.
fn cost(used: Duration, length: Duration) -> String {
    let (used, length) = (used.as_secs_f64(), length.as_secs_f64());
    if length < SHORTEST_SHARED {
        return format!("{used:.2} s of CPU in {length:.2} s");
    }
    format!("{used:.2} s of CPU, {:.1} % of one core", 100.0 * used / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_below_a_second_has_no_share_of_a_core() {
        let millis = Duration::from_millis;
        assert_eq!(cost(millis(300), millis(2)), "0.30 s of CPU in 0.00 s");
        assert_eq!(cost(millis(300), millis(990)), "0.30 s of CPU in 0.99 s");
        assert_eq!(cost(millis(300), millis(1500)), "0.30 s of CPU, 20.0 % of one core");
    }
}

//! What a report is made of: the samples of one recording and the load of the same one, or of another machine's.
//!
//! Two recordings meet on the wall clock. When their clocks do not seem to agree, that is said, with what to type.

use std::path::Path;

use crate::cli::{Render, Rendered};
use crate::problem::{Exit, Problem};
use crate::profile::demand::in_flight;
use crate::profile::offset::{Estimate, estimate};
use crate::recording::traffic::Traffic;
use crate::recording::traffic::flights::Flights;
use crate::recording::{Recording, file};
use crate::report::whole::Place;
use crate::ui::Ui;

/// Samples, and the load that went on meanwhile.
pub(super) struct Joined {
    /// The samples, with the phases of the load.
    pub(super) recording: Recording,
    /// The load; `None` where there was none, or nobody asks for it.
    pub(super) traffic: Option<Traffic>,
    /// Its requests and users by the clock of the samples, likewise.
    pub(super) flights: Option<Flights>,
    /// Where it came from.
    pub(super) place: Place,
}

/// Reads one recording, or two and joins them.
pub(super) fn read(wish: &Render, ui: Ui) -> Result<Joined, Problem> {
    let joined = match &wish.recordings[..] {
        [one] => alone(wish, one)?,
        [one, other] => together(wish, [one, other], ui)?,
        _ => return Err(Problem::new(Exit::Usage, "a report is made of one recording, or of two")),
    };
    let recording = &joined.recording;
    if wish.what == Rendered::Graph && recording.samples.is_empty() && recording.run.rate == 0 {
        return Err(no_samples(&wish.recordings[0]));
    }
    Ok(joined)
}

fn alone(wish: &Render, path: &Path) -> Result<Joined, Problem> {
    let recording = file::read(path)?;
    // A graph needs no replay of the requests, and only one of some endpoints needs them at all.
    let told = wish.what != Rendered::Graph;
    let traffic = if told { file::read_traffic(path)? } else { None };
    let flights = if told || wish.endpoint.is_some() { file::read_flights(path)? } else { None };
    Ok(Joined { recording, traffic, flights, place: Place::Shared })
}

fn together(wish: &Render, [one, other]: [&Path; 2], ui: Ui) -> Result<Joined, Problem> {
    let [first, second] = [file::read_traffic(one)?, file::read_traffic(other)?];
    let refused = |sentence: &str, hint: &str| Err(Problem::new(Exit::Usage, sentence).hint(hint));
    // Which file has the samples, and how far the clock of the other one is ahead of its.
    let (samples, load, traffic, side) = match (first, second) {
        (None, Some(load)) => (one, other, load, 1.0),
        (Some(load), None) => (other, one, load, -1.0),
        (None, None) => {
            let hint = "pyperf run --recording FILE SCRIPT makes one that has";
            return refused("neither of the two recordings has a load", hint);
        }
        (Some(_), Some(_)) => {
            let sentence = "both recordings have a load; one of them is to have the samples alone";
            return refused(sentence, "pyperf attach --recording FILE makes one");
        }
    };
    let (mut recording, driver) = (file::read(samples)?, file::read(load)?);
    let behind = recording.behind(&driver, side * wish.clock_offset);
    recording.take_phases(&driver, behind);
    let flights = file::read_flights(load)?.unwrap_or_default();
    if let Some(better) = estimate(&recording, &in_flight(&flights), behind) {
        ui.note(&differently(&better, wish.clock_offset, side));
    }
    Ok(Joined { recording, traffic: Some(traffic), flights: Some(flights.moved(behind)), place: Place::Apart })
}

/// That another offset explains the samples better.
fn differently(better: &Estimate, given: f64, side: f64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "hundredths of a second are told")]
    let offset = given - side * (better.later as f64 / 1e9);
    let offset = format!("{offset:.2}");
    let offset = offset.trim_end_matches('0').trim_end_matches('.');
    let [then, now] = [better.then, better.now].map(|share| format!("{:.0} %", 100.0 * share));
    format!(
        "the clocks of the two machines do not seem to agree: {now} of the busy samples fall into a request, and {then} \
         with --clock-offset {offset}"
    )
}

fn no_samples(path: &Path) -> Problem {
    let path = path.display();
    let problem = Problem::new(Exit::Failed, format!("{path} has no samples: there is nothing to draw"));
    problem.because(&"`pyperf run` records the load alone").hint(format!(
        "pyperf report --text {path} tells what came of the load; with `pyperf attach --recording SERVER` on the server \
         meanwhile, pyperf report SERVER {path} draws it; pyperf run-with-load SCRIPT does both on one machine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_to_type_depends_on_which_file_comes_first() {
        let better = Estimate { later: -2_304_000_000, now: 0.711, then: 0.98 };
        let [one, other] = [1.0, -1.0].map(|side| differently(&better, 0.5, side));
        assert!(
            one.ends_with("71 % of the busy samples fall into a request, and 98 % with --clock-offset 2.8"),
            "{one}"
        );
        assert!(other.ends_with("--clock-offset -1.8"), "{other}");
    }
}

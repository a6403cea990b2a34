//! `--endpoint`: which endpoints are meant, the samples that were taken while they were asked for, and how exact that is.

use crate::printable::printable;
use crate::problem::{Exit, Problem};
use crate::profile::demand::wanted_in_flight;
use crate::profile::endpoint::{EndpointPattern, shared};
use crate::profile::presence::Presence;
use crate::profile::{Measure, Selection};
use crate::recording::Recording;
use crate::recording::traffic::flights::Flights;

/// Endpoints that are named when none is meant.
const MOST_NAMED: usize = 20;
/// The longest name that is shown, in characters.
const LONGEST: usize = 100;
/// As much alike two names are, from 0 to 1, of which one may be a slip for the other.
const CLOSE: f64 = 0.8;

/// Some endpoints, by whose requests samples are picked.
pub(super) struct Kept {
    /// Their requests in flight, and as a second group those of the others.
    pub(super) in_flight: Presence,
    /// Which samples are picked, in words.
    pub(super) words: String,
}

/// The endpoints that a pattern means.
pub(super) fn keep(
    recording: &Recording,
    flights: Option<&Flights>,
    pattern: &str,
    selection: &Selection,
) -> Result<Kept, Problem> {
    let flights = flights.filter(|flights| !flights.requests.is_empty()).ok_or_else(no_requests)?;
    let asked = asked(flights);
    let sought = EndpointPattern::new(pattern);
    let wanted: Vec<bool> =
        flights.endpoints.iter().zip(&asked).map(|(endpoint, asked)| *asked && sought.takes(endpoint)).collect();
    let shown: Vec<String> = flights.endpoints.iter().map(|endpoint| printable(&endpoint.label(), LONGEST)).collect();
    let named = |which: &[bool]| -> Vec<&str> {
        shown.iter().zip(which).filter(|(_, meant)| **meant).map(|(name, _)| name.as_str()).collect()
    };
    let meant = match &named(&wanted)[..] {
        [] => return Err(unknown(pattern, &named(&asked))),
        [only] => format!("`{only}`"),
        several => format!("one of {} endpoints like `{}`", several.len(), printable(pattern, LONGEST)),
    };
    let in_flight = wanted_in_flight(flights, &wanted);
    let (all, others) = shared(recording, &in_flight, selection);
    let words = format!("only while {meant} was in flight, by time: {}", exactness(selection.measure, all, others));
    Ok(Kept { in_flight, words })
}

fn exactness(measure: Measure, all: u64, others: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
    let percent = 100.0 * others as f64 / all.max(1) as f64;
    if all == 0 {
        "no sample that counts was taken".to_owned()
    } else if others == 0 {
        "no other endpoint was meanwhile".to_owned()
    } else {
        let of = if measure == Measure::Cpu { "CPU time" } else { "samples" };
        format!("others were too during {percent:.1} % of the {of}")
    }
}

/// Which endpoints had a request.
fn asked(flights: &Flights) -> Vec<bool> {
    let mut asked = vec![false; flights.endpoints.len()];
    for flight in &flights.requests {
        if let Some(asked) = asked.get_mut(flight.endpoint as usize) {
            *asked = true;
        }
    }
    asked
}

fn unknown(pattern: &str, there: &[&str]) -> Problem {
    let problem =
        Problem::new(Exit::Usage, format!("no request went to an endpoint like `{}`", printable(pattern, LONGEST)));
    if let Some(close) = closest(pattern, there) {
        return problem.hint(format!("did you mean `{close}`? {}", list(there)));
    }
    problem.hint(list(there))
}

fn list(there: &[&str]) -> String {
    let mut names: Vec<String> = there.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    if there.len() > MOST_NAMED {
        names.push(format!("and {} more", there.len() - MOST_NAMED));
    }
    format!("there are {}", names.join(", "))
}

/// The endpoint that the pattern is most like, or a part of it between slashes and spaces is.
fn closest<'a>(pattern: &str, there: &[&'a str]) -> Option<&'a str> {
    let pattern: String = pattern.to_lowercase().chars().filter(|letter| *letter != '*').take(LONGEST).collect();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let parts = name.split(['/', ' ', '?', '&']).filter(|part| !part.is_empty());
        let bare = pattern.trim_matches('/');
        parts.map(|part| strsim::jaro_winkler(bare, part)).fold(strsim::jaro_winkler(&pattern, &name), f64::max)
    };
    let alike = there.iter().map(|name| (likeness(name), *name)).filter(|(likeness, _)| *likeness >= CLOSE);
    // Of equals the shortest: it has least beside what was meant.
    alike.max_by(|one, other| one.0.total_cmp(&other.0).then(other.1.len().cmp(&one.1.len()))).map(|(_, name)| name)
}

fn no_requests() -> Problem {
    let problem = Problem::new(Exit::Usage, "the recording has no requests: no load was recorded in it");
    problem
        .hint("pyperf run-with-load SCRIPT makes one with requests; that of `run --recording` can be given as a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_the_endpoints_are_named() {
        let there = ["GET /api/citizens/", "POST /api/appointments/"];
        assert_eq!(closest("citzens", &there), Some(there[0]));
        assert_eq!(closest("POST /api/apointments", &there), Some(there[1]));
        assert_eq!(closest("zebra", &there), None);
        let problem = unknown("zebra\u{1b}", &there);
        assert_eq!(problem.sentence, "no request went to an endpoint like `zebra\u{fffd}`");
        assert_eq!(problem.hint.as_deref(), Some("there are `GET /api/citizens/`, `POST /api/appointments/`"));
        let many = ["a"; 30];
        assert!(list(&many).ends_with("`a`, and 10 more"));
    }
}

//! What the load asked of the server and what that took, phase by phase: a table, the endpoints in flight, and JSON.
//!
//! All of it by time, as samples are: users, requests, latency, CPU and idleness of one row are of the same stretch. The
//! tables of the load's own report count by the phase in which a user arrived.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::columns::{clip, percent, share};
use super::load::figures::{counted, decimals, short};
use super::table::Table;
use crate::printable::printable;
use crate::profile::activity::{Activity, PhaseActivity};
use crate::profile::demand::{Demand, PhaseDemand};
use crate::profile::presence::Share;
use crate::recording::Recording;
use crate::recording::traffic::Summary;

/// Endpoints that are shown in each phase.
const MOST_ENDPOINTS: usize = 10;
/// The longest name in JSON, in characters.
const LONGEST: usize = 400;

/// A line for each phase. Empty when nothing is known of the load.
pub(super) fn table(activity: &Activity, recording: &Recording) -> String {
    let Some(demand) = &activity.demand else { return String::new() };
    let headings =
        ["Phases by time (ms)", "arrivals", "users", "most", "req/s", "p50", "p95", "p99", "errors", "cores", "idle"];
    let mut table = Table::new(&headings);
    for (number, (phase, demand)) in activity.phases.iter().zip(&demand.phases).enumerate() {
        let arrivals = recording.timeline.phases.get(number).map_or("", |phase| phase.arrivals.as_str());
        table.row(row(phase, demand, arrivals));
    }
    let mut out = String::new();
    table.write(&mut out);
    out.push_str("  users: active on average; cores: CPU of all workers; a request counts when it was sent\n");
    if demand.missing > 0 {
        let _ = writeln!(out, "  {} requests and users are missing: they were not kept", demand.missing);
    }
    out
}

fn row(phase: &PhaseActivity, demand: &PhaseDemand, arrivals: &str) -> Vec<String> {
    let mut cells = vec![phase.name.clone()];
    cells.push(if arrivals.trim().is_empty() { "-".into() } else { clip(arrivals, 20) });
    cells.extend([decimals(demand.users.mean, 1), demand.users.most.to_string(), decimals(demand.rate, 1)]);
    cells.extend(match Summary::of(&demand.latency) {
        Some(latency) => [latency.p50, latency.p95, latency.p99].map(short),
        None => [(); 3].map(|()| "-".to_owned()),
    });
    cells.push(demand.failed.to_string());
    cells.push(cores(phase).map_or("-".into(), |cores| format!("{cores:.2}")));
    let states = phase.states;
    cells.push(if states.all() == 0 { "-".into() } else { percent(share(states.idle, states.all())) });
    cells
}

/// The CPU of all workers whose clocks were read, in cores.
pub(super) fn cores(phase: &PhaseActivity) -> Option<f64> {
    phase.workers.iter().filter_map(|worker| worker.cpu).reduce(|sum, cpu| sum + cpu)
}

/// The endpoints in flight in a phase, most first.
pub(super) fn in_flight(out: &mut String, demand: &Demand, phase: &PhaseDemand) {
    if phase.endpoints.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {:>7}  {:>7}  requests in flight", "mean", "of time");
    let line = |share: &Share, name: &str| {
        format!("  {:>7}  {:>7}  {name}\n", format!("{:.2}", share.mean), percent(share.share))
    };
    for (endpoint, share) in phase.endpoints.iter().take(MOST_ENDPOINTS) {
        out.push_str(&line(share, &clip(name(demand, *endpoint), 76)));
    }
    if phase.endpoints.len() > MOST_ENDPOINTS {
        let more = counted(phase.endpoints.len() as u64 - MOST_ENDPOINTS as u64, "endpoint");
        let _ = writeln!(out, "  and {more} that had fewer");
    }
    if phase.endpoints.len() > 1 {
        out.push_str(&line(&phase.in_flight, "all together"));
    }
}

fn name(demand: &Demand, endpoint: u32) -> &str {
    demand.endpoints.get(endpoint as usize).map_or("?", String::as_str)
}

/// The same of one phase, for programs.
pub(super) fn json(demand: &Demand, phase: &PhaseDemand) -> Map<String, Value> {
    let of = |share: &Share| json!({"mean": share.mean, "most": share.most, "share": share.share});
    let endpoint = |(endpoint, share): &(u32, Share)| {
        let mut fields = of(share);
        fields["endpoint"] = Value::from(printable(name(demand, *endpoint), LONGEST));
        fields
    };
    let latency = Summary::of(&phase.latency).map(|of| json!({"p50": of.p50, "p95": of.p95, "p99": of.p99}));
    let mut fields = Map::new();
    fields.insert("users".into(), json!({"mean": phase.users.mean, "most": phase.users.most}));
    fields.insert("requests".into(), phase.requests.into());
    fields.insert("requestsPerSecond".into(), phase.rate.into());
    fields.insert("errors".into(), phase.failed.into());
    fields.insert("latencyMs".into(), latency.into());
    fields.insert("inFlight".into(), of(&phase.in_flight));
    fields.insert("endpoints".into(), phase.endpoints.iter().map(endpoint).collect());
    fields
}

#[cfg(test)]
mod tests {
    use super::super::columns::WIDTH;
    use super::super::{activity_json, activity_text};
    use super::*;
    use crate::profile::Measure;
    use crate::profile::synthetic::{at, flights, two_workers};
    use crate::recording::traffic::flights::Flights;

    const TABLE: &str = "\
\x20 Phases by time (ms)    arrivals  users  most  req/s   p50   p95   p99  errors  cores     idle
  before load                   -      0     0      0     -     -     -       0   0.00  100.0 %
  Light                 2 users/s    1.5     2    0.1  2000  2000  2000       0   0.20   90.0 %
  pause                         -      0     0      0     -     -     -       0   0.00  100.0 %
  Heavy                20 users/s      1     1    0.2  5001  9000  9000       1   1.00   50.0 %
  users: active on average; cores: CPU of all workers; a request counts when it was sent
";

    const IN_FLIGHT: &str = "\
\x20    mean  of time  requests in flight
     0.90   90.0 %  GET /slow
     0.50   50.0 %  GET /fast
     1.40  100.0 %  all together
";

    fn load() -> Flights {
        let mut flights =
            flights(&["/fast", "/slow"], &[(0, 12_000, 14_000), (0, 30_000, 35_000), (1, 31_000, 40_000)]);
        flights.requests[2].failed = true;
        flights.users = vec![(at(10_000), at(20_000)), (at(15_000), at(20_000)), (at(30_000), at(40_000))];
        flights
    }

    #[test]
    fn the_phases_read_like_this() {
        let recording = two_workers();
        let text = activity_text(&Activity::of(&recording, Measure::Wall).under(&load(), &recording), &recording);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with(TABLE), "{text}");
        assert!(text.contains(IN_FLIGHT), "{text}");
    }

    #[test]
    fn json_has_the_same_numbers() {
        let recording = two_workers();
        let json = activity_json(&Activity::of(&recording, Measure::Wall).under(&load(), &recording), &recording);
        let heavy = &json["phases"][3];
        assert_eq!(heavy["users"], json!({"mean": 1.0, "most": 1}));
        assert_eq!((&heavy["requestsPerSecond"], &heavy["errors"]), (&json!(0.2), &json!(1)));
        assert_eq!(heavy["endpoints"][0], json!({"mean": 0.9, "most": 1, "share": 0.9, "endpoint": "GET /slow"}));
        assert_eq!(heavy["inFlight"]["share"], json!(1.0));
        assert_eq!(json["phases"][0]["latencyMs"], Value::Null);
    }

    #[test]
    fn many_endpoints_with_foreign_names_do_no_harm() {
        let recording = two_workers();
        let paths: Vec<String> = (0..50).map(|number| format!("/\u{1b}[2J{}{number}", "x".repeat(300))).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let requests: Vec<_> = (0..50).map(|number| (number, 30_000, 31_000)).collect();
        let mut load = flights(&paths, &requests);
        load.missing = 7;
        let text = activity_text(&Activity::of(&recording, Measure::Wall).under(&load, &recording), &recording);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH) && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("and 40 endpoints that had fewer") && text.contains("7 requests and users"), "{text}");
    }
}

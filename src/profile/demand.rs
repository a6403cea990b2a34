//! What the load asked of the server, phase by phase: users, requests in flight by endpoint, how many came and how long
//! they took.
//!
//! By time: a request counts in the phase in which it was sent, and is in flight in every phase that it reaches into. The
//! load's own report counts by the phase in which the user arrived. Says numbers; how they are told is the report's business.

use super::presence::{Presence, Share, Stay};
use super::{PhaseCursor, phase_length};
use crate::recording::Timeline;
use crate::recording::traffic::Latency;
use crate::recording::traffic::flights::{Flight, Flights};

/// The requests in flight, with the endpoints as groups.
#[must_use]
pub fn in_flight(flights: &Flights) -> Presence {
    Presence::of(flights.requests.iter().filter_map(|flight| stay(flight, flight.endpoint)), flights.endpoints.len())
}

/// The requests in flight in two groups: those to endpoints that are wanted, and the others.
#[must_use]
pub fn wanted_in_flight(flights: &Flights, wanted: &[bool]) -> Presence {
    let group = |flight: &Flight| u32::from(wanted.get(flight.endpoint as usize) != Some(&true));
    Presence::of(flights.requests.iter().filter_map(|flight| stay(flight, group(flight))), 2)
}

fn stay(flight: &Flight, group: u32) -> Option<Stay> {
    flight.sent.then_some(Stay { group, from: flight.began, to: flight.done })
}

/// What the load asked for in a phase.
#[derive(Clone, Debug, Default)]
pub struct PhaseDemand {
    /// Users that were active.
    pub users: Share,
    /// Requests in flight, whatever their endpoint.
    pub in_flight: Share,
    /// Requests in flight by the number of their endpoint, most first; those that had none are left out.
    pub endpoints: Vec<(u32, Share)>,
    /// Requests that were sent, or should have been.
    pub requests: u64,
    /// Those of them that had no whole answer, or one with a status of 400 or more.
    pub failed: u64,
    /// They, per second of the phase.
    pub rate: f64,
    /// From sending to the end of the answer.
    pub latency: Latency,
}

/// What the load asked for.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// In each phase of the timeline, in its order.
    pub phases: Vec<PhaseDemand>,
    /// What the endpoints are called, by number; not fit to be shown as they are.
    pub endpoints: Vec<String>,
    /// Requests and users that are not counted.
    pub missing: u64,
}

impl Demand {
    /// Looks at what was sent.
    #[must_use]
    pub fn of(flights: &Flights, timeline: &Timeline) -> Self {
        let requests = in_flight(flights);
        let user = |(from, to): &(_, _)| Stay { group: 0, from: *from, to: *to };
        let users = Presence::of(flights.users.iter().map(user), 1);
        let mut phases: Vec<PhaseDemand> = timeline
            .phases
            .iter()
            .map(|phase| {
                let shares = requests.during(phase.began, phase.ended);
                let mut endpoints: Vec<(u32, Share)> =
                    (0..).zip(shares.groups).filter(|(_, share)| share.mean > 0.0).collect();
                endpoints.sort_by(|(_, one), (_, other)| other.mean.total_cmp(&one.mean));
                let users = users.during(phase.began, phase.ended).all;
                PhaseDemand { users, in_flight: shares.all, endpoints, ..PhaseDemand::default() }
            })
            .collect();
        count(flights, timeline, &mut phases);
        let endpoints = flights.endpoints.iter().map(crate::recording::traffic::EndpointLabel::label).collect();
        Self { phases, endpoints, missing: flights.missing }
    }
}

fn count(flights: &Flights, timeline: &Timeline, phases: &mut [PhaseDemand]) {
    let mut cursor = PhaseCursor::new(timeline);
    for flight in &flights.requests {
        let Some(phase) = cursor.at(flight.began).and_then(|number| phases.get_mut(number)) else { continue };
        phase.requests += 1;
        phase.failed += u64::from(flight.failed);
        if let Some(took) = flight.took() {
            phase.latency.record(took);
        }
    }
    for (demand, phase) in phases.iter_mut().zip(&timeline.phases) {
        let seconds = phase_length(phase).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 are out of reach")]
        let requests = demand.requests as f64;
        demand.rate = if seconds > 0.0 { requests / seconds } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{at, flights, phase, recording};
    use super::*;

    #[test]
    fn each_phase_says_what_was_asked_of_the_server() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "1 user/s", 1000);
        phase(&mut recording, "b", "1 user/s", 1000);
        let mut flights = flights(&["/a", "/b"], &[(0, 0, 500), (0, 250, 500), (1, 900, 1100), (1, 1500, 1500)]);
        flights.requests[3].failed = true;
        flights.users = vec![(at(0), at(1500)), (at(500), at(1500))];
        let demand = Demand::of(&flights, &recording.timeline);
        let [a, b] = &demand.phases[..] else { panic!("two phases") };
        assert_eq!(a.endpoints[0], (0, Share { mean: 0.75, most: 2, share: 0.5 }));
        assert!((a.endpoints[1].1.mean - 0.1).abs() < 1e-9 && (a.in_flight.share - 0.6).abs() < 1e-9);
        assert_eq!((a.requests, a.failed, a.latency.count()), (3, 0, 3));
        assert_eq!((b.requests, b.failed, b.latency.count()), (1, 1, 1));
        assert_eq!((a.users.mean, a.users.most, b.users.mean), (1.5, 2, 1.0));
        assert_eq!(demand.endpoints, ["GET /a", "GET /b"]);
    }

    #[test]
    fn what_was_never_sent_is_in_no_flight() {
        let mut recording = recording(1);
        phase(&mut recording, "a", "1 user/s", 1000);
        let mut flights = flights(&["/a"], &[(0, 0, 400)]);
        (flights.requests[0].sent, flights.requests[0].failed) = (false, true);
        let demand = Demand::of(&flights, &recording.timeline);
        let phase = &demand.phases[0];
        assert!(phase.endpoints.is_empty() && phase.in_flight == Share::default());
        // It timed out while it connected: that is what its user waited for.
        assert_eq!((phase.failed, phase.latency.max().as_millis()), (1, 400));
    }
}

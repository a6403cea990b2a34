//! What a server has received, for the test to look at while it runs, and how much of it was in its hands at one time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::request::Received;
use crate::support::wait::PATIENCE;

/// A log of requests.
#[derive(Default)]
pub struct Traffic {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Received>,
    in_flight: usize,
    most_at_once: usize,
}

/// A request between its arrival and the first byte of its answer. It ends there, and not after the last byte, so that one
/// client that asks one question after the other is never seen twice.
pub struct InFlight {
    traffic: Arc<Traffic>,
}

impl Traffic {
    /// Adds a request of a connection and gives it its place.
    pub fn record(self: &Arc<Traffic>, request: &mut Received, connection: usize) -> InFlight {
        let mut seen = self.look();
        request.connection = connection;
        request.order = seen.requests.len() + 1;
        seen.requests.push(request.clone());
        seen.in_flight += 1;
        seen.most_at_once = seen.most_at_once.max(seen.in_flight);
        self.changed.notify_all();
        InFlight { traffic: Arc::clone(self) }
    }

    /// All so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.look().requests.clone()
    }

    /// The largest number of requests that waited for an answer at one time.
    pub fn most_at_once(&self) -> usize {
        self.look().most_at_once
    }

    /// Returns as soon as `count` requests have come. Panics after [`PATIENCE`].
    pub fn wait_for(&self, count: usize) {
        let waited = self.changed.wait_timeout_while(self.look(), PATIENCE, |seen| seen.requests.len() < count);
        let came = waited.expect("nobody panics while looking").0.requests.len();
        assert!(came >= count, "waited for {count} requests, but only {came} came");
    }

    fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while looking")
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.traffic.look().in_flight -= 1;
    }
}

//! What of a load a server can feel: when each request was under way, and when each user was active.
//!
//! A few columns of the rows in a recording, in memory, for the analysis that puts samples and requests side by side.
//! Nothing here knows samples, phases or files.

use std::time::Duration;

use super::EndpointLabel;
use crate::clock::Moment;

/// A request that ended: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// When it was sent. Of one that was never sent: since when it tried, or when it was over.
    pub began: Moment,
    /// When all was over.
    pub done: Moment,
    /// What was asked for.
    pub endpoint: u32,
    /// Whether it was handed to the system at all.
    pub sent: bool,
    /// Whether it had no whole answer, or one with a status of 400 or more.
    pub failed: bool,
}

impl Flight {
    /// From sending to the end of the answer; `None` where nothing was sent and nothing waited for.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        (self.sent || self.began < self.done).then(|| self.done.since(self.began))
    }
}

/// The requests and users of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flights {
    /// The requests, as a rule in the order in which they ended.
    pub requests: Vec<Flight>,
    /// From when to when each user was active.
    pub users: Vec<(Moment, Moment)>,
    /// What requests are filed under, by number.
    pub endpoints: Vec<EndpointLabel>,
    /// Requests and users that are not here: beyond [`Flights::MOST`], or never written.
    pub missing: u64,
}

impl Flights {
    /// So many requests are held, and as many users (some 400 MB); what comes after them is counted as missing.
    pub const MOST: usize = 10_000_000;

    /// The same by a clock on which everything happened so many nanoseconds later.
    #[must_use]
    pub fn moved(mut self, nanos: i64) -> Self {
        for flight in &mut self.requests {
            (flight.began, flight.done) = (flight.began.moved(nanos), flight.done.moved(nanos));
        }
        for (began, ended) in &mut self.users {
            (*began, *ended) = (began.moved(nanos), ended.moved(nanos));
        }
        self
    }
}

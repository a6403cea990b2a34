//! What requests are kept apart by, and the histograms of one kind of them.

use std::time::Duration;

use super::latency::Latency;
use crate::clock::Moment;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// An answer of this class, 4 for 400 to 499, of an endpoint that answers with too many statuses.
    Class(u16),
    /// No answer, or not a whole one.
    Failed,
}

impl Outcome {
    /// The class of an answer: 4 for 400 to 499.
    #[must_use]
    pub const fn class(self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status / 100),
            Self::Class(class) => Some(class),
            Self::Failed => None,
        }
    }
}

/// What histograms are kept apart by. The numbers are those of `Traffic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The phase that the user arrived in.
    pub phase: u16,
    /// Its scenario.
    pub scenario: u16,
    /// What was asked for.
    pub endpoint: u32,
    /// What became of it.
    pub outcome: Outcome,
}

impl SeriesKey {
    /// The endpoint under which everything is counted that came too late to have a series of its own.
    pub const OTHER_ENDPOINT: u32 = u32::MAX;
}

/// The histograms of one kind of request.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Requests; a timeout counts as one.
    pub count: u64,
    /// From sending the request to the head of the answer: Artillery's response time.
    pub first_byte: Latency,
    /// From sending the request to the end of the answer.
    pub from_send: Latency,
    /// From the moment when the request was due to the end of the answer: what a user feels, who does not know that the
    /// driver or a socket was busy.
    pub from_due: Latency,
    /// Waiting for a free socket.
    pub queued: Latency,
    /// Looking up a name.
    pub dns: Latency,
    /// Connecting.
    pub connect: Latency,
    /// Agreeing on a secret.
    pub tls: Latency,
    /// From the head of the answer to its end.
    pub body: Latency,
    /// What the server says it took: `Server-Timing: total;dur=…`.
    pub server: Latency,
}

impl Series {
    const fn parts(&self) -> [&Latency; 9] {
        let Self { count: _, first_byte, from_send, from_due, queued, dns, connect, tls, body, server } = self;
        [first_byte, from_send, from_due, queued, dns, connect, tls, body, server]
    }

    const fn parts_mut(&mut self) -> [&mut Latency; 9] {
        let Self { count: _, first_byte, from_send, from_due, queued, dns, connect, tls, body, server } = self;
        [first_byte, from_send, from_due, queued, dns, connect, tls, body, server]
    }

    /// Adds all of another one.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (mine, theirs) in self.parts_mut().into_iter().zip(other.parts()) {
            mine.add(theirs);
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.parts_mut().into_iter().for_each(Latency::clear);
    }
}

/// What is to be counted of one request.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// When it ended.
    pub ended: Moment,
    /// From sending to the head; for a timeout, until it was given up, and from the start of the attempt if nothing was sent yet.
    /// `None` for other failures before anything was sent.
    pub first_byte: Option<Duration>,
    /// From sending to the end.
    pub from_send: Option<Duration>,
    /// From when it was due to the end; `None` for a message that nothing was to come back for.
    pub from_due: Option<Duration>,
    /// Waiting for a free socket, if that took any time.
    pub queued: Option<Duration>,
    /// Looking up a name, if that was done.
    pub dns: Option<Duration>,
    /// Connecting, if that was done.
    pub connect: Option<Duration>,
    /// Agreeing on a secret, if that was done.
    pub tls: Option<Duration>,
    /// From the head to the end.
    pub body: Option<Duration>,
    /// What the server says it took.
    pub server: Option<Duration>,
    /// Bytes of the body, as they came.
    pub bytes: u64,
}

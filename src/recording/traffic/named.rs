//! What is counted and measured under a name that somebody else chose: a plugin, an engine, a hook of the script.
//!
//! Scripts can make up names without end, so there is a bound for each kind, behind which things are counted together, or, where
//! that would mean nothing, not at all and that is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::latency::Latency;
use crate::clock::Moment;

/// Different names of each kind; further ones are counted as [`OTHER`].
pub(super) const MOST_NAMES: usize = 500;
/// Different distributions; what belongs to further ones is counted and not kept.
const MOST_MEASURES: usize = 200;
/// What names beyond the bound are counted as.
pub(super) const OTHER: &str = "(other)";
/// Counts the values that were not kept.
const LOST: &str = "pyperf.values_not_kept";

/// Events emitted over Socket.IO, and how often.
pub const EMITTED: [&str; 2] = ["socketio.emit", "socketio.emit_rate"];
/// Messages sent over WebSocket, and how often.
pub const SENT: [&str; 2] = ["websocket.messages_sent", "websocket.send_rate"];
/// Events received over Socket.IO, and how often.
pub const EVENTS: [&str; 2] = ["socketio.events_received", "socketio.receive_rate"];
/// Messages received over WebSocket, and how often.
pub const RECEIVED: [&str; 2] = ["websocket.messages_received", "websocket.receive_rate"];
/// How long an acknowledgement, or the response to an event, took.
pub const EMIT_TIME: &str = "socketio.response_time";
/// How long the message that a message was sent for took.
pub const SEND_TIME: &str = "websocket.response_time";
/// How long it took to be connected: of Socket.IO and of WebSocket.
pub const CONNECT_TIMES: [&str; 2] = ["socketio.connect_time", "websocket.connect_time"];
/// What the name of a function of the processor is put behind: how long its calls took.
pub const HOOK_TIME: &str = "pyperf.hook_time.";

/// Numbers by name.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Sums.
    pub counters: BTreeMap<String, u64>,
    /// How often something happened.
    pub rates: BTreeMap<String, Rate>,
    /// Distributions. Lengths of time, or other numbers as if they were milliseconds.
    pub measures: BTreeMap<String, Latency>,
}

/// How often something happened, from the first time to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Moment,
    /// The last time.
    pub last: Moment,
}

impl Rate {
    /// Times a second, over a second at least.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.last.since(self.first).as_secs_f64().max(1.0)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Named {
    /// Adds to a counter.
    pub fn count(&mut self, name: &str, by: u64) {
        bump(&mut self.counters, name, by);
    }

    /// Notes that something happened.
    pub fn happened(&mut self, name: &str, now: Moment) {
        self.add_rate(name, Rate { count: 1, first: now, last: now });
    }

    /// Adds a value to a distribution.
    pub fn measure(&mut self, name: &str, value: Duration) {
        if let Some(measure) = self.measure_of(name) {
            measure.record(value);
        }
    }

    fn measure_of(&mut self, name: &str) -> Option<&mut Latency> {
        if !self.measures.contains_key(name) {
            if self.measures.len() >= MOST_MEASURES {
                self.count(LOST, 1);
                return None;
            }
            self.measures.insert(name.to_owned(), Latency::default());
        }
        self.measures.get_mut(name)
    }

    fn add_rate(&mut self, name: &str, rate: Rate) {
        if let Some(known) = self.rates.get_mut(name) {
            known.add(rate);
            return;
        }
        let name = if self.rates.len() >= MOST_NAMES { OTHER } else { name };
        self.rates.entry(name.to_owned()).and_modify(|known| known.add(rate)).or_insert(rate);
    }

    /// Adds all of another one.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.counters {
            self.count(name, *count);
        }
        for (name, rate) in &other.rates {
            self.add_rate(name, *rate);
        }
        for (name, measure) in &other.measures {
            if let Some(mine) = self.measure_of(name) {
                mine.add(measure);
            }
        }
    }
}

/// Adds to a named counter; to one for all others when there are too many names.
pub(super) fn bump(counters: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if let Some(count) = counters.get_mut(name) {
        *count = count.saturating_add(by);
        return;
    }
    let full = counters.len() >= MOST_NAMES;
    let count = counters.entry(if full { OTHER } else { name }.to_owned()).or_default();
    *count = count.saturating_add(by);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_have_one_for_all_others() {
        let mut named = Named::default();
        for number in 0..2000 {
            let name = format!("n{number}");
            named.count(&name, 1);
            named.happened(&name, Moment::from_nanos(number));
            named.measure(&name, Duration::from_millis(1));
        }
        assert_eq!((named.counters.len(), named.rates.len(), named.measures.len()), (501, 501, MOST_MEASURES));
        // The lost ones were counted among the others, as their counter came late too.
        assert_eq!(named.counters.values().sum::<u64>(), 2000 + 1800);
        assert_eq!(named.rates.values().map(|rate| rate.count).sum::<u64>(), 2000);
    }

    #[test]
    fn what_is_added_up_is_as_if_it_had_been_one() {
        let (mut one, mut other) = (Named::default(), Named::default());
        one.happened("r", Moment::from_nanos(0));
        other.happened("r", Moment::from_nanos(4_000_000_000));
        other.measure("m", Duration::from_millis(3));
        other.count("c", 2);
        one.add(&other);
        assert_eq!(one.rates["r"].per_second().to_string(), "0.5");
        assert_eq!((one.measures["m"].count(), one.counters["c"]), (1, 2));
    }
}

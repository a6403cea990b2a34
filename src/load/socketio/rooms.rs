//! The namespaces of a client: which it wants, which it has, and what waits for them.
//!
//! It stands alone because it is the part of the client that has no time and no wire: it can be read without either. What
//! waits is bounded; what does not fit is dropped, and its acknowledgement with it.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use super::arguments::Arguments;
use super::client::Acknowledged;
use super::packet::{Content, Packet};
use crate::clock::Moment;

/// Namespaces of a client.
const MOST_ROOMS: usize = 256;
/// Events that may wait for their namespace, and their weight in bytes.
const MOST_HELD: usize = 1024;
const HEAVIEST: usize = 1 << 20;

/// Acknowledgements that may be awaited at a time.
const MOST_AWAITED: usize = 4096;

/// An event that is to be sent.
#[derive(Debug)]
pub(super) struct Emission {
    pub(super) namespace: String,
    pub(super) arguments: Arguments,
    pub(super) ack: Option<oneshot::Sender<Acknowledged>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to be asked for when there is a connection.
    Wanted,
    /// The server has been asked.
    Asked,
    Joined,
    /// The server has refused it, or has left it.
    Left,
}

#[derive(Debug)]
struct Room {
    name: String,
    query: String,
    state: State,
    asked: Moment,
}

/// The namespaces of a client.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    all: Vec<Room>,
    held: VecDeque<Emission>,
    weight: usize,
    awaited: HashMap<u64, (String, oneshot::Sender<Acknowledged>)>,
    last: u64,
    dropped: u64,
}

/// The name of a namespace, and its query: `chat?token=1` is `/chat` with `token=1`.
pub(super) fn split(namespace: &str) -> (String, String) {
    let (name, query) = namespace.split_once('?').unwrap_or((namespace, ""));
    let slash = if name.starts_with('/') { "" } else { "/" };
    // A comma would end the name on the wire.
    (format!("{slash}{}", name.replace(',', "%2C")), query.to_owned())
}

impl Rooms {
    fn room(&mut self, name: &str) -> Option<&mut Room> {
        self.all.iter_mut().find(|room| room.name == name)
    }

    /// Wants a namespace; tells whether it was not wanted before.
    pub(super) fn want(&mut self, namespace: &str) -> bool {
        if self.room(namespace).is_some() {
            return false;
        }
        let (name, query) = split(namespace);
        if self.all.len() >= MOST_ROOMS || self.room(&name).is_some() {
            return false;
        }
        self.all.push(Room { name, query, state: State::Wanted, asked: Moment::default() });
        true
    }

    /// The namespaces that are to be asked for now, with their queries; the server is asked for them.
    pub(super) fn ask(&mut self, now: Moment) -> Vec<(String, String)> {
        let wanted = self.all.iter_mut().filter(|room| room.state == State::Wanted);
        wanted
            .map(|room| {
                (room.state, room.asked) = (State::Asked, now);
                (room.name.clone(), room.query.clone())
            })
            .collect()
    }

    /// The server grants a namespace; gives when it was asked, unless that was not new.
    pub(super) fn join(&mut self, name: &str) -> Option<Moment> {
        let room = self.room(name)?;
        let new = room.state != State::Joined;
        room.state = State::Joined;
        new.then_some(room.asked)
    }

    pub(super) fn is_joined(&self, name: &str) -> bool {
        self.all.iter().any(|room| room.name == name && room.state == State::Joined)
    }

    /// A namespace is no more; what waits for it, or from it, is dropped.
    pub(super) fn leave(&mut self, name: &str) {
        if let Some(room) = self.room(name) {
            room.state = State::Left;
        }
        let before = self.held.len();
        self.held.retain(|emission| emission.namespace != name);
        self.dropped += (before - self.held.len()) as u64;
        self.weight = self.held.iter().map(|emission| emission.arguments.weight()).sum();
        self.awaited.retain(|_, (namespace, _)| namespace != name);
    }

    /// Whether no namespace is left.
    pub(super) fn is_empty(&self) -> bool {
        self.all.iter().all(|room| room.state == State::Left)
    }

    /// The connection is lost: namespaces are to be asked for again, and acknowledgements will not come.
    pub(super) fn interrupt(&mut self) {
        for room in &mut self.all {
            if room.state != State::Left {
                room.state = State::Wanted;
            }
        }
        self.awaited.clear();
    }

    /// The names of the namespaces that are joined, in the order in which they were wanted.
    pub(super) fn joined(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter(|room| room.state == State::Joined).map(|room| room.name.as_str())
    }

    /// The packet of an event, when its namespace is there; otherwise the event waits, or is dropped when it waits for
    /// nothing.
    pub(super) fn emit(&mut self, mut emission: Emission) -> Option<Packet> {
        if self.room(&emission.namespace).is_none() {
            emission.namespace = split(&emission.namespace).0;
        }
        let state = self.room(&emission.namespace).map(|room| room.state);
        match state {
            Some(State::Joined) => self.packet(emission),
            Some(State::Wanted | State::Asked) => {
                self.hold(emission);
                None
            }
            Some(State::Left) | None => {
                self.dropped += 1;
                None
            }
        }
    }

    fn hold(&mut self, emission: Emission) {
        let weight = emission.arguments.weight();
        if self.held.len() >= MOST_HELD || self.weight.saturating_add(weight) > HEAVIEST && !self.held.is_empty() {
            self.dropped += 1;
            return;
        }
        self.weight = self.weight.saturating_add(weight);
        self.held.push_back(emission);
    }

    /// The packets of all that waited for namespaces that are there now.
    pub(super) fn release(&mut self) -> Vec<Packet> {
        let held = std::mem::take(&mut self.held);
        self.weight = 0;
        held.into_iter().filter_map(|emission| self.emit(emission)).collect()
    }

    fn packet(&mut self, emission: Emission) -> Option<Packet> {
        let Emission { namespace, arguments, ack } = emission;
        let id = match ack {
            None => None,
            Some(_) if self.awaited.len() >= MOST_AWAITED && !self.tidied() => {
                self.dropped += 1;
                return None;
            }
            Some(sender) => {
                let id = self.last;
                self.last += 1;
                self.awaited.insert(id, (namespace.clone(), sender));
                Some(id)
            }
        };
        Some(Packet::new(namespace, Content::Event(id, arguments)))
    }

    /// Forgets acknowledgements that nobody waits for any more; tells whether there were any.
    fn tidied(&mut self) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|_, (_, sender)| !sender.is_closed());
        self.awaited.len() < before
    }

    /// Hands an acknowledgement to whoever waits for it; tells whether somebody did.
    pub(super) fn acknowledge(&mut self, namespace: &str, id: u64, acknowledged: Acknowledged) -> bool {
        match self.awaited.remove(&id) {
            Some((asked, sender)) if asked == namespace => sender.send(acknowledged).is_ok(),
            other => {
                self.awaited.extend(other.map(|waiting| (id, waiting)));
                false
            }
        }
    }

    /// Events that were dropped.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn emission(namespace: &str, ack: Option<oneshot::Sender<Acknowledged>>) -> Emission {
        Emission { namespace: namespace.into(), arguments: Arguments::new(vec![json!("hi")]), ack }
    }

    fn acknowledged() -> Acknowledged {
        Acknowledged { at: Moment::default(), arguments: Arguments::default() }
    }

    #[test]
    fn events_wait_for_their_namespace() {
        let mut rooms = Rooms::default();
        assert!(rooms.want("/") && rooms.want("chat?a=1") && !rooms.want("/chat"));
        assert_eq!(rooms.ask(Moment::default()), [("/".into(), String::new()), ("/chat".into(), "a=1".into())]);
        assert!(rooms.ask(Moment::default()).is_empty());
        assert_eq!(rooms.emit(emission("/chat", None)), None);
        assert!(rooms.release().is_empty());
        assert!(rooms.join("/chat").is_some() && rooms.join("/chat").is_none());
        assert_eq!(rooms.release().len(), 1);
        rooms.interrupt();
        assert_eq!(rooms.emit(emission("/chat", None)), None);
        rooms.leave("/chat");
        assert_eq!((rooms.dropped(), rooms.is_empty()), (1, false));
        assert_eq!(rooms.emit(emission("/chat", None)), None);
        assert_eq!(rooms.dropped(), 2);
    }

    #[test]
    fn acknowledgements_find_who_waits_for_them() {
        let mut rooms = Rooms::default();
        rooms.want("/");
        rooms.join("/");
        let (sender, mut receiver) = oneshot::channel();
        let packet = rooms.emit(emission("/", Some(sender))).expect("sent");
        assert!(matches!(packet.content, Content::Event(Some(0), _)));
        assert!(!rooms.acknowledge("/other", 0, acknowledged()) && !rooms.acknowledge("/", 1, acknowledged()));
        assert!(rooms.acknowledge("/", 0, acknowledged()) && receiver.try_recv().is_ok());
        let (sender, mut receiver) = oneshot::channel();
        rooms.emit(emission("/", Some(sender)));
        rooms.interrupt();
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut rooms = Rooms::default();
        rooms.want("/");
        for _ in 0..MOST_HELD + 3 {
            rooms.emit(emission("/", None));
        }
        assert_eq!(rooms.dropped(), 3);
        for number in 0..2 * MOST_ROOMS {
            rooms.want(&format!("/{number}"));
        }
        assert_eq!(rooms.all.len(), MOST_ROOMS);
    }
}

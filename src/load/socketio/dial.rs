//! How a session comes about: the first transport is tried in the generation that the server speaks.
//!
//! It stands alone because which one that is must be found out, once for a run: newer servers refuse the older generation with
//! a sentence, older servers refuse the newer one, or answer in the older one as if nothing were wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::carrier;
use super::engine::{self, Generation, Kind, Packet, Payload};
use super::event::Refused;
use super::options::{Means, Options};
use super::polling::{self, Polling};
use super::session::{Greeting, Session, Wire};
use crate::clock::Clock;
use crate::load::http::{Failure, Timings, Transport};
use crate::load::websocket::{Ended, Message};

/// Servers whose generation is remembered.
const MOST_KNOWN: usize = 64;
/// How long a request may wait that waits for the server; in truth pings bound it.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Makes connections for all users of a run. A clone is the same.
#[derive(Clone, Debug)]
pub struct Dialer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    usual: Transport,
    patient: Transport,
    known: Mutex<HashMap<String, Generation>>,
}

/// A session that came about.
pub(super) struct Opening {
    pub(super) session: Session,
    pub(super) means: Means,
    pub(super) timings: Timings,
    pub(super) ping_interval: Duration,
    /// Whether the generation is beyond doubt.
    pub(super) certain: bool,
}

/// The server's first words.
struct Greeted {
    greeting: Greeting,
    wire: Wire,
    generation: Generation,
    certain: bool,
    timings: Timings,
}

impl Dialer {
    /// A dialer on a transport: names, proxies, certificates and the patience for a response are the transport's.
    #[must_use]
    pub fn new(transport: &Transport) -> Self {
        Self(Arc::new(Inner {
            usual: transport.patient(transport.timeout()),
            patient: transport.patient(PATIENCE),
            known: Mutex::default(),
        }))
    }

    pub(super) fn usual(&self) -> &Transport {
        &self.0.usual
    }

    pub(super) fn patient(&self) -> &Transport {
        &self.0.patient
    }

    /// The clock of all moments.
    pub(super) fn clock(&self) -> Clock {
        self.0.usual.clock()
    }

    fn key(options: &Options) -> String {
        format!("{}/{}", options.target.origin().with_port(), options.path)
    }

    /// What the server of these options speaks, if somebody has found out.
    #[must_use]
    pub fn known(&self, options: &Options) -> Option<Generation> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).get(&Self::key(options)).copied()
    }

    /// Remembers what a server speaks.
    pub(super) fn learn(&self, options: &Options, generation: Generation) {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST_KNOWN || known.contains_key(&Self::key(options)) {
            known.insert(Self::key(options), generation);
        }
    }

    /// A new session, in the generation that is asked for, known, or found out.
    pub(super) async fn dial(&self, options: &Arc<Options>) -> Result<Opening, Refused> {
        if let Some(generation) = options.generation {
            return self.open(options, generation).await.map(|opening| Opening { certain: true, ..opening });
        }
        let known = self.known(options);
        let first = known.unwrap_or(Generation::Four);
        match self.open(options, first).await {
            Err(refused) if refused.is_of_generation() => {
                let other = if first == Generation::Four { Generation::Three } else { Generation::Four };
                // What is refused in both is told as it was told first.
                match self.open(options, other).await {
                    Err(again) if again.is_of_generation() => Err(refused),
                    opened => opened,
                }
            }
            Ok(opening) => Ok(Opening { certain: opening.certain || known.is_some(), ..opening }),
            refused => refused,
        }
    }

    async fn open(&self, options: &Arc<Options>, generation: Generation) -> Result<Opening, Refused> {
        let means = options.transports.first().copied().unwrap_or(Means::Polling);
        let greeted = match means {
            Means::Polling => self.greet(options, generation).await?,
            Means::WebSocket => self.greet_on_websocket(options, generation).await?,
        };
        let Greeted { greeting, wire, generation, certain, timings } = greeted;
        let mut session = Session::new(self.clock(), generation, &greeting, wire);
        if means == Means::Polling && options.may_upgrade() && greeting.has_websocket() {
            session.upgrade(self, options, greeting.sid.clone());
        }
        Ok(Opening { session, means, timings, ping_interval: greeting.interval(), certain })
    }

    async fn greet(&self, options: &Arc<Options>, asked: Generation) -> Result<Greeted, Refused> {
        let (exchange, connections) = polling::greet(self, options, asked).await;
        let timings = exchange.timings;
        let answer = polling::checked(exchange.outcome).map_err(|failure| xhr(failure, timings))?;
        // Old servers answer in their own way, whatever they are asked for.
        let generation = engine::generation_of(&answer.body.bytes);
        if options.generation.is_some_and(|pinned| pinned != generation) {
            return Err(Refused::new(&format!("parser error: the server speaks Engine.IO {}", generation.number())));
        }
        let packets = engine::decode(&answer.body.bytes, generation);
        let mut packets = packets.map_err(|error| Refused::new(&format!("parser error: {error}")))?.into_iter();
        let greeting = greeting(packets.next())?;
        let largest = greeting.max_payload;
        let mut polling = Polling::new(self, options, connections, generation, &greeting.sid, largest);
        polling.received(packets);
        Ok(Greeted { greeting, wire: Wire::Polling(Box::new(polling)), generation, certain: true, timings })
    }

    async fn greet_on_websocket(&self, options: &Options, generation: Generation) -> Result<Greeted, Refused> {
        let opened = carrier::websocket(self, options, generation, &[]).await;
        let (mut connection, accepted) =
            opened.map_err(|refused| Refused::because("websocket error", refused.failure, refused.timings))?;
        let timings = accepted.timings;
        let first = match connection.next().await {
            Ok(Message::Text(text)) => Packet::of_text(&text).ok(),
            Ok(Message::Binary(_)) => None,
            Err(Ended::Failed(failure)) => {
                return Err(Refused::because("websocket error", failure, timings));
            }
            Err(Ended::Closed { .. }) => return Err(Refused::mute()),
        };
        let greeting = greeting(first)?;
        let certain = generation == Generation::Three || greeting.max_payload.is_some();
        Ok(Greeted { greeting, wire: Wire::WebSocket(Box::new(connection)), generation, certain, timings })
    }
}

/// python-socketio 4 refuses namespace `/` before there is a session: 401, and its reason as JSON.
fn xhr(failure: Failure, timings: Timings) -> Refused {
    let refused = Refused::because("xhr poll error", failure, timings);
    let Some(answer) = refused.failure.as_ref().and_then(|failure| failure.partial.as_ref()) else { return refused };
    if answer.status != http::StatusCode::UNAUTHORIZED {
        return refused;
    }
    match serde_json::from_slice(&answer.body.bytes) {
        Ok::<serde_json::Value, _>(value) => {
            Refused { failure: refused.failure, timings: refused.timings, ..Refused::of(&value) }
        }
        Err(_) => refused,
    }
}

fn greeting(packet: Option<Packet>) -> Result<Greeting, Refused> {
    match packet {
        Some(Packet { kind: Kind::Open, payload: Payload::Text(text) }) => {
            serde_json::from_str(&text).map_err(|error| Refused::new(&format!("parser error: {error}")))
        }
        _ => Err(Refused::new("parser error: the server does not begin with a session")),
    }
}

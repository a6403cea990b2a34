//! One connection of Engine.IO: a transport, the move to a better one, and pings.
//!
//! It stands alone because it is what the two generations differ in over time: with 3 the client asks whether the server is
//! there, with 4 the server asks. It moves when it is polled, and knows neither namespaces nor reconnection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::carrier::{message, probe, read};
use super::dial::Dialer;
use super::down::Down;
use super::engine::{Generation, Kind, Packet, Payload};
use super::options::{Means, Options};
use super::polling::Polling;
use crate::clock::{Clock, Moment};
use crate::load::websocket::{Connection, Message, Step};

/// Packets that may wait to be sent before no more are taken.
const BACKLOG: usize = 64;

/// What a session brings forth.
#[derive(Debug)]
pub(super) enum Turn {
    /// A message for the layer above.
    Message(Payload),
    /// What waited has been sent.
    Sent,
    /// The session moved to a WebSocket.
    Upgraded(Duration),
    /// It could not.
    NotUpgraded(String),
}

/// What a server says of a new session.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Greeting {
    pub(super) sid: String,
    #[serde(default)]
    upgrades: Vec<String>,
    /// In milliseconds; the defaults are those of engine.io 3.
    #[serde(default = "usual_interval")]
    ping_interval: u64,
    #[serde(default = "usual_timeout")]
    ping_timeout: u64,
    /// The largest body that it takes, in bytes; servers of generation 4 say it since 2022.
    pub(super) max_payload: Option<usize>,
}

const fn usual_interval() -> u64 {
    25_000
}

const fn usual_timeout() -> u64 {
    5_000
}

impl Greeting {
    /// How often there is a ping: never without end, and never less than once a day.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval.clamp(100, 86_400_000))
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.ping_timeout.clamp(100, 86_400_000))
    }

    pub(super) fn has_websocket(&self) -> bool {
        self.upgrades.iter().any(|name| name == Means::WebSocket.name())
    }
}

/// How packets travel now.
#[derive(Debug)]
pub(super) enum Wire {
    Polling(Box<Polling>),
    WebSocket(Box<Connection>),
}

type Probe = Pin<Box<dyn Future<Output = Result<Connection, String>> + Send>>;

/// The move to a WebSocket.
enum Upgrade {
    /// It is opened and tried.
    Probing(Moment, Probe),
    /// It works; the last request is waited for.
    Ready(Moment, Box<Connection>),
}

enum Wired {
    Packet(Packet),
    Sent,
}

/// One connection of Engine.IO.
pub(super) struct Session {
    clock: Clock,
    generation: Generation,
    wire: Wire,
    upgrade: Option<Upgrade>,
    queue: VecDeque<Packet>,
    /// Of a WebSocket: what the queue has become.
    frames: VecDeque<Message>,
    interval: Duration,
    timeout: Duration,
    /// When the server is to be asked; only with generation 3.
    ping: Option<Moment>,
    /// When it is given up.
    deadline: Moment,
    timer: Pin<Box<Sleep>>,
    rings: Moment,
}

impl Session {
    pub(super) fn new(clock: Clock, generation: Generation, greeting: &Greeting, wire: Wire) -> Self {
        let (interval, timeout) = (greeting.interval(), greeting.timeout());
        let now = clock.now();
        let deadline = now + interval + timeout;
        Self {
            clock,
            generation,
            wire,
            upgrade: None,
            queue: VecDeque::new(),
            frames: VecDeque::new(),
            interval,
            timeout,
            ping: (generation == Generation::Three).then(|| now + interval),
            deadline,
            timer: Box::pin(sleep(interval + timeout)),
            rings: deadline,
        }
    }

    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// The server turned out to speak generation 3.
    pub(super) fn is_old(&mut self) {
        self.generation = Generation::Three;
        self.ping = Some(self.clock.now() + self.interval);
    }

    /// Begins to move to a WebSocket.
    pub(super) fn upgrade(&mut self, dialer: &Dialer, options: &Arc<Options>, sid: String) {
        let probe = probe(dialer.clone(), Arc::clone(options), self.generation, sid);
        self.upgrade = Some(Upgrade::Probing(self.clock.now(), Box::pin(probe)));
    }

    /// Sends a packet, when its turn comes.
    pub(super) fn send(&mut self, packet: Packet) {
        self.queue.push_back(packet);
    }

    /// Whether more should be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() + self.frames.len() < BACKLOG
    }

    /// Moves all there is to move; the next thing that the layer above must know.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, Down>> {
        loop {
            if let Poll::Ready(down) = self.poll_time(context) {
                return Poll::Ready(Err(down));
            }
            if let Some(why) = self.poll_probe(context) {
                return Poll::Ready(Ok(Turn::NotUpgraded(why)));
            }
            match self.poll_wire(context)? {
                Poll::Ready(Wired::Sent) => return Poll::Ready(Ok(Turn::Sent)),
                Poll::Ready(Wired::Packet(packet)) => {
                    if let Some(payload) = self.take(packet)? {
                        return Poll::Ready(Ok(Turn::Message(payload)));
                    }
                }
                Poll::Pending => match self.switched() {
                    Some(took) => return Poll::Ready(Ok(Turn::Upgraded(took))),
                    None => return Poll::Pending,
                },
            }
        }
    }

    /// Rings for a ping, or for the end.
    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<Down> {
        loop {
            let now = self.clock.now();
            if now >= self.deadline {
                return Poll::Ready(Down::new("ping timeout", "the server was silent for too long"));
            }
            if self.ping.is_some_and(|at| now >= at) {
                self.ping = None;
                self.deadline = now + self.timeout;
                self.queue.push_back(Packet::text(Kind::Ping, ""));
            }
            let due = self.ping.map_or(self.deadline, |at| at.min(self.deadline));
            // A moment that moved on is found out when the timer rings; only an earlier one must set it anew.
            if due < self.rings || now >= self.rings {
                self.timer.set(sleep(due.since(now)));
                self.rings = due;
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.rings = now;
        }
    }

    /// Tries the WebSocket; why it does not work, if so.
    fn poll_probe(&mut self, context: &mut Context<'_>) -> Option<String> {
        let Some(Upgrade::Probing(began, probe)) = &mut self.upgrade else { return None };
        let began = *began;
        let Poll::Ready(probed) = probe.as_mut().poll(context) else { return None };
        match probed {
            Err(why) => {
                self.upgrade = None;
                Some(why)
            }
            Ok(connection) => {
                if let Wire::Polling(polling) = &mut self.wire {
                    polling.pause();
                }
                self.upgrade = Some(Upgrade::Ready(began, Box::new(connection)));
                None
            }
        }
    }

    /// Moves to the WebSocket once the last request is over.
    fn switched(&mut self) -> Option<Duration> {
        let Wire::Polling(polling) = &self.wire else { return None };
        if !polling.is_at_rest() {
            return None;
        }
        match self.upgrade.take() {
            Some(Upgrade::Ready(began, connection)) => {
                self.frames.push_front(message(Packet::text(Kind::Upgrade, ""), self.generation));
                self.wire = Wire::WebSocket(connection);
                Some(self.clock.now().since(began))
            }
            other => {
                self.upgrade = other;
                None
            }
        }
    }

    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<Result<Wired, Down>> {
        let generation = self.generation;
        match &mut self.wire {
            Wire::Polling(polling) => polling.poll(context, &mut self.queue).map_ok(Wired::Packet),
            Wire::WebSocket(connection) => {
                self.frames.extend(self.queue.drain(..).map(|packet| message(packet, generation)));
                connection.poll_both(context, &mut self.frames).map(|step| match step {
                    Ok(Step::Sent) => Ok(Wired::Sent),
                    Ok(Step::Received(message)) => read(message, generation).map(Wired::Packet),
                    Err(ended) => Err(Down::of_end(ended)),
                })
            }
        }
    }

    /// Takes what concerns the session; the rest is for the layer above.
    fn take(&mut self, packet: Packet) -> Result<Option<Payload>, Down> {
        let now = self.clock.now();
        self.deadline = now + self.interval + self.timeout;
        match packet.kind {
            Kind::Message => return Ok(Some(packet.payload)),
            Kind::Ping if self.generation == Generation::Four => {
                self.queue.push_back(Packet { kind: Kind::Pong, payload: packet.payload });
            }
            Kind::Pong if self.generation == Generation::Three => self.ping = Some(now + self.interval),
            Kind::Close => return Err(Down::new("transport close", "the server closed the session")),
            _ => (),
        }
        Ok(None)
    }

    /// Sends what waits, and ends the session. It is for the caller to be impatient.
    pub(super) async fn close(self) {
        let Self { wire, mut queue, frames, generation, .. } = self;
        match wire {
            Wire::Polling(polling) => {
                queue.push_back(Packet::text(Kind::Close, ""));
                polling.finish(queue).await;
            }
            Wire::WebSocket(mut connection) => {
                for frame in frames.into_iter().chain(queue.into_iter().map(|packet| message(packet, generation))) {
                    if connection.send(frame).await.is_err() {
                        return;
                    }
                }
                connection.close(None, "").await;
            }
        }
    }
}

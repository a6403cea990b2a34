//! The task that attends a client's connection: orders in, packets out, events up, and the connection made again when it is
//! lost.
//!
//! It stands alone because it is all that goes on while the user does something else. It sleeps between packets.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::timeout;

use super::arguments::Arguments;
use super::client::Acknowledged;
use super::dial::{Dialer, Opening};
use super::down::Down;
use super::engine::{self, Generation, Kind, Payload};
use super::event::{Connected, Event, Refused, What};
use super::options::Options;
use super::packet::{Content, Decoder, Packet};
use super::rooms::{Emission, Rooms};
use super::session::{Session, Turn};
use crate::clock::{Clock, Moment};
use crate::load::mailbox::Mailbox;
use crate::random::Random;

/// How long an old server has to say that it is one, when nothing else has told.
const TELLTALE: Duration = Duration::from_millis(500);
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the user wants.
#[derive(Debug)]
pub(super) enum Order {
    Join(String),
    Emit(Emission),
    Acknowledge(String, u64, Arguments),
    Close,
}

/// What the user and the task share.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) post: Mailbox<Order, Event>,
    pub(super) unsent: AtomicU64,
}

impl Line {
    pub(super) fn tell(&self, at: Moment, what: What) {
        match &what {
            What::Received { name, arguments, .. } => {
                let weight = size_of::<Event>() + name.len() + arguments.weight();
                self.post.tell(Event { at, what }, weight);
            }
            _ => self.post.announce(Event { at, what }),
        }
    }
}

/// Whatever ends the task, the user is told.
struct Finally(Arc<Line>);

impl Drop for Finally {
    fn drop(&mut self) {
        self.0.post.end(None);
    }
}

/// What the task has in hand.
pub(super) struct Attendance {
    pub(super) dialer: Dialer,
    pub(super) options: Arc<Options>,
    pub(super) line: Arc<Line>,
    pub(super) clock: Clock,
    pub(super) session: Session,
    pub(super) decoder: Decoder,
    pub(super) rooms: Rooms,
    pub(super) random: Random,
}

/// How serving a connection ended.
enum Served {
    Lost(Down),
    /// The user wants no more.
    Closed,
    /// The server has left every namespace.
    Deserted,
}

impl Attendance {
    /// Connects, namespace `/` included.
    pub(super) async fn begin(
        dialer: &Dialer,
        options: &Arc<Options>,
        line: &Arc<Line>,
    ) -> Result<(Self, Connected), Refused> {
        let clock = dialer.clock();
        let began = clock.now();
        let beginning = async {
            let opening = dialer.dial(options).await?;
            let connected = connected(&opening);
            let certain = opening.certain;
            let mut attendance = Self {
                dialer: dialer.clone(),
                options: Arc::clone(options),
                line: Arc::clone(line),
                clock,
                session: opening.session,
                decoder: Decoder::new(options.limits),
                rooms: Rooms::default(),
                random: Random::new(options.seed),
            };
            attendance.rooms.want("/");
            attendance.enter(certain).await?;
            Ok((attendance, connected))
        };
        let timed = timeout(options.timeout, beginning).await;
        let (attendance, connected) = timed.unwrap_or_else(|_| Err(Refused::new("timeout")))?;
        let generation = attendance.session.generation();
        dialer.learn(options, generation);
        Ok((attendance, Connected { took: clock.now().since(began), generation, ..connected }))
    }

    /// Serves until the end.
    pub(super) async fn run(mut self) {
        let line = Finally(Arc::clone(&self.line));
        let why = loop {
            match self.serve().await {
                Served::Closed => break "io client disconnect",
                Served::Deserted => break "io server disconnect",
                Served::Lost(down) => {
                    self.rooms.interrupt();
                    let why = down.why;
                    self.line.tell(self.clock.now(), What::Disconnected { why, detail: down.detail });
                    if let Err(over) = self.reconnect().await {
                        let over = over.unwrap_or(why);
                        self.line.post.end(Some(Event { at: self.clock.now(), what: What::Over { why: over } }));
                        return;
                    }
                }
            }
        };
        let (clock, last) = (self.clock, self.dismiss());
        let _ = timeout(FAREWELL, last.close()).await;
        line.0.post.end(Some(Event { at: clock.now(), what: What::Over { why } }));
    }

    /// The session, with the last words in it.
    fn dismiss(self) -> Session {
        let Self { mut session, rooms, .. } = self;
        for name in rooms.joined() {
            say(&mut session, Packet::new(name, Content::Disconnect));
        }
        session
    }

    async fn serve(&mut self) -> Served {
        loop {
            while self.session.has_room()
                && let Some(order) = self.line.post.take()
            {
                if matches!(order, Order::Close) {
                    return Served::Closed;
                }
                self.obey(order);
            }
            let turn = tokio::select! {
                () = self.line.post.ordered(), if self.session.has_room() => continue,
                turn = poll_fn(|context| self.session.poll(context)) => turn,
            };
            match turn.and_then(|turn| self.turn(turn)) {
                Ok(()) if self.rooms.is_empty() => return Served::Deserted,
                Ok(()) => (),
                Err(down) => return Served::Lost(down),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Join(namespace) => {
                if self.rooms.want(&namespace) {
                    self.ask();
                }
            }
            Order::Emit(emission) => {
                if self.rooms.want(&emission.namespace) {
                    self.ask();
                }
                self.emit(emission);
            }
            Order::Acknowledge(namespace, id, arguments) => {
                if self.rooms.is_joined(&namespace) {
                    say(&mut self.session, Packet::new(namespace, Content::Ack(id, arguments)));
                }
            }
            Order::Close => (),
        }
    }

    pub(super) fn emit(&mut self, emission: Emission) {
        if let Some(packet) = self.rooms.emit(emission) {
            say(&mut self.session, packet);
        }
        self.line.unsent.store(self.rooms.dropped(), Relaxed);
    }

    /// Asks for the namespaces that are wanted.
    fn ask(&mut self) {
        let generation = self.session.generation();
        for (name, query) in self.rooms.ask(self.clock.now()) {
            let packet = match generation {
                Generation::Four => Packet::new(name, Content::Connect(self.options.auth.clone())),
                // The server joins this one by itself.
                Generation::Three if name == "/" => continue,
                Generation::Three => {
                    let query = if query.is_empty() { self.options.query_text() } else { query };
                    let mark = if query.is_empty() { "" } else { "?" };
                    Packet::new(format!("{name}{mark}{query}"), Content::Connect(None))
                }
            };
            say(&mut self.session, packet);
        }
    }

    fn turn(&mut self, turn: Turn) -> Result<(), Down> {
        let now = self.clock.now();
        match turn {
            Turn::Sent => Ok(()),
            Turn::Upgraded(took) => {
                self.line.tell(now, What::Upgraded { took });
                Ok(())
            }
            Turn::NotUpgraded(why) => {
                self.line.tell(now, What::NotUpgraded { why });
                Ok(())
            }
            Turn::Message(payload) => {
                let read = match payload {
                    Payload::Text(text) => self.decoder.text(&text),
                    Payload::Binary(bytes) => self.decoder.binary(bytes),
                };
                match read {
                    Ok(None) => Ok(()),
                    Ok(Some(packet)) => {
                        self.hear(packet, now);
                        Ok(())
                    }
                    Err(error) => Err(Down::parse(&error)),
                }
            }
        }
    }

    fn hear(&mut self, packet: Packet, at: Moment) {
        let Packet { namespace, content } = packet;
        match content {
            Content::Connect(_) => {
                if let Some(asked) = self.rooms.join(&namespace) {
                    self.line.tell(at, What::Joined { namespace, took: at.since(asked) });
                    for packet in self.rooms.release() {
                        say(&mut self.session, packet);
                    }
                }
            }
            Content::Disconnect => {
                self.rooms.leave(&namespace);
                self.line.tell(at, What::Left { namespace });
            }
            Content::Refused(value) => {
                if !self.rooms.is_joined(&namespace) {
                    self.rooms.leave(&namespace);
                }
                self.line.tell(at, What::NotJoined { namespace, refused: Box::new(Refused::of(&value)) });
            }
            Content::Event(ack, mut arguments) => {
                let name = arguments.take_name();
                self.line.tell(at, What::Received { namespace, name, arguments, ack });
            }
            Content::Ack(id, arguments) => {
                self.rooms.acknowledge(&namespace, id, Acknowledged { at, arguments });
            }
        }
    }

    /// Joins namespace `/` of a new session.
    pub(super) async fn enter(&mut self, certain: bool) -> Result<(), Refused> {
        if !certain {
            let told = timeout(TELLTALE, poll_fn(|context| self.session.poll(context))).await;
            if let Ok(turn) = told {
                let bare = matches!(&turn, Ok(Turn::Message(Payload::Text(text))) if text == "0");
                if bare {
                    self.session.is_old();
                }
                self.ask();
                self.first(turn)?;
            }
        }
        self.ask();
        while !self.rooms.is_joined("/") {
            let turn = poll_fn(|context| self.session.poll(context)).await;
            self.first(turn)?;
        }
        Ok(())
    }

    /// A turn before namespace `/` is there.
    fn first(&mut self, turn: Result<Turn, Down>) -> Result<(), Refused> {
        if let Ok(Turn::Message(Payload::Text(text))) = &turn
            && let Ok(Some(packet)) = Decoder::new(self.options.limits).text(text)
            && packet.namespace == "/"
        {
            match packet.content {
                Content::Refused(value) => return Err(Refused::of(&value)),
                // What python-socketio 4 says with `always_connect`.
                Content::Disconnect => return Err(Refused::new("io server disconnect")),
                _ => (),
            }
        }
        turn.and_then(|turn| self.turn(turn)).map_err(|down| Refused {
            failure: down.failure.map(Box::new),
            ..Refused::new(if down.detail.starts_with("xhr") { "xhr poll error" } else { down.why })
        })
    }
}

/// What is known before namespace `/` is there.
pub(super) fn connected(opening: &Opening) -> Connected {
    Connected {
        took: Duration::ZERO,
        means: opening.means,
        generation: opening.session.generation(),
        ping_interval: opening.ping_interval,
        timings: opening.timings,
    }
}

/// Sends a packet with its attachments.
fn say(session: &mut Session, packet: Packet) {
    let (text, attachments) = packet.encode();
    session.send(engine::Packet::text(Kind::Message, text));
    for bytes in attachments {
        session.send(engine::Packet::binary(bytes));
    }
}

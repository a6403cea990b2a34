//! Steps over Socket.IO: connected, emitted, waited for, and entered in the books.
//!
//! Every event that comes is counted and timed, whether a step waits for it or not. What a reserved name means, and which
//! generation is spoken, the client knows.

use std::time::Duration;

use serde_json::Value;

use super::answer::{self, Wanted};
use super::heard::{Heard, is_acknowledged, said, same_namespace};
use super::kept::At;
use super::socketio::reserved::Treatment;
use super::socketio::{Ack, Acknowledged, Arguments, Client, Connected, Event, Generation, Unacknowledged, What};
use super::user::{Done, Failed, Line, Mind, User};
use crate::clock::Moment;
use crate::recording::traffic::FailureKind;
use crate::recording::traffic::named::{CONNECT_TIMES, EMIT_TIME, EMITTED, EVENTS};
use crate::scenario::engine::socketio::SocketIo;
use crate::scenario::extract::Answered;
use crate::scenario::flow::{Awaited, Emit, Response};
use crate::scenario::script::Scenario;

/// The namespace that every connection is in.
const ROOT: &str = "/";

/// What is said when too much waits to be sent.
const STUCK: &str = "the server takes nothing: too many events wait to be sent";

/// A step while it is done: where it stands, when it was due and when its event was handed over.
#[derive(Clone, Copy)]
struct Under {
    at: At,
    due: Moment,
    sent: Moment,
}

impl User {
    /// Acts out a scenario with a Socket.IO connection of its own.
    pub(super) async fn over_socketio(&self, scenario: &Scenario, engine: &SocketIo, due: Moment) -> Done {
        let client = self.connect(scenario, engine, due).await?;
        let due = self.shared.now().max(due);
        let _ = self.line.set(Line::SocketIo(client, engine.patience));
        let ended = self.act(&scenario.flow, due).await;
        if let Some(Line::SocketIo(client, _)) = self.line.get() {
            client.close().await;
        }
        ended
    }

    /// Counts what came since the last step, and what was lost, of a user that is gone.
    pub(super) fn sum_up_events(&self, client: &Client) {
        self.look_at(client);
        let (lost, unsent) = (client.lost(), client.unsent());
        self.count(EVENTS[0], |tally, name| {
            if lost > 0 {
                tally.named.count(name, lost);
                tally.named.count("socketio.events_not_kept", lost);
            }
            if unsent > 0 {
                tally.named.count("socketio.events_not_sent", unsent);
            }
        });
    }

    async fn connect(&self, scenario: &Scenario, engine: &SocketIo, due: Moment) -> Result<Client, Failed> {
        let options = self.options(engine).inspect_err(|failed| self.refused(scenario.span, failed))?;
        match Client::connect(&self.shared.dialer, options).await {
            Ok((client, connected)) => {
                self.connected(&connected, due);
                Ok(client)
            }
            Err(refused) => {
                let detail = match &refused.failure {
                    Some(failure) => format!("{}: {}", failure.code, failure.detail),
                    None => refused.value.as_ref().map(Value::to_string).unwrap_or_default(),
                };
                let failed = Failed::new(refused.message, self.shown(&detail));
                self.failed_before(scenario.span, &failed, FailureKind::Socket);
                Err(failed)
            }
        }
    }

    fn connected(&self, connected: &Connected, due: Moment) {
        let now = self.shared.now();
        self.count(CONNECT_TIMES[0], |tally, name| {
            tally.touch(now);
            // With what was late, as a user feels it.
            tally.named.measure(name, connected.took.max(now.since(due)));
            let generation = match connected.generation {
                Generation::Three => "engine_io_3",
                Generation::Four => "engine_io_4",
            };
            tally.named.count(&format!("socketio.connected.{generation}.{}", connected.means.name()), 1);
        });
    }

    /// An `emit` step.
    pub(super) async fn emit(&self, client: &Client, emit: &Emit, patience: Duration, due: Moment) -> Done {
        let at = At { span: emit.span, endpoint: emit.endpoint };
        let event = self.text(&emit.event);
        let namespace = emit.namespace.as_ref().map_or_else(|| ROOT.to_owned(), |namespace| self.text(namespace));
        let arguments: Vec<Value> =
            emit.arguments.iter().map(|argument| self.value(argument).unwrap_or_default()).collect();
        let arguments = Arguments::with_buffers(arguments);
        // What came before is no answer to this.
        self.look_at(client);
        let began = self.shared.now();
        let handing = async {
            if emit.acknowledge.is_none() {
                return client.emit(&namespace, &event, arguments).await.map(|emitted| (emitted, None));
            }
            let handed = client.emit_with_ack(&namespace, &event, arguments).await;
            handed.map(|(emitted, ack)| (emitted, Some(ack)))
        };
        let (emitted, ack) = match tokio::time::timeout(patience, handing).await {
            Ok(Ok(handed)) => handed,
            Ok(Err(_)) => return Err(self.cut_off(client, Under { at, due, sent: self.shared.now() })),
            Err(_) => return Err(self.in_vain(at, (due, began), "emit timeout", STUCK)),
        };
        let under = Under { at, due, sent: emitted.at };
        self.count(EMITTED[0], |tally, name| {
            tally.touch(emitted.at);
            tally.named.count(name, 1);
            tally.named.happened(EMITTED[1], emitted.at);
        });
        if emitted.treatment != Treatment::Sent {
            self.say_reserved(client, &event);
            self.enter_message(at, due, None, emitted.at);
            return Ok(emitted.at.max(due));
        }
        let mut last = None;
        if let (Some(ack), Some(wanted)) = (ack, &emit.acknowledge) {
            last = Some(self.acknowledged(ack, wanted, under, patience).await?);
        }
        if let Some(response) = &emit.response {
            last = Some(self.responded(client, response, &namespace, under, patience).await?);
        }
        match last {
            Some(done) => {
                self.count(EMIT_TIME, |tally, name| tally.named.measure(name, done.since(emitted.at)));
                self.enter_message(at, due, Some(emitted.at), done);
                Ok(done)
            }
            None => {
                self.enter_message(at, due, None, emitted.at);
                Ok(emitted.at.max(due))
            }
        }
    }

    /// Waits for an acknowledgement, and looks into it.
    async fn acknowledged(&self, ack: Ack, wanted: &Awaited, under: Under, patience: Duration) -> Done {
        let Acknowledged { at, arguments } = ack.within(patience).await.map_err(|error| {
            let code = match error {
                Unacknowledged::TimedOut => "acknowledge timeout",
                Unacknowledged::Lost => "disconnected",
            };
            self.in_vain(under.at, (under.due, under.sent), code, &error.to_string())
        })?;
        let arguments = arguments.shown();
        if let Some(data) = &wanted.data {
            let data = self.value(data).unwrap_or_default();
            if !is_acknowledged(&data, &arguments) {
                return Err(self.in_vain(under.at, (under.due, under.sent), "data is not valid", &said(&arguments)));
            }
        }
        self.judge_arguments(wanted, arguments, under, at)?;
        Ok(at)
    }

    /// Waits for the event that a response is, and looks into it.
    async fn responded(
        &self,
        client: &Client,
        response: &Response,
        namespace: &str,
        under: Under,
        patience: Duration,
    ) -> Done {
        let wanted = self.text(&response.event);
        let data = response.awaited.data.as_ref().map(|data| self.value(data).unwrap_or_default());
        let mut heard = Heard::new(response.concat);
        let waiting = async {
            loop {
                let Some(event) = client.next_event().await else { return Err("disconnected".to_owned()) };
                if let Some(why) = ends(&event.what, namespace) {
                    // A namespace that did not let the user in is counted with the step.
                    if !matches!(event.what, What::NotJoined { .. }) {
                        self.enter_event(&event);
                    }
                    return Err(why);
                }
                self.enter_event(&event);
                // That the server may want an answer to its event is left alone, as by Artillery.
                let What::Received { namespace: from, name, arguments, .. } = event.what else { continue };
                if name == wanted && same_namespace(&from, namespace) && heard.hear(arguments.shown(), data.as_ref()) {
                    return Ok(event.at);
                }
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(Ok(at)) => {
                self.judge_arguments(&response.awaited, heard.all, under, at)?;
                Ok(at)
            }
            Ok(Err(why)) => Err(self.in_vain(
                under.at,
                (under.due, under.sent),
                &why,
                "the server let the user go, or never let it in",
            )),
            Err(_) => {
                let detail = match heard.all.as_slice() {
                    [] => format!("no event `{wanted}` came"),
                    all => format!("`{wanted}` came with other data: {}", said(all)),
                };
                Err(self.in_vain(under.at, (under.due, under.sent), "response timeout", &detail))
            }
        }
    }

    fn judge_arguments(
        &self,
        wanted: &Awaited,
        arguments: Vec<Value>,
        under: Under,
        done: Moment,
    ) -> Result<(), Failed> {
        if wanted.captures.is_empty() && wanted.matches.is_empty() {
            return Ok(());
        }
        let arguments = Value::Array(arguments);
        let taken = {
            let Mind { variables, random, .. } = &mut *self.mind();
            let wanted = Wanted { captures: &wanted.captures, matches: &wanted.matches };
            answer::take_from(wanted, &Answered::value(&arguments), None, variables, random)
        };
        let liked = self.disliked(under.at, taken, (under.due, under.sent, done));
        if liked.is_err() {
            // It was answered, whatever the script thinks of the answer.
            self.enter_message(under.at, under.due, Some(under.sent), done);
        }
        liked
    }

    /// The connection has ended for good, and a step needs it.
    fn cut_off(&self, client: &Client, under: Under) -> Failed {
        let mut why = "disconnected";
        while let Some(event) = client.happened() {
            if let What::Over { why: reason } = &event.what {
                why = reason;
            }
            self.enter_event(&event);
        }
        self.in_vain(under.at, (under.due, under.sent), why, "the connection had ended")
    }

    /// Counts what has come and nobody waits for.
    fn look_at(&self, client: &Client) {
        while let Some(event) = client.happened() {
            self.enter_event(&event);
        }
    }

    fn enter_event(&self, event: &Event) {
        let refused = match &event.what {
            // The server may say what it was sent.
            What::NotJoined { refused, .. } => Some(self.shown(&refused.message)),
            _ => None,
        };
        self.count(EVENTS[0], |tally, name| {
            tally.touch(event.at);
            let named = &mut tally.named;
            match &event.what {
                What::Received { .. } => {
                    named.count(name, 1);
                    named.happened(EVENTS[1], event.at);
                }
                What::Joined { took, .. } => named.measure("socketio.join_time", *took),
                What::NotJoined { .. } => tally.error(refused.as_deref().unwrap_or_default(), None, event.at),
                What::Upgraded { took } => {
                    named.count("socketio.upgraded", 1);
                    named.measure("socketio.upgrade_time", *took);
                }
                What::NotUpgraded { .. } => named.count("socketio.upgrade_failed", 1),
                What::Left { .. } => named.count("socketio.disconnected.io server disconnect", 1),
                What::Disconnected { why, .. } => named.count(&format!("socketio.disconnected.{why}"), 1),
                What::NotReconnected { .. } => named.count("socketio.reconnect_failed", 1),
                What::Reconnected { connected, .. } => {
                    named.count("socketio.reconnected", 1);
                    named.measure("socketio.reconnect_time", connected.took);
                }
                // That a user has said goodbye is no news.
                What::Over { why: "io client disconnect" } => {}
                What::Over { why } => named.count(&format!("socketio.over.{why}"), 1),
            }
        });
    }

    /// Says once what becomes of an event with a reserved name.
    fn say_reserved(&self, client: &Client, event: &str) {
        self.count("socketio.reserved", |tally, name| tally.named.count(&format!("{name}.{event}"), 1));
        let generation = match client.generation() {
            Generation::Three => "Socket.IO 1 and 2",
            Generation::Four => "Socket.IO 3 and 4",
        };
        self.shared.say_once(&format!(
            "note: `{event}` is a name that clients of {generation} keep for themselves: it is counted, and not sent"
        ));
    }
}

/// Why nothing more can come in a namespace, if that is what happened.
fn ends(what: &What, namespace: &str) -> Option<String> {
    match what {
        What::Over { why } => Some((*why).to_owned()),
        What::Left { namespace: left } if same_namespace(left, namespace) => Some("io server disconnect".to_owned()),
        What::NotJoined { namespace: closed, refused } if same_namespace(closed, namespace) => {
            Some(refused.message.clone())
        }
        _ => None,
    }
}

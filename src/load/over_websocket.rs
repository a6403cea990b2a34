//! Steps over WebSocket: connected, sent, waited for, and entered in the books.
//!
//! Every message that comes is counted and timed, whether a step waits for it or not; only what the script wants is looked into.

use std::time::Duration;

use serde_json::Value;

use super::answer::{self, Wanted};
use super::kept::At;
use super::user::{Done, Failed, Line, Mind, User};
use super::websocket::{Client, Ended, Event, Message};
use crate::clock::Moment;
use crate::recording::traffic::FailureKind;
use crate::recording::traffic::named::{CONNECT_TIMES, RECEIVED, SEND_TIME, SENT};
use crate::scenario::engine::websocket::WebSocket;
use crate::scenario::extract::Answered;
use crate::scenario::flow::{self, Awaited, Receive};
use crate::scenario::script::Scenario;
use crate::scenario::template::write_text;

/// What is said when too much waits to be sent.
const STUCK: &str = "the server does not read: too many messages wait to be sent";

impl User {
    /// Acts out a scenario over a WebSocket of its own.
    pub(super) async fn over_websocket(&self, scenario: &Scenario, engine: &WebSocket, due: Moment) -> Done {
        let client = self.open_websocket(scenario, engine, due).await?;
        let due = self.shared.now();
        let _ = self.line.set(Line::WebSocket(client, engine.patience));
        let ended = self.act(&scenario.flow, due).await;
        if let Some(Line::WebSocket(client, _)) = self.line.get() {
            client.close(None, "").await;
        }
        ended
    }

    /// Opens the WebSocket of a scenario.
    async fn open_websocket(&self, scenario: &Scenario, engine: &WebSocket, due: Moment) -> Result<Client, Failed> {
        let began = self.shared.now();
        let connect = scenario.connect.as_ref();
        let span = connect.map_or(scenario.span, |connect| connect.span);
        let handshake = connect.map_or(engine, |connect| &connect.handshake);
        let wanting = self.wanting(connect, handshake).await?;
        let due = self.later(due, began);
        let wish = self.wish(&wanting, handshake).inspect_err(|failed| self.refused(span, failed))?;
        let opening = Client::open(&self.shared.transport, &wish, due);
        let opened = match handshake.handshake {
            Some(patience) => tokio::time::timeout(patience, opening).await,
            None => Ok(opening.await),
        };
        let failed = match opened {
            Ok(Ok((client, accepted))) => {
                self.count(CONNECT_TIMES[1], |tally, name| {
                    tally.named.measure(name, accepted.timings.done.since(accepted.timings.due));
                });
                return Ok(client);
            }
            Ok(Err(refused)) => {
                let failure = refused.failure;
                let words = self.shown(&format!("{} ({})", failure.detail, wanting.target));
                Failed::new(failure.code, words)
            }
            Err(_) => Failed::new("Opening handshake has timed out", self.shown(&wanting.target)),
        };
        self.failed_before(span, &failed, FailureKind::Socket);
        Err(failed)
    }

    /// A `send` step.
    pub(super) async fn send_message(
        &self,
        client: &Client,
        step: &flow::Send,
        patience: Duration,
        due: Moment,
    ) -> Done {
        let content = self.value(&step.content).unwrap_or_default();
        let text = match content {
            Value::String(text) => text,
            other => {
                let mut text = String::new();
                write_text(Some(&other), &mut text);
                text
            }
        };
        // What came before is no answer to this.
        self.look_into(client);
        let at = At { span: step.span, endpoint: step.endpoint };
        let began = self.shared.now();
        let sent = match tokio::time::timeout(patience, client.send(Message::Text(text))).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => return Err(self.lost(client, at, due)),
            Err(_) => return Err(self.in_vain(at, (due, began), "send timeout", STUCK)),
        };
        self.count(SENT[0], |tally, name| {
            tally.touch(sent);
            tally.named.count(name, 1);
            tally.named.happened(SENT[1], sent);
        });
        let Some(answer) = &step.answer else {
            self.enter_message(at, due, None, sent);
            return Ok(sent.max(due));
        };
        let (moment, message) = self.awaited(client, at, (due, sent), patience).await?;
        self.count(SEND_TIME, |tally, name| tally.named.measure(name, moment.since(sent)));
        self.enter_message(at, due, Some(sent), moment);
        self.judge_message(at, answer, &message, (due, sent, moment))?;
        Ok(moment)
    }

    /// A `wait` step. What has come since the last one that looked is not too late for it.
    pub(super) async fn receive_message(
        &self,
        client: &Client,
        wait: &Receive,
        patience: Duration,
        due: Moment,
    ) -> Done {
        let (began, at) = (self.shared.now(), At { span: wait.span, endpoint: wait.endpoint });
        let (moment, message) = self.awaited(client, at, (due, began), patience).await?;
        let moment = moment.max(began);
        self.enter_message(at, due, Some(began), moment);
        self.judge_message(at, &wait.answer, &message, (due, began, moment))?;
        Ok(moment)
    }

    /// The next message, which is waited for so long.
    async fn awaited(
        &self,
        client: &Client,
        at: At,
        (due, sent): (Moment, Moment),
        patience: Duration,
    ) -> Result<(Moment, Message), Failed> {
        match tokio::time::timeout(patience, client.next()).await {
            Ok(Some(Event::Message(moment, message))) => {
                self.came(moment);
                Ok((moment, message))
            }
            Ok(Some(Event::Ended(moment, ended))) => {
                self.glance(Event::Ended(moment, ended.clone()));
                Err(self.gone(at, (due, sent), Some(ended)))
            }
            Ok(None) => Err(self.gone(at, (due, sent), None)),
            Err(_) => Err(self.in_vain(at, (due, sent), "response timeout", "no message came")),
        }
    }

    /// What the script makes of a message.
    fn judge_message(
        &self,
        at: At,
        answer: &Awaited,
        message: &Message,
        (due, sent, done): (Moment, Moment, Moment),
    ) -> Result<(), Failed> {
        let text = match message {
            Message::Text(text) => std::borrow::Cow::Borrowed(text.as_str()),
            Message::Binary(bytes) => String::from_utf8_lossy(bytes),
        };
        let taken = {
            let Mind { variables, random, .. } = &mut *self.mind();
            let wanted = Wanted { captures: &answer.captures, matches: &answer.matches };
            answer::take_from(wanted, &Answered::text(&text), None, variables, random)
        };
        self.disliked(at, taken, (due, sent, done))
    }

    /// The connection is gone, and a step needs it.
    fn lost(&self, client: &Client, at: At, due: Moment) -> Failed {
        let mut ended = None;
        while let Some(event) = client.happened() {
            if let Event::Ended(_, how) = &event {
                ended = Some(how.clone());
            }
            self.glance(event);
        }
        self.gone(at, (due, self.shared.now()), ended)
    }

    fn gone(&self, at: At, times: (Moment, Moment), ended: Option<Ended>) -> Failed {
        let (code, detail) = match ended {
            Some(Ended::Failed(failure)) => (failure.code.into_owned(), failure.detail),
            Some(Ended::Closed { code, reason }) => (format!("WebSocket closed ({code})"), reason),
            None => ("WebSocket closed".to_owned(), "the connection had ended before".to_owned()),
        };
        self.in_vain(at, times, &code, &detail)
    }

    /// Counts what has come and nobody waits for.
    fn look_into(&self, client: &Client) {
        while let Some(event) = client.happened() {
            self.glance(event);
        }
    }

    fn glance(&self, event: Event) {
        match event {
            Event::Message(moment, _) => self.came(moment),
            Event::Ended(moment, ended) => self.count("websocket.closed", |tally, name| {
                tally.touch(moment);
                match ended {
                    Ended::Closed { code, .. } => tally.named.count(&format!("{name}.{code}"), 1),
                    Ended::Failed(failure) => tally.named.count(&format!("{name}.{}", failure.code), 1),
                }
            }),
        }
    }

    fn came(&self, moment: Moment) {
        self.count(RECEIVED[0], |tally, name| {
            tally.touch(moment);
            tally.named.count(name, 1);
            tally.named.happened(RECEIVED[1], moment);
        });
    }

    /// Counts what came since the last step, and what was lost, of a user that is gone.
    pub(super) fn sum_up_messages(&self, client: &Client) {
        self.look_into(client);
        let lost = client.lost();
        if lost > 0 {
            self.count(RECEIVED[0], |tally, name| {
                tally.named.count(name, lost);
                tally.named.count("websocket.messages_not_kept", lost);
            });
        }
    }
}

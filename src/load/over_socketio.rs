//! Steps over Socket.IO: connected, emitted, waited for, and entered in the books.
//!
//! Every event that comes is counted and timed, whether a step waits for it or not. What a reserved name means, and which
//! generation is spoken, the client knows.

use std::borrow::Cow;
use std::time::Duration;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::answer::{self, Wanted};
use super::http::Target;
use super::kept::At;
use super::socketio::reserved::Treatment;
use super::socketio::{
    self, Ack, Acknowledged, Arguments, Client, Connected, Event, Generation, Means, Options, Unacknowledged, What,
};
use super::user::{Done, Failed, Line, Mind, User};
use crate::clock::Moment;
use crate::recording::traffic::FailureKind;
use crate::recording::traffic::named::{CONNECT_TIMES, EMIT_TIME, EMITTED, EVENTS};
use crate::scenario::engine::socketio::{self as said, SocketIo};
use crate::scenario::extract::Answered;
use crate::scenario::flow::{Awaited, Emit, Response};
use crate::scenario::script::Scenario;
use crate::scenario::template::Scope;

/// The namespace that every connection is in.
const ROOT: &str = "/";
/// The most that is put together of texts that come in pieces, in bytes.
const LONGEST: usize = 1 << 20;
/// Arguments of events that are looked at together.
const MOST_ARGUMENTS: usize = 10_000;

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
        ended
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

    /// What the script says of the connection, filled in for this user.
    fn options(&self, engine: &SocketIo) -> Result<Options, Failed> {
        let target = Target::parse(&self.shared.script.target)
            .map_err(|bad| Failed::new("Invalid URL", format!("{}: {bad}", self.shown(&self.shared.script.target))))?;
        let mut options = Options::new(target);
        let Mind { variables, random, .. } = &mut *self.mind();
        let mut scope = Scope { variables, random };
        let mut headers = HeaderMap::new();
        for (name, value) in &engine.headers {
            let value = value.text(&mut scope);
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value.as_ref()).ok());
            let (name, value) = header.ok_or_else(|| {
                let detail = format!("the header `{name}` has characters that a header may not have");
                Failed::new("ERR_INVALID_CHAR", detail)
            })?;
            headers.append(name, value);
        }
        options.headers = headers;
        options.path = engine.path.text(&mut scope).into_owned();
        options.query =
            engine.query.iter().map(|(name, value)| (name.clone(), value.text(&mut scope).into_owned())).collect();
        options.auth = engine.auth.as_ref().and_then(|auth| auth.render(&mut scope));
        options.seed = scope.random.next();
        let means = |transport: &said::Transport| match transport {
            said::Transport::Polling => Means::Polling,
            said::Transport::WebSocket => Means::WebSocket,
        };
        options.transports = engine.transports.iter().map(means).collect();
        if !engine.upgrade {
            // Only a transport that comes later is moved to.
            options.transports.truncate(1);
        }
        options.generation = engine.generation.map(|generation| match generation {
            said::Generation::Three => Generation::Three,
            said::Generation::Four => Generation::Four,
        });
        options.reconnection = engine.reconnection.map(|wanted| socketio::Reconnection {
            attempts: wanted.attempts.map_or(u32::MAX, |attempts| u32::try_from(attempts).unwrap_or(u32::MAX)),
            delay: wanted.delay,
            longest: wanted.longest,
            spread: wanted.jitter,
        });
        options.timeout = engine.timeout;
        Ok(options)
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
        let handed = match &emit.acknowledge {
            Some(_) => {
                let handed = client.emit_with_ack(&namespace, &event, arguments).await;
                handed.map(|(emitted, ack)| (emitted, Some(ack)))
            }
            None => client.emit(&namespace, &event, arguments).await.map(|emitted| (emitted, None)),
        };
        let Ok((emitted, ack)) = handed else {
            return Err(self.cut_off(client, Under { at, due, sent: self.shared.now() }));
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
        let mut heard = Heard { concat: response.concat, ..Heard::default() };
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
                let came = self.glance_at(client, event).await;
                let Some((at, from, name, arguments)) = came else { continue };
                if name == wanted && same_namespace(&from, namespace) && heard.hear(arguments, data.as_ref()) {
                    return Ok(at);
                }
            }
        };
        let waited = tokio::time::timeout(patience, waiting).await;
        match waited {
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
        self.disliked(under.at, taken, (under.due, under.sent, done))
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

    /// Counts what came; an event of the server comes back, answered if the server wants to know that it came.
    async fn glance_at(&self, client: &Client, event: Event) -> Option<(Moment, String, String, Vec<Value>)> {
        self.enter_event(&event);
        let What::Received { namespace, name, arguments, ack } = event.what else { return None };
        if let Some(id) = ack {
            let _ = client.acknowledge(&namespace, id, Arguments::default()).await;
        }
        Some((event.at, namespace, name, arguments.shown()))
    }

    fn enter_event(&self, event: &Event) {
        self.count(EVENTS[0], |tally, name| {
            tally.touch(event.at);
            let named = &mut tally.named;
            match &event.what {
                What::Received { .. } => {
                    named.count(name, 1);
                    named.happened(EVENTS[1], event.at);
                }
                What::Joined { took, .. } => named.measure("socketio.join_time", *took),
                What::NotJoined { refused, .. } => {
                    let code = refused.message.clone();
                    tally.error(&code, None, event.at);
                }
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

/// What has been heard of an event that is waited for.
#[derive(Default)]
struct Heard {
    /// The arguments of all that came.
    all: Vec<Value>,
    /// The texts of all that came, put together.
    text: String,
    concat: bool,
}

impl Heard {
    /// Hears one more; tells whether that is what was waited for.
    ///
    /// As for Artillery: a list is all arguments that have come so far, a text is in the last one, anything else is the last one.
    fn hear(&mut self, arguments: Vec<Value>, data: Option<&Value>) -> bool {
        let room = MOST_ARGUMENTS.saturating_sub(self.all.len());
        for argument in &arguments {
            let text = as_text(argument);
            if self.text.len() + text.len() <= LONGEST {
                self.text.push_str(&text);
            }
        }
        self.all.extend(arguments.into_iter().take(room));
        match data {
            None => true,
            Some(Value::Array(wanted)) => *wanted == self.all,
            Some(Value::String(wanted)) if self.concat => self.text.contains(wanted.as_str()),
            Some(Value::String(wanted)) => self.all.last().is_some_and(|last| as_text(last).contains(wanted.as_str())),
            Some(wanted) => self.all.last() == Some(wanted),
        }
    }
}

fn as_text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

/// Whether an acknowledgement carries what was wanted: all of it, or its first argument.
fn is_acknowledged(wanted: &Value, arguments: &[Value]) -> bool {
    arguments.first() == Some(wanted) || wanted.as_array().is_some_and(|wanted| wanted == arguments)
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

fn same_namespace(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    bare(one) == bare(other)
}

fn said(arguments: &[Value]) -> String {
    crate::printable::printable(&Value::from(arguments.to_vec()).to_string(), 200)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hears(concat: bool, events: &[Value], data: &Value) -> Vec<bool> {
        let mut heard = Heard { concat, ..Heard::default() };
        let arguments = |event: &Value| event.as_array().cloned().expect("a list");
        events.iter().map(|event| heard.hear(arguments(event), Some(data))).collect()
    }

    #[test]
    fn data_is_compared_as_artillery_does() {
        assert_eq!(hears(false, &[json!(["a"]), json!(["b", 1])], &json!(["a", "b", 1])), [false, true]);
        assert_eq!(
            hears(false, &[json!([{"a": 1, "b": 2}]), json!([{"b": 2, "a": 1}])], &json!({"a": 1, "b": 2})),
            [true, true]
        );
        assert_eq!(hears(false, &[json!(["hello"]), json!([" world"])], &json!("hello world")), [false, false]);
        assert_eq!(hears(true, &[json!(["hello"]), json!([" world"])], &json!("lo wo")), [false, true]);
        assert_eq!(hears(false, &[json!([7, "say hello"])], &json!("hello")), [true]);
        assert_eq!(hears(false, &[json!([]), json!([7])], &json!(7)), [false, true]);
        assert!(Heard::default().hear(Vec::new(), None));
    }

    #[test]
    fn acknowledgements_and_namespaces_are_compared() {
        assert!(is_acknowledged(&json!([1, 2]), &[json!(1), json!(2)]));
        assert!(is_acknowledged(&json!([1, 2]), &[json!([1, 2])]));
        assert!(is_acknowledged(&json!("ok"), &[json!("ok"), json!(2)]));
        assert!(!is_acknowledged(&json!("ok"), &[]));
        assert!(same_namespace("/", "") && same_namespace("/chat", "chat?a=1") && !same_namespace("/chat", "/"));
    }

    #[test]
    fn what_comes_without_end_is_heard_within_bounds() {
        let mut heard = Heard { concat: true, ..Heard::default() };
        for _ in 0..300 {
            heard.hear(vec![json!("x".repeat(10_000)); 100], Some(&json!("y")));
        }
        assert!(heard.all.len() <= MOST_ARGUMENTS && heard.text.len() <= LONGEST);
    }
}

//! Steps of Socket.IO and WebSocket: what is sent, and what is waited for.

use super::super::capture::{self, Capture, Match};
use super::super::endpoint::EndpointId;
use super::super::engine::websocket::WebSocket;
use super::super::hook::{self, Hook};
use super::super::node::{Entry, Kind, Node};
use super::super::request::Reading;
use super::super::section::{Section, truth};
use super::super::source::Span;
use super::super::template::Template;
use crate::redact;

/// An event that is sent.
#[derive(Clone, Debug)]
pub struct Emit {
    /// What it is called.
    pub event: Template,
    /// What goes with it.
    pub arguments: Vec<Template>,
    /// Where to; the root when there is none.
    pub namespace: Option<Template>,
    /// An event that is waited for.
    pub response: Option<Response>,
    /// Whether the server is to say that it has the event, and what it has to say.
    pub acknowledge: Option<Awaited>,
    /// What its numbers are filed under.
    pub endpoint: EndpointId,
    /// Where it is written.
    pub span: Span,
}

/// An event that is waited for.
#[derive(Clone, Debug)]
pub struct Response {
    /// What it is called.
    pub event: Template,
    /// Whether texts are put together as they come.
    pub concat: bool,
    /// What it has to hold.
    pub awaited: Awaited,
}

/// What something that is waited for has to hold, and what is taken out of it.
#[derive(Clone, Debug, Default)]
pub struct Awaited {
    /// What came has to be this.
    pub data: Option<Template>,
    /// Values to keep.
    pub captures: Vec<Capture>,
    /// Values to compare.
    pub matches: Vec<Match>,
}

/// A message that is sent.
#[derive(Clone, Debug)]
pub struct Send {
    /// What is in it.
    pub content: Template,
    /// What the next message has to hold, if it is waited for.
    pub answer: Option<Awaited>,
    /// What its numbers are filed under.
    pub endpoint: EndpointId,
    /// Where it is written.
    pub span: Span,
}

/// A message that is waited for.
#[derive(Clone, Debug)]
pub struct Receive {
    /// What it has to hold.
    pub answer: Awaited,
    /// What its numbers are filed under.
    pub endpoint: EndpointId,
    /// Where it is written.
    pub span: Span,
}

/// How the users of a WebSocket scenario are connected, if not as `config` says.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Where to.
    pub target: Option<Template>,
    /// With what.
    pub handshake: WebSocket,
    /// A function that decides it.
    pub function: Option<Hook>,
    /// Where it is written.
    pub span: Span,
}

/// The longest text that names a message.
const LONGEST: usize = 40;

/// Reads an `emit` step.
pub(super) fn emit(node: &Node, reading: &mut Reading<'_>) -> Option<Emit> {
    let mut section = Section::of(node, "an `emit` step", reading.findings)?;
    let written = section.entry("emit")?;
    let mut beside = Beside::of(&mut section, reading);
    section.end(reading.findings);
    let mut slips = Vec::new();
    let (event, arguments) = match &written.value.kind {
        Kind::List(nodes) => {
            let mut items = nodes.iter();
            (items.next(), items.map(Template::of).collect())
        }
        _ => {
            let mut inside = Section::of(&written.value, "`emit`", reading.findings)?;
            let event = inside.take("channel");
            // What is not there is sent all the same, as `null`: that is what JavaScript makes of it.
            let data =
                inside.entry("data").map_or(Template::Fixed(serde_json::Value::Null), |data| Template::of(&data.value));
            let found = Beside::of(&mut inside, reading);
            if let Some(span) = found.span() {
                let sentence = "what stands inside `emit` holds as if it stood beside it";
                reading.findings.changed(span, sentence, "Artillery 1 wants it inside, Artillery 2 beside it");
            }
            beside.fill(found);
            slips = inside.end(reading.findings);
            (event, vec![data])
        }
    };
    let Some(event) = event else {
        if !slips.contains(&"channel") {
            reading.findings.error(written.span, "this `emit` does not say which event", "`channel` is missing");
        }
        return None;
    };
    let label = match beside.namespace.map(words).filter(|namespace| namespace != "/") {
        Some(namespace) => format!("{} ({namespace})", words(event)),
        None => words(event),
    };
    let endpoint = reading.endpoints.add_message("EMIT", &label);
    Some(Emit {
        event: Template::of(event),
        arguments,
        namespace: beside.namespace.map(Template::of),
        response: beside.response.map(|(response, _)| response),
        acknowledge: beside.acknowledge.map(|(acknowledge, _)| acknowledge),
        endpoint,
        span: written.span,
    })
}

/// What stands beside an event, each with its place.
#[derive(Default)]
struct Beside<'a> {
    namespace: Option<&'a Node>,
    response: Option<(Response, Span)>,
    acknowledge: Option<(Awaited, Span)>,
}

impl<'a> Beside<'a> {
    fn of(section: &mut Section<'a>, reading: &mut Reading<'_>) -> Self {
        let mut found = Self { namespace: section.take("namespace"), ..Self::default() };
        if let Some(node) = section.take("response") {
            found.response = response(node, reading).map(|response| (response, node.span));
        }
        if let Some(node) = section.take("acknowledge") {
            let wanted = match node.kind {
                Kind::Bool(true) => Some(Awaited::default()),
                Kind::Bool(false) => None,
                _ => Section::of(node, "`acknowledge`", reading.findings).map(|mut section| {
                    let awaited = awaited(&mut section, reading);
                    section.end(reading.findings);
                    awaited
                }),
            };
            found.acknowledge = wanted.map(|acknowledge| (acknowledge, node.span));
        }
        found
    }

    fn span(&self) -> Option<Span> {
        let spans = [
            self.namespace.map(|node| node.span),
            self.response.as_ref().map(|(_, span)| *span),
            self.acknowledge.as_ref().map(|(_, span)| *span),
        ];
        spans.into_iter().flatten().next()
    }

    fn fill(&mut self, other: Self) {
        self.namespace = self.namespace.take().or(other.namespace);
        self.response = self.response.take().or(other.response);
        self.acknowledge = self.acknowledge.take().or(other.acknowledge);
    }
}

fn response(node: &Node, reading: &mut Reading<'_>) -> Option<Response> {
    let mut section = Section::of(node, "`response`", reading.findings)?;
    let event = section.take("channel").or_else(|| section.take("on")).map(Template::of);
    section.take("on");
    let concat = section.take("concat").is_some_and(|node| truth(node, "concat", reading.findings).unwrap_or_default());
    let awaited = awaited(&mut section, reading);
    let span = section.span();
    section.end(reading.findings);
    if event.is_none() {
        reading.findings.error(span, "this `response` does not say which event", "`channel` is missing");
    }
    if awaited.data.is_none() {
        let beside = "Artillery waits until the time is over when there is no `data`";
        reading.findings.changed(span, "the first event of that name is the response", beside);
    }
    Some(Response { event: event?, concat, awaited })
}

fn awaited(section: &mut Section<'_>, reading: &mut Reading<'_>) -> Awaited {
    let data = section.take("data").or_else(|| section.take("args")).map(Template::of);
    section.take("args");
    let strict = reading.http.strict_capture;
    let captures =
        section.take("capture").map(|node| capture::captures(node, strict, reading.findings)).unwrap_or_default();
    let matches = section.take("match").map(|node| capture::matches(node, reading.findings)).unwrap_or_default();
    Awaited { data, captures, matches }
}

/// Reads a `send` step.
pub(super) fn send(entry: &Entry, reading: &mut Reading<'_>) -> Send {
    let payload = entry.value.get("payload");
    let (content, answer) = match payload {
        Some(payload) => (payload, answer(&entry.value, "`send`", reading)),
        None => (&entry.value, None),
    };
    let endpoint = reading.endpoints.add_message("SEND", &words(content));
    Send { content: Template::of(content), answer, endpoint, span: entry.span }
}

/// Reads a `wait` step.
pub(super) fn receive(entry: &Entry, reading: &mut Reading<'_>) -> Receive {
    let answer = answer(&entry.value, "`wait`", reading).unwrap_or_default();
    let label = answer.captures.first().map(|capture| capture.from.words.clone());
    let label = label.or_else(|| answer.matches.first().map(|one| one.from.words.clone()));
    let endpoint = reading.endpoints.add_message("WAIT", label.as_deref().unwrap_or("a message"));
    Receive { answer, endpoint, span: entry.span }
}

/// What the next message has to hold; `None` when it is not waited for.
fn answer(node: &Node, what: &'static str, reading: &mut Reading<'_>) -> Option<Awaited> {
    let mut section = Section::of(node, what, reading.findings)?;
    section.take("payload");
    let is_awaited = section.entry("capture").is_some() || section.entry("match").is_some();
    let awaited = awaited(&mut section, reading);
    section.end(reading.findings);
    is_awaited.then_some(awaited)
}

/// Reads a `connect` step.
pub(super) fn connect(entry: &Entry, reading: &mut Reading<'_>) -> Option<Connect> {
    let mut connect =
        Connect { target: None, handshake: reading.engines.websocket.clone(), function: None, span: entry.span };
    match &entry.value.kind {
        Kind::Text(target) => connect.target = Some(Template::of_text(target)),
        Kind::Map(_) => {
            let mut section = Section::of(&entry.value, "`connect`", reading.findings)?;
            connect.target = section.take("target").map(Template::of);
            connect.handshake.read_handshake(&mut section, reading.findings);
            section.without_effect(
                "proxy",
                "the environment's HTTP_PROXY and HTTPS_PROXY hold for all engines",
                reading.findings,
            );
            if let Some(entry) = section.entry("function") {
                connect.function = hook::one(entry, reading);
            }
            section.end(reading.findings);
        }
        _ => {
            let beside = "an address, a map with `target`, or a map with `function`";
            reading.findings.error(entry.span, "`connect` says where to", beside);
            return None;
        }
    }
    Some(connect)
}

/// What is sent, in a few words, as it is written, but for secrets: it names numbers in every output.
fn words(node: &Node) -> String {
    let text = redact::text(&node.as_text().map_or_else(|| node.to_value().to_string(), str::to_owned));
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

//! What a virtual user does, step by step.
//!
//! One [`Step`] enum for all protocols, and one interpreter for it, elsewhere. Lists inside a flow are taken for the steps that
//! they hold: that is how scripts share steps through YAML aliases.

mod message;
mod repeat;
mod think;

use std::sync::Arc;

pub use self::message::{Awaited, Connect, Emit, Receive, Response, Send};
pub use self::repeat::{Loop, Over, range};
pub use self::think::{Think, Wait};
use super::engine;
use super::hook::{self, Hook};
use super::node::{Entry, Kind, Node};
use super::request::{self, Reading, Request};
use super::section::{Section, closest, count, text};
use super::template::Template;

/// Steps in a row.
pub type Flow = Arc<[Step]>;

/// One thing that a user does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends a request.
    Request(Box<Request>),
    /// Waits.
    Think(Think),
    /// Prints a line.
    Log(Template),
    /// Does steps again and again.
    Loop(Box<Loop>),
    /// Does steps at the same time.
    Parallel(Box<Parallel>),
    /// Calls a function of the processor.
    Function(Hook),
    /// Sends an event over Socket.IO.
    Emit(Box<Emit>),
    /// Sends a message over the WebSocket.
    Send(Box<Send>),
    /// Waits for a message of the WebSocket.
    Receive(Box<Receive>),
}

/// Steps that run at the same time.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The steps.
    pub steps: Flow,
    /// How many at the same time.
    pub limit: usize,
}

/// The methods of HTTP that scripts name.
const METHODS: [&str; 8] = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
/// What a step can be besides a request.
const OTHERS: [&str; 5] = ["think", "log", "loop", "parallel", "function"];
/// Steps of one engine.
const MESSAGES: [(&str, engine::Kind); 4] = [
    ("emit", engine::Kind::SocketIo),
    ("send", engine::Kind::WebSocket),
    ("wait", engine::Kind::WebSocket),
    ("connect", engine::Kind::WebSocket),
];
/// Reads a flow: a list of steps, and of lists of steps.
pub fn read(node: &Node, reading: &mut Reading<'_>) -> Flow {
    let mut steps = Vec::new();
    match &node.kind {
        Kind::List(nodes) => {
            for node in nodes.iter().filter(|node| matches!(node.kind, Kind::List(_))) {
                let beside = "Artillery 1 reads it so too, Artillery 2.0.34 refuses it";
                reading.findings.changed(node.span, "a list inside a flow stands for the steps in it", beside);
            }
            read_into(nodes, &mut steps, reading);
        }
        _ => reading.findings.error(node.span, "a flow is a list of steps", &format!("this is {}", node.what())),
    }
    steps.into()
}

fn read_into(nodes: &[Node], steps: &mut Vec<Step>, reading: &mut Reading<'_>) {
    for node in nodes {
        match &node.kind {
            Kind::List(inner) => read_into(inner, steps, reading),
            Kind::Map(entries) => steps.extend(step(node, entries, reading)),
            _ => reading.findings.error(node.span, "a step is a map", &format!("this is {}", node.what())),
        }
    }
}

fn step(node: &Node, entries: &[Entry], reading: &mut Reading<'_>) -> Option<Step> {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    if find("loop").is_some() {
        return repeat::read(node, reading).map(|repeated| Step::Loop(Box::new(repeated)));
    }
    if find("parallel").is_some() {
        return parallel(node, reading);
    }
    if find("think").is_some() {
        return think::read(node, reading).map(Step::Think);
    }
    if let Some(entry) = find("log") {
        only(entry, entries, reading);
        return text(&entry.value, "log", reading.findings).map(|line| Step::Log(Template::of_text(&line)));
    }
    if let Some(entry) = find("function") {
        only(entry, entries, reading);
        return hook::one(entry, reading).map(Step::Function);
    }
    let own = |entry: &&Entry| MESSAGES.iter().any(|(key, _)| *key == entry.key);
    if let Some(entry) = entries.iter().find(own) {
        return message(node, entry, entries, reading);
    }
    let Some(entry) = entries.iter().find(|entry| METHODS.contains(&entry.key.as_str())).or_else(|| entries.first())
    else {
        reading.findings.error(node.span, "an empty step", "");
        return None;
    };
    only(entry, entries, reading);
    if !METHODS.contains(&entry.key.as_str()) && !is_request(entry, reading) {
        return None;
    }
    if reading.engine == engine::Kind::WebSocket {
        reading.findings.changed(
            entry.span,
            "the request is sent beside the WebSocket",
            "Artillery's engine has no such step",
        );
    }
    request::read(entry, reading).map(|request| Step::Request(Box::new(request)))
}

/// A step that only one engine has.
fn message(node: &Node, entry: &Entry, entries: &[Entry], reading: &mut Reading<'_>) -> Option<Step> {
    let (key, engine) = *MESSAGES.iter().find(|(key, _)| *key == entry.key)?;
    if reading.engine != engine {
        let name = if engine == engine::Kind::SocketIo { "socketio" } else { "ws" };
        let beside = format!("`engine: {name}` makes the scenario one of those that have it");
        reading.findings.error(entry.span, format!("`{key}` is no step of this engine"), &beside);
        return None;
    }
    if key != "emit" {
        only(entry, entries, reading);
    }
    match key {
        "emit" => message::emit(node, reading).map(|emit| Step::Emit(Box::new(emit))),
        "send" => Some(Step::Send(Box::new(message::send(entry, reading)))),
        "wait" => Some(Step::Receive(Box::new(message::receive(entry, reading)))),
        _ => {
            reading.findings.ignored(entry.span, "`connect` has an effect as the first step only", "as for Artillery");
            None
        }
    }
}

/// Takes `connect` off the beginning of a flow.
pub(super) fn connect<'a>(node: &'a Node, reading: &mut Reading<'_>) -> (Option<Connect>, std::borrow::Cow<'a, Node>) {
    let whole = || std::borrow::Cow::Borrowed(node);
    let Kind::List(nodes) = &node.kind else { return (None, whole()) };
    let Some(entry) = nodes.first().and_then(|first| first.entries().iter().find(|entry| entry.key == "connect"))
    else {
        return (None, whole());
    };
    let connect = message::connect(entry, reading);
    let rest = nodes.iter().skip(1).cloned().collect();
    (connect, std::borrow::Cow::Owned(Node { kind: Kind::List(rest), span: node.span }))
}

/// Whether a step of an unknown name may be a request all the same: any word is a method to HTTP.
fn is_request(entry: &Entry, reading: &mut Reading<'_>) -> bool {
    let key = entry.key.as_str();
    let findings = &mut *reading.findings;
    let own = MESSAGES.iter().filter(|(_, engine)| *engine == reading.engine).map(|(key, _)| *key);
    if let Some(meant) = closest(key, METHODS.into_iter().chain(OTHERS).chain(own)) {
        findings.error(entry.span, format!("unknown step `{key}`"), &format!("did you mean `{meant}`?"));
        return false;
    }
    let has_url = entry.value.get("url").is_some() || entry.value.get("uri").is_some();
    if !has_url || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let own = match reading.engine {
            engine::Kind::Http => "",
            engine::Kind::SocketIo => "emit, ",
            engine::Kind::WebSocket => "send, wait, ",
        };
        let others = "get, post, put, patch, delete, head, options, think, log, function, loop or parallel";
        findings.error(entry.span, format!("unknown step `{key}`"), &format!("a step is {own}{others}"));
        return false;
    }
    true
}

/// Says that what stands beside the one key of a step has no effect.
fn only(wanted: &Entry, entries: &[Entry], reading: &mut Reading<'_>) {
    for entry in entries.iter().filter(|entry| !std::ptr::eq(*entry, wanted)) {
        let key = entry.key.as_str();
        let beside = if METHODS.contains(&key) || OTHERS.contains(&key) {
            format!("a step of its own begins with `- {key}:`")
        } else {
            format!("it stands beside `{}`, not inside it", wanted.key)
        };
        reading.findings.ignored(entry.span, format!("`{}` has no effect here", entry.key), &beside);
    }
}

fn parallel(node: &Node, reading: &mut Reading<'_>) -> Option<Step> {
    let mut section = Section::of(node, "a step", reading.findings)?;
    let written = section.entry("parallel")?;
    let steps = read(&written.value, reading);
    let limit = section.take("limit").and_then(|node| count(node, "limit", reading.findings)).unwrap_or(100);
    let span = written.span;
    section.end(reading.findings);
    if steps.iter().any(|step| matches!(step, Step::Emit(_) | Step::Send(_) | Step::Receive(_))) {
        let beside = "what comes is for one of them; Artillery refuses them here";
        reading.findings.changed(span, "steps over a socket take turns, also inside `parallel`", beside);
    }
    if reading.http.sockets == 1 && reading.http.pool.is_none() {
        let beside = "give the user more sockets with `http.maxSockets`";
        let sentence = "parallel requests of one user wait for its one socket, as in Artillery";
        reading.findings.changed(span, sentence, beside);
    }
    Some(Step::Parallel(Box::new(Parallel { steps, limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1) })))
}

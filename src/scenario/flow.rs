//! What a virtual user does, step by step.
//!
//! One [`Step`] enum for all protocols, and one interpreter for it, elsewhere. Lists inside a flow are taken for the steps that
//! they hold: that is how scripts share steps through YAML aliases.

use std::sync::Arc;
use std::time::Duration;

use super::finding::Findings;
use super::length::{self, Given, Jitter};
use super::node::{Entry, Kind, Node};
use super::path::Path;
use super::request::{self, Reading, Request};
use super::section::{Section, closest, count, text};
use super::settings;
use super::source::Span;
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
}

/// A wait.
#[derive(Clone, Debug)]
pub struct Think {
    /// How long.
    pub length: Wait,
    /// How far it varies.
    pub jitter: Option<Jitter>,
    /// Where it is written.
    pub span: Span,
}

/// The length of a wait.
#[derive(Clone, Debug)]
pub enum Wait {
    /// So long.
    Fixed(Duration),
    /// As long as a template says.
    Rendered(Template),
}

/// Steps that are repeated.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The steps.
    pub steps: Flow,
    /// How often.
    pub over: Over,
    /// The variable that counts.
    pub value: String,
    /// The variable that holds the item.
    pub element: String,
    /// Where it is written.
    pub span: Span,
}

/// What a loop goes over.
#[derive(Clone, Debug)]
pub enum Over {
    /// Numbers from the first up to and without the second; without end if there is no second.
    Numbers(u64, Option<u64>),
    /// Numbers that a template says: `3` or `1-4`.
    Rendered(Template),
    /// Items.
    Items(Vec<Template>),
    /// The items of a variable.
    Named(Path),
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
/// Steps of other engines.
const FOREIGN: [&str; 5] = ["emit", "send", "wait", "connect", "acknowledge"];

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
        return repeated(node, reading);
    }
    if find("parallel").is_some() {
        return parallel(node, reading);
    }
    if find("think").is_some() {
        return think(node, reading);
    }
    if let Some(entry) = find("log") {
        only(entry, entries, reading);
        return text(&entry.value, "log", reading.findings).map(|line| Step::Log(Template::of_text(&line)));
    }
    if let Some(entry) = find("function") {
        reading.refuse_hook(entry);
        return None;
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
    request::read(entry, reading).map(|request| Step::Request(Box::new(request)))
}

/// Whether a step of an unknown name may be a request all the same: any word is a method to HTTP.
fn is_request(entry: &Entry, reading: &mut Reading<'_>) -> bool {
    let key = entry.key.as_str();
    let findings = &mut *reading.findings;
    if FOREIGN.contains(&key) {
        findings.error(entry.span, format!("`{key}` is a step of Socket.IO or WebSocket"), "not supported yet");
        return false;
    }
    if let Some(meant) = closest(key, METHODS.into_iter().chain(OTHERS)) {
        findings.error(entry.span, format!("unknown step `{key}`"), &format!("did you mean `{meant}`?"));
        return false;
    }
    let has_url = entry.value.get("url").is_some() || entry.value.get("uri").is_some();
    if !has_url || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let beside = "a step is get, post, put, patch, delete, head, options, think, log, loop or parallel";
        findings.error(entry.span, format!("unknown step `{key}`"), beside);
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

fn think(node: &Node, reading: &mut Reading<'_>) -> Option<Step> {
    let findings = &mut *reading.findings;
    let mut section = Section::of(node, "a step", findings)?;
    let length = section.take("think").and_then(|node| wait(node, findings));
    let own = section.take("jitter").and_then(|node| settings::jitter(node, findings));
    let span = section.span();
    section.end(findings);
    Some(Step::Think(Think { length: length?, jitter: own.or(reading.http.jitter), span }))
}

fn wait(node: &Node, findings: &mut Findings) -> Option<Wait> {
    let given = match &node.kind {
        Kind::Number(number) => Given::Number(number.as_f64().unwrap_or(f64::NAN)),
        Kind::Text(text) => match Template::of_text(text) {
            Template::Fixed(_) => Given::Text(text),
            template => return Some(Wait::Rendered(template)),
        },
        _ => {
            let beside = format!("this is {}; `jitter: 50%` beside `think` lets it vary", node.what());
            findings.error(node.span, "`think` is a number of seconds or a text such as 500ms", &beside);
            return None;
        }
    };
    if matches!(given, Given::Number(seconds) if seconds.fract() != 0.0) {
        findings.changed(node.span, "a fraction of a second is waited as written", "Artillery 2 would not wait at all");
    }
    length::think_length(given).map(Wait::Fixed).map_err(|error| findings.error(node.span, error.to_string(), "")).ok()
}

fn repeated(node: &Node, reading: &mut Reading<'_>) -> Option<Step> {
    let mut section = Section::of(node, "a loop", reading.findings)?;
    let written = section.entry("loop")?;
    if matches!(written.value.kind, Kind::Map(_)) {
        let beside = "its steps; `count` or `over` stands beside `loop`, not inside it";
        reading.findings.error(written.span, "`loop` is a list", beside);
        return None;
    }
    let steps = read(&written.value, reading);
    let over = section.take("over");
    let times = section.take("count");
    if let Some(entry) = section.entry("whileTrue") {
        reading.refuse_hook(entry);
    }
    let mut name = |key: &'static str, default: &str, findings: &mut Findings| {
        section.take(key).and_then(|node| text(node, key, findings)).unwrap_or_else(|| default.to_owned())
    };
    let value = name("loopValue", "$loopCount", reading.findings);
    let element = name("loopElement", "$loopElement", reading.findings);
    let span = section.span();
    section.end(reading.findings);
    let over = match (over, times) {
        (Some(node), _) => items(node, reading.findings)?,
        (None, Some(node)) => numbers(node, reading.findings)?,
        (None, None) => Over::Numbers(0, None),
    };
    Some(Step::Loop(Box::new(Loop { steps, over, value, element, span })))
}

fn items(node: &Node, findings: &mut Findings) -> Option<Over> {
    match &node.kind {
        Kind::List(nodes) => Some(Over::Items(nodes.iter().map(Template::of).collect())),
        Kind::Text(text) => match Template::of_text(text) {
            Template::Whole(path) => {
                let beside = "to Artillery `over` is the bare name of a variable";
                findings.changed(node.span, "`over` goes over the items of the variable", beside);
                Some(Over::Named(path))
            }
            _ => Some(Over::Named(Path::parse(text))),
        },
        _ => {
            findings.error(node.span, "`over` is a list or the name of a variable", "");
            None
        }
    }
}

fn numbers(node: &Node, findings: &mut Findings) -> Option<Over> {
    if let Some(text) = node.as_text() {
        let template = Template::of_text(text);
        if !template.is_fixed() {
            return Some(Over::Rendered(template));
        }
        if let Some((from, to)) = range(text) {
            return Some(Over::Numbers(from, to));
        }
    }
    if matches!(&node.kind, Kind::Number(number) if number.as_i64() == Some(-1)) {
        return Some(Over::Numbers(0, None));
    }
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    if node.as_text().is_some_and(|text| !is_number(text)) {
        findings.error(node.span, "`count` is a number, or a range such as \"1-4\"", "");
        return None;
    }
    count(node, "count", findings).map(|times| Over::Numbers(0, Some(times).filter(|times| *times > 0)))
}

/// The numbers that `3`, `0`, `-1` or `1-4` mean to a loop.
#[must_use]
pub fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let text = text.trim();
    if text == "-1" || text == "0" {
        return Some((0, None));
    }
    match text.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, Some(to.trim().parse().ok()?))),
        None => Some((0, Some(text.parse().ok()?))),
    }
}

fn parallel(node: &Node, reading: &mut Reading<'_>) -> Option<Step> {
    let mut section = Section::of(node, "a step", reading.findings)?;
    let written = section.entry("parallel")?;
    let steps = read(&written.value, reading);
    let limit = section.take("limit").and_then(|node| count(node, "limit", reading.findings)).unwrap_or(100);
    let span = written.span;
    section.end(reading.findings);
    if reading.http.sockets == 1 && reading.http.pool.is_none() {
        let beside = "give the user more sockets with `http.maxSockets`";
        let sentence = "parallel requests of one user wait for its one socket, as in Artillery";
        reading.findings.changed(span, sentence, beside);
    }
    Some(Step::Parallel(Box::new(Parallel { steps, limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1) })))
}

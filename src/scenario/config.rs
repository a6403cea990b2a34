//! `config`: everything of a script that is not what users do.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::engine::{self, Engine, Engines};
use super::finding::Findings;
use super::hook::{self, Processor};
use super::node::{Kind, Node};
use super::payload::{self, Payloads};
use super::phase::{self, Phase};
use super::plugins::{self, Plugins};
use super::script::{Scenario, Surroundings};
use super::section::{Section, number, one_or_more, text};
use super::settings::{self, Http};

/// What `config` says.
#[derive(Debug)]
pub(super) struct Config<'a> {
    pub(super) target: Option<String>,
    /// The target as it is written.
    written: Option<&'a Node>,
    pub(super) engine: Option<&'a str>,
    pub(super) phases: Vec<Phase>,
    pub(super) variables: Vec<(String, Vec<Value>)>,
    pub(super) payloads: Payloads,
    pub(super) http: Http,
    pub(super) plugins: Plugins,
    pub(super) processor: Option<Processor>,
    /// Whether one is named, there or not.
    pub(super) names_processor: bool,
    pub(super) engines: Engines,
}

/// Keys of `config` that belong to other engines or to Artillery's own ways of running.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("statsInterval", "the report has windows of 10 s, as in Artillery 2"),
    ("engines", "the engines are built in"),
    ("pluginsScope", "the plugins are built in"),
    ("bundling", "nothing is bundled"),
    ("includeFiles", "nothing is bundled"),
];

/// Reads `config`; what the scenarios ask for decides what of it has an effect.
pub(super) fn read<'a>(
    node: &'a Node,
    scenarios: Option<&Node>,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Config<'a>> {
    let mut section = Section::of(node, "`config`", findings)?;
    let engine = section.take("engine").and_then(Node::as_text);
    let wanted = engines(scenarios, engine);
    let written = section.take("target");
    let target = written.and_then(|node| target(node, &wanted, findings));
    let span = section.span();
    let poisson = section.take("mode").is_some_and(|node| phase::is_poisson(node, findings));
    let phases = phases(&mut section, poisson, around.solo, findings);
    let processor = section.entry("processor").filter(|entry| entry.value.kind != Kind::Null);
    let mut config = Config {
        target,
        written,
        engine,
        phases,
        variables: section.take("variables").map(|node| variables(node, findings)).unwrap_or_default(),
        payloads: section.take("payload").map(|node| payload::read(node, around.folder, findings)).unwrap_or_default(),
        engines: settings_of_engines(&mut section, &wanted, findings),
        http: settings::read(&mut section, around.folder, findings),
        plugins: plugins::read(&mut section, around.folder, findings),
        names_processor: processor.is_some(),
        processor: processor.and_then(|entry| hook::processor(entry, around.folder, findings)),
    };
    config.http.tls.insecure |= config.engines.socketio.insecure || config.engines.websocket.insecure;
    section.take("environments");
    for (key, why) in WITHOUT_EFFECT {
        section.without_effect(key, why, findings);
    }
    let slips = section.end(findings);
    if written.is_none() && !slips.contains(&"target") {
        findings.error(span, "the script has no `config.target`", "or give it with --target URL");
    }
    Some(config)
}

impl Config<'_> {
    /// What can be said only when the scenarios have been read too, and nothing is wrong with them.
    ///
    /// `calls` says whether anything calls a function.
    pub(super) fn look_back(&mut self, scenarios: &[Scenario], calls: bool, findings: &mut Findings) {
        if let Some(node) = self.written.filter(|node| is_websocket(node))
            && !findings.has_errors()
            && scenarios.iter().any(|scenario| scenario.engine == Engine::Http)
        {
            say_bad_target(node, findings);
        }
        if let Some(processor) = self.processor.take_if(|_| !calls)
            && !findings.has_errors()
        {
            findings.ignored(processor.span, "the processor is not loaded", "nothing in the script calls it");
        }
    }

    /// Variables that all users share: those of the surroundings, whole payloads, the target.
    pub(super) fn shared(&mut self, around: Surroundings<'_>) -> HashMap<String, Value> {
        let mut shared = around.shared.clone();
        shared.extend(std::mem::take(&mut self.payloads.whole));
        shared.insert("target".into(), Value::String(self.target.clone().unwrap_or_default()));
        shared
    }
}

/// The engines that scenarios ask for, as far as there are such.
fn engines(scenarios: Option<&Node>, default: Option<&str>) -> Vec<engine::Kind> {
    let scenarios = scenarios.map(one_or_more).unwrap_or_default().iter();
    let names = scenarios.map(|node| node.get("engine").and_then(Node::as_text).or(default).unwrap_or("http"));
    names.filter_map(engine::Kind::named).collect()
}

/// What is said of Socket.IO and WebSocket.
fn settings_of_engines(config: &mut Section<'_>, wanted: &[engine::Kind], findings: &mut Findings) -> Engines {
    let mut engines = Engines::default();
    // What is wrong with it is said where it is read for HTTP.
    let patience = config.take("timeout").and_then(|node| number(node, "timeout", &mut Findings::default()));
    if let Some(patience) = patience.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        engines.socketio.patience = patience;
        engines.websocket.patience = patience;
    }
    let mut take = |key, kind| {
        let entry = config.entry(key)?;
        if !wanted.contains(&kind) {
            config.without_effect(key, "no scenario speaks it", findings);
            return None;
        }
        Some(&entry.value)
    };
    let (socketio, websocket) = (take("socketio", engine::Kind::SocketIo), take("ws", engine::Kind::WebSocket));
    if let Some(node) = socketio {
        engines.socketio.read(node, findings);
    }
    if let Some(node) = websocket.filter(|node| node.kind != Kind::Null) {
        engines.websocket.read(node, findings);
        if let Some(patience) = patience.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            // It beats the engine's own.
            engines.websocket.patience = patience;
        }
    }
    engines
}

fn target(node: &Node, engines: &[engine::Kind], findings: &mut Findings) -> Option<String> {
    let target = text(node, "target", findings)?;
    let known = ["http://", "https://"].iter().any(|scheme| target.starts_with(scheme));
    let known = known || (is_websocket(node) && engines.contains(&engine::Kind::WebSocket));
    // One with a template could not be rendered, which is said elsewhere.
    if !target.contains("{{") && (!known || url::Url::parse(&target).is_err()) {
        say_bad_target(node, findings);
    }
    Some(target)
}

fn is_websocket(target: &Node) -> bool {
    target.as_text().is_some_and(|target| target.starts_with("ws://") || target.starts_with("wss://"))
}

fn say_bad_target(node: &Node, findings: &mut Findings) {
    let beside = if is_websocket(node) {
        "only scenarios with `engine: ws` speak WebSocket"
    } else {
        "such as http://127.0.0.1:8000"
    };
    let target = node.as_text().unwrap_or_default();
    findings.error(node.span, format!("`{target}` is no address to send requests to"), beside);
}

fn phases(config: &mut Section<'_>, poisson: bool, solo: bool, findings: &mut Findings) -> Vec<Phase> {
    let written = config.take("phases");
    match written {
        Some(node) if !solo => {
            let phases = phase::read_all(node, poisson, findings);
            if phases.is_empty() && !findings.has_errors() {
                findings.error(node.span, "there are no phases", "");
            }
            phases
        }
        _ => vec![Phase::solo()],
    }
}

/// `variables`: a list is one of its values for each user, anything else the same for all.
fn variables(node: &Node, findings: &mut Findings) -> Vec<(String, Vec<Value>)> {
    let Some(_) = Section::of(node, "`variables`", findings) else { return Vec::new() };
    let values = |node: &Node| match &node.kind {
        Kind::List(nodes) => nodes.iter().map(Node::to_value).collect(),
        _ => vec![node.to_value()],
    };
    node.entries().iter().map(|entry| (entry.key.clone(), values(&entry.value))).collect()
}

//! `config`: everything of a script that is not what users do.

use std::collections::HashMap;

use serde_json::Value;

use super::finding::Findings;
use super::node::{Entry, Kind, Node};
use super::payload::{self, Payloads};
use super::phase::{self, Phase};
use super::plugins::{self, Plugins};
use super::script::Surroundings;
use super::section::{Section, one_or_more, text};
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
    pub(super) processor: Option<&'a Entry>,
}

/// Keys of `config` that belong to other engines or to Artillery's own ways of running.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("statsInterval", "the report has windows of 10 s, as in Artillery 2"),
    ("engines", "the engines are built in"),
    ("pluginsScope", "the plugins are built in"),
    ("bundling", "nothing is bundled"),
    ("includeFiles", "nothing is bundled"),
];

/// Sections of `config` for engines that are still to come.
const TO_COME: [(&str, &[&str], &str); 2] = [
    ("ws", &["ws", "websocket"], "WebSocket is not supported yet"),
    ("socketio", &["socketio", "socketio-v3"], "Socket.IO is not supported yet"),
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
    let engines = engines(scenarios, engine);
    let written = section.take("target");
    let target = written.and_then(|node| target(node, &engines, findings));
    let span = section.span();
    let poisson = section.take("mode").is_some_and(|node| phase::is_poisson(node, findings));
    let config = Config {
        target,
        written,
        engine,
        phases: phases(&mut section, poisson, around.solo, findings),
        variables: section.take("variables").map(|node| variables(node, findings)).unwrap_or_default(),
        payloads: section.take("payload").map(|node| payload::read(node, around.folder, findings)).unwrap_or_default(),
        http: settings::read(&mut section, around.folder, findings),
        plugins: plugins::read(&mut section, around.folder, findings),
        processor: section.entry("processor").filter(|entry| entry.value.kind != Kind::Null),
    };
    section.take("environments");
    for (key, why) in WITHOUT_EFFECT {
        section.without_effect(key, why, findings);
    }
    for (key, names, why) in TO_COME {
        // A scenario that needs it is refused, and that is said there.
        if section.entry(key).is_some() && !names.iter().any(|name| engines.contains(name)) {
            section.without_effect(key, why, findings);
        }
    }
    let slips = section.end(findings);
    if written.is_none() && !slips.contains(&"target") {
        findings.error(span, "the script has no `config.target`", "or give it with --target URL");
    }
    Some(config)
}

impl Config<'_> {
    /// What can be said only when the scenarios have been read too, and nothing is wrong with them.
    pub(super) fn look_back(&self, findings: &mut Findings) {
        if let Some(node) = self.written.filter(|node| is_websocket(node))
            && !findings.has_errors()
        {
            // The scenarios that it is for were not chosen.
            say_bad_target(node, findings);
        }
        if let Some(entry) = self.processor
            && !findings.has_errors()
        {
            findings.ignored(entry.span, "the processor is not loaded", "nothing in the script calls it");
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

/// The engines that scenarios ask for.
fn engines<'a>(scenarios: Option<&'a Node>, default: Option<&'a str>) -> Vec<&'a str> {
    let scenarios = scenarios.map(one_or_more).unwrap_or_default().iter();
    scenarios.filter_map(|node| node.get("engine").and_then(Node::as_text).or(default)).collect()
}

fn target(node: &Node, engines: &[&str], findings: &mut Findings) -> Option<String> {
    let target = text(node, "target", findings)?;
    let known = ["http://", "https://"].iter().any(|scheme| target.starts_with(scheme));
    let for_others = is_websocket(node) && engines.iter().any(|engine| TO_COME[0].1.contains(engine));
    if target.contains("{{") || for_others {
        // It could not be rendered, or belongs to an engine that is refused: that is said elsewhere.
    } else if !known || url::Url::parse(&target).is_err() {
        say_bad_target(node, findings);
    }
    Some(target)
}

fn is_websocket(target: &Node) -> bool {
    target.as_text().is_some_and(|target| target.starts_with("ws://") || target.starts_with("wss://"))
}

fn say_bad_target(node: &Node, findings: &mut Findings) {
    let beside = if is_websocket(node) { "WebSocket is not supported yet" } else { "such as http://127.0.0.1:8000" };
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

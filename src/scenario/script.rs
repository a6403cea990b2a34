//! A whole script, interpreted: what will be done, and nothing about how.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::endpoint::Endpoints;
use super::finding::Findings;
use super::flow::{self, Flow};
use super::node::{Kind, Node};
use super::payload::{self, Payload};
use super::phase::{self, Phase};
use super::plugins::{self, Plugins};
use super::request::Reading;
use super::section::{Section, closest, one_or_more, text};
use super::settings::{self, Http};
use super::source::Span;
use super::template::{Scope, Template};
use super::variables::Variables;
use crate::random::Random;

/// What a load test does.
#[derive(Clone, Debug)]
pub struct Script {
    /// What addresses that begin with `/` are put behind.
    pub target: String,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// What virtual users do.
    pub scenarios: Vec<Scenario>,
    /// What is done once before all users.
    pub before: Option<Flow>,
    /// What is done once after all users.
    pub after: Option<Flow>,
    /// Variables of which every user gets one of the values.
    pub variables: Vec<(String, Vec<Value>)>,
    /// Variables that all users share.
    pub shared: Arc<HashMap<String, Value>>,
    /// Rows of which every user gets one.
    pub payloads: Vec<Payload>,
    /// How requests are sent.
    pub http: Http,
    /// Which plugins are on.
    pub plugins: Plugins,
    /// What numbers are filed under.
    pub endpoints: Endpoints,
    /// How many requests are written in the script.
    pub requests: usize,
    /// Values that must not be shown.
    pub secrets: Vec<String>,
}

/// What one kind of user does.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name; its number where it has none.
    pub name: String,
    /// Its share of the users, in hundredths of a weight.
    pub weight: u64,
    /// The steps.
    pub flow: Flow,
    /// Where it is written.
    pub span: Span,
}

/// What is known besides the script itself.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What paths in the script are relative to.
    pub folder: &'a Path,
    /// Variables that all users share.
    pub shared: &'a HashMap<String, Value>,
    /// One user in place of the phases.
    pub solo: bool,
    /// The only scenario to run: its name, or an expression that one name fits.
    pub scenario: Option<&'a str>,
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

/// Reads a script whose `config` has been rendered.
pub fn read(root: &Node, around: Surroundings<'_>, findings: &mut Findings) -> Option<Script> {
    let mut top = Section::of(root, "a script", findings)?;
    let config = top.take("config");
    let scenarios = top.take("scenarios");
    let (before, after) = (top.take("before"), top.take("after"));
    for key in ["plugins", "environments", "functions", "metrics", "expectations", "variables", "phases", "processor"] {
        top.without_effect(key, "it belongs under `config`", findings);
    }
    let span = top.span();
    let slips = top.end(findings);
    let Some(config) = config.filter(|_| !slips.contains(&"config")) else {
        if !slips.contains(&"config") {
            findings.error(span, "the script has no `config`", "target and phases belong there");
        }
        return None;
    };
    let mut config = Section::of(config, "`config`", findings)?;

    let engine = config.take("engine").and_then(|node| text(node, "engine", findings));
    let engines = engines(scenarios, engine.as_deref());
    let written = config.take("target");
    let target = written.and_then(|node| target(node, &engines, findings));
    let config_span = config.span();
    let poisson = config.take("mode").is_some_and(|node| phase::is_poisson(node, findings));
    let phases = phases(&mut config, poisson, around.solo, findings);
    let variables = config.take("variables").map(|node| variables(node, findings)).unwrap_or_default();
    let payloads = config.take("payload").map(|node| payload::read(node, around.folder, findings)).unwrap_or_default();
    let http = settings::read(&mut config, around.folder, findings);
    let plugins = plugins::read(&mut config, around.folder, findings);
    let processor = config.entry("processor").filter(|entry| entry.value.kind != Kind::Null);
    config.take("environments");
    for (key, why) in WITHOUT_EFFECT {
        config.without_effect(key, why, findings);
    }
    for (key, names, why) in TO_COME {
        // A scenario that needs it is refused, and that is said there.
        if config.entry(key).is_some() && !names.iter().any(|name| engines.contains(name)) {
            config.without_effect(key, why, findings);
        }
    }
    let slips_of_config = config.end(findings);
    if written.is_none() && !slips_of_config.contains(&"target") {
        findings.error(config_span, "the script has no `config.target`", "or give it with --target URL");
    }

    let mut endpoints = Endpoints::default();
    let mut reading = Reading {
        http: &http,
        folder: around.folder,
        target: target.as_deref().unwrap_or_default(),
        expect: plugins.expect.is_some(),
        expect_200: plugins.expect.is_some_and(|expect| expect.expect_200),
        processor: processor.is_some(),
        endpoints: &mut endpoints,
        requests: 0,
        findings,
    };
    let seed = Seed { variables: &variables, payloads: &payloads.drawn, shared: around.shared };
    let scenarios = match scenarios {
        Some(node) => read_scenarios(node, around.scenario, engine.as_deref(), seed, &mut reading),
        None => {
            if !slips.contains(&"scenarios") {
                reading.findings.error(span, "the script has no `scenarios`", "what the virtual users do");
            }
            Vec::new()
        }
    };
    let before = before.and_then(|node| once(node, "`before`", engine.as_deref(), &mut reading));
    let after = after.and_then(|node| once(node, "`after`", engine.as_deref(), &mut reading));
    let requests = reading.requests;
    if let Some(node) = written.filter(|node| is_websocket(node))
        && !findings.has_errors()
    {
        // The scenarios that it is for were not chosen.
        say_bad_target(node, findings);
    }
    if let Some(entry) = processor
        && !findings.has_errors()
    {
        findings.ignored(entry.span, "the processor is not loaded", "nothing in the script calls it");
    }

    let mut shared = around.shared.clone();
    shared.extend(payloads.whole);
    shared.insert("target".into(), Value::String(target.clone().unwrap_or_default()));
    Some(Script {
        target: target?,
        phases,
        scenarios,
        before,
        after,
        variables,
        shared: Arc::new(shared),
        payloads: payloads.drawn,
        http,
        plugins,
        endpoints,
        requests,
        secrets: Vec::new(),
    })
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

/// What the weight of a scenario is rendered with.
#[derive(Clone, Copy)]
struct Seed<'a> {
    variables: &'a [(String, Vec<Value>)],
    payloads: &'a [Payload],
    shared: &'a HashMap<String, Value>,
}

impl Seed<'_> {
    fn variables(self) -> Variables {
        let mut variables = Variables::over(Arc::new(self.shared.clone()));
        for payload in self.payloads {
            for (field, value) in payload.fields.iter().zip(payload.rows.first().into_iter().flatten()) {
                variables.set(field, value.clone());
            }
        }
        for (name, values) in self.variables {
            variables.set(name, values.first().cloned().unwrap_or_default());
        }
        variables
    }
}

fn read_scenarios(
    node: &Node,
    only: Option<&str>,
    engine: Option<&str>,
    seed: Seed<'_>,
    reading: &mut Reading<'_>,
) -> Vec<Scenario> {
    let Kind::List(nodes) = &node.kind else {
        reading.findings.error(node.span, "`scenarios` is a list", &format!("this is {}", node.what()));
        return Vec::new();
    };
    let chosen = match only {
        Some(only) => one_scenario(nodes, only, reading),
        None => nodes.iter().enumerate().collect(),
    };
    let mut scenarios: Vec<Scenario> =
        chosen.iter().filter_map(|(index, node)| scenario(*index, node, engine, seed, reading)).collect();
    if let (Some(_), [asked_for]) = (only, scenarios.as_mut_slice()) {
        // Its weight says how often it runs beside others: 0 is common for one that is only run by its name.
        asked_for.weight = asked_for.weight.max(1);
    }
    if nodes.is_empty() {
        reading.findings.error(node.span, "there is no scenario", "");
    } else if !scenarios.is_empty() && scenarios.iter().all(|scenario| scenario.weight == 0) {
        reading.findings.error(node.span, "every scenario has a weight of 0", "nobody would do anything");
    }
    scenarios
}

/// The one scenario that `--scenario-name` asks for.
fn one_scenario<'a>(nodes: &'a [Node], only: &str, reading: &mut Reading<'_>) -> Vec<(usize, &'a Node)> {
    let name = |node: &'a Node| node.get("name").and_then(Node::as_text);
    let named = || nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node, name(node)?)));
    let mut fitting: Vec<_> = named().filter(|(_, _, name)| *name == only).collect();
    if fitting.is_empty() {
        let pattern = fancy_regex::Regex::new(only);
        fitting = named()
            .filter(|(_, _, name)| pattern.as_ref().is_ok_and(|pattern| pattern.is_match(name).unwrap_or_default()))
            .collect();
    }
    if fitting.len() != 1 {
        let there: Vec<String> = named().map(|(_, _, name)| format!("`{name}`")).collect();
        let sentence = format!("{} scenarios fit --scenario-name {only}; it takes one", fitting.len());
        reading.findings.error(None, sentence, &format!("there are {}", there.join(", ")));
        return Vec::new();
    }
    fitting.into_iter().map(|(index, node, _)| (index, node)).collect()
}

const HOOKS: [&str; 5] = ["beforeScenario", "afterScenario", "beforeRequest", "afterResponse", "onError"];

fn scenario(
    index: usize,
    node: &Node,
    engine: Option<&str>,
    seed: Seed<'_>,
    reading: &mut Reading<'_>,
) -> Option<Scenario> {
    let mut section = Section::of(node, "a scenario", reading.findings)?;
    let name = section.take("name").and_then(|node| text(node, "the name of a scenario", reading.findings));
    let name = name.unwrap_or_else(|| index.to_string());
    let weight = section.take("weight").map_or(100, |node| weight(node, seed, reading));
    let span = section.span();
    let supported = is_http(&mut section, &format!("scenario `{name}`"), engine, reading);
    section.without_effect("socketio", "it belongs to Socket.IO", reading.findings);
    let flow = section.take("flow");
    if !supported {
        return None;
    }
    for hook in HOOKS {
        if let Some(entry) = section.entry(hook) {
            reading.refuse_hook(entry);
        }
    }
    for key in ["testFunction", "flowFunction"] {
        if let Some(entry) = section.entry(key) {
            reading.findings.error(entry.span, format!("`{key}` drives a browser, which pyperf does not"), "");
        }
    }
    let slips = section.end(reading.findings);
    let Some(flow) = flow else {
        if !slips.contains(&"flow") {
            reading.findings.error(span, format!("the scenario `{name}` has no `flow`"), "a list of steps");
        }
        return None;
    };
    Some(Scenario { name, weight, flow: flow::read(flow, reading), span })
}

/// Whether an engine is one that there is.
fn is_http(section: &mut Section<'_>, whose: &str, default: Option<&str>, reading: &mut Reading<'_>) -> bool {
    let node = section.take("engine");
    let engine = node.and_then(Node::as_text).or(default).unwrap_or("http");
    if engine == "http" {
        return true;
    }
    let beside = match engine {
        "socketio" | "socketio-v3" | "ws" | "websocket" => "not supported yet".to_owned(),
        _ => match closest(engine, ["http", "socketio", "ws"].into_iter()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "there is only `http` so far".to_owned(),
        },
    };
    let span = node.map_or_else(|| section.span(), |node| node.span);
    reading.findings.error(span, format!("{whose} needs the engine `{engine}`"), &beside);
    false
}

/// In hundredths, rounded up, as Artillery deals its users out.
fn weight(node: &Node, seed: Seed<'_>, reading: &mut Reading<'_>) -> u64 {
    let weight = match &node.kind {
        Kind::Number(number) => number.as_f64(),
        Kind::Text(text) => {
            let variables = seed.variables();
            let mut random = Random::new(0);
            let text =
                Template::of_text(text).text(&mut Scope { variables: &variables, random: &mut random }).into_owned();
            let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        }
        _ => None,
    };
    match weight.filter(|weight| (0.0..=1e9).contains(weight)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
        Some(weight) => (weight * 100.0).ceil() as u64,
        None => {
            reading.findings.error(node.span, "a weight is a number, 0 or more", "");
            0
        }
    }
}

/// `before` and `after`: a flow that runs once.
fn once(node: &Node, what: &'static str, engine: Option<&str>, reading: &mut Reading<'_>) -> Option<Flow> {
    // Some scripts have a list with one scenario here.
    let node = one_or_more(node).first()?;
    let mut section = Section::of(node, what, reading.findings)?;
    if !is_http(&mut section, what, engine, reading) {
        return None;
    }
    let flow = section.take("flow");
    section.take("name");
    for hook in HOOKS {
        if let Some(entry) = section.entry(hook) {
            reading.refuse_hook(entry);
        }
    }
    let span = section.span();
    let slips = section.end(reading.findings);
    let Some(flow) = flow else {
        if !slips.contains(&"flow") {
            reading.findings.error(span, format!("{what} has no `flow`"), "a list of steps");
        }
        return None;
    };
    Some(flow::read(flow, reading))
}

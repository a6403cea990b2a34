//! `scenarios`, `before` and `after`: what users do, and how many do what.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::engine::{self, Engine};
use super::flow::{self, Connect, Flow, Step};
use super::hook::{self, Hook, Hooks};
use super::node::{Kind, Node};
use super::payload::Payload;
use super::request::{Functions, Reading};
use super::script::Scenario;
use super::section::{Section, closest, one_or_more, text};
use super::template::{Scope, Template};
use super::variables::Variables;
use crate::random::Random;

/// What the weight of a scenario is rendered with.
#[derive(Clone, Copy)]
pub(super) struct Seed<'a> {
    pub(super) variables: &'a [(String, Vec<Value>)],
    pub(super) payloads: &'a [Payload],
    pub(super) shared: &'a HashMap<String, Value>,
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

/// Reads `scenarios`; `only` is what `--scenario-name` asks for, `engine` what holds unless a scenario says otherwise.
pub(super) fn read(
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

/// Hooks that only HTTP scenarios have.
const HOOKS: [&str; 5] = ["beforeScenario", "afterScenario", "beforeRequest", "afterResponse", "onError"];

fn scenario(
    index: usize,
    node: &Node,
    default: Option<&str>,
    seed: Seed<'_>,
    reading: &mut Reading<'_>,
) -> Option<Scenario> {
    let mut section = Section::of(node, "a scenario", reading.findings)?;
    let name = section.take("name").and_then(|node| text(node, "the name of a scenario", reading.findings));
    let name = name.unwrap_or_else(|| index.to_string());
    let weight = section.take("weight").map_or(100, |node| weight(node, seed, reading));
    let acted = acted(&mut section, &format!("the scenario `{name}`"), default, reading);
    for key in ["testFunction", "flowFunction"] {
        if let Some(entry) = section.entry(key) {
            reading.findings.error(entry.span, format!("`{key}` drives a browser, which pyperf does not"), "");
        }
    }
    let span = section.span();
    let (acted, missing) = acted?;
    let slips = section.end(reading.findings);
    if missing && !slips.contains(&"flow") {
        reading.findings.error(span, format!("the scenario `{name}` has no `flow`"), "a list of steps");
    }
    let Acted { flow, engine, connect } = acted;
    let written = written(node, reading);
    (!missing).then_some(Scenario { name, weight, flow, engine, written, connect, span })
}

/// What a scenario does, and with what.
#[derive(Default)]
struct Acted {
    flow: Flow,
    engine: Engine,
    connect: Option<Connect>,
}

/// Reads the engine, the hooks and the flow of a scenario; `None` when its engine is none that there is. The second value tells
/// whether the flow is missing.
fn acted(
    section: &mut Section<'_>,
    whose: &str,
    default: Option<&str>,
    reading: &mut Reading<'_>,
) -> Option<(Acted, bool)> {
    let Some(kind) = engine_of(section, whose, default, reading) else {
        section.take("flow");
        return None;
    };
    reading.engine = kind;
    let mut acted = Acted { engine: reading.engines.engine(kind), ..Acted::default() };
    match (section.entry("socketio"), kind) {
        (None, _) => {}
        (Some(entry), engine::Kind::SocketIo) => {
            let mut own = reading.engines.socketio.clone();
            own.read(&entry.value, reading.findings);
            acted.engine = Engine::SocketIo(Arc::new(own));
        }
        (Some(_), _) => section.without_effect("socketio", "it belongs to Socket.IO", reading.findings),
    }
    let (first, last) = hooks(section, kind, reading);
    let Some(written) = section.take("flow") else { return Some((acted, true)) };
    let written = match kind {
        engine::Kind::WebSocket => {
            let (connect, rest) = flow::connect(written, reading);
            acted.connect = connect;
            rest
        }
        _ => Cow::Borrowed(written),
    };
    let flow = flow::read(&written, reading);
    acted.flow = if first.is_empty() && last.is_empty() {
        flow
    } else {
        let calls = |hooks: Vec<Hook>| hooks.into_iter().map(Step::Function);
        calls(first).chain(flow.iter().cloned()).chain(calls(last)).collect()
    };
    Some((acted, false))
}

/// Reads the hooks of a scenario. Those before its first step and after its last one are given back; its requests get the others.
fn hooks(section: &mut Section<'_>, kind: engine::Kind, reading: &mut Reading<'_>) -> (Vec<Hook>, Vec<Hook>) {
    reading.hooks = Hooks::default();
    if kind != engine::Kind::Http {
        for key in HOOKS {
            let why = "only HTTP scenarios have hooks, as for Artillery; a `function` step is called in every one";
            section.without_effect(key, why, reading.findings);
        }
        return (Vec::new(), Vec::new());
    }
    reading.hooks = Hooks {
        before_request: hook::all(section, "beforeRequest", reading),
        after_response: hook::all(section, "afterResponse", reading),
        on_error: hook::all(section, "onError", reading),
    };
    (hook::all(section, "beforeScenario", reading), hook::all(section, "afterScenario", reading))
}

/// What hooks see of a scenario, if there are any.
fn written(node: &Node, reading: &Reading<'_>) -> Arc<Value> {
    Arc::new(if reading.functions == Functions::Called { node.to_value() } else { Value::Null })
}

/// The engine of a scenario, unless it is none that there is.
fn engine_of(
    section: &mut Section<'_>,
    whose: &str,
    default: Option<&str>,
    reading: &mut Reading<'_>,
) -> Option<engine::Kind> {
    let node = section.take("engine");
    let name = node.and_then(Node::as_text).or(default).unwrap_or("http");
    let kind = engine::Kind::named(name);
    if kind.is_none() {
        let beside = match closest(name, engine::Kind::NAMES.into_iter()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "there are http, socketio and ws".to_owned(),
        };
        let span = node.map_or_else(|| section.span(), |node| node.span);
        reading.findings.error(span, format!("{whose} needs the engine `{name}`"), &beside);
    }
    kind
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
pub(super) fn once(
    node: &Node,
    what: &'static str,
    engine: Option<&str>,
    reading: &mut Reading<'_>,
) -> Option<Scenario> {
    // Some scripts have a list with one scenario here.
    let node = one_or_more(node).first()?;
    let mut section = Section::of(node, what, reading.findings)?;
    let acted = acted(&mut section, what, engine, reading);
    section.take("name");
    let span = section.span();
    let (Acted { flow, engine, connect }, missing) = acted?;
    let slips = section.end(reading.findings);
    if missing && !slips.contains(&"flow") {
        reading.findings.error(span, format!("{what} has no `flow`"), "a list of steps");
    }
    let written = written(node, reading);
    (!missing).then(|| Scenario { name: what.to_owned(), weight: 0, flow, engine, written, connect, span })
}

//! `scenarios`, `before` and `after`: what users do, and how many do what.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::flow::{self, Flow};
use super::node::{Kind, Node};
use super::payload::Payload;
use super::request::Reading;
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
pub(super) fn once(node: &Node, what: &'static str, engine: Option<&str>, reading: &mut Reading<'_>) -> Option<Flow> {
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

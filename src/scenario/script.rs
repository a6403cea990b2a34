//! A whole script, interpreted: what will be done, and nothing about how.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::config;
use super::endpoint::Endpoints;
use super::engine::{self, Engine};
use super::finding::Findings;
use super::flow::{Connect, Flow};
use super::hook::{Hooks, Processor};
use super::node::Node;
use super::payload::Payload;
use super::phase::Phase;
use super::plugins::Plugins;
use super::request::{Functions, Reading};
use super::scenarios::{self, Seed, once};
use super::section::Section;
use super::settings::Http;
use super::source::Span;

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
    pub before: Option<Scenario>,
    /// What is done once after all users.
    pub after: Option<Scenario>,
    /// Where the functions are that hooks call.
    pub processor: Option<Processor>,
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
    /// The protocol that it speaks.
    pub engine: Engine,
    /// The scenario as it is written, which is what hooks see.
    pub written: Arc<Value>,
    /// How its users are connected, if it says so.
    pub connect: Option<Connect>,
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

/// Sections that belong under `config`, and do nothing elsewhere.
const MISPLACED: [&str; 8] =
    ["plugins", "environments", "functions", "metrics", "expectations", "variables", "phases", "processor"];

/// Reads a script whose `config` has been rendered.
pub fn read(root: &Node, around: Surroundings<'_>, findings: &mut Findings) -> Option<Script> {
    let mut top = Section::of(root, "a script", findings)?;
    let (written, all) = (top.take("config"), top.take("scenarios"));
    let (before, after) = (top.take("before"), top.take("after"));
    for key in MISPLACED {
        top.without_effect(key, "it belongs under `config`", findings);
    }
    let span = top.span();
    let slips = top.end(findings);
    let Some(written) = written else {
        if !slips.contains(&"config") {
            findings.error(span, "the script has no `config`", "target and phases belong there");
        }
        return None;
    };
    let mut config = config::read(written, all, around, findings)?;

    let mut endpoints = Endpoints::default();
    let mut reading = Reading {
        http: &config.http,
        folder: around.folder,
        target: config.target.as_deref().unwrap_or_default(),
        expect: config.plugins.expect.is_some(),
        expect_200: config.plugins.expect.is_some_and(|expect| expect.expect_200),
        functions: if config.names_processor { Functions::Unused } else { Functions::Missing },
        engines: &config.engines,
        engine: engine::Kind::Http,
        hooks: Hooks::default(),
        endpoints: &mut endpoints,
        requests: 0,
        findings,
    };
    let seed = Seed { variables: &config.variables, payloads: &config.payloads.drawn, shared: around.shared };
    let scenarios =
        all.map(|node| scenarios::read(node, around.scenario, config.engine, seed, &mut reading)).unwrap_or_default();
    if all.is_none() && !slips.contains(&"scenarios") {
        reading.findings.error(span, "the script has no `scenarios`", "what the virtual users do");
    }
    let before = before.and_then(|node| once(node, "`before`", config.engine, &mut reading));
    let after = after.and_then(|node| once(node, "`after`", config.engine, &mut reading));
    let (requests, calls) = (reading.requests, reading.functions == Functions::Called);
    config.look_back(&scenarios, calls, findings);
    Some(Script {
        shared: Arc::new(config.shared(around)),
        target: config.target?,
        phases: config.phases,
        scenarios,
        before,
        after,
        processor: config.processor,
        variables: config.variables,
        payloads: config.payloads.drawn,
        http: config.http,
        plugins: config.plugins,
        endpoints,
        requests,
        secrets: Vec::new(),
    })
}

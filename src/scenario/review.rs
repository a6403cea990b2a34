//! What can be said of the templates in a script once all of it is known: names that are set nowhere, environment variables that
//! are not set, functions that do not exist, and which values are secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Findings;
use super::node::{Kind, Node};
use super::path::Path;
use super::script::Script;
use super::source::Span;
use super::template::Template;
use crate::redact;

/// Names that every user has.
const BUILT_IN: [&str; 9] = [
    "target",
    "$processEnvironment",
    "$env",
    "$environment",
    "$dirname",
    "$scenarioFile",
    "$testId",
    "$uuid",
    "$loopCount",
];

/// Looks through the flows. Returns the values of environment variables that sound like secrets.
pub fn flows(
    root: &Node,
    script: Option<&Script>,
    environ: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<String> {
    let has_processor = root.get("config").and_then(|config| config.get("processor")).is_some();
    let mut known: BTreeSet<String> = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
    known.insert("$loopElement".to_owned());
    if let Some(script) = script {
        known.extend(script.shared.keys().cloned());
        known.extend(script.variables.iter().map(|(name, _)| name.clone()));
        known.extend(script.payloads.iter().flat_map(|payload| payload.fields.iter().cloned()));
    }
    let parts = || ["before", "scenarios", "after"].into_iter().filter_map(|key| root.get(key));
    parts().for_each(|node| collect_names(node, &mut known));
    let check_names = script.is_some() && !has_processor;
    let mut review = Review { known, check_names, environ, findings, secrets: BTreeSet::new() };
    parts().chain(defaults(root)).for_each(|node| review.node(node));
    review.config(root);
    review.secrets.into_iter().collect()
}

/// Parts of `config` that are rendered for each user.
fn defaults(root: &Node) -> impl Iterator<Item = &Node> {
    let config = root.get("config");
    let http = config.and_then(|config| config.get("http"));
    [config, http].into_iter().flatten().filter_map(|node| node.get("defaults"))
}

/// The names that steps give values to: `as`, `loopValue`, `loopElement`.
fn collect_names(node: &Node, known: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::List(nodes) => nodes.iter().for_each(|node| collect_names(node, known)),
        Kind::Map(entries) => {
            for entry in entries {
                if let ("as" | "loopValue" | "loopElement", Some(name)) = (entry.key.as_str(), entry.value.as_text()) {
                    known.insert(Path::parse(name).first().to_owned());
                }
                collect_names(&entry.value, known);
            }
        }
        _ => {}
    }
}

/// The environment variable that a path names and that is not set.
pub(super) fn unset(path: &Path, environ: &BTreeMap<String, String>) -> Option<String> {
    let name = environment_variable(path)?;
    (!environ.contains_key(name)).then(|| name.to_owned())
}

fn environment_variable(path: &Path) -> Option<&str> {
    matches!(path.first(), "$processEnvironment" | "$env").then(|| path.rest().first().map(String::as_str)).flatten()
}

pub(super) fn say_unset(name: &str, span: Span, findings: &mut Findings) {
    let sentence = format!("the environment variable `{name}` is not set");
    findings.error(span, sentence, &format!("set it: {name}=… pyperf run …, or --dotenv FILE"));
}

struct Review<'a> {
    known: BTreeSet<String>,
    check_names: bool,
    environ: &'a BTreeMap<String, String>,
    findings: &'a mut Findings,
    secrets: BTreeSet<String>,
}

impl Review<'_> {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Kind::Map(entries) => {
                for entry in entries {
                    self.text(&entry.key, entry.span);
                    self.node(&entry.value);
                }
            }
            Kind::Text(text) => self.text(text, node.span),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: Span) {
        if !text.contains("{{") {
            return;
        }
        let template = Template::of_text(text);
        template.unknown_functions(&mut |name| {
            let beside = "there are $randomNumber(min, max) and $randomString(length)";
            self.findings.error(span, format!("there is no function `{name}`"), beside);
        });
        template.names(&mut |path| self.name(path, span));
        if template.is_fixed() && text.contains("}}") {
            let beside = "a template is a name or a function, without operators";
            self.findings.changed(span, "this is no template and stays as it is written", beside);
        }
    }

    fn name(&mut self, path: &Path, span: Span) {
        if let Some(name) = unset(path, self.environ) {
            say_unset(&name, span, self.findings);
        } else if let Some(value) = environment_variable(path).filter(|name| redact::is_secret(name)) {
            self.secrets.extend(self.environ.get(value).filter(|value| value.len() > 7).cloned());
        } else if self.check_names && !self.known.contains(path.first()) {
            let sentence = format!("`{}` is set nowhere in the script", path.first());
            self.findings.changed(span, sentence, "it will be `undefined`");
        }
    }

    /// `config` is rendered by now, so its secrets are found by the names of its keys.
    fn config(&mut self, root: &Node) {
        let variables = root.get("config").and_then(|config| config.get("variables"));
        for entry in variables.into_iter().flat_map(Node::entries).filter(|entry| redact::is_secret(&entry.key)) {
            if let Some(value) = entry.value.as_text().filter(|value| value.len() > 7) {
                self.secrets.insert(value.to_owned());
            }
        }
        // Secrets that came into `config` from the environment.
        let text = |name: &String| redact::is_secret(name);
        let secret = self.environ.iter().filter(|(name, value)| text(name) && value.len() > 7);
        self.secrets.extend(secret.map(|(_, value)| value.clone()));
    }
}

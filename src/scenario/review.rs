//! What can be said of the templates in a script once all of it is known: names that are set nowhere, environment variables that
//! are not set, functions that do not exist, and which values are secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Findings;
use super::node::{Kind, Node};
use super::path::Path;
use super::script::Script;
use super::secrets::Secrets;
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

/// Looks through the flows. Returns the values that must not be shown.
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
    let mut review = Review { known, check_names, environ, findings, secrets: Secrets::default() };
    parts().chain(defaults(root)).for_each(|node| review.node(node, Place::Text));
    review.secrets.script(root);
    review.secrets.environ(environ);
    review.secrets.list()
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

/// Where a template stands, which decides what becomes of one that is undefined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is made a text.
    Text,
    /// It is a document.
    Document,
    /// An item of a list in a document.
    Item,
    /// The value of a key in a document.
    Key,
}

impl Place {
    fn below(self, key: &str) -> Self {
        match self {
            Self::Text if matches!(key, "json" | "body") => Self::Document,
            Self::Text => Self::Text,
            Self::Document | Self::Item | Self::Key => Self::Key,
        }
    }
}

struct Review<'a> {
    known: BTreeSet<String>,
    check_names: bool,
    environ: &'a BTreeMap<String, String>,
    findings: &'a mut Findings,
    secrets: Secrets,
}

impl Review<'_> {
    fn node(&mut self, node: &Node, place: Place) {
        match &node.kind {
            Kind::List(nodes) => {
                let place = if place == Place::Text { place } else { Place::Item };
                for node in nodes {
                    self.node(node, place);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    self.text(&entry.key, entry.span, Place::Text);
                    self.node(&entry.value, place.below(&entry.key));
                }
            }
            Kind::Text(text) => self.text(text, node.span, place),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: Span, place: Place) {
        if !text.contains("{{") {
            return;
        }
        let template = Template::of_text(text);
        template.unknown_functions(&mut |name| {
            let beside = "there are $randomNumber(min, max) and $randomString(length)";
            self.findings.error(span, format!("there is no function `{name}`"), beside);
        });
        let beside = match (place, &template) {
            (Place::Key, Template::Whole(_)) => "the key is left out",
            (Place::Item, Template::Whole(_)) => "it will be `null`",
            _ => "it will be `undefined`",
        };
        template.names(&mut |path| self.name(path, span, beside));
        if template.is_fixed() && text.contains("}}") {
            let beside = "a template is a name or a function, without operators";
            self.findings.changed(span, "this is no template and stays as it is written", beside);
        }
    }

    fn name(&mut self, path: &Path, span: Span, beside: &str) {
        if let Some(name) = unset(path, self.environ) {
            say_unset(&name, span, self.findings);
        } else if let Some(value) = environment_variable(path).filter(|name| redact::is_secret(name)) {
            self.environ.get(value).into_iter().for_each(|value| self.secrets.add(value));
        } else if self.check_names && !self.known.contains(path.first()) {
            let sentence = format!("`{}` is set nowhere in the script", path.first());
            self.findings.changed(span, sentence, beside);
        }
    }
}

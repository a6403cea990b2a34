//! Hooks: where a script calls functions of its `processor`, which is JavaScript.
//!
//! Only the names are read here. What the functions do, and whether they exist, is known when the processor has been loaded,
//! which is somebody else's work.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::finding::Findings;
use super::flow::{Flow, Step};
use super::node::Entry;
use super::request::{Functions, Reading};
use super::script::Script;
use super::section::{Section, closest, one_or_more, text};
use super::source::Span;
use super::template::Template;

/// A call of a function of the processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The name of the function.
    pub name: Template,
    /// Where it is written.
    pub span: Span,
}

/// The file whose functions are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// The file.
    pub path: PathBuf,
    /// Where it is named.
    pub span: Span,
}

/// What is called around a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hooks {
    /// Before it is sent.
    pub before_request: Vec<Hook>,
    /// With the answer.
    pub after_response: Vec<Hook>,
    /// When there was no answer.
    pub on_error: Vec<Hook>,
}

impl Hooks {
    /// Whether nothing is called.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.before_request.is_empty() && self.after_response.is_empty() && self.on_error.is_empty()
    }
}

/// Says which functions a script calls that its processor does not have; `functions` are those that it has.
///
/// A name that is nearly right is a mistake. Others are left to Artillery's rule: a step counts an error, and nothing else is
/// called. `doubt` says what is surely not meant that way in a function that is to change its first parameter, and where.
pub fn review(script: &Script, functions: &[String], doubt: Doubt<'_>, findings: &mut Findings) {
    let mut calls = Vec::new();
    for scenario in script.scenarios.iter().chain(&script.before).chain(&script.after) {
        calls.extend(scenario.connect.iter().filter_map(|connect| Some((connect.function.as_ref()?, true))));
        collect(&scenario.flow, &mut calls);
    }
    for (hook, changes) in calls {
        let Template::Fixed(Value::String(name)) = &hook.name else { continue };
        if functions.contains(name) {
            if let Some((what, at)) = doubt(name).filter(|_| changes) {
                findings.changed(hook.span, what, &at);
            }
            continue;
        }
        let sentence = format!("the processor has no function `{name}`");
        match closest(name, functions.iter().map(String::as_str)) {
            Some(meant) => findings.error(hook.span, sentence, &format!("did you mean `{meant}`?")),
            None => findings.ignored(hook.span, sentence, "it has to be exported: module.exports = { … }"),
        }
    }
}

/// What is doubtful in a function, and where.
pub type Doubt<'a> = &'a dyn Fn(&str) -> Option<(String, String)>;

/// The calls of a flow, each with whether the function is to change what it is given.
fn collect<'s>(flow: &'s Flow, calls: &mut Vec<(&'s Hook, bool)>) {
    for step in flow.iter() {
        match step {
            Step::Function(hook) => calls.push((hook, false)),
            Step::Request(request) => {
                let Hooks { before_request, after_response, on_error } = &request.hooks;
                // What `ifTrue` names may be a variable.
                calls.extend(before_request.iter().map(|hook| (hook, true)));
                calls.extend(after_response.iter().chain(on_error).map(|hook| (hook, false)));
            }
            Step::Loop(repeated) => {
                calls.extend(repeated.while_true.iter().map(|hook| (hook, false)));
                collect(&repeated.steps, calls);
            }
            Step::Parallel(parallel) => collect(&parallel.steps, calls),
            Step::Think(_) | Step::Log(_) | Step::Emit(_) | Step::Send(_) | Step::Receive(_) => {}
        }
    }
}

/// Reads `config.processor`.
pub(super) fn processor(entry: &Entry, folder: &Path, findings: &mut Findings) -> Option<Processor> {
    let written = text(&entry.value, "processor", findings)?;
    let path = folder.join(&written);
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "js" | "cjs" | "mjs" => {}
        "ts" | "mts" | "cts" => {
            let beside =
                "npx esbuild FILE --bundle --platform=node --format=cjs --outfile=processor.js makes JavaScript of it";
            findings.error(entry.value.span, format!("{written} is TypeScript, which pyperf does not run"), beside);
            return None;
        }
        _ => {
            findings.error(entry.value.span, format!("{written} is no processor"), "one is .js, .cjs or .mjs");
            return None;
        }
    }
    if let Err(error) = std::fs::metadata(&path) {
        findings.error(entry.value.span, format!("cannot read {written}"), &error.to_string());
        return None;
    }
    Some(Processor { path, span: entry.value.span })
}

/// Reads a key that names one function or a list of them.
pub(super) fn all(section: &mut Section<'_>, key: &'static str, reading: &mut Reading<'_>) -> Vec<Hook> {
    let Some(entry) = section.entry(key) else { return Vec::new() };
    one_or_more(&entry.value)
        .iter()
        .filter_map(|node| one(&Entry::new(entry.key.clone(), entry.span, node.clone()), reading))
        .collect()
}

/// Reads a key that names one function.
pub(super) fn one(entry: &Entry, reading: &mut Reading<'_>) -> Option<Hook> {
    let name = text(&entry.value, "the name of a function", reading.findings)?;
    if reading.functions == Functions::Missing {
        let sentence = format!("`{}` calls a function, and there is no `config.processor`", entry.key);
        reading.findings.error(entry.span, sentence, "the path of the JavaScript file that has it");
        return None;
    }
    reading.functions = Functions::Called;
    Some(Hook { name: Template::of_text(&name), span: entry.value.span })
}

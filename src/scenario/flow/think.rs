//! Waits between steps.

use std::time::Duration;

use super::super::finding::Findings;
use super::super::length::{self, Given, Jitter};
use super::super::node::{Kind, Node};
use super::super::request::Reading;
use super::super::section::Section;
use super::super::settings;
use super::super::source::Span;
use super::super::template::Template;

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

/// Reads a `think` step.
pub(super) fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Think> {
    let findings = &mut *reading.findings;
    let mut section = Section::of(node, "a step", findings)?;
    let length = section.take("think").and_then(|node| wait(node, findings));
    let own = section.take("jitter").and_then(|node| settings::jitter(node, findings));
    let span = section.span();
    section.end(findings);
    Some(Think { length: length?, jitter: own.or(reading.http.jitter), span })
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

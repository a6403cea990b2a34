//! Steps that are repeated.

use super::super::finding::Findings;
use super::super::hook::{self, Hook};
use super::super::node::{Kind, Node};
use super::super::path::Path;
use super::super::request::Reading;
use super::super::section::{Section, count, text};
use super::super::source::Span;
use super::super::template::Template;
use super::Flow;

/// Steps that are repeated.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The steps.
    pub steps: Flow,
    /// How often.
    pub over: Over,
    /// What decides after each time whether there is another one.
    pub while_true: Option<Hook>,
    /// The variable that counts.
    pub value: String,
    /// The variable that holds the item.
    pub element: String,
    /// Where it is written.
    pub span: Span,
}

/// What a loop goes over.
#[derive(Clone, Debug)]
pub enum Over {
    /// Numbers from the first up to and without the second; without end if there is no second.
    Numbers(u64, Option<u64>),
    /// Numbers that a template says: `3` or `1-4`.
    Rendered(Template),
    /// Items.
    Items(Vec<Template>),
    /// The items of a variable.
    Named(Path),
}

/// Reads a `loop` step.
pub(super) fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Loop> {
    let mut section = Section::of(node, "a loop", reading.findings)?;
    let written = section.entry("loop")?;
    if matches!(written.value.kind, Kind::Map(_)) {
        let beside = "its steps; `count` or `over` stands beside `loop`, not inside it";
        reading.findings.error(written.span, "`loop` is a list", beside);
        return None;
    }
    let steps = super::read(&written.value, reading);
    let over = section.take("over");
    let times = section.take("count");
    let while_true = section.entry("whileTrue").and_then(|entry| hook::one(entry, reading));
    let mut name = |key: &'static str, default: &str, findings: &mut Findings| {
        section.take(key).and_then(|node| text(node, key, findings)).unwrap_or_else(|| default.to_owned())
    };
    let value = name("loopValue", "$loopCount", reading.findings);
    let element = name("loopElement", "$loopElement", reading.findings);
    let span = section.span();
    section.end(reading.findings);
    let over = match (over, times) {
        // It beats both.
        _ if while_true.is_some() => Over::Numbers(0, None),
        (Some(node), _) => items(node, reading.findings)?,
        (None, Some(node)) => numbers(node, reading.findings)?,
        (None, None) => Over::Numbers(0, None),
    };
    Some(Loop { steps, over, while_true, value, element, span })
}

fn items(node: &Node, findings: &mut Findings) -> Option<Over> {
    match &node.kind {
        Kind::List(nodes) => Some(Over::Items(nodes.iter().map(Template::of).collect())),
        Kind::Text(text) => match Template::of_text(text) {
            Template::Whole(path) => {
                let beside = "to Artillery `over` is the bare name of a variable";
                findings.changed(node.span, "`over` goes over the items of the variable", beside);
                Some(Over::Named(path))
            }
            _ => Some(Over::Named(Path::parse(text))),
        },
        _ => {
            findings.error(node.span, "`over` is a list or the name of a variable", "");
            None
        }
    }
}

fn numbers(node: &Node, findings: &mut Findings) -> Option<Over> {
    if let Some(text) = node.as_text() {
        let template = Template::of_text(text);
        if !template.is_fixed() {
            return Some(Over::Rendered(template));
        }
        if let Some((from, to)) = range(text) {
            return Some(Over::Numbers(from, to));
        }
    }
    if matches!(&node.kind, Kind::Number(number) if number.as_i64() == Some(-1)) {
        return Some(Over::Numbers(0, None));
    }
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    if node.as_text().is_some_and(|text| !is_number(text)) {
        findings.error(node.span, "`count` is a number, or a range such as \"1-4\"", "");
        return None;
    }
    count(node, "count", findings).map(|times| Over::Numbers(0, Some(times).filter(|times| *times > 0)))
}

/// The numbers that `3`, `0`, `-1` or `1-4` mean to a loop.
#[must_use]
pub fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let text = text.trim();
    if text == "-1" || text == "0" {
        return Some((0, None));
    }
    match text.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, Some(to.trim().parse().ok()?))),
        None => Some((0, Some(text.parse().ok()?))),
    }
}

//! Reading a map of a script key by key, so that no key is passed over in silence.
//!
//! Whoever interprets a map takes the keys that it knows. What is left at the end is either a slip of the pen, which is an error
//! when the key that was meant is missing, or something that has no effect, which is said.

use std::borrow::Cow;

use strsim::damerau_levenshtein;

use super::finding::Findings;
use super::node::{Entry, Kind, Node};
use super::source::Span;

/// A map that is being read.
#[derive(Debug)]
pub struct Section<'a> {
    what: &'static str,
    entries: &'a [Entry],
    span: Span,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Begins to read. Nothing at all is an empty map; anything else is an error.
    pub fn of(node: &'a Node, what: &'static str, findings: &mut Findings) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self { what, entries, span: node.span, known: Vec::new() }),
            Kind::Null => Some(Self { what, entries: &[], span: node.span, known: Vec::new() }),
            _ => {
                findings.error(node.span, format!("{what} is a map"), &format!("this is {}", node.what()));
                None
            }
        }
    }

    /// Where it begins.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The value of a key that is known here; a key without a value is as good as none.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| node.kind != Kind::Null)
    }

    /// A key that is known here, with its value.
    pub fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A key that is known and does nothing here; said where it stands.
    pub fn without_effect(&mut self, key: &'static str, why: &str, findings: &mut Findings) {
        if let Some(entry) = self.entry(key) {
            findings.ignored(entry.span, format!("`{key}` has no effect"), why);
        }
    }

    /// Tells of every key that nobody took. Returns the keys that misspelt ones were meant to be: that those are missing
    /// has been said by then.
    pub fn end(self, findings: &mut Findings) -> Vec<&'static str> {
        let what = self.what;
        let sentence = |key: &str| format!("`{key}` has no meaning in {what}");
        self.end_saying(&sentence, "it is ignored, as by Artillery", findings)
    }

    /// As [`Section::end`], with other words for keys that are no slips.
    pub fn end_saying(
        self,
        sentence: &dyn Fn(&str) -> String,
        beside: &str,
        findings: &mut Findings,
    ) -> Vec<&'static str> {
        let mut slips = Vec::new();
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            match self.meant(&entry.key) {
                Some(key) => {
                    slips.push(key);
                    let beside = format!("did you mean `{key}`?");
                    findings.error(entry.span, format!("unknown key `{}`", entry.key), &beside);
                }
                // A shelf for anchors does what it is there for.
                None if entry.holds_anchor => {}
                None => findings.ignored(entry.span, sentence(&entry.key), beside),
            }
        }
        slips
    }

    /// Whether one of these keys, which are known, is there in another spelling.
    #[must_use]
    pub fn misspells(&self, keys: &[&str]) -> bool {
        let unknown = self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str()));
        unknown.filter_map(|entry| self.meant(&entry.key)).any(|meant| keys.contains(&meant))
    }

    /// The known key that a misspelt one was meant to be, if that one is missing.
    fn meant(&self, key: &str) -> Option<&'static str> {
        // What a flag has put into the map has the map's own place, and is no reason to take the slip for something else.
        let is_written = |entry: &Entry| entry.span != self.span;
        let missing = |known: &&&str| !self.entries.iter().any(|entry| entry.key == ***known && is_written(entry));
        closest(key, self.known.iter().filter(missing).copied())
    }
}

/// The name that is so close to a misspelt one that it was probably meant.
#[must_use]
pub fn closest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = written.to_lowercase();
    let near = match written.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let distances = names.map(|name| (damerau_levenshtein(&lower, &name.to_lowercase()), name));
    distances.filter(|(distance, _)| *distance <= near).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// A key as it is written in a sentence; other words stay as they are.
fn quoted(what: &str) -> Cow<'_, str> {
    if what.bytes().all(|byte| byte.is_ascii_alphanumeric()) { format!("`{what}`").into() } else { what.into() }
}

/// A text, or a scalar's text: `name: 5`.
pub fn text(node: &Node, what: &str, findings: &mut Findings) -> Option<String> {
    match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::Bool(truth) => Some(truth.to_string()),
        _ => {
            findings.error(node.span, format!("{} is a text", quoted(what)), &format!("this is {}", node.what()));
            None
        }
    }
}

/// A number, or a text that is one.
pub fn number(node: &Node, what: &str, findings: &mut Findings) -> Option<f64> {
    let number = match &node.kind {
        Kind::Number(number) => number.as_f64(),
        Kind::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number: &f64| number.is_finite());
    // A template that is still there could not be rendered, which has been said.
    if number.is_none() && !node.as_text().is_some_and(|text| text.contains("{{")) {
        let beside = node.as_text().map_or_else(|| format!("this is {}", node.what()), |text| format!("not `{text}`"));
        findings.error(node.span, format!("{} is a number", quoted(what)), &beside);
    }
    number
}

/// A whole number that is not negative, or a text that is one.
pub fn count(node: &Node, what: &str, findings: &mut Findings) -> Option<u64> {
    let number = number(node, what, findings)?;
    if !(0.0..=9e15).contains(&number) {
        findings.error(node.span, format!("{} is 0 or more", quoted(what)), "");
        return None;
    }
    if number.fract() != 0.0 {
        findings.error(node.span, format!("{} is a whole number", quoted(what)), "");
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
    Some(number as u64)
}

/// `true` or `false`, or a text that says so.
pub fn truth(node: &Node, what: &str, findings: &mut Findings) -> Option<bool> {
    match &node.kind {
        Kind::Bool(truth) => Some(*truth),
        Kind::Text(text) if text == "true" => Some(true),
        Kind::Text(text) if text == "false" => Some(false),
        _ => {
            findings.error(
                node.span,
                format!("{} is true or false", quoted(what)),
                &format!("this is {}", node.what()),
            );
            None
        }
    }
}

/// The items of a list; a single value stands for a list of one.
#[must_use]
pub fn one_or_more(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(nodes) => nodes,
        Kind::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn a_key_that_nobody_takes_is_told() {
        let node = Node::of_value(json!({"arivalRate": 1, "duration": 2, "wholly": 3}), Span::default());
        let mut findings = Findings::default();
        let mut section = Section::of(&node, "a phase", &mut findings).expect("a map");
        assert!(section.take("arrivalRate").is_none());
        assert!(section.take("duration").is_some());
        assert_eq!(section.end(&mut findings), ["arrivalRate"]);
        let told: Vec<_> = findings.sorted().iter().map(|finding| finding.sentence.clone()).collect();
        assert_eq!(told, ["unknown key `arivalRate`", "`wholly` has no meaning in a phase"]);
        assert_eq!(findings.count(Severity::Ignored), 1);
    }

    #[test]
    fn numbers_may_be_texts_after_templating() {
        let mut findings = Findings::default();
        let read = |value, findings: &mut Findings| count(&Node::of_value(value, Span::default()), "a cap", findings);
        assert_eq!(read(json!("200"), &mut findings), Some(200));
        assert_eq!(read(json!(3), &mut findings), Some(3));
        assert!(!findings.has_errors());
        for bad in [json!("x"), json!(-1), json!(1.5), json!([1]), json!("NaN"), json!("1e300")] {
            let mut findings = Findings::default();
            assert_eq!(read(bad, &mut findings), None);
            assert!(findings.has_errors());
        }
    }
}

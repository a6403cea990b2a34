//! A script as a tree: maps, lists and scalars, each with its place in the source.
//!
//! This is what YAML and JSON have in common, and what merging works on. A map keeps the order in which its keys were
//! written: the first key of a step says what kind of step it is.

use serde_json::{Number, Value};

use super::source::Span;

/// A part of a script and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it begins.
    pub span: Span,
}

/// What a node can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing: `key:` with no value, `~`, `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// Nodes in a row.
    List(Vec<Node>),
    /// Nodes by name.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key; numbers and the like by their text.
    pub key: String,
    /// Where the key is.
    pub span: Span,
    /// The value.
    pub value: Node,
    /// Whether an anchor stands in the value, for aliases elsewhere.
    pub holds_anchor: bool,
}

impl Entry {
    /// A key and its value, without anchors.
    #[must_use]
    pub const fn new(key: String, span: Span, value: Node) -> Self {
        Self { key, span, value, holds_anchor: false }
    }
}

impl Node {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>, span: Span) -> Self {
        Self { kind: Kind::Text(text.into()), span }
    }

    /// A map.
    #[must_use]
    pub const fn map(entries: Vec<Entry>, span: Span) -> Self {
        Self { kind: Kind::Map(entries), span }
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value of a key, to be changed. Made `null` where there is none; `None` if this is no map.
    pub fn entry(&mut self, key: &str) -> Option<&mut Self> {
        let span = self.span;
        if self.kind == Kind::Null {
            self.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut self.kind else { return None };
        let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            entries.push(Entry::new(key.to_owned(), span, Self { kind: Kind::Null, span }));
            entries.len() - 1
        });
        Some(&mut entries[at].value)
    }

    /// The entries of a map; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is in words, for errors.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The same without its places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(nodes) => Value::Array(nodes.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect())
            }
        }
    }

    /// A value that comes from nowhere in particular, put at a place.
    #[must_use]
    pub fn of_value(value: Value, span: Span) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(truth) => Kind::Bool(truth),
            Value::Number(number) => Kind::Number(number),
            Value::String(text) => Kind::Text(text),
            Value::Array(values) => Kind::List(values.into_iter().map(|value| Self::of_value(value, span)).collect()),
            Value::Object(map) => Kind::Map(
                map.into_iter().map(|(key, value)| Entry::new(key, span, Self::of_value(value, span))).collect(),
            ),
        };
        Self { kind, span }
    }
}

/// What happens where two scripts both have a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Item by item, as lodash's `merge` does for several files and for environments.
    Merge,
    /// The later list as it is, as `--overrides` does.
    Replace,
}

/// Lays `over` on top of `base`: maps key by key, anything else by the later one.
pub fn lay_over(base: &mut Node, over: Node, lists: Lists) {
    match (&mut base.kind, over.kind) {
        (Kind::Map(_), Kind::Map(entries)) => {
            for over in entries {
                let Kind::Map(below) = &mut base.kind else { return };
                match below.iter_mut().find(|entry| entry.key == over.key) {
                    Some(entry) => lay_over(&mut entry.value, over.value, lists),
                    None => below.push(over),
                }
            }
        }
        (Kind::List(below), Kind::List(items)) if lists == Lists::Merge => {
            for (at, item) in items.into_iter().enumerate() {
                match below.get_mut(at) {
                    Some(place) => lay_over(place, item, lists),
                    None => below.push(item),
                }
            }
        }
        (_, kind) => *base = Node { kind, span: over.span },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn laid(base: Value, over: Value, lists: Lists) -> Value {
        let mut base = Node::of_value(base, Span::default());
        lay_over(&mut base, Node::of_value(over, Span::default()), lists);
        base.to_value()
    }

    #[test]
    fn later_scripts_win_key_by_key() {
        let base = json!({"config": {"target": "a", "phases": [{"duration": 1, "name": "x"}, {"duration": 2}]}});
        let over = json!({"config": {"phases": [{"duration": 9}]}});
        let merged = json!({"config": {"target": "a", "phases": [{"duration": 9, "name": "x"}, {"duration": 2}]}});
        assert_eq!(laid(base.clone(), over.clone(), Lists::Merge), merged);
        let replaced = json!({"config": {"target": "a", "phases": [{"duration": 9}]}});
        assert_eq!(laid(base, over, Lists::Replace), replaced);
    }
}

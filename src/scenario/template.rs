//! Templates: texts and trees with `{{ name }}` in them, parsed once and rendered for each request.
//!
//! The rules are Artillery's: a text that is exactly one placeholder keeps the type of its value, anything else becomes text;
//! there are no operators; `{{ $function(…) }}` calls one of the built-in functions and is always text. What is not defined is
//! `undefined` in a text, and makes a key of a map vanish.

use std::borrow::Cow;

use serde_json::Value;

use super::node::{Kind, Node};
use super::path::Path;
use super::variables::Variables;
use crate::random::Random;

/// The longest text that `$randomString` makes.
const LONGEST: u64 = 1 << 16;

/// What a template is rendered with.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The names.
    pub variables: &'a Variables,
    /// Where chance comes from.
    pub random: &'a mut Random,
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// Nothing to render.
    Fixed(Value),
    /// Exactly one placeholder: its value with its type.
    Whole(Path),
    /// Text with placeholders in it.
    Text(Vec<Part>),
    /// A list of templates.
    List(Vec<Template>),
    /// Keys, which can be templates too, and values.
    Map(Vec<(Template, Template)>),
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// The value of a name.
    Name(Path),
    /// The result of a function.
    Call(Function),
}

/// The built-in functions.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// A whole number between two, both included.
    RandomNumber(i64, i64),
    /// So many letters and digits.
    RandomString(u64),
    /// A name that is no function; rendered as `undefined`.
    Unknown(String),
}

impl Template {
    /// The template that a text is.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut parts = parts(text);
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Self::Fixed(Value::String(text.to_owned()));
        }
        match parts.as_mut_slice() {
            [Part::Name(path)] => Self::Whole(path.clone()),
            _ => Self::Text(parts),
        }
    }

    /// The template that a part of a script is, keys of maps included.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let template = match &node.kind {
            Kind::Text(text) => return Self::of_text(text),
            Kind::List(nodes) => Self::List(nodes.iter().map(Self::of).collect()),
            Kind::Map(entries) => {
                Self::Map(entries.iter().map(|entry| (Self::of_text(&entry.key), Self::of(&entry.value))).collect())
            }
            _ => return Self::Fixed(node.to_value()),
        };
        if template.is_fixed() { Self::Fixed(node.to_value()) } else { template }
    }

    /// Whether it is the same for everybody.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Whole(_) | Self::Text(_) => false,
            Self::List(items) => items.iter().all(Self::is_fixed),
            Self::Map(entries) => entries.iter().all(|(key, value)| key.is_fixed() && value.is_fixed()),
        }
    }

    /// The value; `None` is JavaScript's `undefined`.
    #[must_use]
    pub fn render(&self, scope: &mut Scope<'_>) -> Option<Value> {
        Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::Whole(path) => scope.variables.get(path)?.into_owned(),
            Self::Text(_) => Value::String(self.text(scope).into_owned()),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.render(scope).unwrap_or_default()).collect())
            }
            Self::Map(entries) => {
                let mut map = serde_json::Map::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = key.text(scope).into_owned();
                    if let Some(value) = value.render(scope) {
                        map.insert(key, value);
                    }
                }
                Value::Object(map)
            }
        })
    }

    /// The value as text, as JavaScript would put it into a string.
    #[must_use]
    pub fn text(&self, scope: &mut Scope<'_>) -> Cow<'_, str> {
        match self {
            Self::Fixed(Value::String(text)) => Cow::Borrowed(text),
            Self::Text(parts) => {
                let mut text = String::with_capacity(64);
                for part in parts {
                    part.write(scope, &mut text);
                }
                Cow::Owned(text)
            }
            _ => {
                let mut text = String::new();
                write_text(self.render(scope).as_ref(), &mut text);
                Cow::Owned(text)
            }
        }
    }

    /// The names that it reads.
    pub fn names<'a>(&'a self, found: &mut dyn FnMut(&'a Path)) {
        match self {
            Self::Fixed(_) => {}
            Self::Whole(path) => found(path),
            Self::Text(parts) => {
                for part in parts {
                    if let Part::Name(path) = part {
                        found(path);
                    }
                }
            }
            Self::List(items) => items.iter().for_each(|item| item.names(found)),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.names(found);
                value.names(found);
            }),
        }
    }

    /// The functions that it calls and that are none.
    pub fn unknown_functions<'a>(&'a self, found: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Fixed(_) | Self::Whole(_) => {}
            Self::Text(parts) => {
                for part in parts {
                    if let Part::Call(Function::Unknown(name)) = part {
                        found(name);
                    }
                }
            }
            Self::List(items) => items.iter().for_each(|item| item.unknown_functions(found)),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.unknown_functions(found);
                value.unknown_functions(found);
            }),
        }
    }
}

impl Part {
    fn write(&self, scope: &mut Scope<'_>, text: &mut String) {
        match self {
            Self::Text(piece) => text.push_str(piece),
            Self::Name(path) => write_text(scope.variables.get(path).as_deref(), text),
            Self::Call(function) => function.write(scope.random, text),
        }
    }
}

impl Function {
    fn parse(name: &str, arguments: &str) -> Self {
        let number = |at: usize| arguments.split(',').nth(at).and_then(|word| word.trim().parse::<i64>().ok());
        match name {
            "$randomNumber" => {
                let (one, other) = (number(0).unwrap_or(0), number(1).unwrap_or(100));
                Self::RandomNumber(one.min(other), one.max(other))
            }
            "$randomString" => Self::RandomString(u64::try_from(number(0).unwrap_or(10)).unwrap_or(0).min(LONGEST)),
            _ => Self::Unknown(name.to_owned()),
        }
    }

    fn write(&self, random: &mut Random, text: &mut String) {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        match self {
            Self::RandomNumber(least, most) => {
                let width = most.abs_diff(*least).saturating_add(1);
                let number = least.wrapping_add_unsigned(random.below(width));
                text.push_str(&number.to_string());
            }
            Self::RandomString(length) => {
                for _ in 0..*length {
                    text.push(char::from(LETTERS[random.index(LETTERS.len())]));
                }
            }
            Self::Unknown(_) => text.push_str("undefined"),
        }
    }
}

/// Cuts a text at its placeholders. What looks like one and is none stays text, as in Artillery.
fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        plain.push_str(&rest[..start]);
        let braces = &rest[start..];
        let Some(end) = braces.find("}}") else {
            rest = braces;
            break;
        };
        let inside = braces[2..end].trim_start_matches('{').trim();
        let length = if braces[end..].starts_with("}}}") && braces.starts_with("{{{") { end + 3 } else { end + 2 };
        match placeholder(inside) {
            Some(part) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
                rest = &braces[length..];
            }
            None => {
                // `{{{{ x }}`: the braces before the last two may still belong to one.
                plain.push('{');
                rest = &braces[1..];
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

fn placeholder(inside: &str) -> Option<Part> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    if inside.is_empty() || inside.contains("{{") {
        return None;
    }
    if let Some((name, arguments)) = inside.strip_suffix(')').and_then(|call| call.split_once('(')) {
        let name = name.trim();
        let fits = name.starts_with('$')
            && name[1..].chars().all(is_word)
            && arguments.chars().all(|letter| is_word(letter) || matches!(letter, ',' | ' '));
        return fits.then(|| Part::Call(Function::parse(name, arguments)));
    }
    let fits = inside.chars().all(|letter| is_word(letter) || letter.is_whitespace() || "$.[]'\"-".contains(letter));
    fits.then(|| Part::Name(Path::parse(inside)))
}

/// A value as JavaScript would put it into a string, with `undefined` for what is not there.
pub fn write_text(value: Option<&Value>, text: &mut String) {
    match value {
        None => text.push_str("undefined"),
        Some(Value::String(piece)) => text.push_str(piece),
        Some(value) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::source::Span;
    use super::*;

    fn rendered(text: &str) -> Option<Value> {
        let mut variables = Variables::default();
        variables.set("id", json!(7));
        variables.set("name", json!("Ana"));
        variables.set("list", json!([1, {"a": "b"}]));
        variables.set("nothing", Value::Null);
        let mut random = Random::new(1);
        let mut scope = Scope { variables: &variables, random: &mut random };
        Template::of_text(text).render(&mut scope)
    }

    #[test]
    fn one_placeholder_keeps_its_type_and_more_become_text() {
        assert_eq!(rendered("{{ id }}"), Some(json!(7)));
        assert_eq!(rendered("{{{id}}}"), Some(json!(7)));
        assert_eq!(rendered("/a/{{ id }}/{{name}}"), Some(json!("/a/7/Ana")));
        assert_eq!(rendered("{{ list }}"), Some(json!([1, {"a": "b"}])));
        assert_eq!(rendered("x{{ list }}"), Some(json!("x[1,{\"a\":\"b\"}]")));
        assert_eq!(rendered("{{ missing }}"), None);
        assert_eq!(rendered("x {{ missing }} {{ nothing }}"), Some(json!("x undefined null")));
    }

    #[test]
    fn what_is_no_placeholder_stays_text() {
        for text in ["{{ a || 'b' }}", "{{", "}}", "{{ }}", "{ {a} }", "{{a", "", "{{ f(1) }}", "{{ $f('x') }}"] {
            assert_eq!(rendered(text), Some(json!(text)), "{text}");
        }
        assert_eq!(rendered("{{ {{ id }}"), Some(json!("{{ 7")));
    }

    #[test]
    fn functions_are_text() {
        let number = rendered("{{ $randomNumber(3, 3) }}");
        assert_eq!(number, Some(json!("3")));
        let text = rendered("{{ $randomString(12) }}").expect("text");
        assert_eq!(text.as_str().map(str::len), Some(12));
        assert_eq!(rendered("{{ $randomString() }}").and_then(|text| text.as_str().map(str::len)), Some(10));
        assert_eq!(rendered("{{ $nope(1) }}"), Some(json!("undefined")));
        let between = rendered("{{ $randomNumber(1,9) }}").expect("text");
        assert!((1..=9).contains(&between.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)));
    }

    #[test]
    fn trees_lose_what_is_undefined() {
        let node = Node::of_value(
            json!({"a": "{{ id }}", "{{ name }}": [1, "{{ missing }}"], "gone": "{{ missing }}", "fixed": {"x": 1}}),
            Span::default(),
        );
        let mut variables = Variables::default();
        variables.set("id", json!(7));
        variables.set("name", json!("Ana"));
        let mut random = Random::new(1);
        let mut scope = Scope { variables: &variables, random: &mut random };
        let value = Template::of(&node).render(&mut scope);
        assert_eq!(value, Some(json!({"a": 7, "Ana": [1, null], "fixed": {"x": 1}})));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[{}a$(),. \\[\\]'\"é-]{0,40}") {
            let _ = rendered(&text);
        }

        #[test]
        fn a_text_without_braces_is_itself(text in "[^{}]{0,40}") {
            prop_assert_eq!(rendered(&text), Some(json!(text)));
        }
    }
}

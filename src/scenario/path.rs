//! Paths into values, as scripts write them: `user.name`, `items[0].id`, `headers["x-id"]`.
//!
//! They mean what lodash's `get` and `set` make of them, because that is what Artillery resolves template names and
//! `capture.as` with. A path is pure text; what the root holds is the caller's business. Values are JSON: what JavaScript
//! can do beyond that (a named member on a list) is an error when set and absent when read.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The highest place that [`set_path`] makes in a list.
pub const HIGHEST_PLACE: usize = 10_000;
/// Members of a path; further ones are cut off, so that nothing nests deeper than this.
const MOST_KEYS: usize = 100;

/// A path, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    text: String,
    keys: Vec<String>,
}

/// Why a value cannot be put at the end of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSet {
    /// The list would be longer than [`HIGHEST_PLACE`].
    #[error("`{0}` is too far into a list: the limit is {HIGHEST_PLACE}")]
    TooFar(String),
    /// A list has places, not names.
    #[error("`{0}` cannot be a member of a list")]
    NoPlace(String),
}

impl Path {
    /// Takes a path apart. Every text is a path: what is no operator is a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { text: text.to_owned(), keys: keys(text) }
    }

    /// The path as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the root: the variable.
    #[must_use]
    pub fn first(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    /// What comes below the root.
    #[must_use]
    pub fn rest(&self) -> &[String] {
        self.keys.get(1..).unwrap_or_default()
    }

    /// The value at the end of the path, below the value of its root; `None` is undefined. The `length` of a list or a
    /// text is a value of its own.
    #[must_use]
    pub fn get<'a>(&self, root: &'a Value) -> Option<Cow<'a, Value>> {
        let mut at = Cow::Borrowed(root);
        for key in self.rest() {
            at = match at {
                Cow::Borrowed(value) => member(value, key)?,
                Cow::Owned(value) => Cow::Owned(member(&value, key)?.into_owned()),
            };
        }
        Some(at)
    }

    /// Puts a value at the end of the path, below the value of its root. What is missing on the way is made: a list where
    /// a place follows, else an object; what is neither is replaced.
    ///
    /// # Errors
    /// When a list would grow past [`HIGHEST_PLACE`], or a name is asked of a list.
    pub fn set(&self, root: &mut Value, value: Value) -> Result<(), CannotSet> {
        let mut at = root;
        for key in self.rest() {
            if !at.is_array() && !at.is_object() {
                *at = if place(key).is_some() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
            }
            at = slot(at, key)?;
        }
        *at = value;
        Ok(())
    }
}

/// The value at the end of a path; `None` is undefined. A root that bears the whole text as its name wins, as in lodash.
#[must_use]
pub fn get_path<'a>(root: &'a Map<String, Value>, path: &str) -> Option<Cow<'a, Value>> {
    if let Some(value) = root.get(path) {
        return Some(Cow::Borrowed(value));
    }
    let path = Path::parse(path);
    path.get(root.get(path.first())?)
}

/// Puts a value at the end of a path. A root that bears the whole text as its name wins, as in lodash.
///
/// # Errors
/// See [`Path::set`]. What was already made on the way stays.
pub fn set_path(root: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), CannotSet> {
    if let Some(slot) = root.get_mut(path) {
        *slot = value;
        return Ok(());
    }
    let path = Path::parse(path);
    path.set(root.entry(path.first()).or_insert(Value::Null), value)
}

/// A member of a value as JavaScript reads it: a name, a place, or the length of a list or a text (in UTF-16 units).
#[must_use]
pub fn member<'a>(value: &'a Value, key: &str) -> Option<Cow<'a, Value>> {
    match value {
        Value::Object(map) => map.get(key).map(Cow::Borrowed),
        Value::Array(list) if key == "length" => Some(Cow::Owned(list.len().into())),
        Value::Array(list) => list.get(place(key)?).map(Cow::Borrowed),
        Value::String(text) if key == "length" => Some(Cow::Owned(text.encode_utf16().count().into())),
        Value::String(text) => {
            let unit = text.encode_utf16().nth(place(key)?)?;
            Some(Cow::Owned(Value::String(String::from_utf16_lossy(&[unit]))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The place that a key means in a list: digits without a leading zero.
#[must_use]
pub fn place(key: &str) -> Option<usize> {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    if plain { key.parse().ok() } else { None }
}

/// The slot of a member, made when it is not there.
fn slot<'a>(value: &'a mut Value, key: &str) -> Result<&'a mut Value, CannotSet> {
    match value {
        Value::Object(map) => Ok(map.entry(key).or_insert(Value::Null)),
        Value::Array(list) => {
            let place = place(key).ok_or_else(|| CannotSet::NoPlace(key.into()))?;
            if place > HIGHEST_PLACE {
                return Err(CannotSet::TooFar(key.into()));
            }
            if place >= list.len() {
                list.resize(place + 1, Value::Null);
            }
            list.get_mut(place).ok_or_else(|| CannotSet::NoPlace(key.into()))
        }
        _ => Err(CannotSet::NoPlace(key.into())),
    }
}

/// lodash's `stringToPath`, rule by rule: a name; `[0]` or `["c d"]`; an empty name between, before or after dots;
/// anything else is skipped.
fn keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    if text.starts_with('.') {
        keys.push(String::new());
    }
    let mut rest = text;
    while !rest.is_empty() && keys.len() < MOST_KEYS {
        let name = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        let (key, after) = if name > 0 {
            (Some(rest[..name].to_owned()), &rest[name..])
        } else if let Some((key, after)) = bracket(rest) {
            (Some(key), after)
        } else {
            (nameless(rest).then(String::new), &rest[1..])
        };
        keys.extend(key);
        rest = after;
    }
    if keys.is_empty() {
        keys.push(String::new());
    }
    keys
}

/// Whether an empty name stands here: `..`, `.` at the end, `[]`.
fn nameless(text: &str) -> bool {
    let after = text.strip_prefix('.').or_else(|| text.strip_prefix("[]"));
    after.is_some_and(|after| after.is_empty() || after.starts_with('.') || after.starts_with("[]"))
}

/// `[0]`, `[-1]`, `["c d"]`, `['e']`: the key and what follows the closing bracket.
fn bracket(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('[')?;
    let Some(quote) = inside.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let (key, after) = inside.split_once(']')?;
        let digits = key.strip_prefix('-').unwrap_or(key);
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        return whole.then(|| (key.to_owned(), after));
    };
    let mut key = String::new();
    let mut chars = inside[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.extend(chars.next().map(|(_, c)| c)),
            c if c == quote => {
                let after = inside[1 + at + 1..].strip_prefix(']')?;
                return Some((key, after));
            }
            c => key.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn paths_fall_apart_as_in_lodash() {
        for (text, expected) in [
            ("a", vec!["a"]),
            ("a.b[0][\"c d\"].e", vec!["a", "b", "0", "c d", "e"]),
            ("a['b.c']", vec!["a", "b.c"]),
            ("a[b]", vec!["a", "b"]),
            ("a[0].b[1]", vec!["a", "0", "b", "1"]),
            ("a[\"q\\\"r\"]", vec!["a", "q\"r"]),
            ("$loopElement.id", vec!["$loopElement", "id"]),
            ("a b.c-d", vec!["a b", "c-d"]),
            ("a..b", vec!["a", "", "b"]),
            (".a", vec!["", "a"]),
            ("a.", vec!["a", ""]),
            ("[0].a", vec!["0", "a"]),
            ("a[]", vec!["a", ""]),
            ("a[].b", vec!["a", "", "b"]),
            ("a[b.c]", vec!["a", "b", "c"]),
            ("a]b", vec!["a", "b"]),
            ("a['x", vec!["a", "'x"]),
            ("..", vec!["", "", ""]),
        ] {
            assert_eq!(keys(text), expected, "{text}");
        }
    }

    #[test]
    fn reading_follows_names_places_and_lengths() {
        let root = json!({"a": {"b": [{"c d": {"e": 1}}, "text"]}, "x.y": 2});
        let map = root.as_object().expect("an object");
        for (path, value) in [
            ("a.b[0][\"c d\"].e", Some(json!(1))),
            ("a.b.length", Some(json!(2))),
            ("a.b[1].length", Some(json!(4))),
            ("a.b[1][0]", Some(json!("t"))),
            ("x.y", Some(json!(2))),
            ("a.b[01]", None),
            ("a.b[-1]", None),
            ("a.nothing.below", None),
            ("nothing", None),
        ] {
            assert_eq!(get_path(map, path).map(Cow::into_owned), value, "{path}");
        }
    }

    #[test]
    fn setting_makes_what_is_missing() {
        let mut map = Map::new();
        set_path(&mut map, "a.b[1].c", json!(1)).expect("set");
        set_path(&mut map, "a.b[0]", json!("x")).expect("set");
        set_path(&mut map, "t", json!("text")).expect("set");
        set_path(&mut map, "t.u", json!(2)).expect("set");
        assert_eq!(Value::Object(map), json!({"a": {"b": ["x", {"c": 1}]}, "t": {"u": 2}}));
    }

    #[test]
    fn lists_stay_small_and_have_places_only() {
        let mut map = Map::new();
        assert_eq!(set_path(&mut map, "a[10001]", json!(1)), Err(CannotSet::TooFar("10001".into())));
        set_path(&mut map, "b[0]", json!(1)).expect("set");
        assert_eq!(set_path(&mut map, "b.name", json!(1)), Err(CannotSet::NoPlace("name".into())));
        let deep = "c.".repeat(5_000);
        set_path(&mut map, &deep, json!(1)).expect("cut off, not refused");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text: String, odd in "[a\\[\\]\\.\"'0-9\\\\]{0,20}") {
            let mut map = Map::new();
            for text in [text, odd] {
                let _ = Path::parse(&text);
                if set_path(&mut map, &text, json!(7)).is_ok() {
                    prop_assert_eq!(get_path(&map, &text).map(Cow::into_owned), Some(json!(7)));
                }
            }
        }
    }
}

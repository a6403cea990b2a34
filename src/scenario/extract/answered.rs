//! An answer as extractors see it. Its body is read as JSON when the first of them asks, and once.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use serde_json::Value;

use super::{JsonPath, NotExtracted};

/// The largest body that is searched, in bytes.
pub const LARGEST_BODY: usize = 16 << 20;

/// How often a body is read for one path each, before it is read as a whole and for all.
const MOST_LEAN: u8 = 3;

/// A look-up of headers by lower-case name.
pub type Headers<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An answer: a response, or a message.
pub struct Answered<'a> {
    body: Cow<'a, str>,
    headers: Option<Headers<'a>>,
    json: OnceCell<Result<Cow<'a, Value>, String>>,
    read: Cell<u8>,
}

impl<'a> Answered<'a> {
    /// A response: its body and its headers.
    #[must_use]
    pub fn new(body: &'a [u8], headers: Headers<'a>) -> Self {
        // Much faster than looking for what is not UTF-8 right away.
        let body = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
        Self { body, headers: Some(headers), json: OnceCell::new(), read: Cell::new(0) }
    }

    /// A message that is a text and has no headers.
    #[must_use]
    pub fn text(body: &'a str) -> Self {
        Self { body: Cow::Borrowed(body), headers: None, json: OnceCell::new(), read: Cell::new(0) }
    }

    /// A message that is JSON already; it has no text.
    #[must_use]
    pub fn value(value: &'a Value) -> Self {
        Self {
            body: Cow::Borrowed(""),
            headers: None,
            json: OnceCell::from(Ok(Cow::Borrowed(value))),
            read: Cell::new(0),
        }
    }

    /// The body, unless it is too large.
    pub(super) fn body(&self) -> Result<&str, NotExtracted> {
        if self.body.len() > LARGEST_BODY { Err(NotExtracted::TooLarge(self.body.len())) } else { Ok(&self.body) }
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.and_then(|headers| headers(name))
    }

    /// As much of the body as a path looks at, an object or a list; `None` when the whole has to be asked for.
    pub(super) fn lean(&self, path: &JsonPath) -> Option<Value> {
        if self.json.get().is_some() || self.read.get() >= MOST_LEAN {
            return None;
        }
        self.read.set(self.read.get() + 1);
        let body = self.body().ok()?;
        path.read(body).filter(|read| read.is_array() || read.is_object())
    }

    /// The body as JSON: an object or a list.
    pub(super) fn structure(&self) -> Result<&Value, NotExtracted> {
        let body = self.body()?;
        let parsed = self.json.get_or_init(|| match serde_json::from_str(body) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(_) if body.trim().is_empty() => Err("it is empty".into()),
            Err(error) => Err(error.to_string()),
        });
        match parsed {
            Err(why) => Err(NotExtracted::NotJson(why.clone())),
            Ok(value) => match value.as_ref() {
                Value::Array(_) | Value::Object(_) => Ok(value),
                Value::Null => Err(NotExtracted::NoStructure("null")),
                Value::Bool(_) => Err(NotExtracted::NoStructure("a boolean")),
                Value::Number(_) => Err(NotExtracted::NoStructure("a number")),
                Value::String(_) => Err(NotExtracted::NoStructure("a text")),
            },
        }
    }
}

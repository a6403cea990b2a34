//! Extractors: what `capture` and `match` take out of an answer.
//!
//! An extractor is compiled once, when the script is read, and then run on every answer. It sees an answer as a body and
//! headers, whatever protocol brought it; where the result goes, and whether nothing is a failure, the step decides.
//! `None` is JavaScript's undefined: nothing was found. An answer that cannot be searched at all is an error with its reason.

mod answered;
mod selector;

use std::borrow::Cow;

use serde_json::Value;

pub use self::answered::{Answered, Headers, LARGEST_BODY};
pub use self::selector::Index;
use self::selector::{Css, MOST_TAGS};
use super::jsonpath::{BadJsonPath, JsonPath, TooMany};
use super::pattern::{BadPattern, GaveUp, Pattern};

/// The kinds of extractor, as a script names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `json`: a JSON path.
    Json,
    /// `regexp`: a regular expression over the body.
    Regexp,
    /// `header`: one header.
    Header,
    /// `selector`: a CSS selector over an HTML body.
    Selector,
}

impl Kind {
    /// The kind that a key of a script names.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        Some(match key {
            "json" => Self::Json,
            "regexp" => Self::Regexp,
            "header" => Self::Header,
            "selector" => Self::Selector,
            _ => return None,
        })
    }
}

/// What a JSON path with several results gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Several {
    /// One of them, at random.
    #[default]
    One,
    /// All of them in a list (`multiple: false`); a path that leads to one value at most gives the value itself.
    All,
}

impl Several {
    fn of(
        self,
        mut found: Vec<Cow<'_, Value>>,
        path: &JsonPath,
        pick: &mut dyn FnMut(usize) -> usize,
    ) -> Option<Value> {
        match self {
            Self::One if found.len() > 1 => {
                let place = pick(found.len()).min(found.len() - 1);
                Some(found.swap_remove(place).into_owned())
            }
            Self::All if !path.is_single() && !found.is_empty() => {
                Some(found.into_iter().map(Cow::into_owned).collect())
            }
            Self::One | Self::All => found.pop().map(Cow::into_owned),
        }
    }
}

/// A group of a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// `(?<name>…)`
    Name(String),
    /// From 1; 0 is the whole match.
    Number(usize),
}

/// A compiled extractor.
#[derive(Clone, Debug)]
pub struct Extractor(How);

#[derive(Clone, Debug)]
enum How {
    Json(JsonPath, Several),
    Regexp(Pattern, Group),
    Header(String),
    Selector(Css),
}

/// Why an extractor cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at column {column}: {why}")]
pub struct BadExtractor {
    /// In characters of the expression, from 1.
    pub column: usize,
    /// What is wrong there.
    pub why: String,
}

/// Why an answer could not be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExtracted {
    /// The body is not JSON; where and why.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is JSON, but a bare text, number, boolean or null.
    #[error("the body is {0}, neither an object nor a list: there is nothing to look into")]
    NoStructure(&'static str),
    /// The body is too large to be searched.
    #[error("the body has {0} bytes: more than {LARGEST_BODY} are not searched")]
    TooLarge(usize),
    /// The page is too large to be taken apart.
    #[error("the page has {0} tags: pages of more than {MOST_TAGS} are not searched")]
    TooManyTags(usize),
    /// The path looked at too many values.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The match took too many steps.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
}

impl From<BadJsonPath> for BadExtractor {
    fn from(bad: BadJsonPath) -> Self {
        Self { column: bad.column, why: bad.why }
    }
}

impl From<BadPattern> for BadExtractor {
    fn from(bad: BadPattern) -> Self {
        Self { column: bad.column, why: bad.why }
    }
}

impl Extractor {
    /// Looks for a JSON path.
    ///
    /// # Errors
    /// When the path is malformed, or has what is not supported.
    pub fn json(path: &str, several: Several) -> Result<Self, BadExtractor> {
        Ok(Self(How::Json(JsonPath::parse(path)?, several)))
    }

    /// Looks for a regular expression; without a group its whole match is the result.
    ///
    /// # Errors
    /// When the expression is malformed, or has no such group.
    pub fn regexp(pattern: &str, flags: &str, group: Option<Group>) -> Result<Self, BadExtractor> {
        let pattern = Pattern::new(pattern, flags)?;
        let group = group.unwrap_or(Group::Number(0));
        let missing = match &group {
            Group::Name(name) if !pattern.has_group(name) => Some(format!("there is no group named `{name}`")),
            Group::Number(number) if *number >= pattern.groups() => Some(format!("there is no group {number}")),
            Group::Name(_) | Group::Number(_) => None,
        };
        match missing {
            Some(why) => Err(BadExtractor { column: 1, why }),
            None => Ok(Self(How::Regexp(pattern, group))),
        }
    }

    /// Looks for a header, whatever the case of its name.
    ///
    /// # Errors
    /// When the name is empty or has characters that no header name has.
    pub fn header(name: &str) -> Result<Self, BadExtractor> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        match name.chars().position(|c| !token(c)) {
            None if name.is_empty() => Err(BadExtractor { column: 1, why: "a header has a name".into() }),
            None => Ok(Self(How::Header(name.to_ascii_lowercase()))),
            Some(place) => Err(BadExtractor { column: place + 1, why: "no header name has this character".into() }),
        }
    }

    /// Looks for an element of an HTML body: one of its attributes, or the text inside it.
    ///
    /// # Errors
    /// When the selector is malformed.
    pub fn selector(css: &str, attribute: Option<String>, index: Index) -> Result<Self, BadExtractor> {
        Ok(Self(How::Selector(Css::parse(css, attribute, index)?)))
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            How::Json(..) => Kind::Json,
            How::Regexp(..) => Kind::Regexp,
            How::Header(_) => Kind::Header,
            How::Selector(_) => Kind::Selector,
        }
    }

    /// What Artillery stores when this finds nothing and the step goes on: an empty text or undefined. A `match` sees it
    /// too, and a template writes it: nothing or the word `undefined`.
    #[must_use]
    pub fn when_nothing(&self) -> Option<Value> {
        match self.0 {
            How::Json(_, Several::One) | How::Selector(_) => None,
            How::Json(_, Several::All) | How::Regexp(..) | How::Header(_) => Some(Value::from("")),
        }
    }

    /// What it finds in an answer; `None` is undefined. `pick` draws one of so many results (from 0, always fewer).
    ///
    /// # Errors
    /// When the answer cannot be searched.
    pub fn find(
        &self,
        answer: &Answered<'_>,
        pick: &mut dyn FnMut(usize) -> usize,
    ) -> Result<Option<Value>, NotExtracted> {
        match &self.0 {
            How::Json(path, several) => match answer.lean(path) {
                Some(document) => Ok(several.of(path.find(&document)?, path, pick)),
                None => Ok(several.of(path.find(answer.structure()?)?, path, pick)),
            },
            How::Regexp(pattern, group) => {
                let groups = pattern.first(answer.body()?)?;
                let part = groups.as_ref().and_then(|groups| match group {
                    Group::Name(name) => groups.name(name),
                    Group::Number(number) => groups.get(*number),
                });
                Ok(part.map(|part| Value::from(part.as_str())))
            }
            How::Header(name) => Ok(answer.header(name).map(Value::from)),
            How::Selector(css) => Ok(css.find(answer.body()?, pick)?.map(Value::from)),
        }
    }
}

#[cfg(test)]
mod tests;

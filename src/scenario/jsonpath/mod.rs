//! JSON paths in the dialect that scripts use: `$.items[?(@.x == 'y')].id`, `items.length`, `$..id`.
//!
//! The dialect is older than RFC 9535 and lives in two npm packages, `jsonpath` (Artillery 1) and `jsonpath-plus`
//! (Artillery 2). It has members without quotes, the length of lists, and filters that are JavaScript; the crates for the RFC
//! know none of them, so this is an evaluator of its own. Parent and property operators are refused by name. The work for
//! one document is bounded.

mod filter;
mod lean;
mod parse;

use std::borrow::Cow;

use serde_json::Value;

use self::filter::Filter;
use super::javascript::Operand;
use super::path::member;

/// Values looked at for one path and one document.
const MOST_VISITS: usize = 1_000_000;

/// A path, ready to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// Why a text is no path that we can follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at column {column} of the JSON path: {why}")]
pub struct BadJsonPath {
    /// In characters, from 1.
    pub column: usize,
    /// What was expected there, or what is not supported.
    pub why: String,
}

/// A path looked at too many values of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON path looked at more than {MOST_VISITS} values")]
pub struct TooMany;

/// One step down: any of its selectors, from here or (`..`) from here and everything below.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    below: bool,
    selectors: Vec<Selector>,
}

#[derive(Clone, Debug, PartialEq)]
enum Selector {
    /// `.name`, `['name']`; digits are a place in a list; `length` is that of a list.
    Name(String),
    /// `[0]`, `[-1]`: in an object the member of that name.
    Place(i64),
    /// `*`
    Any,
    /// `[from:to:step]`
    Slice(Option<i64>, Option<i64>, i64),
    /// `[?(…)]`
    Where(Filter),
    /// `[(…)]`: the name or place that comes out.
    Computed(Filter),
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is none, or has what is not supported.
    pub fn parse(text: &str) -> Result<Self, BadJsonPath> {
        parse::parse(text).map(|steps| Self { steps })
    }

    /// Whether it leads to one value at most, whatever the document.
    #[must_use]
    pub fn is_single(&self) -> bool {
        let single =
            |selector: &Selector| matches!(selector, Selector::Name(_) | Selector::Place(_) | Selector::Computed(_));
        self.steps.iter().all(|step| !step.below && step.selectors.len() == 1 && step.selectors.iter().all(single))
    }

    /// The values it leads to, in the order of the document.
    ///
    /// # Errors
    /// When it looks at too many values.
    pub fn find<'a>(&self, document: &'a Value) -> Result<Vec<Cow<'a, Value>>, TooMany> {
        let mut search = Search { document, visits: 0 };
        let mut found = vec![Cow::Borrowed(document)];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                search.step(step, value, &mut next)?;
            }
            found = next;
        }
        Ok(found)
    }
}

/// One search, with what it has looked at so far.
struct Search<'a> {
    document: &'a Value,
    visits: usize,
}

type Found<'a> = Vec<Cow<'a, Value>>;

impl<'a> Search<'a> {
    fn visit(&mut self) -> Result<(), TooMany> {
        self.visits += 1;
        if self.visits > MOST_VISITS { Err(TooMany) } else { Ok(()) }
    }

    fn step(&mut self, step: &Step, value: Cow<'a, Value>, found: &mut Found<'a>) -> Result<(), TooMany> {
        match value {
            Cow::Borrowed(value) if step.below => {
                let mut waiting = vec![value];
                while let Some(value) = waiting.pop() {
                    self.visit()?;
                    self.select(step, value, found)?;
                    let first = waiting.len();
                    waiting.extend(children(value).filter(|child| child.is_array() || child.is_object()));
                    waiting[first..].reverse();
                }
                Ok(())
            }
            Cow::Borrowed(value) => self.select(step, value, found),
            // A length or a letter: nothing but its own members lies below.
            Cow::Owned(value) => {
                self.visit()?;
                let own = |selector: &Selector| match selector {
                    Selector::Name(name) => member(&value, name).map(Cow::into_owned),
                    Selector::Place(place) => at(&value, *place).map(Cow::into_owned),
                    _ => None,
                };
                found.extend(step.selectors.iter().filter_map(own).map(Cow::Owned));
                Ok(())
            }
        }
    }

    fn select(&mut self, step: &Step, value: &'a Value, found: &mut Found<'a>) -> Result<(), TooMany> {
        for selector in &step.selectors {
            self.visit()?;
            match selector {
                Selector::Name(name) => found.extend(member(value, name)),
                Selector::Place(place) => found.extend(at(value, *place)),
                Selector::Any => {
                    for child in children(value) {
                        self.visit()?;
                        found.push(Cow::Borrowed(child));
                    }
                }
                Selector::Slice(from, to, step) => {
                    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    for place in places(list.len(), *from, *to, *step) {
                        self.visit()?;
                        found.extend(list.get(place).map(Cow::Borrowed));
                    }
                }
                Selector::Where(filter) => {
                    for child in children(value) {
                        self.visit()?;
                        if filter.evaluate(child, self.document).truthy() {
                            found.push(Cow::Borrowed(child));
                        }
                    }
                }
                Selector::Computed(filter) => found.extend(named(value, &filter.evaluate(value, self.document))),
            }
        }
        Ok(())
    }
}

/// The members of a list or an object.
fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// A place in a list, from its end when it is negative. Elsewhere it is a name.
fn at(value: &Value, place: i64) -> Option<Cow<'_, Value>> {
    match value {
        Value::Array(list) if place < 0 => {
            let back = usize::try_from(place.unsigned_abs()).ok()?;
            list.get(list.len().checked_sub(back)?).map(Cow::Borrowed)
        }
        _ => member(value, &place.to_string()),
    }
}

/// The member whose name was computed.
fn named<'a>(value: &'a Value, name: &Operand<'_>) -> Option<Cow<'a, Value>> {
    let name = name.text().ok()?;
    member(value, &name)
}

/// The places of a slice, as RFC 9535 (2.3.4.2.2) has them.
fn places(length: usize, from: Option<i64>, to: Option<i64>, step: i64) -> Vec<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let real = |place: i64| if place < 0 { place.saturating_add(length) } else { place };
    let ahead = |place: Option<i64>, otherwise| place.map_or(otherwise, |place| real(place).clamp(0, length));
    let back = |place: Option<i64>, otherwise| place.map_or(otherwise, |place| real(place).clamp(-1, length - 1));
    let (mut place, end) =
        if step > 0 { (ahead(from, 0), ahead(to, length)) } else { (back(from, length - 1), back(to, -1)) };
    let mut places = Vec::new();
    while step != 0 && (if step > 0 { place < end } else { place > end }) {
        places.extend(usize::try_from(place));
        place = place.saturating_add(step);
    }
    places
}

#[cfg(test)]
mod tests;

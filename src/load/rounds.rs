//! The rounds of a loop: numbers, or items of the script or of a variable, each rendered when its turn has come.
//!
//! It stands alone because it is all that differs between loops; whoever does the rounds need not know what they go over.

use serde_json::Value;

use super::user::{Failed, User};
use crate::printable::printable;
use crate::scenario::flow::{self, Loop, Over};
use crate::scenario::template::Template;

/// What is left of a loop.
pub(super) enum Rounds<'a> {
    Numbers { next: u64, end: Option<u64>, start: u64 },
    Items { items: &'a [Template], next: usize },
    Values { values: Vec<Value>, next: usize },
}

impl<'a> Rounds<'a> {
    /// All of them.
    pub(super) fn of(repeated: &'a Loop, user: &User) -> Result<Self, Failed> {
        Ok(match &repeated.over {
            Over::Numbers(from, to) => Self::numbers(*from, *to),
            Over::Rendered(template) => {
                let text = user.text(template);
                let (from, to) = flow::range(&text).ok_or_else(|| {
                    let detail = format!("`{}` is no number, and no range such as 1-4", printable(&text, 100));
                    let failed = Failed::new("invalid count", detail);
                    user.refused(repeated.span, &failed);
                    failed
                })?;
                Self::numbers(from, to)
            }
            Over::Items(items) => Self::Items { items, next: 0 },
            Over::Named(path) => {
                let values = match user.mind().variables.get(path).map(std::borrow::Cow::into_owned) {
                    Some(Value::Array(values)) => values,
                    _ => Vec::new(),
                };
                Self::Values { values, next: 0 }
            }
        })
    }

    const fn numbers(from: u64, to: Option<u64>) -> Self {
        Self::Numbers { next: from, end: to, start: from }
    }

    /// The next number, and the item that goes with it.
    pub(super) fn next(&mut self, user: &User) -> Option<(u64, Value)> {
        match self {
            Self::Numbers { next, end, start } => {
                let number = *next;
                if end.is_some_and(|end| number >= end) {
                    return None;
                }
                *next += 1;
                Some((number, Value::from(*start)))
            }
            Self::Items { items, next } => {
                let item = items.get(*next)?;
                *next += 1;
                Some((*next as u64 - 1, user.value(item).unwrap_or_default()))
            }
            Self::Values { values, next } => {
                let value = std::mem::take(values.get_mut(*next)?);
                *next += 1;
                // An item that is a template itself is rendered when its turn has come.
                let value = match value.as_str().map(Template::of_text) {
                    Some(template) if !template.is_fixed() => user.value(&template).unwrap_or_default(),
                    _ => value,
                };
                Some((*next as u64 - 1, value))
            }
        }
    }
}

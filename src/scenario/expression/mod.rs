//! Conditions: the expressions of `ensure.conditions` and `ifTrue`, in the language of filtrex 2.
//!
//! `http.response_time.p95 < 500 and vusers.failed == 0`. The precedence of operators, the conversions and the results
//! (comparisons give 1 or 0) are those of npm's `filtrex` 2.2, which Artillery uses; `and` and `or` go by truth where
//! filtrex gives NaN for texts. What a name stands for is asked of the caller. `random` is refused: the same run must
//! give the same answer, and `probability` says what is left to chance.

mod evaluate;
mod lex;
mod parse;

use serde_json::Value;

use self::parse::Node;
use super::pattern::{BadPattern, GaveUp};

/// An expression, ready to be evaluated. Its size is bounded by that of its text.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
    names: Vec<String>,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at column {column} of the condition: {why}")]
pub struct Malformed {
    /// In characters, from 1.
    pub column: usize,
    /// What was expected there, or what is wrong.
    pub why: String,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// What stands right of `~=` is no regular expression.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// A match took too long.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
    /// A text grew out of bounds.
    #[error(transparent)]
    TooLong(#[from] super::javascript::TooLong),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, is longer than 4 KiB, or nests too deeply.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        parse::parse(text)
    }

    /// The names that it looks up, each once, in the order of their first use.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// Its value; `None` is undefined, and what is no number is `null`.
    ///
    /// # Errors
    /// When a regular expression is bad or takes too long, or a text grows too long.
    pub fn value(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Option<Value>, Unusable> {
        Ok(self.root.evaluate(lookup)?.into_value())
    }

    /// Whether its value is what JavaScript takes for true.
    ///
    /// # Errors
    /// See [`Expression::value`].
    pub fn holds(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<bool, Unusable> {
        Ok(self.root.evaluate(lookup)?.truthy())
    }
}

#[cfg(test)]
mod tests;

//! Lints.
use indexmap::IndexMap;

use super::processor::Functions;

/// A lint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Where.
    pub at: String,
    /// What.
    pub message: String,
}

pub(super) fn of(_file: &str, _text: &str, functions: Functions) -> IndexMap<String, Option<Lint>> {
    functions.into_iter().map(|(name, _)| (name, None)).collect()
}

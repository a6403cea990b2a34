//! What a virtual user knows by name: `context.vars` of Artillery.
//!
//! What all users share (the environment, captures of `before`) is kept once; a user owns only what is its own. A user that
//! waits must cost little.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::Path;

/// The variables of one virtual user.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    shared: Arc<HashMap<String, Value>>,
    own: Vec<(Box<str>, Value)>,
}

impl Variables {
    /// Variables on top of those that all users share.
    #[must_use]
    pub const fn over(shared: Arc<HashMap<String, Value>>) -> Self {
        Self { shared, own: Vec::new() }
    }

    /// The value of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.own.iter().find(|(own, _)| **own == *name).map(|(_, value)| value).or_else(|| self.shared.get(name))
    }

    /// The value at a path; `None` is JavaScript's `undefined`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Cow<'_, Value>> {
        path.get(self.named(path.first())?)
    }

    /// Gives a name a value.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.own.iter_mut().find(|(own, _)| **own == *name) {
            Some((_, slot)) => *slot = value,
            None => self.own.push((name.into(), value)),
        }
    }

    /// Takes a name away, unless all users share it.
    pub fn forget(&mut self, name: &str) {
        self.own.retain(|(own, _)| **own != *name);
    }

    /// What this user has of its own.
    pub fn own(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.own.iter().map(|(name, value)| (&**name, value))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_s_own_hides_what_is_shared() {
        let shared = Arc::new(HashMap::from([("target".to_owned(), json!("http://h"))]));
        let mut variables = Variables::over(shared);
        assert_eq!(variables.named("target"), Some(&json!("http://h")));
        variables.set("target", json!({"a": {"b": 1}}));
        assert_eq!(variables.get(&Path::parse("target.a.b")).as_deref(), Some(&json!(1)));
        assert_eq!(variables.get(&Path::parse("target.x.b")), None);
        variables.forget("target");
        assert_eq!(variables.named("target"), Some(&json!("http://h")));
    }
}

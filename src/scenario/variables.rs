//! What a virtual user knows by name: `context.vars` of Artillery.
//!
//! What all users share (the environment, captures of `before`) is kept once; a user owns only what is its own. A user that
//! waits must cost little.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::path::Path;

/// The variables of one virtual user.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    shared: Arc<HashMap<String, Value>>,
    own: Vec<(Box<str>, Value)>,
    /// How often something changed.
    version: u64,
}

impl Variables {
    /// Variables on top of those that all users share.
    #[must_use]
    pub const fn over(shared: Arc<HashMap<String, Value>>) -> Self {
        Self { shared, own: Vec::new(), version: 0 }
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
        self.version += 1;
        match self.own.iter_mut().find(|(own, _)| **own == *name) {
            Some((_, slot)) => *slot = value,
            None => self.own.push((name.into(), value)),
        }
    }

    /// Takes a name away, unless all users share it.
    pub fn forget(&mut self, name: &str) {
        self.version += 1;
        self.own.retain(|(own, _)| **own != *name);
    }

    /// A number that is another one after every change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// All names but `without`, with their values.
    #[must_use]
    pub fn all(&self, without: &[&str]) -> Map<String, Value> {
        let shared = self.shared.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        let mut all: Map<String, Value> = shared.map(|(name, value)| (name.clone(), value.clone())).collect();
        all.extend(self.own.iter().map(|(name, value)| (String::from(&**name), value.clone())));
        all
    }

    /// Takes over what somebody has made of all names: changed, new, and gone.
    pub fn replace(&mut self, all: &Map<String, Value>) {
        self.version += 1;
        self.own.retain(|(name, _)| all.contains_key(&**name));
        for (name, value) in all {
            if self.named(name) != Some(value) {
                self.set(name, value.clone());
            }
        }
    }

    /// The same when more has changed meanwhile: only what differs from what all names were `before` is taken over.
    pub fn merge(&mut self, before: &Map<String, Value>, all: &Map<String, Value>) {
        for name in before.keys().filter(|name| !all.contains_key(*name)) {
            self.forget(name);
        }
        for (name, value) in all.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
            self.set(name, value.clone());
        }
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

    #[test]
    fn what_others_make_of_it_is_taken_over() {
        let shared =
            Arc::new(HashMap::from([("target".to_owned(), json!("http://h")), ("$env".to_owned(), json!({}))]));
        let mut variables = Variables::over(shared);
        variables.set("old", json!(1));
        variables.set("kept", json!([1]));
        let mut all = variables.all(&["$env"]);
        assert_eq!(all.len(), 3);
        all.remove("old");
        all.insert("new".into(), json!({"a": 1}));
        let version = variables.version();
        variables.replace(&all);
        assert!(variables.version() > version);
        assert_eq!(variables.own().map(|(name, _)| name).collect::<Vec<_>>(), ["kept", "new"]);
        assert_eq!((variables.named("old"), variables.named("$env")), (None, Some(&json!({}))));
    }

    #[test]
    fn what_came_meanwhile_stays() {
        let mut variables = Variables::default();
        for name in ["same", "changed", "gone", "captured"] {
            variables.set(name, json!(1));
        }
        let before = variables.all(&[]);
        variables.set("captured", json!("meanwhile"));
        variables.set("new", json!("meanwhile"));
        let mut all = before.clone();
        all.remove("gone");
        all.insert("changed".into(), json!(2));
        variables.merge(&before, &all);
        let expected = json!({"same": 1, "changed": 2, "captured": "meanwhile", "new": "meanwhile"});
        assert_eq!(Value::Object(variables.all(&[])), expected);
    }
}

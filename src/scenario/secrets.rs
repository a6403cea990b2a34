//! The values of a script that must not be shown, known by where they stand: what the server answers may repeat them anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Kind, Node};
use crate::redact;

/// Shorter values are parts of too many other words.
const SHORTEST: usize = 8;

/// More values than this are not looked for in each text.
const MOST: usize = 1000;

/// Values that must not be shown.
#[derive(Debug, Default)]
pub struct Secrets {
    values: BTreeSet<String>,
}

impl Secrets {
    /// One value, if it is long enough and no template.
    pub fn add(&mut self, value: &str) {
        if value.len() < SHORTEST || value.contains("{{") || self.values.len() >= MOST {
            return;
        }
        self.values.insert(value.to_owned());
        // The server may repeat it without the word before.
        let bare = value.split_once(' ').filter(|(word, _)| word.eq_ignore_ascii_case("bearer") || *word == "Basic");
        if let Some((_, bare)) = bare {
            self.add(bare);
        }
    }

    /// Those of a script whose `config` has been rendered: variables and headers whose names announce it, cookies, passwords.
    pub fn script(&mut self, root: &Node) {
        if let Some(variables) = root.get("config").and_then(|config| config.get("variables")) {
            self.named(variables);
        }
        self.steps(root);
    }

    /// Values of environment variables whose names announce it; they may have come into `config`.
    pub fn environ(&mut self, environ: &BTreeMap<String, String>) {
        environ.iter().filter(|(name, _)| redact::is_secret(name)).for_each(|(_, value)| self.add(value));
    }

    /// The values, in no particular order.
    #[must_use]
    pub fn list(self) -> Vec<String> {
        self.values.into_iter().collect()
    }

    /// Headers, cookies and passwords, wherever they stand.
    fn steps(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.steps(node)),
            Kind::Map(entries) => {
                for entry in entries {
                    match entry.key.as_str() {
                        "headers" | "extraHeaders" | "auth" | "query" | "qs" => self.named(&entry.value),
                        "cookie" => self.all(&entry.value),
                        _ => self.steps(&entry.value),
                    }
                }
            }
            _ => {}
        }
    }

    /// What is below names that announce it.
    fn named(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.named(node)),
            Kind::Map(entries) => {
                for entry in entries {
                    if redact::is_secret(&entry.key) {
                        self.all(&entry.value);
                    } else {
                        self.named(&entry.value);
                    }
                    if let Some(line) = entry.value.as_text().filter(|_| entry.key.eq_ignore_ascii_case("cookie")) {
                        // A server may repeat one of them, without its name.
                        line.split(';').filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| self.add(value));
                    }
                }
            }
            _ => {}
        }
    }

    fn all(&mut self, node: &Node) {
        match &node.kind {
            Kind::Text(text) => self.add(text),
            Kind::Number(number) => self.add(&number.to_string()),
            Kind::List(nodes) => nodes.iter().for_each(|node| self.all(node)),
            Kind::Map(entries) => entries.iter().for_each(|entry| self.all(&entry.value)),
            Kind::Null | Kind::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::source::Span;
    use super::*;

    fn found(script: Value) -> Vec<String> {
        let mut secrets = Secrets::default();
        secrets.script(&Node::of_value(script, Span::default()));
        secrets.list()
    }

    #[test]
    fn secrets_are_found_by_where_they_stand() {
        let script = json!({
            "config": {
                "variables": {"users": [{"password": "nested-1", "pin": "not-hidden"}], "tokens": [123_456_789, "short"]},
                "http": {"defaults": {"headers": {"X-Api-Key": "header-1", "Accept": "text/html"}}},
                "socketio": {"extraHeaders": {"Cookie": "jwt=socket-cookie; a=b"}, "query": {"token": "socket-token", "room": "not-hidden"}},
            },
            "scenarios": [{"flow": [{"loop": [{"get": {
                "auth": {"user": "somebody", "pass": "hunter2hunter2"},
                "headers": {"Authorization": "Bearer bearer-1", "Cookie": "{{ cookie }}"},
                "cookie": {"sid": "cookie-1"},
                "json": {"name": "not-hidden"},
            }}]}]}],
        });
        let expected = [
            "123456789",
            "Bearer bearer-1",
            "bearer-1",
            "cookie-1",
            "header-1",
            "hunter2hunter2",
            "jwt=socket-cookie; a=b",
            "nested-1",
            "socket-cookie",
            "socket-token",
        ];
        assert_eq!(found(script), expected);
    }

    #[test]
    fn the_list_has_an_end() {
        let many: Vec<String> = (0..2 * MOST).map(|number| format!("secret-{number:05}")).collect();
        assert_eq!(found(json!({"config": {"variables": {"token": many}}})).len(), MOST);
    }
}

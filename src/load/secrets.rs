//! Values that must not be shown: what a user knows under a name that announces a secret.
//!
//! Such as a captured token or the password of a row, wherever in a variable it stands. Collected only when something is about to
//! be shown, and within bounds, as what is captured may be large.

use serde_json::Value;

use crate::redact;

/// Shorter values are not looked for: they are found in texts that have nothing to do with them.
const SHORTEST: usize = 8;
/// Secrets of a user; further ones are not looked for.
const MOST: usize = 256;
/// Values that are looked at.
const MOST_VALUES: usize = 10_000;

/// Adds the secrets among variables to `secrets`.
pub(super) fn collect<'v>(variables: impl Iterator<Item = (&'v str, &'v Value)>, secrets: &mut Vec<String>) {
    let most = secrets.len() + MOST;
    let mut left: Vec<(bool, &Value)> = variables.map(|(name, value)| (redact::is_secret(name), value)).collect();
    for _ in 0..MOST_VALUES {
        let Some((secret, value)) = left.pop().filter(|_| secrets.len() < most) else { break };
        match value {
            Value::Array(values) => left.extend(values.iter().take(MOST_VALUES).map(|value| (secret, value))),
            Value::Object(map) => {
                let inside = map.iter().take(MOST_VALUES);
                left.extend(inside.map(|(name, value)| (secret || redact::is_secret(name), value)));
            }
            Value::String(text) if secret => add(text.clone(), secrets),
            Value::Number(number) if secret => add(number.to_string(), secrets),
            _ => {}
        }
    }
}

fn add(text: String, secrets: &mut Vec<String>) {
    if text.len() >= SHORTEST && !secrets.contains(&text) {
        secrets.push(text);
    }
}

/// A text without secrets: those that are known by value, and those that their names announce.
pub(super) fn without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), redact::HIDDEN);
        }
    }
    redact::text(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn collected(variables: &Value) -> Vec<String> {
        let mut secrets = Vec::new();
        let variables = variables.as_object().expect("a map");
        collect(variables.iter().map(|(name, value)| (name.as_str(), value)), &mut secrets);
        secrets.sort();
        secrets
    }

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let variables = json!({
            "name": "nobody special",
            "session": {"id": "not a secret", "token": "nested-token", "user": [{"password": "in a list"}]},
            "token": {"value": "below a name", "expires": 1_234_567_890, "type": "short"},
            "pwd": 87_654_321,
        });
        assert_eq!(collected(&variables), ["1234567890", "87654321", "below a name", "in a list", "nested-token"]);
    }

    #[test]
    fn what_is_large_is_looked_at_within_bounds() {
        let tokens: Vec<String> = (0..1000).map(|number| format!("token-{number}")).collect();
        assert_eq!(collected(&json!({"tokens": tokens})).len(), MOST);
        let numbers: Vec<u32> = (0..100_000).collect();
        assert!(collected(&json!({"token": "of a large one", "values": numbers})).len() <= 1);
    }
}

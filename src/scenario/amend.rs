//! What becomes of a request when a hook has changed it.
//!
//! A hook gets the request as an object and may change it at will; what of that has an effect is Artillery's choice: the address,
//! headers, body, cookies, user and password, redirects, time limit, name, and values of forms that the script has too. The query of
//! the script stays, and so does what is taken out of the answer. What is new is read as if it stood in the script, templates and
//! all.

use std::time::Duration;

use serde_json::{Map, Value};

use super::finding::Findings;
use super::node::Node;
use super::request::{self, Body, Content, Request};
use super::settings;
use super::source::Span;
use super::template::Template;

/// A request as hooks see it: what the script says, with its address behind the target.
#[must_use]
pub fn shown(request: &Request, target: &str, timeout: f64) -> Map<String, Value> {
    let mut shown = request.written.as_object().cloned().unwrap_or_default();
    let url = shown.get("url").or_else(|| shown.get("uri")).and_then(Value::as_str).unwrap_or_default();
    let url = if url.starts_with('/') { format!("{}{url}", target.trim_end_matches('/')) } else { url.to_owned() };
    shown.insert("url".into(), url.into());
    shown.insert("method".into(), request.method.clone().into());
    // A whole number, as JavaScript writes it: otherwise every request would seem to have been changed.
    let timeout = serde_json::from_str(&timeout.to_string()).unwrap_or_else(|_| Value::from(timeout));
    shown.insert("timeout".into(), timeout);
    // Hooks set a header without asking whether there are any.
    let headers = shown.entry("headers").or_insert(Value::Null);
    if headers.is_null() {
        *headers = Value::Object(Map::new());
    }
    shown
}

/// What of a request hooks may change in vain.
const IN_VAIN: [&str; 1] = ["qs"];

/// The name that a hook has given a request, if it is another one than before.
#[must_use]
pub fn name<'a>(before: &Map<String, Value>, after: &'a Map<String, Value>) -> Option<&'a str> {
    let name = after.get("name").filter(|name| before.get("name") != Some(name));
    name.and_then(Value::as_str).filter(|name| !name.is_empty())
}

/// What a hook has changed in vain.
pub fn in_vain<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
) -> impl Iterator<Item = &'static str> + 'a {
    IN_VAIN.into_iter().filter(|key| before.get(*key) != after.get(*key))
}

/// The request after a hook, which saw it as `before` and left `after`.
///
/// # Errors
///
/// What cannot be sent, in words.
pub fn amended(request: &Request, before: &Map<String, Value>, after: &Map<String, Value>) -> Result<Request, String> {
    let mut amended = request.clone();
    let mut findings = Findings::default();
    let changed = |key: &str| before.get(key) != after.get(key);
    let node = |key: &str| Node::of_value(after.get(key).cloned().unwrap_or_default(), Span::default());
    if let Some(key) = ["url", "uri"].into_iter().find(|key| changed(key)) {
        amended.url = Template::of(&node(key));
    }
    if changed("headers") {
        amended.headers = settings::headers(&node("headers"), &mut findings);
    }
    if changed("cookie") {
        amended.cookies = settings::pairs(&node("cookie"), "cookie", &mut findings);
    }
    if changed("auth") {
        amended.auth =
            after.get("auth").filter(|auth| !auth.is_null()).and_then(|_| request::auth(&node("auth"), &mut findings));
    }
    if changed("followRedirect") {
        amended.follow = after.get("followRedirect").and_then(Value::as_bool).unwrap_or(true);
    }
    if changed("timeout") {
        let seconds = after.get("timeout").and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
        amended.patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    }
    if ["json", "body", "form", "formData"].into_iter().any(changed) {
        amended.body = body(request, after, &mut findings);
    }
    match findings.sorted().first() {
        Some(finding) if findings.has_errors() => Err(finding.sentence.clone()),
        _ => Ok(amended),
    }
}

/// The body of the request after a hook: the first of these keys that has a value is sent.
fn body(request: &Request, after: &Map<String, Value>, findings: &mut Findings) -> Body {
    let node = |key: &str| {
        let value = after.get(key).filter(|value| !value.is_null())?;
        Some(Node::of_value(value.clone(), Span::default()))
    };
    if let Some(node) = node("json") {
        return Body::Json(Template::of(&node));
    }
    if let Some(node) = node("body") {
        return match after.get("body") {
            Some(Value::Array(_) | Value::Object(_)) => Body::Json(Template::of(&node)),
            _ => Body::Text(Template::of(&node)),
        };
    }
    match (&request.body, node("form"), after.get("formData").and_then(Value::as_object)) {
        (Body::Form(_), Some(node), _) => Body::Form(settings::pairs(&node, "form", findings)),
        (Body::Parts(parts), _, Some(values)) => {
            let mut parts = parts.clone();
            for part in &mut parts {
                let Some(value) = values.get(&part.name) else { continue };
                let value = value.get("value").unwrap_or(value);
                if !matches!(part.content, Content::File(..)) || !value.is_object() {
                    part.content = Content::Value(Template::of(&Node::of_value(value.clone(), Span::default())));
                }
            }
            Body::Parts(parts)
        }
        (Body::Document(_) | Body::Json(_) | Body::Text(_), _, _) => Body::None,
        (body, _, _) => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::flow::Step;
    use crate::scenario::load::{Wanted, load};

    fn request(step: &str) -> Request {
        let script = format!(
            "config: {{target: 'http://h/api/', processor: {:?}}}\nscenarios:\n- beforeRequest: f\n  flow:\n  - {step}\n",
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hooks/shared.js")
        );
        let loaded = load(&Wanted { text: Some(script), ..Wanted::default() });
        let flow = loaded.script.unwrap_or_else(|| panic!("{:?}", loaded.findings)).scenarios[0].flow.clone();
        match flow.first() {
            Some(Step::Request(request)) => Request::clone(request),
            other => panic!("{other:?}"),
        }
    }

    fn changed(step: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Request, String> {
        let request = request(step);
        let before = shown(&request, "http://h/api/", 120.0);
        let mut after = before.clone();
        change(&mut after);
        amended(&request, &before, &after)
    }

    #[test]
    fn a_hook_sees_the_step_with_its_address_behind_the_target() {
        let shown = shown(&request("post: {url: '/a/{{ id }}', json: {a: 1}}"), "http://h/api/", 120.0);
        let expected = json!({
            "url": "http://h/api/a/{{ id }}", "json": {"a": 1}, "method": "POST", "timeout": 120, "headers": {},
        });
        assert_eq!(Value::Object(shown), expected);
    }

    #[test]
    fn what_a_hook_changes_is_sent() {
        let request = changed("post: {url: /a, json: {a: 1}}", |after| {
            after["headers"]["Authorization"] = json!("Bearer {{ token }}");
            after["json"]["b"] = json!("{{ b }}");
        })
        .expect("it can be sent");
        assert_eq!(request.headers, [("authorization".to_owned(), Template::of_text("Bearer {{ token }}"))]);
        let Body::Json(Template::Map(entries)) = &request.body else { panic!("{:?}", request.body) };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn what_has_no_effect_for_artillery_has_none() {
        let request = changed("get: {url: /a, qs: {x: 1}}", |after| {
            after.insert("qs".into(), json!({"x": 2}));
            after.insert("form".into(), json!({"x": 2}));
            after.insert("capture".into(), json!({"json": "$.x", "as": "x"}));
        })
        .expect("it can be sent");
        assert_eq!(request.query, [("x".to_owned(), Template::Fixed(json!(1)))]);
        assert!(matches!(request.body, Body::None) && request.captures.is_empty());
    }

    #[test]
    fn what_is_changed_in_vain_is_known() {
        let before = shown(&request("get: {url: /a, qs: {a: 1}}"), "http://h/api/", 120.0);
        let mut after = before.clone();
        after["headers"]["a"] = json!("b");
        assert_eq!(in_vain(&before, &after).count(), 0);
        after.remove("qs");
        assert_eq!(in_vain(&before, &after).collect::<Vec<_>>(), ["qs"]);
    }

    #[test]
    fn a_hook_gives_a_name_and_a_time_limit() {
        let written = request("get: {url: /a, name: a}");
        let before = shown(&written, "http://h/api/", 120.0);
        let mut after = before.clone();
        assert_eq!(name(&before, &after), None);
        after["name"] = json!("b");
        after["timeout"] = json!(0.5);
        assert_eq!(name(&before, &after), Some("b"));
        let amended = amended(&written, &before, &after).expect("it can be sent");
        assert_eq!(amended.patience, Some(Duration::from_millis(500)));
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        let refused = changed("get: {url: /a}", |after| after["headers"] = json!({"a b": "c"}));
        assert_eq!(refused.err().as_deref(), Some("`a b` cannot be the name of a header"));
        assert!(changed("get: {url: /a}", |after| after["headers"] = json!("x")).is_err());
    }
}

//! Whether an answer is what a step expects: the rules of the `expect` plugin.

use ::http::HeaderMap;
use ::http::header::CONTENT_TYPE;
use serde_json::Value;

use super::http::Body;
use crate::scenario::expect::Expectation;
use crate::scenario::path::Path;
use crate::scenario::pattern::Pattern;
use crate::scenario::template::{Scope, Template, write_text};

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The rule.
    pub(super) name: &'static str,
    /// What was expected.
    pub(super) expected: String,
    /// What was there.
    pub(super) got: String,
    /// Whether it is as expected.
    pub(super) met: bool,
}

/// An answer as expectations see it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Body,
}

/// Whether somebody wants to read what was expected and what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// In any case.
    Always,
    /// When something is not as expected; when all is well there may be none.
    Missed,
}

/// Judges an answer by each expectation.
pub(super) fn judge(expectations: &[Expectation], seen: &Seen<'_>, words: Words, scope: &mut Scope<'_>) -> Vec<Judged> {
    let is_plain = |expectation: &Expectation| words == Words::Missed && has_status(expectation, seen.status);
    if expectations.iter().all(is_plain) {
        let met = |expectation: &Expectation| Judged {
            name: expectation.name(),
            expected: String::new(),
            got: String::new(),
            met: true,
        };
        return expectations.iter().map(met).collect();
    }
    expectations.iter().map(|expectation| one(expectation, seen, scope)).collect()
}

/// Whether a status was expected that is written as a number: by far the most frequent case.
fn has_status(expectation: &Expectation, status: u16) -> bool {
    let Expectation::StatusCode(templates) = expectation else { return false };
    templates.iter().any(|template| matches!(template, Template::Fixed(value) if value.as_u64() == Some(status.into())))
}

fn one(expectation: &Expectation, seen: &Seen<'_>, scope: &mut Scope<'_>) -> Judged {
    let name = expectation.name();
    let judged = |expected: String, got: String, met| Judged { name, expected, got, met };
    match expectation {
        Expectation::StatusCode(templates) | Expectation::NotStatusCode(templates) => {
            let listed = statuses(templates, scope);
            let status = seen.status.to_string();
            let is_listed = listed.contains(&status);
            let met = is_listed == matches!(expectation, Expectation::StatusCode(_));
            judged(listed.join(", "), status, met)
        }
        Expectation::ContentType(template) => {
            let wanted = template.text(scope).to_lowercase();
            let got = header(seen, CONTENT_TYPE.as_str()).unwrap_or_default().to_lowercase();
            let met =
                if wanted == "json" { got.contains("json") && json(seen).is_some() } else { got.starts_with(&wanted) };
            judged(wanted, got, met)
        }
        Expectation::HasProperty(template) | Expectation::NotHasProperty(template) => {
            let path = template.text(scope).into_owned();
            let has = json(seen).is_some_and(|json| Path::parse(&format!("body.{path}")).get(&json).is_some());
            let got = if has { "it is there" } else { "it is not there" };
            judged(path, got.to_owned(), has == matches!(expectation, Expectation::HasProperty(_)))
        }
        Expectation::Equals(templates) => {
            let values: Vec<Option<Value>> = templates.iter().map(|template| template.render(scope)).collect();
            let met = values.windows(2).all(|pair| pair[0] == pair[1]);
            let words: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
            judged("all equal".into(), words.join(", "), met)
        }
        Expectation::HasHeader(template) => {
            let wanted = template.text(scope).to_lowercase();
            let got = header(seen, &wanted);
            judged(wanted, got.clone().unwrap_or_else(|| "it is not there".into()), got.is_some())
        }
        Expectation::HeaderEquals(wanted_name, wanted) => {
            let wanted_name = wanted_name.text(scope).to_lowercase();
            let wanted = wanted.text(scope).into_owned();
            let got = header(seen, &wanted_name);
            let met = got.as_deref() == Some(wanted.as_str());
            judged(format!("{wanted_name} {wanted}"), got.unwrap_or_else(|| "it is not there".into()), met)
        }
        Expectation::MatchesRegexp(template) => {
            let wanted = template.text(scope).into_owned();
            let body = String::from_utf8_lossy(&seen.body.bytes);
            let met = Pattern::new(&wanted, "").is_ok_and(|pattern| pattern.is_in(&body).unwrap_or_default());
            judged(wanted, if met { "it fits" } else { "it does not fit" }.to_owned(), met)
        }
        Expectation::CdnHit(wanted) => {
            let hit = ["x-cache", "cf-cache-status", "x-cache-status"]
                .iter()
                .filter_map(|name| header(seen, name))
                .any(|value| value.to_lowercase().contains("hit"));
            judged(wanted.to_string(), hit.to_string(), hit == *wanted)
        }
    }
}

/// Each status as text; a template may stand for a list.
fn statuses(templates: &[Template], scope: &mut Scope<'_>) -> Vec<String> {
    let mut listed = Vec::new();
    for template in templates {
        match template.render(scope) {
            Some(Value::Array(values)) => listed.extend(values.iter().map(|value| text(Some(value)))),
            value => listed.push(text(value.as_ref())),
        }
    }
    listed
}

fn text(value: Option<&Value>) -> String {
    let mut text = String::new();
    write_text(value, &mut text);
    text
}

fn header(seen: &Seen<'_>, name: &str) -> Option<String> {
    seen.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn json(seen: &Seen<'_>) -> Option<Value> {
    serde_json::from_slice(&seen.body.bytes).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::super::super::scenario::finding::Findings;
    use super::super::super::scenario::node::Node;
    use super::*;
    use crate::random::Random;
    use crate::scenario::expect;
    use crate::scenario::source::Span;
    use crate::scenario::variables::Variables;

    fn judged(written: Value) -> Vec<(&'static str, bool)> {
        let mut findings = Findings::default();
        let expectations = expect::read(&Node::of_value(written, Span::default()), &mut findings);
        assert!(!findings.has_errors());
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json; charset=utf-8".parse().expect("a value"));
        headers.insert("x-cache", "HIT from edge".parse().expect("a value"));
        let body = Body { bytes: Bytes::from_static(b"{\"a\": {\"b\": [1]}}"), missing: None };
        let seen = Seen { status: 201, headers: &headers, body: &body };
        let (variables, mut random) = (Variables::default(), Random::new(1));
        let mut scope = Scope { variables: &variables, random: &mut random };
        judge(&expectations, &seen, Words::Always, &mut scope).into_iter().map(|one| (one.name, one.met)).collect()
    }

    #[test]
    fn words_are_there_as_soon_as_one_expectation_is_missed() {
        let read = |written| expect::read(&Node::of_value(written, Span::default()), &mut Findings::default());
        let judged = |status, written| {
            let body = Body::default();
            let seen = Seen { status, headers: &HeaderMap::new(), body: &body };
            let (variables, mut random) = (Variables::default(), Random::new(1));
            judge(&read(written), &seen, Words::Missed, &mut Scope { variables: &variables, random: &mut random })
        };
        let met = judged(201, json!([{"statusCode": [200, 201]}]));
        assert!(met.iter().all(|one| one.met) && met.len() == 1);
        let mixed = judged(201, json!([{"statusCode": 201}, {"hasHeader": "x"}]));
        assert_eq!((mixed[0].met, mixed[0].expected.as_str(), mixed[1].met), (true, "201", false));
        assert_eq!(judged(500, json!([{"statusCode": 201}]))[0].got, "500");
    }

    #[test]
    fn each_rule_is_met_and_not_met() {
        let met = json!([
            {"statusCode": 201}, {"statusCode": ["200", 201]}, {"notStatusCode": 500}, {"contentType": "json"},
            {"contentType": "application/json"}, {"hasProperty": "a.b[0]"}, {"notHasProperty": "a.c"},
            {"equals": [1, 1, 1]}, {"hasHeader": "X-Cache"}, {"headerEquals": ["x-cache", "HIT from edge"]},
            {"matchesRegexp": "\"b\""}, {"cdnHit": true},
        ]);
        assert!(judged(met).iter().all(|(_, met)| *met));
        let missed = json!([
            {"statusCode": 200}, {"notStatusCode": [201]}, {"contentType": "text/html"}, {"hasProperty": "a.c"},
            {"notHasProperty": "a"}, {"equals": [1, 2]}, {"hasHeader": "x"}, {"headerEquals": ["x-cache", "MISS"]},
            {"matchesRegexp": "^x"}, {"cdnHit": false},
        ]);
        assert!(judged(missed).iter().all(|(_, met)| !*met));
    }
}

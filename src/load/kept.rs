//! What is kept of requests that failed, fit to be shown: without secrets, and within bounds.
//!
//! It stands alone because everything that leaves here may end in a terminal, a file or a ticket: there is one place to look at
//! to know what does.

use std::time::Duration;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::answer;
use super::compose::EXCERPT;
use super::http::{Answer, Body, Missing, Timings};
use super::secrets::{self, without};
use super::user::{Failed, User};
use crate::printable::printable;
use crate::recording::traffic::{self, FailureKind, Signature};
use crate::redact;
use crate::scenario::endpoint::EndpointId;
use crate::scenario::request::Request;
use crate::scenario::source::Span;

/// How many headers of a failing answer are kept.
const KEPT_HEADERS: usize = 40;

/// A step that asks the server for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) span: Span,
    pub(super) endpoint: EndpointId,
}

impl At {
    pub(super) const fn request(request: &Request) -> Self {
        Self { span: request.span, endpoint: request.endpoint }
    }
}

/// What there is to tell of a request that failed.
pub(super) struct Told<'a> {
    pub(super) url: &'a str,
    pub(super) method: &'a str,
    pub(super) timings: &'a Timings,
    pub(super) answer: Option<&'a Answer>,
    pub(super) detail: String,
}

impl User {
    /// A step that could not be done: counted as an error, and kept.
    pub(super) fn refused(&self, span: Span, failed: &Failed) {
        self.failed_before(span, failed, FailureKind::Request);
    }

    /// The same of a step that failed before anything was asked for, for any reason.
    pub(super) fn failed_before(&self, span: Span, failed: &Failed, kind: fn(String) -> FailureKind) {
        let Some(place) = self.place else { return };
        let now = self.shared.now();
        let secrets = self.secrets();
        let code = printable(&without(&failed.code, &secrets), 200);
        let step = self.shared.step(span);
        let detail = printable(&without(&failed.detail, &secrets), 300);
        let mut ledger = self.shared.ledger();
        ledger.tally().error(&code, None, now);
        let signature = Signature { scenario: Some(place.scenario), step, endpoint: None, kind: kind(code.clone()) };
        ledger.failure(signature, || traffic::Failure {
            moment: now,
            user: place.number,
            phase: place.phase,
            request: code,
            status: None,
            headers: Vec::new(),
            body: String::new(),
            detail,
            timings: Vec::new(),
        });
    }

    /// Keeps what there is to tell of a failure, if chance will have it.
    pub(super) fn keep(&self, at: At, kind: FailureKind, told: &Told<'_>) {
        let Some(place) = self.place else { return };
        let signature = Signature {
            scenario: Some(place.scenario),
            step: self.shared.step(at.span),
            endpoint: Some(at.endpoint.index()),
            kind,
        };
        self.shared.ledger().failure(signature, || {
            let secrets = &self.secrets();
            traffic::Failure {
                moment: told.timings.done,
                user: place.number,
                phase: place.phase,
                request: printable(&without(&format!("{} {}", told.method, told.url), secrets), 500),
                status: told.answer.map(|answer| answer.status.as_u16()),
                headers: told.answer.map(|answer| kept_headers(&answer.headers, secrets)).unwrap_or_default(),
                body: told.answer.map(|answer| kept_body(&answer.body, secrets)).unwrap_or_default(),
                detail: printable(&without(&told.detail, secrets), 500),
                timings: parts(told.timings),
            }
        });
    }

    /// Values that must not be shown: those that all share, and those of this user.
    fn secrets(&self) -> Vec<String> {
        let mut all = Vec::clone(&self.shared.secrets());
        secrets::collect(self.mind().variables.own(), &mut all);
        // One that is in another one must not leave the rest of it.
        all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        all
    }

    /// A text without secrets.
    pub(super) fn shown(&self, text: &str) -> String {
        without(text, &self.secrets())
    }
}

/// How long each part took, as far as there was one.
fn parts(timings: &Timings) -> Vec<(&'static str, Duration)> {
    let before = timings.queued + [timings.dns, timings.connect, timings.tls].into_iter().flatten().sum::<Duration>();
    // When nothing was sent, what is left may have been the sending.
    let late = timings.sent.map(|sent| sent.since(timings.due).saturating_sub(before));
    let all = [
        ("late", late.filter(|late| late.as_millis() > 0)),
        ("queued", Some(timings.queued).filter(|queued| !queued.is_zero())),
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("tls", timings.tls),
        ("first byte", timings.sent.map(|sent| timings.head.unwrap_or(timings.done).since(sent))),
        ("body", timings.head.map(|head| timings.done.since(head))),
    ];
    all.into_iter().filter_map(|(name, length)| Some((name, length?))).collect()
}

fn kept_headers(headers: &HeaderMap, secrets: &[String]) -> Vec<(String, String)> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if is_secret_header(name.as_str()) { redact::HIDDEN.to_owned() } else { without(&text, secrets) };
        (name.as_str().to_owned(), printable(&text, 300))
    };
    headers.iter().take(KEPT_HEADERS).map(shown).collect()
}

fn is_secret_header(name: &str) -> bool {
    name.starts_with("proxy-auth") || name == "www-authenticate" || redact::is_secret(name)
}

/// The beginning of a body, as text without its secrets.
fn kept_body(body: &Body, secrets: &[String]) -> String {
    let excerpt = &body.bytes[..body.bytes.len().min(EXCERPT)];
    // A name that sounds like a secret hides its value in JSON too; line ends stay, everything else that moves a cursor goes.
    let text = String::from_utf8_lossy(excerpt);
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(mut json) => {
            hide(&mut json);
            json.to_string()
        }
        Err(_) => text.into_owned(),
    };
    let lines: Vec<String> = without(&text, secrets).lines().map(|line| printable(line, EXCERPT)).collect();
    let mut kept = lines.join("\n");
    if let Some(missing) = &body.missing
        && !matches!(missing, Missing::Cut | Missing::NotKept)
    {
        kept.extend(["\n(", &answer::words(missing), ")"]);
    }
    kept
}

/// Hides the values of names that sound like secrets.
fn hide(json: &mut Value) {
    match json {
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(map) => {
            for (name, value) in map {
                if redact::is_secret(name) && !value.is_null() {
                    *value = Value::from(redact::HIDDEN);
                } else {
                    hide(value);
                }
            }
        }
        // Servers send back what they were sent, as text inside their own JSON.
        Value::String(text) => *text = redact::text(text),
        _ => {}
    }
}

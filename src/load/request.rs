//! A request step: asked, sent, followed, judged, and entered in the books.

use std::time::Duration;

use ::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
};
use ::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::answer::{self, Dislike};
use super::compose::{Composed, EXCERPT};
use super::expectation::{self, Judged, Seen, Words};
use super::http::{Answer, Body, Exchange, Failure as Transport, Outgoing, Target, Timings};
use super::secrets::{self, without};
use super::user::{Done, Failed, Mind, Place, User};
use crate::clock::Moment;
use crate::printable::printable;
use crate::recording::traffic::log::RequestRow;
use crate::recording::traffic::{self, FailureKind, Signature};
use crate::redact;
use crate::scenario::plugins::Format;
use crate::scenario::request::Request;
use crate::scenario::source::Span;
use crate::scenario::template::Scope;

/// Redirects that are followed, as by Artillery.
const MOST_HOPS: usize = 10;
/// What a server says of its own time.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// How many headers of a failing answer are kept.
const KEPT_HEADERS: usize = 40;

impl User {
    /// Does a request step.
    pub(super) async fn request(&self, request: &Request, due: Moment) -> Done {
        if !self.wants(request) {
            return Ok(due);
        }
        let composed = {
            let Mind { variables, random } = &mut *self.mind();
            let mut scope = Scope { variables, random };
            let composed = self.shared.composer.compose(request, &mut scope);
            if let Ok(composed) = &composed {
                for (name, value) in self.shared.script.http.cookies.iter().chain(&request.cookies) {
                    self.cookies.set(name, &value.text(&mut scope), &composed.url);
                }
            }
            composed
        };
        let composed = composed.map_err(|bad| {
            let failed = Failed::new(bad.code, bad.detail);
            self.refused(request.span, &failed);
            failed
        })?;
        self.exchange(request, composed, due).await
    }

    /// Whether chance and condition let the request be sent.
    fn wants(&self, request: &Request) -> bool {
        let Mind { variables, random } = &mut *self.mind();
        if let Some(condition) = &request.only_if {
            let known = |name: &str| {
                let path = crate::scenario::path::Path::parse(name);
                let path = if path.first() == "vars" {
                    crate::scenario::path::Path::parse(&path.rest().join("."))
                } else {
                    path
                };
                variables.get(&path).map(std::borrow::Cow::into_owned)
            };
            // A condition that cannot be judged holds, as in Artillery.
            if !condition.holds(&known).unwrap_or(true) {
                return false;
            }
        }
        request.probability.is_none_or(|percent| random.unit() * 100.0 < percent)
    }

    /// Sends a request and follows where it leads.
    async fn exchange(&self, request: &Request, mut composed: Composed<'_>, mut due: Moment) -> Done {
        for hop in 0..=MOST_HOPS {
            let mut headers = composed.headers.map();
            if let Some(cookie) = self.cookies.header(&composed.url).and_then(|text| HeaderValue::try_from(text).ok()) {
                add_cookie(&mut headers, cookie);
            }
            if self.place.is_some() {
                self.shared.ledger().tally().begin(self.shared.now());
            }
            let outgoing = Outgoing {
                method: composed.method.clone(),
                target: composed.target.clone(),
                headers,
                body: composed.body.clone(),
                http2: request.http2,
                keep: composed.keep,
                due,
            };
            let Exchange { timings, outcome } = self.shared.transport.exchange(&self.connections, outgoing).await;
            self.enter(request, &timings, &outcome);
            let answer = match outcome {
                Ok(answer) => answer,
                Err(failure) => return Err(self.broke(request, &composed.url, &timings, &failure)),
            };
            self.receive_cookies(&answer, &composed.url);
            let next = if request.follow { behind(&composed, &answer) } else { None };
            match next {
                Some(_) if hop == MOST_HOPS => {
                    let failed = Failed::new("ERR_TOO_MANY_REDIRECTS", format!("more than {MOST_HOPS} redirects"));
                    return Err(self.led_nowhere(request, failed, &composed.url, &timings, &answer));
                }
                Some(Ok(next)) => {
                    composed = next;
                    due = timings.done;
                }
                Some(Err(failed)) => {
                    return Err(self.led_nowhere(request, failed, &composed.url, &timings, &answer));
                }
                None => return self.judge(request, &composed.method, &composed.url, &timings, &answer),
            }
        }
        Ok(due)
    }

    fn receive_cookies(&self, answer: &Answer, url: &str) {
        let set = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        if self.cookies.receive(set, url) && self.place.is_some() {
            let now = self.shared.now();
            self.shared.ledger().tally().error("cookie_parse_error_invalid_cookie", None, now);
        }
    }

    /// Counts what became of a request.
    fn enter(&self, request: &Request, timings: &Timings, outcome: &Result<Answer, Transport>) {
        let Some(place) = self.place else { return };
        let row = row(place, request, timings, outcome);
        let apdex = self.shared.script.plugins.apdex.filter(|_| outcome.is_ok());
        let mut ledger = self.shared.ledger();
        let tally = ledger.tally();
        row.enter(tally);
        if let (Some(threshold), Some(took)) = (apdex, row.exchange().from_send) {
            let name = if took <= threshold {
                "apdex.satisfied"
            } else if took <= threshold * 4 {
                "apdex.tolerated"
            } else {
                "apdex.frustrated"
            };
            tally.count(name, 1, timings.done);
        }
        ledger.request(|| row);
    }

    /// What follows from a request that had no answer.
    fn broke(&self, request: &Request, url: &str, timings: &Timings, failure: &Transport) -> Failed {
        let failed = Failed::new(failure.code.clone(), failure.detail.clone());
        if self.place.is_some() {
            let mut ledger = self.shared.ledger();
            ledger.tally().error(&failure.code, Some(request.endpoint.index()), timings.done);
            drop(ledger);
            let partial = failure.partial.as_deref();
            let kind = FailureKind::Transport(failure.code.clone().into_owned());
            let words = format!("{} while {}", failure.detail, failure.stage.doing());
            let detail = if failure.detail.contains("while") { failure.detail.clone() } else { words };
            self.keep(request, kind, &Told { url, method: &request.method, timings, answer: partial, detail });
        }
        failed
    }

    /// What follows from a redirect that cannot be followed.
    fn led_nowhere(&self, request: &Request, failed: Failed, url: &str, timings: &Timings, answer: &Answer) -> Failed {
        if self.place.is_some() {
            self.shared.ledger().tally().error(&failed.code, Some(request.endpoint.index()), timings.done);
            let (kind, detail) = (FailureKind::Transport(failed.code.clone()), failed.detail.clone());
            self.keep(request, kind, &Told { url, method: &request.method, timings, answer: Some(answer), detail });
        }
        failed
    }

    /// What follows from an answer.
    fn judge(&self, request: &Request, method: &Method, url: &str, timings: &Timings, answer: &Answer) -> Done {
        let told = |detail: String| Told { url, method: method.as_str(), timings, answer: Some(answer), detail };
        let mut failures = Vec::new();
        let (taken, judged) = {
            let Mind { variables, random } = &mut *self.mind();
            let taken = if request.captures.is_empty() && request.matches.is_empty() {
                Ok(Vec::new())
            } else {
                answer::take(request, &answer.headers, &answer.body, variables, random)
            };
            let seen = Seen { status: answer.status.as_u16(), headers: &answer.headers, body: &answer.body };
            let words = match self.shared.script.plugins.expect.map(|expect| expect.format) {
                Some(Format::Pretty) => Words::Always,
                _ => Words::Missed,
            };
            (taken, expectation::judge(&request.expectations, &seen, words, &mut Scope { variables, random }))
        };
        self.tell_expectations(request, url, answer, &judged);
        let status = answer.status.as_u16();
        let was_expected = judged.iter().any(|one| one.met && one.name == "statusCode");
        if status >= 400 && !was_expected {
            failures.push((FailureKind::Status(status), String::new()));
        }
        for missed in judged.iter().filter(|one| !one.met) {
            let detail = format!("expected {} {}, got {}", missed.name, missed.expected, missed.got);
            failures.push((FailureKind::Expect(missed.name.to_owned()), detail));
        }
        let (fatal, dislikes) = match taken {
            Ok(dislikes) => (false, dislikes),
            Err(dislikes) => (true, dislikes),
        };
        for dislike in dislikes {
            failures.push(match dislike {
                // No colon: behind the name of a secret it would announce its value, and the reason would be hidden.
                Dislike::Capture { what, why } => (FailureKind::Capture(what.clone()), format!("{what} – {why}")),
                Dislike::Match { what, why } => (FailureKind::Match(what.clone()), format!("{what} – {why}")),
            });
        }
        if self.place.is_some() {
            for (kind, detail) in failures {
                self.keep(request, kind, &told(detail));
            }
        }
        let missed = judged.iter().find(|one| !one.met);
        let as_errors = self.shared.script.plugins.expect.is_some_and(|expect| expect.as_errors);
        match missed.filter(|_| as_errors) {
            Some(missed) => {
                Err(self.count_error(request, &format!("Failed expectations for request {url}"), missed, timings.done))
            }
            None if fatal => Err(self.count_capture(request, timings.done)),
            None => Ok(timings.done),
        }
    }

    fn count_error(&self, request: &Request, code: &str, missed: &Judged, now: Moment) -> Failed {
        let code = self.shown(code);
        if self.place.is_some() {
            self.shared.ledger().tally().error(&code, Some(request.endpoint.index()), now);
        }
        Failed::new(code, format!("{} {}, got {}", missed.name, missed.expected, missed.got))
    }

    fn count_capture(&self, request: &Request, now: Moment) -> Failed {
        let failed = Failed::new("Failed capture or match", "a value that the flow needs is not in the answer");
        if self.place.is_some() {
            self.shared.ledger().tally().error(&failed.code, Some(request.endpoint.index()), now);
        }
        failed
    }

    /// Counts expectations, and prints them if the script wants that.
    fn tell_expectations(&self, request: &Request, url: &str, answer: &Answer, judged: &[Judged]) {
        let Some(expect) = self.shared.script.plugins.expect.filter(|_| !judged.is_empty()) else { return };
        if self.place.is_some() {
            let now = self.shared.now();
            let mut ledger = self.shared.ledger();
            for one in judged {
                let all = if one.met { "plugins.expect.ok" } else { "plugins.expect.failed" };
                ledger.tally().count(all, 1, now);
                ledger.tally().count(&[all, ".", one.name].concat(), 1, now);
            }
        }
        let all_met = judged.iter().all(|one| one.met);
        if expect.format == Format::Silent || (expect.format == Format::PrettyError && all_met) {
            return;
        }
        let name = self.shared.script.endpoints.get(request.endpoint).and_then(|endpoint| endpoint.name.clone());
        let label = name.map_or_else(
            || self.shown(url),
            |name| if expect.names_only { name } else { format!("{} ({name})", self.shown(url)) },
        );
        if expect.format == Format::Json {
            let ok: Vec<_> = judged.iter().filter(|one| one.met).map(|one| one.name).collect();
            let failed: Vec<_> = judged.iter().filter(|one| !one.met).map(|one| one.name).collect();
            let line = serde_json::json!({"url": label, "ok": ok, "failed": failed, "status": answer.status.as_u16()});
            self.shared.lines.say(&line.to_string());
            return;
        }
        self.shared.lines.say(&format!("* {} {}", request.method, printable(&label, 200)));
        for one in judged {
            let line = if one.met {
                format!("  ok     {} {}", one.name, one.expected)
            } else {
                format!("  not ok {} {}, got {}", one.name, one.expected, one.got)
            };
            self.shared.lines.say(&printable(&self.shown(&line), 300));
        }
    }

    /// A step that could not be done: counted as an error, and kept.
    pub(super) fn refused(&self, span: Span, failed: &Failed) {
        let Some(place) = self.place else { return };
        let now = self.shared.now();
        let secrets = self.secrets();
        let code = printable(&without(&failed.code, &secrets), 200);
        let step = self.shared.step(span);
        let detail = printable(&without(&failed.detail, &secrets), 300);
        let mut ledger = self.shared.ledger();
        ledger.tally().error(&code, None, now);
        let signature = Signature {
            scenario: Some(place.scenario),
            step,
            endpoint: None,
            kind: FailureKind::Request(code.clone()),
        };
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

    fn keep(&self, request: &Request, kind: FailureKind, told: &Told<'_>) {
        let Some(place) = self.place else { return };
        let signature = Signature {
            scenario: Some(place.scenario),
            step: self.shared.step(request.span),
            endpoint: Some(request.endpoint.index()),
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

/// What is kept of a request.
fn row(place: Place, request: &Request, timings: &Timings, outcome: &Result<Answer, Transport>) -> RequestRow {
    let server = outcome.as_ref().ok().and_then(|answer| server_timing(&answer.headers));
    let answer = outcome.as_ref().map_or_else(|failure| failure.partial.as_deref(), Some);
    RequestRow {
        due: timings.due,
        sent: timings.sent,
        head: timings.head,
        done: timings.done,
        queued: timings.queued,
        dns: timings.dns,
        connect: timings.connect,
        tls: timings.tls,
        server,
        received: timings.received,
        phase: place.phase,
        scenario: place.scenario,
        endpoint: request.endpoint.index(),
        line: request.span.line,
        user: place.number,
        status: answer.map(|answer| answer.status.as_u16()),
        error: outcome.as_ref().err().map(|failure| failure.code.clone()),
        local_port: timings.local_port,
    }
}

/// What there is to tell of a request that failed.
struct Told<'a> {
    url: &'a str,
    method: &'a str,
    timings: &'a Timings,
    answer: Option<&'a Answer>,
    detail: String,
}

/// The request that a redirect leads to; `None` when the answer is none. Methods are rewritten as browsers do.
fn behind(composed: &Composed<'_>, answer: &Answer) -> Option<Result<Composed<'static>, Failed>> {
    let follows = matches!(answer.status.as_u16(), 300 | 301 | 302 | 303 | 307 | 308);
    let location = answer.headers.get(LOCATION).filter(|_| follows)?;
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let joined = Url::parse(&composed.url).and_then(|base| base.join(&location));
    let Some((url, target)) = joined.ok().and_then(|next| Some((next.to_string(), Target::of(&next).ok()?))) else {
        return Some(Err(Failed::new("ERR_INVALID_URL", format!("redirected to `{}`", printable(&location, 200)))));
    };
    let (mut method, mut body) = (composed.method.clone(), composed.body.clone());
    let mut left_out = Vec::new();
    let keeps = matches!(answer.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps && method != Method::GET && method != Method::HEAD {
        (method, body) = (Method::GET, Bytes::new());
        left_out.extend([CONTENT_TYPE, CONTENT_LENGTH]);
    }
    if target.origin() != composed.target.origin() {
        left_out.extend([AUTHORIZATION, COOKIE, HOST]);
    }
    let headers = composed.headers.without(&left_out);
    Some(Ok(Composed { method, target, url: url.into(), headers, body, keep: composed.keep }))
}

/// Cookies of the jar behind those that the script itself puts into the header.
fn add_cookie(headers: &mut HeaderMap, cookie: HeaderValue) {
    let both = headers.get(COOKIE).and_then(|own| {
        let both = [own.as_bytes(), b"; ", cookie.as_bytes()].concat();
        HeaderValue::try_from(both).ok()
    });
    headers.insert(COOKIE, both.unwrap_or(cookie));
}

/// `Server-Timing: total;dur=12.5`
fn server_timing(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(SERVER_TIMING)?.to_str().ok()?;
    let total = text.split(',').map(str::trim).find(|part| part.starts_with("total"))?;
    let millis: f64 = total.split(';').find_map(|part| part.trim().strip_prefix("dur="))?.trim().parse().ok()?;
    Duration::try_from_secs_f64(millis / 1e3).ok()
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
        && !matches!(missing, super::http::Missing::Cut | super::http::Missing::NotKept)
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

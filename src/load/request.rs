//! A request step: asked, sent, followed, and entered in the books.
//!
//! What an answer means to the script is judged elsewhere ([`super::judge`]), and so is where a redirect leads
//! ([`super::redirect`]) and what is kept of what failed ([`super::kept`]).

use std::time::Duration;

use serde_json::{Map, Value, json};

use ::http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use super::calls::Amended;
use super::compose::{Composed, Ready};
use super::http::{Answer, Exchange, Failure as Transport, Outgoing, Timings};
use super::kept::{At, Told};
use super::redirect::behind;
use super::user::{Done, Failed, Mind, Place, User};
use crate::clock::Moment;
use crate::recording::traffic::FailureKind;
use crate::recording::traffic::log::RequestRow;
use crate::scenario::expression::Expression;
use crate::scenario::path::Path;
use crate::scenario::request::{Condition, Request};
use crate::scenario::template::Scope;

/// Redirects that are followed, as by Artillery.
const MOST_HOPS: usize = 10;
/// What a server says of its own time.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How a request step ended.
enum Ended {
    /// There was nothing that could be sent.
    Unsent(Failed),
    /// No answer came, or none that the script could have.
    Unanswered(Failed),
    /// This follows from the answer; it comes along when there are functions that look at it.
    Answered(Done, Option<Box<(Answer, Timings)>>),
}

impl Ended {
    fn done(self) -> Done {
        match self {
            Self::Unsent(failed) | Self::Unanswered(failed) => Err(failed),
            Self::Answered(done, ..) => done,
        }
    }
}

impl User {
    /// Does a request step.
    pub(super) async fn request(&self, request: &Request, due: Moment) -> Done {
        // Functions get a future of their own: the room that it takes would be every request's.
        if !request.hooks.is_empty() || matches!(request.only_if, Some(Condition::Says(_))) {
            return Box::pin(self.request_with_functions(request, due)).await;
        }
        let holds = match &request.only_if {
            Some(Condition::Holds(condition)) => self.holds(condition),
            _ => true,
        };
        if !(holds && self.is_chosen(request)) {
            return Ok(due);
        }
        let composed = self.composed(request, None)?;
        self.exchange(request, composed, due).await.done()
    }

    /// The same of a request that functions have a say in.
    async fn request_with_functions(&self, request: &Request, mut due: Moment) -> Done {
        let began = self.shared.now();
        let wanted = self.says_so(request).await? && self.is_chosen(request);
        due = self.later(due, began);
        if !wanted {
            return Ok(due);
        }
        let began = self.shared.now();
        let Amended { shown, own } = self.amend(request).await?;
        due = self.later(due, began);
        let (sent, ready) = own.as_deref().map_or((request, None), |(request, ready)| (request, Some(ready)));
        let composed = self.composed(sent, ready)?;
        match self.exchange(sent, composed, due).await {
            Ended::Unanswered(failed) => {
                self.complain(&request.hooks.on_error, &shown, &failed).await;
                Err(failed)
            }
            Ended::Answered(done, Some(answered)) => {
                let (answer, timings) = &*answered;
                let (began, response) = (self.shared.now(), response(answer, timings));
                let looked = self.hand_over(&request.hooks.after_response, &shown, response).await;
                let done = done?;
                looked.map(|()| self.later(done, began))
            }
            ended => ended.done(),
        }
    }

    /// Makes a request for this user; one that cannot be made is counted and kept.
    fn composed<'r>(&'r self, request: &Request, ready: Option<&'r Ready>) -> Result<Composed<'r>, Failed> {
        let composed = {
            let Mind { variables, random, .. } = &mut *self.mind();
            let mut scope = Scope { variables, random };
            let composed = match ready {
                Some(ready) => self.shared.composer.compose_from(ready, request, &mut scope),
                None => self.shared.composer.compose(request, &mut scope),
            };
            if let Ok(composed) = &composed {
                for (name, value) in self.shared.script.http.cookies.iter().chain(&request.cookies) {
                    self.cookies.set(name, &value.text(&mut scope), &composed.url);
                }
            }
            composed
        };
        composed.map_err(|bad| {
            let failed = Failed::new(bad.code, bad.detail);
            self.refused(request.span, &failed);
            failed
        })
    }

    /// Whether the condition of a request, which may be a function, lets it be sent.
    async fn says_so(&self, request: &Request) -> Result<bool, Failed> {
        Ok(match &request.only_if {
            None => true,
            Some(Condition::Holds(condition)) => self.holds(condition),
            Some(Condition::Says(hook)) => match self.says(hook).await {
                Some(said) => said?,
                // It is no function, so it is a variable.
                None => Expression::parse(&self.text(&hook.name)).is_ok_and(|condition| self.holds(&condition)),
            },
        })
    }

    /// Whether chance lets a request be sent.
    fn is_chosen(&self, request: &Request) -> bool {
        request.probability.is_none_or(|percent| self.mind().random.unit() * 100.0 < percent)
    }

    fn holds(&self, condition: &Expression) -> bool {
        let variables = &self.mind().variables;
        let known = |name: &str| {
            let path = Path::parse(name);
            let path = if path.first() == "vars" { Path::parse(&path.rest().join(".")) } else { path };
            variables.get(&path).map(std::borrow::Cow::into_owned)
        };
        // A condition that cannot be judged holds, as in Artillery.
        condition.holds(&known).unwrap_or(true)
    }

    /// Sends a request and follows where it leads.
    async fn exchange(&self, request: &Request, mut composed: Composed<'_>, mut due: Moment) -> Ended {
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
            let exchange = match request.patience {
                Some(patience) => {
                    let patient =
                        async { self.shared.transport.patient(patience).exchange(&self.connections, outgoing).await };
                    Box::pin(patient).await
                }
                None => self.shared.transport.exchange(&self.connections, outgoing).await,
            };
            let Exchange { timings, outcome } = exchange;
            self.enter(request, &timings, &outcome);
            let answer = match outcome {
                Ok(answer) => answer,
                Err(failure) => {
                    return Ended::Unanswered(self.broke(request, &composed.url, &timings, &failure));
                }
            };
            self.receive_cookies(&answer, &composed.url);
            let next = if request.follow { behind(&composed, &answer) } else { None };
            match next {
                Some(_) if hop == MOST_HOPS => {
                    let failed = Failed::new("ERR_TOO_MANY_REDIRECTS", format!("more than {MOST_HOPS} redirects"));
                    return Ended::Unanswered(self.led_nowhere(request, failed, &composed.url, &timings, &answer));
                }
                Some(Ok(next)) => {
                    composed = next;
                    due = timings.done;
                }
                Some(Err(failed)) => {
                    return Ended::Unanswered(self.led_nowhere(request, failed, &composed.url, &timings, &answer));
                }
                None => {
                    let done = self.judge(request, &composed.method, &composed.url, &timings, &answer);
                    let looked_at = !request.hooks.after_response.is_empty();
                    return Ended::Answered(done, looked_at.then(|| Box::new((answer, timings))));
                }
            }
        }
        Ended::Unsent(Failed::new("ERR_TOO_MANY_REDIRECTS", "nothing was sent"))
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
            self.keep(
                At::request(request),
                kind,
                &Told { url, method: &request.method, timings, answer: partial, detail },
            );
        }
        failed
    }

    /// What follows from a redirect that cannot be followed.
    fn led_nowhere(&self, request: &Request, failed: Failed, url: &str, timings: &Timings, answer: &Answer) -> Failed {
        if self.place.is_some() {
            self.shared.ledger().tally().error(&failed.code, Some(request.endpoint.index()), timings.done);
            let (kind, detail) = (FailureKind::Transport(failed.code.clone()), failed.detail.clone());
            self.keep(
                At::request(request),
                kind,
                &Told { url, method: &request.method, timings, answer: Some(answer), detail },
            );
        }
        failed
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

/// An answer as hooks see it; lengths in milliseconds. A header that came several times is a list.
fn response(answer: &Answer, timings: &Timings) -> Value {
    let mut headers = Map::new();
    for name in answer.headers.keys() {
        let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
        let mut values: Vec<Value> = answer.headers.get_all(name).iter().map(text).collect();
        // Node has a list of cookies even if there is one.
        let value = if values.len() == 1 && name != SET_COOKIE { values.swap_remove(0) } else { Value::Array(values) };
        headers.insert(name.as_str().to_owned(), value);
    }
    let millis = |length: Option<Duration>| length.map(|length| length.as_secs_f64() * 1e3);
    let head = timings.head.unwrap_or(timings.done);
    json!({
        "statusCode": answer.status.as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(&answer.body.bytes),
        "timings": {"phases": {
            "wait": millis(Some(timings.queued)),
            "dns": millis(timings.dns),
            "tcp": millis(timings.connect),
            "tls": millis(timings.tls),
            "firstByte": millis(timings.sent.map(|sent| head.since(sent))),
            "download": millis(Some(timings.done.since(head))),
            "total": millis(Some(timings.done.since(timings.due))),
        }},
    })
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

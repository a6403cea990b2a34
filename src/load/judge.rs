//! What an answer means to the script: what is captured and matched, what was expected, and whether the user goes on.
//!
//! It stands alone because it begins where the transport's part is over: nothing is sent here, and nothing is timed.

use ::http::Method;

use super::answer::{self, Dislike};
use super::expectation::{self, Judged, Seen, Words};
use super::http::{Answer, Timings};
use super::kept::{At, Told};
use super::user::{Done, Failed, Mind, User};
use crate::clock::Moment;
use crate::printable::printable;
use crate::recording::traffic::FailureKind;
use crate::scenario::plugins::Format;
use crate::scenario::request::Request;
use crate::scenario::template::Scope;

/// What could be taken from an answer, with what is wrong with it; an error when the user cannot go on.
type Taken = Result<Vec<Dislike>, Vec<Dislike>>;

impl User {
    /// What follows from an answer.
    pub(super) fn judge(
        &self,
        request: &Request,
        method: &Method,
        url: &str,
        timings: &Timings,
        answer: &Answer,
    ) -> Done {
        let told = |detail: String| Told { url, method: method.as_str(), timings, answer: Some(answer), detail };
        let (taken, judged) = self.look(request, answer);
        self.tell_expectations(request, url, answer, &judged);
        let (fatal, dislikes) = match taken {
            Ok(dislikes) => (false, dislikes),
            Err(dislikes) => (true, dislikes),
        };
        let failures = failures(answer.status.as_u16(), &judged, dislikes);
        if self.place.is_some() {
            for (kind, detail) in failures {
                self.keep(At::request(request), kind, &told(detail));
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

    /// What the script takes from an answer, and what it expects of it.
    fn look(&self, request: &Request, answer: &Answer) -> (Taken, Vec<Judged>) {
        let Mind { variables, random, .. } = &mut *self.mind();
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
}

/// What is wrong with an answer.
fn failures(status: u16, judged: &[Judged], dislikes: Vec<Dislike>) -> Vec<(FailureKind, String)> {
    let mut failures = Vec::new();
    let was_expected = judged.iter().any(|one| one.met && one.name == "statusCode");
    if status >= 400 && !was_expected {
        failures.push((FailureKind::Status(status), String::new()));
    }
    for missed in judged.iter().filter(|one| !one.met) {
        let detail = format!("expected {} {}, got {}", missed.name, missed.expected, missed.got);
        failures.push((FailureKind::Expect(missed.name.to_owned()), detail));
    }
    for dislike in dislikes {
        failures.push(match dislike {
            // No colon: behind the name of a secret it would announce its value, and the reason would be hidden.
            Dislike::Capture { what, why } => (FailureKind::Capture(what.clone()), format!("{what} – {why}")),
            Dislike::Match { what, why } => (FailureKind::Match(what.clone()), format!("{what} – {why}")),
        });
    }
    failures
}

//! What steps over sockets have in common: what follows from a message, and how it is entered in the books.

use std::time::Duration;

use super::answer::Dislike;
use super::http::Timings;
use super::kept::{At, Told};
use super::user::{Failed, User};
use crate::clock::Moment;
use crate::recording::traffic::log::RequestRow;
use crate::recording::traffic::{FailureKind, Tally};

impl User {
    /// What follows from what was not liked in a message.
    pub(super) fn disliked(
        &self,
        at: At,
        taken: Result<Vec<Dislike>, Vec<Dislike>>,
        (due, sent, done): (Moment, Moment, Moment),
    ) -> Result<(), Failed> {
        let (fatal, dislikes) = match taken {
            Ok(dislikes) => (false, dislikes),
            Err(dislikes) => (true, dislikes),
        };
        let timings = Timings { due, sent: Some(sent), head: Some(done), done, ..Timings::default() };
        for dislike in dislikes {
            let (kind, detail) = match dislike {
                Dislike::Capture { what, why } => (FailureKind::Capture(what.clone()), format!("{what} – {why}")),
                Dislike::Match { what, why } => (FailureKind::Match(what.clone()), format!("{what} – {why}")),
            };
            self.keep_message(at, kind, &timings, detail);
        }
        if !fatal {
            return Ok(());
        }
        let failed = Failed::new("Failed capture or match", "a value that the flow needs is not in the message");
        self.count(&failed.code, |tally, code| tally.error(code, Some(at.endpoint.index()), done));
        Err(failed)
    }

    /// Nothing came, or not what was waited for.
    pub(super) fn in_vain(&self, at: At, (due, sent): (Moment, Moment), code: &str, detail: &str) -> Failed {
        let now = self.shared.now();
        // It may be a server's own words, which may be those that it was sent.
        let code = &self.shown(code);
        let failed = Failed::new(code, detail);
        self.count(code, |tally, code| tally.error(code, Some(at.endpoint.index()), now));
        self.enter_row(at, (due, Some(sent), now), Some(code));
        let timings = Timings { due, sent: Some(sent), done: now, ..Timings::default() };
        self.keep_message(at, FailureKind::Transport(code.clone()), &timings, detail.to_owned());
        failed
    }

    /// Enters a message that was sent, and what came back for it, if anything was to.
    pub(super) fn enter_message(&self, at: At, due: Moment, sent: Option<Moment>, done: Moment) {
        self.enter_row(at, (due, sent, done), None);
    }

    fn enter_row(&self, at: At, (due, sent, done): (Moment, Option<Moment>, Moment), error: Option<&str>) {
        let Some(place) = self.place else { return };
        let row = RequestRow {
            due,
            sent,
            head: sent.filter(|_| error.is_none()).map(|_| done),
            done,
            queued: Duration::ZERO,
            dns: None,
            connect: None,
            tls: None,
            server: None,
            received: 0,
            phase: place.phase,
            scenario: place.scenario,
            endpoint: at.endpoint.index(),
            line: at.span.line,
            user: place.number,
            status: error.is_none().then_some(0),
            error: error.map(|code| code.to_owned().into()),
            local_port: None,
        };
        let mut ledger = self.shared.ledger();
        row.enter(ledger.tally());
        ledger.request(|| row);
    }

    fn keep_message(&self, at: At, kind: FailureKind, timings: &Timings, detail: String) {
        let endpoint = self.shared.script.endpoints.get(at.endpoint);
        let (method, url) = endpoint.map_or(("", ""), |endpoint| (endpoint.method.as_str(), endpoint.path.as_str()));
        self.keep(at, kind, &Told { url, method, timings, answer: None, detail });
    }

    /// Adds to the books, unless this user is in none.
    pub(super) fn count(&self, name: &str, add: impl FnOnce(&mut Tally, &str)) {
        if self.place.is_some() {
            add(self.shared.ledger().tally(), name);
        }
    }
}

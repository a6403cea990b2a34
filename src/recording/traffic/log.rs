//! Traffic as rows: what a recording keeps of each request, user and window, and how a tally is made of it again.
//!
//! The numbers that a run ends with are sums; rows answer the questions that nobody has asked yet. Replayed in their order
//! they give the same sums as the run itself, histogram by histogram. What is only counted and has no row of its own (errors,
//! what is counted and measured by name) is kept window by window. Nothing here knows who collects rows or where they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{EndpointLabel, Exchange, Kept, Named, Outcome, PhaseRun, SeriesKey, Signature, Tally};
use crate::clock::Moment;
use crate::recording::Phase;

/// The code of a request that waited as long as it may.
const TIMED_OUT: &str = "ETIMEDOUT";

/// A request that ended; each hop of a redirect is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// When it should have been sent.
    pub due: Moment,
    /// When it was handed to the system, if it was.
    pub sent: Option<Moment>,
    /// When the head of the answer had come, if it came.
    pub head: Option<Moment>,
    /// When all was over.
    pub done: Moment,
    /// Waiting for a free socket.
    pub queued: Duration,
    /// Looking up the name, if that was done.
    pub dns: Option<Duration>,
    /// Connecting, if that was done.
    pub connect: Option<Duration>,
    /// Agreeing on a secret, if that was done.
    pub tls: Option<Duration>,
    /// What the server says it took.
    pub server: Option<Duration>,
    /// Bytes of the body, as they came.
    pub received: u64,
    /// The phase that the user arrived in.
    pub phase: u16,
    /// Its scenario.
    pub scenario: u16,
    /// What was asked for.
    pub endpoint: u32,
    /// The line of the step in its script.
    pub line: u32,
    /// The number of the user.
    pub user: u64,
    /// The status, if an answer began.
    pub status: Option<u16>,
    /// Why there is no whole answer.
    pub error: Option<Cow<'static, str>>,
    /// The local port of the connection.
    pub local_port: Option<u16>,
}

impl RequestRow {
    /// Counts the request as it was counted when it ended.
    pub fn enter(&self, tally: &mut Tally) {
        let broken = self.error.is_some();
        let outcome = match self.status {
            Some(status) if !broken => Outcome::Status(status),
            _ => Outcome::Failed,
        };
        let Self { phase, scenario, endpoint, .. } = *self;
        tally.exchange(SeriesKey { phase, scenario, endpoint, outcome }, &self.exchange());
        if let (true, Some(status)) = (broken, self.status) {
            tally.broke(endpoint, status);
        }
    }

    /// What is to be counted of it.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        // Who timed out while connecting waited too: without these waits a server that takes no connections would seem fast.
        let timed_out = self.error.as_deref() == Some(TIMED_OUT);
        let sent = self.sent.or_else(|| timed_out.then(|| self.due + self.queued));
        Exchange {
            ended: self.done,
            first_byte: sent.map(|sent| self.head.unwrap_or(self.done).since(sent)),
            from_send: sent.map(|sent| self.done.since(sent)),
            from_due: (sent.is_some() || self.error.is_some()).then(|| self.done.since(self.due)),
            queued: Some(self.queued).filter(|queued| !queued.is_zero()),
            dns: self.dns,
            connect: self.connect,
            tls: self.tls,
            body: self.head.map(|head| self.done.since(head)),
            server: self.server,
            bytes: self.received,
        }
    }
}

/// How a user's life stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    /// It is under way.
    Active,
    /// It came to the end of its flow.
    Completed,
    /// It ended before that.
    Failed,
    /// It arrived while too many were active.
    Skipped,
    /// The run ended while it was under way.
    Abandoned,
}

impl UserState {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Active, Self::Completed, Self::Failed, Self::Skipped, Self::Abandoned];

    /// The name in recordings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A virtual user. It has a row when it begins, which its last one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its number among all users.
    pub number: u64,
    /// The phase that it arrived in.
    pub phase: u16,
    /// Its scenario; `None` for one that was skipped.
    pub scenario: Option<u16>,
    /// When it was due.
    pub due: Moment,
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
    /// What became of it.
    pub state: UserState,
}

impl UserRow {
    /// Counts that the user arrived.
    pub fn arrive(&self, tally: &mut Tally) {
        let users = tally.users_of(self.phase);
        if self.state == UserState::Skipped {
            users.skipped += 1;
            return;
        }
        users.created += 1;
        if let Some(scenario) = self.scenario {
            *tally.created_by.entry(scenario).or_default() += 1;
        }
        tally.lateness.record(self.began.since(self.due));
    }

    /// Counts that it ended.
    pub fn end(&self, tally: &mut Tally) {
        match (self.state, self.ended) {
            (UserState::Completed, Some(ended)) => {
                tally.users_of(self.phase).completed += 1;
                tally.sessions.record(ended.since(self.began));
            }
            (UserState::Failed, Some(_)) => tally.users_of(self.phase).failed += 1,
            _ => {}
        }
    }
}

/// What is counted in one window and has no row of its own.
#[derive(Clone, Debug)]
pub struct WindowRow {
    /// Its number, from 0.
    pub number: u32,
    /// When it began.
    pub began: Moment,
    /// When it ended, or until when it is known.
    pub ended: Moment,
    /// When the first and the last thing was counted.
    pub span: (Moment, Moment),
    /// Requests begun.
    pub requests: u64,
    /// When the first and the last of them began.
    pub requested: Option<(Moment, Moment)>,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Errors by endpoint and code.
    pub endpoint_errors: BTreeMap<(u32, String), u64>,
    /// What plugins, engines and hooks count and measure.
    pub named: Named,
}

impl WindowRow {
    /// The row of a tally; `None` as long as nothing is counted in it.
    #[must_use]
    pub fn of(tally: &Tally, number: u32, began: Moment, ended: Moment) -> Option<Self> {
        Some(Self {
            number,
            began,
            ended,
            span: tally.first.zip(tally.last)?,
            requests: tally.requests,
            requested: tally.requested,
            errors: tally.errors.clone(),
            endpoint_errors: tally.endpoint_errors.clone(),
            named: tally.named.clone(),
        })
    }

    /// Puts into a tally, which holds the window's requests and users already, what they do not tell.
    pub fn complete(self, tally: &mut Tally) {
        (tally.first, tally.last) = (Some(self.span.0), Some(self.span.1));
        tally.requests = self.requests;
        tally.requested = self.requested;
        tally.errors = self.errors;
        tally.endpoint_errors = self.endpoint_errors;
        tally.named = self.named;
    }
}

/// What is known of a load when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadHead {
    /// The script's target.
    pub target: String,
    /// The seed of the run's choices.
    pub seed: u64,
    /// When it began.
    pub began: Moment,
    /// The phases, by number.
    pub phases: Vec<PhaseRun>,
    /// The names of the scenarios, by number.
    pub scenarios: Vec<String>,
    /// What requests are filed under, by number.
    pub endpoints: Vec<EndpointLabel>,
}

/// How a load stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadState {
    /// Until when it is known, or when the last user was done.
    pub ended: Moment,
    /// Whether nothing will follow.
    pub over: bool,
    /// Whether it ended before its plan was over. True of every run that is not over.
    pub cut_short: bool,
    /// Users that are active; of a run that is over, those that were abandoned.
    pub active: u64,
    /// CPU time that the driver took; known at the end.
    pub driver_cpu: Duration,
    /// Rows that were not written because too many were waiting.
    pub lost: u64,
    /// Failures of kinds beyond those that are kept.
    pub more_failures: u64,
}

/// All failures of one kind, as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRows {
    /// The number of the kind, from 0.
    pub number: u32,
    /// The kind.
    pub signature: Signature,
    /// Its count and examples.
    pub kept: Kept,
}

/// What came since the batch before, and what changed.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Requests that ended.
    pub requests: Vec<RequestRow>,
    /// Users that began or ended, those of one number in the order of time.
    pub users: Vec<UserRow>,
    /// Windows that were closed, and the present one.
    pub windows: Vec<WindowRow>,
    /// Kinds of failures that grew.
    pub failures: Vec<FailureRows>,
    /// Endpoints that were not known when the load began, and the number of the first of them.
    pub endpoints: (usize, Vec<EndpointLabel>),
    /// The phases as they were run so far, in place of those of the batch before.
    pub phases: Vec<Phase>,
    /// How the load stands.
    pub state: LoadState,
}

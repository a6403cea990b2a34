//! One call of a function of the processor, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::failure::Failure;

/// The variables of a user, as JSON.
pub type Variables = Arc<Map<String, Value>>;

/// A virtual user, as a hook sees it: its `context` is one object in all calls.
#[derive(Clone, Debug)]
pub struct Person {
    /// Its number in the run; no two have the same.
    pub number: u64,
    /// `context._uid`.
    pub uid: String,
    /// `context.scenario`: what the script says of it.
    pub scenario: Arc<Value>,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls.
    pub person: Arc<Person>,
    /// The function, as it is exported.
    pub function: Arc<str>,
    /// As what it is called.
    pub what: What,
    /// `context.vars`. The very same `Arc` as before, or as was given back, costs nothing.
    pub variables: Variables,
}

/// As what a function is called, with its arguments as JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `function`, `beforeScenario`, `afterScenario`: `(context, ee, next)`.
    Function,
    /// `(requestParams, context, ee, next)`.
    BeforeRequest {
        /// `requestParams`.
        request: Value,
    },
    /// `(requestParams, response, context, ee, next)`.
    AfterResponse {
        /// `requestParams`.
        request: Value,
        /// `{statusCode, headers, body, timings}`.
        response: Value,
    },
    /// `(err, requestParams, context, ee, next)`.
    OnError {
        /// `{code, message}`, from which an `Error` is made.
        error: Value,
        /// `requestParams`.
        request: Value,
    },
    /// `(vars, context)`; what it returns is the verdict.
    IfTrue,
    /// `(context, next)`; what `next` is given is the verdict.
    WhileTrue,
    /// `connect.function` of a WebSocket: `(wsArgs, context, next)`.
    Connect {
        /// `wsArgs`: `{target, subprotocols, options}`.
        arguments: Value,
    },
}

impl What {
    /// The name that `host.js` knows it by.
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Function => 0,
            Self::BeforeRequest { .. } => 1,
            Self::AfterResponse { .. } => 2,
            Self::OnError { .. } => 3,
            Self::IfTrue => 4,
            Self::WhileTrue => 5,
            Self::Connect { .. } => 6,
        }
    }

    /// The arguments as a JSON list; nothing when there are none.
    pub(super) fn arguments(&self) -> Option<String> {
        let list = match self {
            Self::Function | Self::IfTrue | Self::WhileTrue => return None,
            Self::BeforeRequest { request } => serde_json::to_string(&[request]),
            Self::AfterResponse { request, response } => serde_json::to_string(&[request, response]),
            Self::OnError { error, request } => serde_json::to_string(&[error, request]),
            Self::Connect { arguments } => serde_json::to_string(&[arguments]),
        };
        list.ok()
    }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Called {
    /// What the function decided, or how it failed.
    pub outcome: Result<Verdict, Failure>,
    /// The variables, when they have changed; also when it failed.
    pub variables: Option<Variables>,
    /// `requestParams` or `wsArgs`, when the function has changed it (or a number in it is written differently in JavaScript).
    pub request: Option<Value>,
    /// What it has counted.
    pub emitted: Vec<Emitted>,
    /// From the start of the function to its end, waiting included.
    pub took: Duration,
    /// How much of this JavaScript was at work; zero in `node`, where it is not known.
    pub busy: Duration,
    /// How long the call waited for its turn before that.
    pub queued: Duration,
}

/// What a function decided: whether to go on, for `ifTrue` and `whileTrue`; true for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(pub bool);

/// What a hook reports through `ee.emit`.
#[derive(Clone, Debug, PartialEq)]
pub enum Emitted {
    /// `counter`, with how many more.
    Counter(String, f64),
    /// `histogram` or `summary`, with a value.
    Histogram(String, f64),
    /// `rate`: one more event.
    Rate(String),
    /// `customStat`, with a value.
    CustomStat(String, f64),
    /// `error`, with its code.
    Error(String),
}

impl Emitted {
    /// Reads the list `[[kind, name, value]…]` of `host.js`.
    pub(super) fn list(text: &str) -> Vec<Self> {
        let list: Vec<(String, String, Option<f64>)> = serde_json::from_str(text).unwrap_or_default();
        let read = |(kind, name, value): (String, String, Option<f64>)| match kind.as_str() {
            "counter" => Some(Self::Counter(name, value?)),
            "histogram" => Some(Self::Histogram(name, value?)),
            "customStat" => Some(Self::CustomStat(name, value?)),
            "rate" => Some(Self::Rate(name)),
            "error" => Some(Self::Error(name)),
            _ => None,
        };
        list.into_iter().filter_map(read).collect()
    }
}

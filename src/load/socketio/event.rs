//! What happens on a connection, in the words of `socket.io-client`.
//!
//! It stands alone because it is what the client says to the rest of the engine: plain values, each with its moment.

use std::time::Duration;

use serde_json::Value;

use super::arguments::Arguments;
use super::engine::Generation;
use super::options::Means;
use crate::clock::Moment;
use crate::load::http::{Failure, Timings};
use crate::printable::printable;

/// The longest message of a refusal, in characters.
const LONGEST: usize = 300;

/// What is said of a connection that was closed before there was a session.
const MUTE: &str = "transport close";

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// An event came from the server.
    Received {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What it carries.
        arguments: Arguments,
        /// The id of the acknowledgement that the server asks for; see `Client::acknowledge`. Nothing answers by itself.
        ack: Option<u64>,
    },
    /// A namespace was joined.
    Joined {
        /// Its name.
        namespace: String,
        /// How long the server took.
        took: Duration,
    },
    /// A namespace was refused (`connect_error`).
    NotJoined {
        /// Its name.
        namespace: String,
        /// Why.
        refused: Box<Refused>,
    },
    /// The connection moved from requests to a WebSocket.
    Upgraded {
        /// How long that took.
        took: Duration,
    },
    /// The WebSocket that was to be moved to did not work; the connection stays as it is.
    NotUpgraded {
        /// Why.
        why: String,
    },
    /// The server left a namespace (`io server disconnect`); there is no reconnection to it.
    Left {
        /// Its name.
        namespace: String,
    },
    /// The connection was lost, with all its namespaces: `ping timeout`, `transport close`, `transport error` or
    /// `parse error`.
    Disconnected {
        /// In one of these words.
        why: &'static str,
        /// More about it; may be empty.
        detail: String,
    },
    /// An attempt to connect again failed (`reconnect_error`).
    NotReconnected {
        /// Which attempt it was, from 1.
        attempt: u32,
        /// Why.
        refused: Box<Refused>,
    },
    /// The connection is there again.
    Reconnected {
        /// How many attempts it took.
        attempts: u32,
        /// The new connection.
        connected: Connected,
    },
    /// Nothing comes after this: `io client disconnect`, `io server disconnect`, `reconnect_failed`, or why the connection was
    /// lost.
    Over {
        /// In one of these words.
        why: &'static str,
    },
}

/// A connection that came about, namespace `/` included.
#[derive(Clone, Debug)]
pub struct Connected {
    /// How long it took, from the first request on.
    pub took: Duration,
    /// How packets travel, to begin with.
    pub means: Means,
    /// What the server speaks.
    pub generation: Generation,
    /// How often the server says, or wants to be told, that all is well.
    pub ping_interval: Duration,
    /// How long the first request took, in parts.
    pub timings: Timings,
}

/// Why a connection, or a namespace, did not come about.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What `socket.io-client` says: the server's own message, `xhr poll error`, `websocket error`, `timeout`, …
    pub message: String,
    /// What the server says beside its message.
    pub value: Option<Value>,
    /// What went wrong below, when something did: code, detail, and the answer if there was one.
    pub failure: Option<Box<Failure>>,
    /// How long the request took, in parts.
    pub timings: Option<Box<Timings>>,
}

impl Refused {
    pub(super) fn new(message: &str) -> Self {
        Self { message: printable(message, LONGEST), value: None, failure: None, timings: None }
    }

    /// The reason that came with the refusal of a namespace: an object with a message, a text, or anything else.
    pub(super) fn of(value: &Value) -> Self {
        let message = match value {
            Value::Object(members) => members.get("message").and_then(Value::as_str).map(str::to_owned),
            Value::String(text) => Some(text.clone()),
            Value::Array(values) => values.first().and_then(Value::as_str).map(str::to_owned),
            Value::Null => Some("refused".into()),
            _ => None,
        };
        Self { value: Some(value.clone()), ..Self::new(&message.unwrap_or_else(|| value.to_string())) }
    }

    pub(super) fn because(message: &str, failure: Failure, timings: Timings) -> Self {
        Self { failure: Some(Box::new(failure)), timings: Some(Box::new(timings)), ..Self::new(message) }
    }

    /// A connection that was closed before there was a session.
    pub(super) fn mute() -> Self {
        Self::new(MUTE)
    }

    /// Whether the server says that it speaks another generation: `Unsupported protocol version` (engine.io 4 to 6),
    /// `The client is using an unsupported version …` (python-engineio 3 and 4). Under gevent-websocket the latter cannot be
    /// said any more, and the connection is just closed.
    pub(super) fn is_of_generation(&self) -> bool {
        if self.message == MUTE {
            return true;
        }
        let Some(answer) = self.failure.as_ref().and_then(|failure| failure.partial.as_ref()) else { return false };
        let body = String::from_utf8_lossy(&answer.body.bytes);
        answer.status == http::StatusCode::BAD_REQUEST
            && (body.contains("nsupported protocol version")
                || body.contains("unsupported version")
                || body.replace(' ', "").contains("\"code\":5"))
    }
}

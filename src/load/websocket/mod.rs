//! WebSockets (RFC 6455): the handshake on our own transport, the frames by tungstenite.
//!
//! A connection is opened as one for HTTP is: same look-ups, proxies, certificates and timings. It offers no compression. How
//! a connection fails is told in the words of npm `ws` 7, because those are what Artillery's users count. Nothing here knows
//! scripts or Socket.IO.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `open` | the handshake, and how a server refuses it |
//! | `connection` | a connection that its owner polls |
//! | `client` | a connection that a task attends while its user does something else |
//! | `failure` | what went wrong, as `ws` calls it |

mod client;
mod connection;
mod failure;
mod open;
#[cfg(test)]
pub(in crate::load) mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

pub use client::{Client, Event};
pub(in crate::load) use connection::Step;
pub use connection::{Connection, Ended};
pub use open::{Accepted, Refused, open, target};

use super::http::Target;

/// What to open.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where to; see [`target`] for `ws:` URLs.
    pub target: Target,
    /// Headers of the handshake, beside those that make it one.
    pub headers: HeaderMap,
    /// The subprotocols that are offered, the preferred one first.
    pub subprotocols: Vec<String>,
    /// The largest message and the largest frame that are taken, in bytes.
    pub largest: usize,
}

impl Wish {
    /// The plain wish: no headers, no subprotocols, messages up to 16 MiB.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, headers: HeaderMap::new(), subprotocols: Vec::new(), largest: 16 << 20 }
    }
}

/// A message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How long the other side may take to close when it was asked to.
const FAREWELL: Duration = Duration::from_secs(1);

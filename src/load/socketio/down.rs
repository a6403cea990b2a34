//! Why a connection was lost.
//!
//! It stands alone because every layer below namespaces can lose it, and all must end in the few words that
//! `socket.io-client` has for it.

use std::fmt::Display;

use crate::load::http::{BadUrl, Failure};
use crate::load::websocket::Ended;
use crate::printable::printable;

/// Why a connection was lost, in the words of `socket.io-client`.
#[derive(Clone, Debug)]
pub(super) struct Down {
    pub(super) why: &'static str,
    pub(super) detail: String,
    pub(super) failure: Option<Failure>,
}

impl Down {
    pub(super) fn new(why: &'static str, detail: impl Display) -> Self {
        Self { why, detail: printable(&detail.to_string(), 300), failure: None }
    }

    fn failed(what: &str, failure: Failure) -> Self {
        let detail = format!("{what}: {}: {}", failure.code, failure.detail);
        Self { failure: Some(failure), ..Self::new("transport error", detail) }
    }

    pub(super) fn of_poll(failure: Failure) -> Self {
        Self::failed("xhr poll error", failure)
    }

    pub(super) fn of_post(failure: Failure) -> Self {
        Self::failed("xhr post error", failure)
    }

    pub(super) fn no_url(error: &BadUrl) -> Self {
        Self::new("transport error", error)
    }

    pub(super) fn parse(error: &dyn Display) -> Self {
        Self::new("parse error", error)
    }

    pub(super) fn of_end(ended: Ended) -> Self {
        match ended {
            Ended::Closed { code, reason } => Self::new("transport close", format!("{code} {reason}").trim_end()),
            Ended::Failed(failure) => Self::failed("websocket error", failure),
        }
    }
}

//! What went wrong, in Node's words: scripts and dashboards count `ECONNRESET`, not a Rust error.
//!
//! It stands alone because many layers fail (the resolver, the socket, TLS, the HTTP parser) and all of them must end
//! in the same few codes. It only translates: it retries nothing and decides nothing.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use nix::errno::Errno;

use super::Answer;
use super::tls;
use crate::printable::printable;

/// The longest detail, in characters.
const LONGEST: usize = 300;

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Looking up the name of the host.
    Resolving,
    /// Waiting for a TCP connection, or for the proxy to make it.
    Connecting,
    /// In the TLS handshake.
    Handshaking,
    /// Handing the request to the socket.
    Sending,
    /// The request is sent, the head of the response has not come.
    AwaitingHead,
    /// The head has come, the body is not complete.
    ReceivingBody,
}

impl Stage {
    /// What was being done, as in "timed out while …".
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Resolving => "resolving the host",
            Self::Connecting => "connecting",
            Self::Handshaking => "shaking hands",
            Self::Sending => "sending the request",
            Self::AwaitingHead => "waiting for the response",
            Self::ReceivingBody => "receiving the body",
        }
    }
}

/// Why an exchange did not end well.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Node's code, as Artillery counts it in `errors.<code>`.
    pub code: Cow<'static, str>,
    /// One printable line that says more.
    pub detail: String,
    /// How far the exchange had come.
    pub stage: Stage,
    /// The response as far as it came, when its head had come.
    pub partial: Option<Box<Answer>>,
}

impl Failure {
    pub(in crate::load) fn new(stage: Stage, code: impl Into<Cow<'static, str>>, detail: &str) -> Self {
        Self { code: code.into(), detail: printable(detail, LONGEST), stage, partial: None }
    }

    /// Time was up at that stage.
    pub(in crate::load) fn timed_out(stage: Stage) -> Self {
        Self::new(stage, "ETIMEDOUT", &format!("timed out while {}", stage.doing()))
    }

    /// The system refused.
    pub(in crate::load) fn of_io(stage: Stage, error: &io::Error) -> Self {
        Self::new(stage, code_of_chain(error).unwrap_or_else(|| code_of_kind(error.kind())), &told(error))
    }

    /// The TLS handshake failed; what has no better name is a breach of protocol, as Node calls it.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let code = code_of_chain(error).unwrap_or(match error.kind() {
            io::ErrorKind::InvalidData => "EPROTO".into(),
            kind => code_of_kind(kind),
        });
        Self::new(Stage::Handshaking, code, &told(error))
    }

    /// The HTTP exchange itself broke.
    pub(super) fn of_http(stage: Stage, error: &hyper::Error) -> Self {
        Self::new(stage, code_of_http(error), &told(error))
    }
}

/// The error and everything below it on one line; what a layer repeats from below is said once.
fn told(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// The first system or TLS error of the chain names the code.
fn code_of_chain(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(tls::code(error));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(raw) = error.raw_os_error() {
                return Some(code_of_system(raw));
            }
            // An io::Error hands out the cause of what it wraps, never what it wraps.
            if let Some(code) = error.get_ref().and_then(|inner| code_of_chain(inner)) {
                return Some(code);
            }
        }
        cause = error.source();
    }
    None
}

fn code_of_system(raw: i32) -> Cow<'static, str> {
    match Errno::from_raw(raw) {
        Errno::ECONNREFUSED => "ECONNREFUSED".into(),
        Errno::ECONNRESET => "ECONNRESET".into(),
        Errno::EPIPE => "EPIPE".into(),
        Errno::ETIMEDOUT => "ETIMEDOUT".into(),
        Errno::UnknownErrno => format!("ERRNO_{raw}").into(),
        other => format!("{other:?}").into(),
    }
}

fn code_of_kind(kind: io::ErrorKind) -> Cow<'static, str> {
    match kind {
        io::ErrorKind::TimedOut => "ETIMEDOUT".into(),
        io::ErrorKind::BrokenPipe => "EPIPE".into(),
        _ => "ECONNRESET".into(),
    }
}

/// The names of llhttp, Node's parser, where the message is at fault; `ECONNRESET` where the connection just ended.
fn code_of_http(error: &hyper::Error) -> Cow<'static, str> {
    if error.is_parse() {
        return code_of_head(error).into();
    }
    if let Some(code) = code_of_chain(error) {
        return code;
    }
    let text = told(error);
    // An end inside the line of a chunk's size is an end, not a wrong size.
    if text.contains("chunk") && !text.contains("unexpected EOF") {
        return "HPE_INVALID_CHUNK_SIZE".into();
    }
    // The words of the `h2` crate.
    let broken = ["http2 error", "stream error", "connection error received", "connection error detected"];
    if broken.iter().any(|words| text.contains(words)) {
        return "ERR_HTTP2_STREAM_ERROR".into();
    }
    "ECONNRESET".into()
}

/// hyper tells the kinds apart only by their text; an unknown one is still a message that is not HTTP.
fn code_of_head(error: &hyper::Error) -> &'static str {
    if error.is_parse_status() {
        return "HPE_INVALID_STATUS";
    }
    match error.to_string() {
        text if text.contains("too large") => "HPE_HEADER_OVERFLOW",
        text if text.contains("content-length") => "HPE_UNEXPECTED_CONTENT_LENGTH",
        text if text.contains("transfer-encoding") => "HPE_INVALID_TRANSFER_ENCODING",
        text if text.contains("header") => "HPE_INVALID_HEADER_TOKEN",
        _ => "HPE_INVALID_CONSTANT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_have_the_names_of_the_system() {
        for (errno, code) in [
            (Errno::ECONNREFUSED, "ECONNREFUSED"),
            (Errno::EHOSTUNREACH, "EHOSTUNREACH"),
            (Errno::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
            (Errno::EMFILE, "EMFILE"),
        ] {
            let failure = Failure::of_io(Stage::Connecting, &io::Error::from_raw_os_error(errno as i32));
            assert_eq!(failure.code, code);
        }
        assert_eq!(code_of_system(99_999), "ERRNO_99999");
    }

    #[test]
    fn what_is_wrapped_is_found_and_told_once() {
        let inner = io::Error::from_raw_os_error(Errno::EPIPE as i32);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let failure = Failure::of_io(Stage::Sending, &outer);
        assert_eq!(failure.code, "EPIPE");
        assert_eq!(failure.detail, "Broken pipe (os error 32)");
    }

    #[test]
    fn a_detail_is_one_printable_line() {
        let failure = Failure::new(Stage::Sending, "EPIPE", &format!("a\n\u{1b}[2J{}", "x".repeat(1000)));
        assert!(!failure.detail.contains(['\n', '\u{1b}']));
        assert!(failure.detail.chars().count() <= LONGEST + 1);
    }
}

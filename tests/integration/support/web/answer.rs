//! A correct answer and how it is written: with its length, in chunks, or up to the end of the connection.

use std::io::{self, Write};

use serde_json::Value;

/// How the peer knows where the body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    /// In chunks of 16 bytes, with trailers after the last.
    Chunks {
        trailers: Vec<(String, String)>,
    },
    /// `HTTP/1.0`, and the connection ends with the body.
    UntilClose,
}

/// What is sent for one request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    last: bool,
}

impl Answer {
    /// 200 with this body.
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Answer { status: 200, headers, body: body.into(), framing: Framing::Length, last: false }
    }

    /// 200 with this document.
    pub fn json(document: &Value) -> Answer {
        Answer::of("application/json", document.to_string())
    }

    /// Another status than 200.
    pub fn status(self, status: u16) -> Answer {
        Answer { status, ..self }
    }

    /// One header more.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another framing than by length.
    pub fn framing(self, framing: Framing) -> Answer {
        Answer { framing, ..self }
    }

    /// The connection ends after it, and it says so.
    pub fn last(self) -> Answer {
        Answer { last: true, ..self }
    }

    /// Whether the connection must end after it.
    pub fn is_last(&self) -> bool {
        self.last || self.framing == Framing::UntilClose
    }

    /// Writes all of it, or all but the body for a `HEAD`.
    pub fn write(&self, method: &str, stream: &mut impl Write) -> io::Result<()> {
        let mut bytes = self.head().into_bytes();
        if method != "HEAD" && !self.is_bodiless() {
            match &self.framing {
                Framing::Length | Framing::UntilClose => bytes.extend_from_slice(&self.body),
                Framing::Chunks { trailers } => bytes.extend(chunked(&self.body, trailers)),
            }
        }
        stream.write_all(&bytes)?;
        stream.flush()
    }

    fn head(&self) -> String {
        let version = if self.framing == Framing::UntilClose { "HTTP/1.0" } else { "HTTP/1.1" };
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut lines = vec![format!("{version} {} {}", self.status, reason.unwrap_or("Unnamed"))];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if self.last {
            lines.push("Connection: close".to_owned());
        }
        match self.framing {
            Framing::Length if self.is_bodiless() => {}
            Framing::Length => lines.push(format!("Content-Length: {}", self.body.len())),
            Framing::Chunks { .. } => lines.push("Transfer-Encoding: chunked".to_owned()),
            Framing::UntilClose => {}
        }
        lines.join("\r\n") + "\r\n\r\n"
    }

    fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}

fn chunked(body: &[u8], trailers: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(16) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    bytes.extend(b"0\r\n");
    for (name, value) in trailers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

//! One request as it came over the wire, read by hand: what the tests look at must not have gone through a library that
//! repairs it.

use std::io::{self, BufRead, ErrorKind, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

const LONGEST_HEAD: u64 = 256 * 1024;
const LONGEST_BODY: u64 = 16 * 1024 * 1024;

/// A whole request.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub method: String,
    /// As it stood in the request line.
    pub target: String,
    /// Such as `HTTP/1.1`.
    pub version: String,
    /// In the order and the case in which they came.
    pub headers: Vec<(String, String)>,
    /// Without the chunks that it may have come in.
    pub body: Vec<u8>,
    /// The number of its connection, from 1 on.
    pub connection: usize,
    /// Its place among all requests of the server, from 1 on.
    pub order: usize,
}

impl Received {
    /// The next request; `None` if the connection ends before its first byte.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
        let Some(mut request) = Received::read_head(reader)? else { return Ok(None) };
        request.body = if request.header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
            read_chunks(reader)?
        } else {
            let length = request.header("content-length").map_or(Ok(0), str::parse);
            read_exactly(reader, length.map_err(|_| malformed("the length"))?)?
        };
        Ok(Some(request))
    }

    /// All before the body.
    pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
        let mut head = reader.take(LONGEST_HEAD);
        let first = line(&mut head)?;
        if first.is_empty() {
            return Ok(None);
        }
        let words: Vec<&str> = first.split(' ').collect();
        let [method, target, version] = words[..] else { return Err(malformed("the request line")) };
        let [method, target, version] = [method, target, version].map(str::to_owned);
        let mut request = Received { method, target, version, ..Received::default() };
        loop {
            let line = line(&mut head)?;
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header"))?;
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target up to the question mark.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// What follows the question mark, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        self.target.split_once('?').map_or_else(Vec::new, |(_, query)| pairs(query))
    }

    /// One value of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// One number of the query.
    pub fn number(&self, name: &str, otherwise: u32) -> u32 {
        self.parameter(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    /// The body as text, with replacements for what is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the connection must be after the answer.
    pub fn wants_to_keep(&self) -> bool {
        let says = |word| self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case(word));
        if self.version == "HTTP/1.1" { !says("close") } else { says("keep-alive") }
    }

    /// The `user:password` of a header with basic credentials.
    pub fn credentials(&self, header: &str) -> Option<String> {
        let encoded = self.header(header)?.strip_prefix("Basic ")?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    }
}

/// Name-value pairs of a query or of an urlencoded body.
pub fn pairs(encoded: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pair =
        |pair: &str| pair.split_once('=').map_or((decoded(pair), String::new()), |(n, v)| (decoded(n), decoded(v)));
    encoded.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut reader.take(LONGEST_HEAD))?;
        let size = size.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed("the size of a chunk"))?;
        if size == 0 {
            // Trailers, up to an empty line.
            while !line(&mut reader.take(LONGEST_HEAD))?.is_empty() {}
            return Ok(body);
        }
        body.extend(read_exactly(reader, size)?);
        if body.len() as u64 > LONGEST_BODY || !line(&mut reader.take(LONGEST_HEAD))?.is_empty() {
            return Err(malformed("a chunk"));
        }
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    reader.take(length.min(LONGEST_BODY)).read_to_end(&mut body)?;
    if (body.len() as u64) < length { Err(malformed("the body")) } else { Ok(body) }
}

/// One line without its end; empty at the end of the stream too.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line).map_err(|_| malformed("a line"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed: {what}"))
}

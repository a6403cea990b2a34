//! What came in a request, taken apart and told as JSON, so that a script can capture it and a test can compare it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::request::{Received, pairs};

/// The whole request. The names of the headers are in lower case; those that came twice are joined by a comma.
pub fn echo(request: &Received) -> Value {
    let headers = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    json!({
        "method": request.method,
        "target": request.target,
        "query": object(request.query()),
        "headers": object(headers),
        "body": request.text(),
        "body_base64": STANDARD.encode(&request.body),
    })
}

/// The fields of an urlencoded body.
pub fn form(request: &Received) -> Value {
    object(pairs(&request.text()))
}

/// The cookies, as one header or as several.
pub fn cookies(request: &Received) -> Value {
    let headers = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let pairs = headers.flat_map(|(_, value)| value.split("; ")).filter_map(|pair| pair.split_once('='));
    object(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// The parts of a multipart body in their order.
pub fn multipart(request: &Received) -> Value {
    let content_type = request.header("content-type").unwrap_or_default();
    let Some((_, boundary)) = content_type.split_once("boundary=") else { return Value::Array(Vec::new()) };
    let delimiter = format!("--{}", boundary.trim_matches('"'));
    let pieces = split(&request.body, delimiter.as_bytes());
    pieces.into_iter().skip(1).filter_map(part).collect()
}

/// One part, which starts after its delimiter's line and ends before the next delimiter; `None` for what follows the last.
fn part(piece: &[u8]) -> Option<Value> {
    let piece = piece.strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?;
    let [head, body] =
        split(piece, b"\r\n\r\n").first().map(|head| [*head, piece.get(head.len() + 4..).unwrap_or(b"")])?;
    let head = String::from_utf8_lossy(head);
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    };
    let disposition = header("content-disposition")?;
    let parameter = |name: &str| {
        let parameters = disposition.split(';').filter_map(|text| text.trim().split_once('='));
        parameters.filter(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"').to_owned()).next()
    };
    Some(json!({
        "name": parameter("name"),
        "filename": parameter("filename"),
        "content_type": header("content-type"),
        "size": body.len(),
        "text": String::from_utf8_lossy(body),
    }))
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(separator.len()).position(|window| window == separator) {
        pieces.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    pieces.push(rest);
    pieces
}

fn object(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut object: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        let value = match object.get(&name) {
            Some(Value::String(before)) => format!("{before}, {value}"),
            _ => value,
        };
        object.insert(name, value.into());
    }
    object.into()
}

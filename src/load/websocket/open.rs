//! The opening handshake (RFC 6455, 4.1), and how a server refuses it.
//!
//! It stands alone because it is HTTP: it goes over our transport, so that names, proxies, TLS and timings are those of any
//! other request. What is said on the connection afterwards is not known here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::{Connection, Wish};
use crate::clock::Moment;
use crate::load::http::{Answer, BadUrl, Failure, Keep, Outgoing, Stage, Switch, Target, Timings, Transport, Upgraded};

/// What is kept of the body of a refusal, in bytes.
const KEPT: usize = 1024;

/// A handshake that went well.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// How long each part took; the handshake itself is from `sent` to `head`.
    pub timings: Timings,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<String>,
    /// The headers of its answer.
    pub headers: HeaderMap,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub struct Refused {
    /// How long each part took.
    pub timings: Timings,
    /// What went wrong: a code of the system (`ECONNREFUSED`), or one sentence of npm `ws`
    /// (`Unexpected server response: 403`). The server's answer is in it when there was one, with the first KiB of its body.
    pub failure: Failure,
}

/// The target of a URL that says `ws:` or `wss:`; those of HTTP are taken as well.
///
/// # Errors
///
/// When it is no URL of either.
pub fn target(text: &str) -> Result<Target, BadUrl> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    match scheme.trim_start().to_ascii_lowercase().as_str() {
        "ws" => Target::parse(&format!("http:{rest}")),
        "wss" => Target::parse(&format!("https:{rest}")),
        _ => Target::parse(text),
    }
}

/// Opens a connection. `due` is when that should have begun.
///
/// # Errors
///
/// When the server cannot be reached, or does not agree.
pub async fn open(transport: &Transport, wish: &Wish, due: Moment) -> Result<(Connection, Accepted), Refused> {
    let key = generate_key();
    let outgoing = Outgoing {
        method: Method::GET,
        target: wish.target.clone(),
        headers: headers(wish, &key),
        body: Bytes::new(),
        http2: false,
        keep: Keep::Start(KEPT),
        due,
    };
    let Upgraded { timings, outcome } = transport.upgrade(outgoing).await;
    let refused = |failure| Refused { timings, failure };
    match outcome.map_err(refused)? {
        Switch::Refused(answer) => {
            let what = format!("Unexpected server response: {}", answer.status.as_u16());
            Err(refused(protest(&what, answer)))
        }
        Switch::Over { stream, early, answer } => match agreed(&answer.headers, &key, &wish.subprotocols) {
            Err(what) => Err(refused(protest(what, answer))),
            Ok(subprotocol) => {
                let accepted = Accepted { timings, subprotocol, headers: answer.headers };
                Ok((Connection::new(stream, &early, wish.largest), accepted))
            }
        },
    }
}

fn headers(wish: &Wish, key: &str) -> HeaderMap {
    let mut headers = wish.headers.clone();
    // Compression is not spoken here: a script that offers it must not be taken at its word.
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(offer) = HeaderValue::try_from(wish.subprotocols.join(","))
        && !offer.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offer);
    }
    if let Some((user, password)) = wish.target.credentials()
        && !headers.contains_key(AUTHORIZATION)
        && let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

fn protest(what: &str, answer: Answer) -> Failure {
    let mut failure = Failure::new(Stage::AwaitingHead, what.to_owned(), what);
    failure.partial = Some(Box::new(answer));
    failure
}

/// The subprotocol that was agreed upon; the sentences are those of `ws` 7 (`lib/websocket.js`).
fn agreed(headers: &HeaderMap, key: &str, offered: &[String]) -> Result<Option<String>, &'static str> {
    let upgrade = headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !upgrade {
        return Err("Invalid Upgrade header");
    }
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err("Invalid Sec-WebSocket-Accept header");
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("Server sent a Sec-WebSocket-Extensions header but no extension was requested");
    }
    match headers.get(SEC_WEBSOCKET_PROTOCOL).map(|chosen| chosen.to_str().unwrap_or_default()) {
        None if offered.is_empty() => Ok(None),
        None => Err("Server sent no subprotocol"),
        Some(_) if offered.is_empty() => Err("Server sent a subprotocol but none was requested"),
        Some(chosen) if offered.iter().any(|one| one == chosen) => Ok(Some(chosen.to_owned())),
        Some(_) => Err("Server sent an invalid subprotocol"),
    }
}

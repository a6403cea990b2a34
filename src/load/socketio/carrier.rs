//! The WebSocket of a session: how it is opened, how it is tried, and how packets look on it.
//!
//! It stands alone because a session may begin on one or move to one. It knows neither pings nor namespaces.

use std::sync::Arc;

use super::dial::Dialer;
use super::down::Down;
use super::engine::{Generation, Kind, Packet, Payload};
use super::options::{Means, Options};
use crate::load::http::{Failure, Stage, Timings};
use crate::load::websocket::{Accepted, Connection, Message, Refused as NoWebSocket, Wish, open};

/// A packet as a message of a WebSocket.
pub(super) fn message(packet: Packet, generation: Generation) -> Message {
    match packet.framed(generation) {
        Payload::Text(text) => Message::Text(text),
        Payload::Binary(bytes) => Message::Binary(bytes),
    }
}

/// The packet in a message of a WebSocket.
pub(super) fn read(message: Message, generation: Generation) -> Result<Packet, Down> {
    match message {
        Message::Text(text) => Packet::of_text(&text),
        Message::Binary(bytes) => Packet::of_bytes(bytes, generation),
    }
    .map_err(|error| Down::parse(&error))
}

/// Opens a WebSocket.
pub(super) async fn websocket(
    dialer: &Dialer,
    options: &Options,
    generation: Generation,
    further: &[(&str, &str)],
) -> Result<(Connection, Accepted), NoWebSocket> {
    let due = dialer.clock().now();
    let target = options.url(generation, Means::WebSocket, further).map_err(|error| NoWebSocket {
        timings: Timings { due, ..Timings::default() },
        failure: Failure::new(Stage::Sending, "ERR_INVALID_URL", &error.to_string()),
    })?;
    let wish = Wish { headers: options.all_headers(), largest: options.largest, ..Wish::new(target) };
    Box::pin(open(dialer.usual(), &wish, due)).await
}

/// Opens a WebSocket for a session, and asks whether it works.
pub(super) async fn probe(
    dialer: Dialer,
    options: Arc<Options>,
    generation: Generation,
    sid: String,
) -> Result<Connection, String> {
    let opened = websocket(&dialer, &options, generation, &[("sid", &sid)]).await;
    let (mut connection, _) = opened.map_err(|refused| refused.failure.detail)?;
    let ended = |ended| Down::of_end(ended).detail;
    let probe = message(Packet::text(Kind::Ping, "probe"), generation);
    let asked = async {
        connection.send(probe).await.map_err(ended)?;
        connection.next().await.map_err(ended)
    };
    let answer = tokio::time::timeout(options.timeout, asked).await.map_err(|_| "timeout".to_owned())??;
    match answer {
        Message::Text(text) if text == "3probe" => Ok(connection),
        _ => Err("probe error".into()),
    }
}

//! The transport that is made of requests: one waits for the server to have something to say, another brings what is said to
//! it.
//!
//! It stands alone because it is a queue, two requests and nothing else; it knows neither pings nor namespaces. It moves when
//! it is polled.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};

use super::dial::Dialer;
use super::down::Down;
use super::engine::{self, Generation, Packet};
use super::options::{Means, Options};
use crate::load::http::{
    Answer, BadUrl, Connections, Exchange, Failure, Keep, Missing, Outgoing, Stage, Timings, Transport,
};

/// Packets in one body; python-engineio takes 16 (`Payload.max_decode_packets`).
const MOST_PACKETS: usize = 16;
/// The two requests that are under way at a time.
const SOCKETS: usize = 2;

type Request = Pin<Box<dyn Future<Output = Exchange> + Send>>;

/// The requests of one session.
pub(super) struct Polling {
    dialer: Dialer,
    options: Arc<Options>,
    headers: HeaderMap,
    connections: Connections,
    generation: Generation,
    sid: String,
    number: u64,
    get: Option<Request>,
    post: Option<Request>,
    received: VecDeque<Packet>,
    /// Whether no new request is to begin.
    paused: bool,
    largest: usize,
}

impl Debug for Polling {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.debug_struct("Polling").field("sid", &self.sid).field("paused", &self.paused).finish_non_exhaustive()
    }
}

/// Asks for a session.
pub(super) async fn greet(dialer: &Dialer, options: &Arc<Options>, generation: Generation) -> (Exchange, Connections) {
    let connections = Transport::own_connections(SOCKETS);
    let stamp = dialer.clock().now().as_nanos().to_string();
    let due = dialer.clock().now();
    let exchange = match options.url(generation, Means::Polling, &[("t", &stamp)]) {
        Ok(target) => {
            let outgoing = Outgoing {
                method: Method::GET,
                target,
                headers: options.all_headers(),
                body: Bytes::new(),
                http2: false,
                keep: Keep::Whole(options.largest),
                due,
            };
            dialer.patient().exchange(&connections, outgoing).await
        }
        Err(error) => Exchange {
            timings: Timings { due, ..Timings::default() },
            outcome: Err(Failure::new(Stage::Sending, "ERR_INVALID_URL", &error.to_string())),
        },
    };
    (exchange, connections)
}

/// What an answer must be for its body to be packets.
pub(super) fn checked(outcome: Result<Answer, Failure>) -> Result<Answer, Failure> {
    let answer = outcome?;
    let status = answer.status.as_u16();
    let refused = |code: String, detail: &str| {
        let mut failure = Failure::new(Stage::ReceivingBody, code, detail);
        failure.partial = Some(Box::new(answer.clone()));
        Err(failure)
    };
    match &answer.body.missing {
        _ if !answer.status.is_success() => {
            refused(format!("Unexpected server response: {status}"), &format!("the server answered {status}"))
        }
        Some(Missing::Cut | Missing::Bomb) => refused("ERR_BODY_TOO_LARGE".into(), "the body is larger than is taken"),
        Some(_) => refused("ECONNRESET".into(), "the body is not whole"),
        None => Ok(answer),
    }
}

impl Polling {
    pub(super) fn new(
        dialer: &Dialer,
        options: &Arc<Options>,
        connections: Connections,
        generation: Generation,
        sid: &str,
        largest: Option<usize>,
    ) -> Self {
        Self {
            dialer: dialer.clone(),
            options: Arc::clone(options),
            headers: options.all_headers(),
            connections,
            generation,
            sid: sid.to_owned(),
            number: 0,
            get: None,
            post: None,
            received: VecDeque::new(),
            paused: false,
            largest: largest.unwrap_or(usize::MAX),
        }
    }

    /// Packets that came otherwise.
    pub(super) fn received(&mut self, packets: impl IntoIterator<Item = Packet>) {
        self.received.extend(packets);
    }

    /// Lets the requests that are under way come to their end, and begins no other.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Whether it is paused, and all is done.
    pub(super) fn is_at_rest(&self) -> bool {
        self.paused && self.get.is_none() && self.post.is_none() && self.received.is_empty()
    }

    /// The next packet. Meanwhile what waits in the queue is sent.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        queue: &mut VecDeque<Packet>,
    ) -> Poll<Result<Packet, Down>> {
        loop {
            if let Some(packet) = self.received.pop_front() {
                return Poll::Ready(Ok(packet));
            }
            if !self.paused {
                self.begin(queue)?;
            }
            let mut moved = false;
            if let Some(Poll::Ready(exchange)) = self.post.as_mut().map(|post| post.as_mut().poll(context)) {
                self.post = None;
                checked(exchange.outcome).map_err(Down::of_post)?;
                moved = true;
            }
            if let Some(Poll::Ready(exchange)) = self.get.as_mut().map(|get| get.as_mut().poll(context)) {
                self.get = None;
                let answer = checked(exchange.outcome).map_err(Down::of_poll)?;
                let packets = engine::decode(&answer.body.bytes, self.generation);
                self.received.extend(packets.map_err(|error| Down::parse(&error))?);
                moved = true;
            }
            if !moved || self.is_at_rest() {
                return Poll::Pending;
            }
        }
    }

    fn begin(&mut self, queue: &mut VecDeque<Packet>) -> Result<(), Down> {
        if self.post.is_none() && !queue.is_empty() {
            let packets = self.batch(queue);
            let post = self.request(Method::POST, Some(engine::encode(&packets, self.generation)));
            self.post = Some(post.map_err(|error| Down::no_url(&error))?);
        }
        if self.get.is_none() {
            self.get = Some(self.request(Method::GET, None).map_err(|error| Down::no_url(&error))?);
        }
        Ok(())
    }

    /// As many packets as one body may have, one at least.
    fn batch(&self, queue: &mut VecDeque<Packet>) -> Vec<Packet> {
        let mut batch = Vec::new();
        let mut size = 0_usize;
        while let Some(packet) = queue.front() {
            // Base64 makes a third more of bytes, and each packet has something around it.
            size = size.saturating_add(packet.len() / 3 * 4 + 8);
            if batch.len() == MOST_PACKETS || (!batch.is_empty() && size > self.largest) {
                break;
            }
            batch.extend(queue.pop_front());
        }
        batch
    }

    /// Sends the rest, and does not listen any more.
    pub(super) async fn finish(mut self, mut queue: VecDeque<Packet>) {
        self.get = None;
        if let Some(post) = self.post.take() {
            post.await;
        }
        while !queue.is_empty() {
            let packets = self.batch(&mut queue);
            let Ok(post) = self.request(Method::POST, Some(engine::encode(&packets, self.generation))) else { return };
            if checked(post.await.outcome).is_err() {
                return;
            }
        }
    }

    fn request(&mut self, method: Method, body: Option<engine::Body>) -> Result<Request, BadUrl> {
        self.number += 1;
        let further = [("t", self.number.to_string()), ("sid", self.sid.clone())];
        let further = further.each_ref().map(|(name, value)| (*name, value.as_str()));
        let target = self.options.url(self.generation, Means::Polling, &further)?;
        let mut headers = self.headers.clone();
        // A request that waits ends by the rules of pings, one that brings something as any other does.
        let (keep, waits) = match &body {
            None => (Keep::Whole(self.options.largest), true),
            Some(_) => (Keep::Start(1024), false),
        };
        let body = body.map_or_else(Bytes::new, |body| {
            let kind = if body.text { "text/plain;charset=UTF-8" } else { "application/octet-stream" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            body.bytes
        });
        let due = self.dialer.clock().now();
        let outgoing = Outgoing { method, target, headers, body, http2: false, keep, due };
        let (dialer, connections) = (self.dialer.clone(), self.connections.clone());
        Ok(Box::pin(async move {
            let transport = if waits { dialer.patient() } else { dialer.usual() };
            transport.exchange(&connections, outgoing).await
        }))
    }
}

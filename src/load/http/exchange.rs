//! One request and its response, from the wait for a socket to the last byte of the body.
//!
//! It stands alone because it is the order of events of a load test: a socket, a connection, the request, its response,
//! and a connection laid to rest. Nothing is spawned and nothing is retried. `talk` moves the bytes.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1;

use super::connection::{Connection, Http1};
use super::failure::{Failure, Stage};
use super::open::{Opener, Progress};
use super::pool::{Connections, Slot};
use super::proxy::Route;
use super::resolve::Names;
use super::stream::Notes;
use super::talk::Talk;
use super::tls::Tls;
use super::{Answer, Exchange, Keep, Outgoing, Settings, SettingsError, Sockets, Timings};
use crate::clock::Clock;

/// The largest head of a response, as in Node (`--max-http-header-size`).
const LARGEST_HEAD: usize = 16 * 1024;

/// Speaks HTTP for all virtual users of a run.
#[derive(Debug)]
pub struct Transport {
    pub(super) clock: Clock,
    pub(super) timeout: Duration,
    pub(super) opener: Arc<Opener>,
    pub(super) http1: http1::Builder,
    sockets: usize,
    shared: Option<Connections>,
}

impl Transport {
    /// A transport for one run. The system's certificate authorities are read only when they are first needed.
    ///
    /// # Errors
    ///
    /// When a certificate, a key, a name or a proxy cannot be used.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, SettingsError> {
        let (sockets, shared) = match settings.sockets {
            Sockets::PerUser(sockets) => (sockets, None),
            Sockets::Shared(sockets) => (sockets, Some(Connections::new(sockets))),
        };
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(2 * LARGEST_HEAD).max_header_size(LARGEST_HEAD).writev(false);
        Ok(Self {
            clock,
            timeout: settings.timeout,
            opener: Arc::new(Opener {
                clock,
                names: Names::new(clock),
                route: Route::new(&settings.proxies)?,
                tls: Tls::new(&settings.tls)?,
            }),
            http1,
            sockets,
            shared,
        })
    }

    /// The connections of one more user; those of all users, when they share them.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.shared.clone().unwrap_or_else(|| Connections::new(self.sockets))
    }

    /// The same with another patience; names that were looked up, and TLS sessions, are shared.
    pub(in crate::load) fn patient(&self, timeout: Duration) -> Self {
        let (opener, http1) = (Arc::clone(&self.opener), self.http1.clone());
        Self { clock: self.clock, timeout, opener, http1, sockets: self.sockets, shared: self.shared.clone() }
    }

    /// Connections that are nobody else's, so many at a time, whatever the run's settings are: a request that the server keeps
    /// waiting must not hold up others.
    pub(in crate::load) fn own_connections(sockets: usize) -> Connections {
        Connections::new(sockets)
    }

    /// The longest wait for each part.
    pub(in crate::load) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The clock that stamps its timings.
    pub(in crate::load) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Sends a request and receives its response. It always ends: every wait but that for a socket is bounded.
    ///
    /// Dropping the future closes the connection.
    pub async fn exchange(&self, connections: &Connections, outgoing: Outgoing) -> Exchange {
        // Boxed so that a user that waits between two requests does not hold the room of one.
        Box::pin(self.run(connections, outgoing)).await
    }

    async fn run(&self, connections: &Connections, outgoing: Outgoing) -> Exchange {
        let mut timings = Timings { due: outgoing.due, ..Timings::default() };
        let outcome = self.attempt(connections, outgoing, &mut timings).await;
        timings.done = self.clock.now();
        Exchange { timings, outcome }
    }

    async fn attempt(
        &self,
        connections: &Connections,
        outgoing: Outgoing,
        timings: &mut Timings,
    ) -> Result<Answer, Failure> {
        let mut slot = self.slot(connections, &outgoing, timings).await?;
        let offer_http2 = outgoing.http2 && outgoing.target.origin().is_secure();
        let connection = match slot.resting(offer_http2) {
            Some(connection) => {
                timings.reused = true;
                connection
            }
            None => Box::pin(self.open(&outgoing, timings)).await?,
        };
        match connection {
            Connection::Bare(stream) => {
                let http1 = Http1::on(stream, &self.http1).await;
                let http1 = http1.map_err(|error| Failure::of_http(Stage::Sending, &error))?;
                self.over_http1(http1, slot, outgoing, timings).await
            }
            Connection::Http1(http1) => self.over_http1(http1, slot, outgoing, timings).await,
            Connection::Http2(mut http2) => {
                timings.local_port = http2.local_port;
                let keep = outgoing.keep;
                let answer = http2.sender.send_request(absolute(outgoing));
                let talk = self.talk(&http2.notes, keep, timings);
                let (outcome, ended) = talk.with(&mut http2.wire, answer).await;
                if outcome.is_ok() && !ended && http2.sender.is_ready() {
                    slot.rest(Connection::Http2(http2));
                }
                outcome
            }
        }
    }

    async fn slot(
        &self,
        connections: &Connections,
        outgoing: &Outgoing,
        timings: &mut Timings,
    ) -> Result<Slot, Failure> {
        match connections.slot(outgoing.target.origin()) {
            Ok(slot) => Ok(slot),
            Err(place) => {
                let started = self.clock.now();
                let turn = place.await;
                timings.queued = self.clock.now().since(started);
                // The queue belongs to the connections, which are borrowed: it cannot go away.
                turn.map_err(|_| Failure::new(Stage::Connecting, "ECONNRESET", "the queue for a socket is gone"))
            }
        }
    }

    async fn open(&self, outgoing: &Outgoing, timings: &mut Timings) -> Result<Connection, Failure> {
        let mut progress = Progress::default();
        let opening = self.opener.open(outgoing.target.origin(), outgoing.http2, &mut progress);
        let opened = tokio::time::timeout(self.timeout, opening).await;
        progress.end(self.clock.now());
        (timings.dns, timings.connect, timings.tls) = (progress.dns, progress.connect, progress.tls);
        opened.unwrap_or_else(|_| Err(Failure::timed_out(progress.stage)))
    }

    async fn over_http1(
        &self,
        mut http1: Box<Http1>,
        slot: Slot,
        outgoing: Outgoing,
        timings: &mut Timings,
    ) -> Result<Answer, Failure> {
        timings.local_port = http1.local_port;
        let keep = outgoing.keep;
        let answer = http1.sender.send_request(self.request(outgoing));
        let (outcome, ended) = self.talk(&http1.notes, keep, timings).with(&mut http1.wire, answer).await;
        if outcome.is_ok() && !ended && poll_fn(|context| Poll::Ready(http1.is_at_rest(context))).await {
            slot.rest(Connection::Http1(http1));
        }
        outcome
    }

    /// The request as HTTP/1 sends it, to the server or to a proxy.
    fn request(&self, mut outgoing: Outgoing) -> Request<Full<Bytes>> {
        let origin = outgoing.target.origin();
        let proxy = if origin.is_secure() { None } else { self.opener.route.proxy(origin) };
        let Some(proxy) = proxy else { return direct(outgoing) };
        proxy.authorize(&mut outgoing.headers);
        let whole = outgoing.target.absolute_form();
        let mut request = direct(outgoing);
        *request.uri_mut() = whole;
        request
    }

    pub(super) fn talk<'a>(&self, notes: &'a Notes, keep: Keep, timings: &'a mut Timings) -> Talk<'a> {
        Talk { clock: self.clock, timeout: self.timeout, started: self.clock.now(), notes, keep, timings }
    }
}

/// The request as HTTP/1 sends it to the server itself.
pub(super) fn direct(outgoing: Outgoing) -> Request<Full<Bytes>> {
    let Outgoing { method, target, mut headers, body, .. } = outgoing;
    headers.entry(HOST).or_insert_with(|| target.origin().authority().clone());
    frame(&mut headers, &method, body.len());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.into_origin_form();
    *request.headers_mut() = headers;
    request
}

/// The request as HTTP/2 sends it: the host is part of the target, and headers of the connection have no place.
fn absolute(outgoing: Outgoing) -> Request<Full<Bytes>> {
    let mut headers = outgoing.headers;
    headers.remove(HOST);
    frame(&mut headers, &outgoing.method, outgoing.body.len());
    let mut request = Request::new(Full::new(outgoing.body));
    *request.uri_mut() = outgoing.target.absolute_form();
    *request.method_mut() = outgoing.method;
    *request.headers_mut() = headers;
    request
}

/// The length is the body's own, whatever a script says: a wrong one would tear the connection apart.
fn frame(headers: &mut HeaderMap, method: &Method, length: usize) {
    headers.remove(TRANSFER_ENCODING);
    if length > 0 || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        headers.remove(CONTENT_LENGTH);
    }
}

//! A new connection: the name is looked up, an address answers, a proxy lets through, TLS is agreed upon.
//!
//! It stands alone because these are the waits that a reused connection does not have, and each is timed apart. It is
//! told when to give up from outside.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::slice;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Wire};
use super::failure::{Failure, Stage};
use super::proxy::{Proxy, Route};
use super::resolve::Names;
use super::stream::Stream;
use super::tls::Tls;
use super::{Answer, Body, Origin};
use crate::clock::{Clock, Moment};

/// All that it takes to make a connection.
#[derive(Debug)]
pub(super) struct Opener {
    pub(super) clock: Clock,
    pub(super) names: Names,
    pub(super) route: Route,
    pub(super) tls: Tls,
}

/// How far a connection has come; still there when it was given up.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    pub(super) dns: Option<Duration>,
    pub(super) connect: Option<Duration>,
    pub(super) tls: Option<Duration>,
    /// When the part began that is under way.
    began: Option<Moment>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { stage: Stage::Resolving, dns: None, connect: None, tls: None, began: None }
    }
}

impl Progress {
    fn begin(&mut self, stage: Stage, now: Moment) {
        self.stage = stage;
        self.began = Some(now);
    }

    /// The part that is under way ends here, well or not; nothing happens if there is none.
    pub(super) fn end(&mut self, now: Moment) {
        let Some(began) = self.began.take() else { return };
        let part = match self.stage {
            Stage::Resolving => &mut self.dns,
            Stage::Handshaking => &mut self.tls,
            _ => &mut self.connect,
        };
        *part.get_or_insert_default() += now.since(began);
    }
}

/// What is to go through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Requests, which a proxy understands when there is no TLS on them.
    Requests { offer_http2: bool },
    /// A protocol that a proxy must let through as it is (RFC 6455, 4.1).
    Upgrade,
}

impl Opener {
    /// A connection that is ready for requests.
    pub(super) async fn open(
        &self,
        origin: &Origin,
        offer_http2: bool,
        progress: &mut Progress,
    ) -> Result<Connection, Failure> {
        let stream = self.stream(origin, Use::Requests { offer_http2 }, progress).await?;
        Connection::on(stream).await.map_err(|error| Failure::of_http(Stage::Handshaking, &error))
    }

    /// The bare connection.
    pub(super) async fn stream(
        &self,
        origin: &Origin,
        purpose: Use,
        progress: &mut Progress,
    ) -> Result<Stream, Failure> {
        let proxy = self.route.proxy(origin);
        let hop = proxy.map_or(origin, |proxy| proxy.target.origin());
        let mut tcp = self.reach(hop, progress).await?;
        if let Some(proxy) = proxy.filter(|_| origin.is_secure() || purpose == Use::Upgrade) {
            progress.begin(Stage::Connecting, self.clock.now());
            tcp = self.tunnel(tcp, proxy, origin).await?;
            progress.end(self.clock.now());
        }
        if !origin.is_secure() {
            return Ok(Stream::plain(tcp, self.clock));
        }
        let http2 = purpose == Use::Requests { offer_http2: true };
        progress.begin(Stage::Handshaking, self.clock.now());
        let name = self
            .tls
            .server_name(origin)
            .ok_or_else(|| Failure::new(Stage::Handshaking, "ERR_TLS_CERT_ALTNAME_INVALID", origin.host()))?;
        let tls = TlsConnector::from(self.tls.config(http2))
            .connect(name, tcp)
            .await
            .map_err(|error| Failure::of_handshake(&error))?;
        progress.end(self.clock.now());
        Ok(Stream::secure(tls, http2, self.clock))
    }

    /// A TCP connection to the first address that takes one.
    async fn reach(&self, hop: &Origin, progress: &mut Progress) -> Result<TcpStream, Failure> {
        let found;
        let (literal, addresses): (IpAddr, &[IpAddr]);
        if let Some(address) = hop.address() {
            literal = address;
            addresses = slice::from_ref(&literal);
        } else {
            progress.begin(Stage::Resolving, self.clock.now());
            found = self.names.resolve(hop.host()).await?;
            progress.end(self.clock.now());
            addresses = &found;
        }
        progress.begin(Stage::Connecting, self.clock.now());
        let tcp = connect(addresses, hop.port()).await.map_err(|error| Failure::of_io(Stage::Connecting, &error))?;
        progress.end(self.clock.now());
        Ok(tcp)
    }

    /// Asks a proxy for a way to the server (RFC 9110, 9.3.6).
    async fn tunnel(&self, tcp: TcpStream, proxy: &Proxy, origin: &Origin) -> Result<TcpStream, Failure> {
        let http = |error| Failure::of_http(Stage::Connecting, &error);
        let refused = |code: String, detail: &str| Failure::new(Stage::Connecting, code, detail);
        let whom = origin.with_port();
        let request = proxy
            .connect::<Full<Bytes>>(origin)
            .ok_or_else(|| refused("ERR_INVALID_URL".into(), &format!("no proxy can be asked for {whom}")))?;
        let io = TokioIo::new(Stream::plain(tcp, self.clock));
        let (mut sender, mut wire) = http1::handshake(io).await.map_err(http)?;
        let mut answer = Box::pin(sender.send_request(request));
        let answer = std::future::poll_fn(|context| {
            let _ = wire.poll_wire(context);
            answer.as_mut().poll(context)
        })
        .await
        .map_err(http)?;
        let status = answer.status();
        if !status.is_success() {
            let mut failure = refused(
                format!("ERR_PROXY_CONNECT_{}", status.as_u16()),
                &format!("the proxy {} answered {status} to CONNECT {whom}", proxy.target.origin().with_port()),
            );
            let (head, _) = answer.into_parts();
            let body = Body { bytes: Bytes::new(), missing: Some(super::Missing::NotKept) };
            let answer = Answer { status, version: head.version, headers: head.headers, body };
            failure.partial = Some(Box::new(answer));
            return Err(failure);
        }
        drop(answer);
        let parts = wire.into_parts();
        match parts.io.into_inner().into_tcp() {
            Some(tcp) if parts.read_buf.is_empty() => Ok(tcp),
            _ => Err(refused("EPROTO".into(), "the proxy sent more than its answer to CONNECT")),
        }
    }
}

/// Tries the addresses in order: `localhost` is `::1` first, and many servers listen on 127.0.0.1 alone.
async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

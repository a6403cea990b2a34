//! A connection between two requests.
//!
//! It stands alone because of its size: between requests, an HTTP/1 connection of hyper holds 18 to 29 KB of buffers and
//! queues, a bare stream with its user and task less than 4; but to put hyper on a stream costs a sixth of a request. So
//! hyper stays on it from request to request, and goes when the user waits. HTTP/2 has a state that both sides share
//! and stays as it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::stream::{Notes, Stream};

/// What hyper writes to and reads from.
pub(super) type Io = TokioIo<Stream>;

/// Something that must be polled for a response to come.
pub(super) trait Wire: Unpin {
    /// Moves bytes; ready when the connection has ended.
    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

impl Wire for http1::Connection<Io, Full<Bytes>> {
    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The error of a request goes to the request.
        Future::poll(Pin::new(self), context).map(drop)
    }
}

/// An HTTP/1 connection with hyper on it.
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    pub(super) wire: http1::Connection<Io, Full<Bytes>>,
    pub(super) notes: Arc<Notes>,
    pub(super) local_port: Option<u16>,
    offered_http2: bool,
}

impl Http1 {
    /// Puts hyper on a stream.
    pub(super) async fn on(stream: Stream, builder: &http1::Builder) -> Result<Box<Self>, hyper::Error> {
        let (notes, local_port, offered_http2) = (stream.notes(), stream.local_port(), stream.offered_http2());
        let (sender, wire) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { sender, wire, notes, local_port, offered_http2 }))
    }

    /// Whether it asks for the next request; it does so once it has seen the end of a response. Not, when there is more
    /// than the response or the server has closed.
    pub(super) fn is_at_rest(&mut self, context: &mut Context<'_>) -> bool {
        self.sender.is_ready() || (self.wire.poll_wire(context).is_pending() && self.sender.is_ready())
    }

    /// The stream alone, unless there are bytes that belong to nobody.
    fn into_stream(mut self) -> Option<Stream> {
        let at_rest = self.is_at_rest(&mut Context::from_waker(Waker::noop()));
        let parts = self.wire.into_parts();
        (at_rest && parts.read_buf.is_empty()).then(|| parts.io.into_inner())
    }
}

/// An HTTP/2 connection. Its frames are moved by a task of hyper's.
pub(super) struct Http2 {
    pub(super) sender: http2::SendRequest<Full<Bytes>>,
    pub(super) wire: Requests,
    pub(super) notes: Arc<Notes>,
    pub(super) local_port: Option<u16>,
}

/// The part of HTTP/2 that hands requests to the task that moves frames; nothing once it has ended.
pub(super) struct Requests(Option<Pin<Box<Http2Connection>>>);

type Http2Connection = http2::Connection<Io, Full<Bytes>, TokioExecutor>;

impl Wire for Requests {
    /// Never ready: a response may still be on its way through the other task when the connection has ended, and will
    /// come, or fail, by itself.
    fn poll_wire(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.as_mut().is_some_and(|requests| requests.as_mut().poll(context).is_ready()) {
            self.0 = None;
        }
        Poll::Pending
    }
}

/// A connection between two requests.
pub(super) enum Connection {
    /// HTTP/1, reduced to what can wait for long.
    Bare(Stream),
    Http1(Box<Http1>),
    Http2(Box<Http2>),
}

impl Connection {
    /// Puts the protocol that was agreed upon on a new stream.
    pub(super) async fn on(stream: Stream) -> Result<Self, hyper::Error> {
        if !stream.chose_http2() {
            return Ok(Self::Bare(stream));
        }
        let (notes, local_port) = (stream.notes(), stream.local_port());
        let (sender, wire) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        Ok(Self::Http2(Box::new(Http2 { sender, wire: Requests(Some(Box::pin(wire))), notes, local_port })))
    }

    /// Whether HTTP/2 was offered when it was made: only those who would offer the same may share it.
    pub(super) const fn offered_http2(&self) -> bool {
        match self {
            Self::Bare(stream) => stream.offered_http2(),
            Self::Http1(http1) => http1.offered_http2,
            Self::Http2(_) => true,
        }
    }

    /// Whether a request can be sent: a server may have closed the connection while it rested.
    pub(super) fn is_usable(&mut self) -> bool {
        match self {
            Self::Bare(stream) => stream.is_quiet(),
            Self::Http1(http1) => {
                http1.wire.poll_wire(&mut Context::from_waker(Waker::noop())).is_pending() && http1.sender.is_ready()
            }
            Self::Http2(http2) => {
                let _ = http2.wire.poll_wire(&mut Context::from_waker(Waker::noop()));
                http2.wire.0.is_some() && http2.sender.is_ready()
            }
        }
    }

    /// The same as small as it can be; nothing when it cannot be used again.
    pub(super) fn reduced(self) -> Option<Self> {
        match self {
            Self::Http1(http1) => http1.into_stream().map(Self::Bare),
            small => Some(small),
        }
    }
}

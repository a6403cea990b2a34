//! A TCP connection, with or without TLS on it, that remembers when it was last written to.
//!
//! It stands alone because "the request was sent" is known here only: above, bytes vanish into buffers. It knows nothing
//! of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::clock::{Clock, Moment};

/// What the layers above ask of a stream that they have handed over.
#[derive(Debug, Default)]
pub(super) struct Notes {
    written: AtomicU64,
    blocked: AtomicBool,
}

impl Notes {
    /// When the last bytes began to be handed to the system.
    pub(super) fn written(&self) -> Moment {
        Moment::from_nanos(self.written.load(Ordering::Relaxed))
    }

    /// Whether there are bytes that the system would not take.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }
}

/// The bytes' way to the server.
#[derive(Debug)]
pub(in crate::load) struct Stream {
    io: Io,
    notes: Arc<Notes>,
    clock: Clock,
    local_port: Option<u16>,
    offered_http2: bool,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn plain(tcp: TcpStream, clock: Clock) -> Self {
        let local_port = tcp.local_addr().ok().map(|address| address.port());
        Self { io: Io::Plain(tcp), notes: Arc::default(), clock, local_port, offered_http2: false }
    }

    pub(super) fn secure(tls: TlsStream<TcpStream>, offered_http2: bool, clock: Clock) -> Self {
        let local_port = tls.get_ref().0.local_addr().ok().map(|address| address.port());
        Self { io: Io::Secure(Box::new(tls)), notes: Arc::default(), clock, local_port, offered_http2 }
    }

    /// The TCP connection below, when there is no TLS on it.
    pub(super) fn into_tcp(self) -> Option<TcpStream> {
        match self.io {
            Io::Plain(tcp) => Some(tcp),
            Io::Secure(_) => None,
        }
    }

    pub(super) fn notes(&self) -> Arc<Notes> {
        Arc::clone(&self.notes)
    }

    pub(super) const fn local_port(&self) -> Option<u16> {
        self.local_port
    }

    /// Whether HTTP/2 was offered in the handshake.
    pub(super) const fn offered_http2(&self) -> bool {
        self.offered_http2
    }

    /// Whether the server chose HTTP/2 in the handshake.
    pub(super) fn chose_http2(&self) -> bool {
        match &self.io {
            Io::Plain(_) => false,
            Io::Secure(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether the other side is still there and silent, as a connection that rests between two requests must be.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut room = [0];
        let mut room = ReadBuf::new(&mut room);
        Pin::new(self).poll_read(&mut Context::from_waker(Waker::noop()), &mut room).is_pending()
    }

    /// Notes a write that began then. Its end would be too late: to a server on this machine the call itself delivers the bytes, and
    /// where cores are scarce it returns only after the server has answered.
    fn noted(&self, begun: Moment, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(_)) => {
                self.notes.written.store(begun.as_nanos(), Ordering::Relaxed);
                self.notes.blocked.store(false, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => (),
            Poll::Pending => self.notes.blocked.store(true, Ordering::Relaxed),
        }
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(context, room),
            Io::Secure(tls) => Pin::new(tls).poll_read(context, room),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begun = this.clock.now();
        let result = match &mut this.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Io::Secure(tls) => Pin::new(tls).poll_write(context, bytes),
        };
        this.noted(begun, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begun = this.clock.now();
        let result = match &mut this.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            Io::Secure(tls) => Pin::new(tls).poll_write_vectored(context, slices),
        };
        this.noted(begun, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Secure(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Io::Secure(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Io::Secure(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

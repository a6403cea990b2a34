//! One accepted connection, plain or inside TLS, with the ways to end it that a peer must be able to bear.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::net::TcpSocket;

/// Bytes in both directions.
pub struct Wire {
    stream: Stream,
    socket: TcpStream,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// A connection as it was accepted.
    pub fn plain(socket: TcpStream) -> io::Result<Wire> {
        Ok(Wire { stream: Stream::Plain(socket.try_clone()?), socket })
    }

    /// The same after the handshake. When that fails the peer is given the time to read why: a socket that is closed with
    /// unread bytes is reset, and the reset can overtake the alert.
    pub fn tls(socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Wire> {
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket.try_clone()?);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                socket.shutdown(Shutdown::Write)?;
                socket.set_read_timeout(Some(Duration::from_secs(1)))?;
                io::copy(&mut (&socket).take(64 * 1024), &mut io::sink())?;
                return Err(error);
            }
        }
        Ok(Wire { stream: Stream::Tls(Box::new(stream)), socket })
    }

    /// With a buffer before it.
    pub fn buffered(self) -> BufReader<Wire> {
        BufReader::new(self)
    }

    /// From now on closing it sends a reset instead of an end.
    pub fn reset_on_close(&self) -> io::Result<()> {
        // The standard library has no stable way to say so; the option belongs to the socket, not to this descriptor.
        TcpSocket::from_std_stream(self.socket.try_clone()?).set_zero_linger()
    }

    /// Reads what still comes, and returns when the peer has closed its side.
    pub fn wait_for_the_peer_to_close(&mut self) {
        let mut ignored = [0; 1024];
        while self.read(&mut ignored).is_ok_and(|length| length > 0) {}
    }

    /// Says that nothing follows, as far as the connection has a way to.
    pub fn say_goodbye(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            // A peer that is gone needs no goodbye.
            let _ = stream.flush();
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

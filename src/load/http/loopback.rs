//! A server for the tests of the transport: each connection is played by a script of what it expects and what it says.
//!
//! It stands alone because every test of the transport needs the same few moves. It is no HTTP server: it can say what
//! none would.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Runs a test to its end, or fails it after twenty seconds.
pub(in crate::load) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs") })
}

/// Something that bytes go through.
pub(in crate::load) trait Peer: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Peer for T {}

/// Serves each connection by a function of its number; gives the port.
pub(in crate::load) async fn serve<S, F>(mut serve: S) -> u16
where
    S: FnMut(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        for number in 0..1000 {
            let Ok((peer, _)) = listener.accept().await else { return };
            tokio::spawn(serve(number, peer));
        }
    });
    port
}

/// Answers every request on every connection with the same bytes.
pub(in crate::load) async fn always(answer: &'static [u8]) -> u16 {
    serve(move |_, mut peer| async move {
        while hear(&mut peer).await.is_some() {
            say(&mut peer, answer).await;
        }
    })
    .await
}

/// Answers one request on each connection, then closes it.
pub(in crate::load) async fn once(answer: &'static [u8]) -> u16 {
    serve(move |_, mut peer| async move {
        hear(&mut peer).await;
        say(&mut peer, answer).await;
    })
    .await
}

/// Reads one request with its body; nothing when the connection has ended.
pub(in crate::load) async fn hear(peer: &mut impl Peer) -> Option<String> {
    let mut request = Vec::new();
    for _ in 0..1_000_000 {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                return String::from_utf8(request).ok();
            }
        }
        let mut piece = [0; 4096];
        match peer.read(&mut piece).await {
            Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
    None
}

/// Writes; that the other side is gone does not matter.
pub(in crate::load) async fn say(peer: &mut impl Peer, bytes: &[u8]) {
    let _ = peer.write_all(bytes).await;
    let _ = peer.flush().await;
}

/// Waits until the other side closes.
pub(in crate::load) async fn linger(peer: &mut impl Peer) {
    for _ in 0..1_000_000 {
        match peer.read(&mut [0; 4096]).await {
            Ok(count) if count > 0 => (),
            _ => return,
        }
    }
}

//! Ports where nobody answers.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::net::TcpSocket;

/// A port of the loopback where a connection is refused: it was free a moment ago and nobody listens.
pub fn dead_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.local_addr().expect("it is bound")
}

/// A listener whose backlog has room for `backlog` connections, for which it waits on the kernel's side.
pub fn listener(backlog: u32) -> TcpListener {
    // The standard library does not let one choose the backlog.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime can be had");
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4().expect("there are descriptors");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("the loopback has free ports");
    let listener = socket.listen(backlog).and_then(tokio::net::TcpListener::into_std).expect("it listens");
    listener.set_nonblocking(false).expect("it is a socket");
    listener
}

/// A listener that never accepts and whose backlog is full, so that a connection is never made and never refused.
pub struct FullBacklog {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    /// Fills the backlog of a new listener.
    pub fn new() -> FullBacklog {
        const IN_VAIN: Duration = Duration::from_millis(200);
        let listener = listener(0);
        let address = listener.local_addr().expect("it is bound");
        let attempts = (0..16).map(|_| TcpStream::connect_timeout(&address, IN_VAIN));
        let waiting: Vec<TcpStream> = attempts.map_while(Result::ok).collect();
        assert!(waiting.len() < 16, "the backlog has no end");
        FullBacklog { address, _listener: listener, _waiting: waiting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

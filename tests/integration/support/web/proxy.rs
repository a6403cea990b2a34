//! A forward proxy: whole URLs for plain HTTP, tunnels for everything else.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;

use super::answer::Answer;
use super::request::Received;
use super::service::Service;
use super::traffic::Traffic;
use crate::support::wait::PATIENCE;

/// Forwards what it is asked to, if it is asked with the right credentials.
pub struct Proxy {
    service: Service,
    traffic: Arc<Traffic>,
}

impl Proxy {
    /// One that everybody may use.
    pub fn start() -> Proxy {
        Proxy::launch(None)
    }

    /// One that wants `user:password`, and says 407 to everybody else.
    pub fn start_with(credentials: &str) -> Proxy {
        Proxy::launch(Some(credentials.to_owned()))
    }

    fn launch(credentials: Option<String>) -> Proxy {
        let traffic = Arc::<Traffic>::default();
        let log = Arc::clone(&traffic);
        let service = Service::start("proxy", move |socket, connection| {
            // What becomes of a connection is told by its two ends.
            let _ = serve(&socket, connection, credentials.as_deref(), &log);
        });
        Proxy { service, traffic }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// What belongs into `HTTP_PROXY` and `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What it forwarded, and only that: whole URLs, and `CONNECT` with a host and a port.
    pub fn forwarded(&self) -> Vec<Received> {
        self.traffic.requests()
    }
}

/// One request for each connection.
fn serve(client: &TcpStream, connection: usize, wanted: Option<&str>, log: &Arc<Traffic>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let Some(mut request) = Received::read(&mut reader)? else { return Ok(()) };
    if wanted.is_some() && request.credentials("proxy-authorization").as_deref() != wanted {
        let refusal = Answer::of("text/plain", "who are you?").status(407).last();
        return refusal.header("Proxy-Authenticate", "Basic realm=\"tests\"").write(&request.method, &mut &*client);
    }
    let Ok((server, head)) = destination(&request) else {
        return Answer::of("text/plain", "not for a proxy").status(400).last().write(&request.method, &mut &*client);
    };
    drop(log.record(&mut request, connection));
    let Ok(server) = connect(&server) else {
        return Answer::of("text/plain", "it does not answer").status(502).last().write(&request.method, &mut &*client);
    };
    if let Some(head) = head {
        (&server).write_all(&[head.as_bytes(), &request.body].concat())?;
    } else {
        (&mut &*client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    exchange(&mut reader, client, &server)
}

/// The host and port, and the head to be sent there unless it is a tunnel.
fn destination(request: &Received) -> io::Result<(String, Option<String>)> {
    if request.method == "CONNECT" {
        return Ok((request.target.clone(), None));
    }
    let rest = request.target.strip_prefix("http://").ok_or(ErrorKind::InvalidInput)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let kept = |name: &str| {
        !["proxy-authorization", "proxy-connection", "connection", "transfer-encoding", "content-length"]
            .contains(&name.to_ascii_lowercase().as_str())
    };
    let mut lines = vec![format!("{} {} HTTP/1.1", request.method, if path.is_empty() { "/" } else { path })];
    lines.extend(request.headers.iter().filter(|(name, _)| kept(name)).map(|(name, value)| format!("{name}: {value}")));
    if !request.body.is_empty() {
        lines.push(format!("Content-Length: {}", request.body.len()));
    }
    Ok((server, Some(lines.join("\r\n") + "\r\nConnection: close\r\n\r\n")))
}

fn connect(server: &str) -> io::Result<TcpStream> {
    let address = server.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Carries bytes both ways until both sides are done; the end of one is passed on to the other.
fn exchange(from_client: &mut (impl Read + Send), client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    thread::scope(|scope| {
        let name = "tunnel".to_owned();
        let upwards = thread::Builder::new().name(name).spawn_scoped(scope, || {
            let carried = io::copy(from_client, &mut &*server);
            server.shutdown(Shutdown::Write).and(carried.map(|_| ()))
        })?;
        let carried = io::copy(&mut &*server, &mut &*client);
        // Without the other's answers there is nothing left to ask: this wakes the thread above.
        client.shutdown(Shutdown::Both).and(carried.map(|_| ()))?;
        upwards.join().expect("it only copies")
    })
}

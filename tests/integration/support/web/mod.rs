//! Web servers for the tests of load: one that answers by the book or breaks a chosen rule, one that stalls, a proxy, and
//! ports where nobody answers.
//!
//! All of it is made of the standard library's threads and written by hand, so that what the HTTP client of pyperf receives
//! does not come from a relative of it. Each server lives as long as its guard.

pub mod answer;
pub mod decoded;
pub mod encodings;
pub mod faults;
pub mod gate;
pub mod ports;
pub mod proxy;
pub mod request;
pub mod routes;
pub mod service;
pub mod stalling;
pub mod tls;
pub mod traffic;
pub mod wire;

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::ServerConfig;

use answer::Answer;
use faults::After;
use gate::Gate;
use request::Received;
use routes::Reply;
use service::Service;
use tls::{Authority, Tls};
use traffic::Traffic;
use wire::Wire;

/// A server whose behaviour is chosen by the path of a request; see [`routes`], [`encodings`] and [`faults`].
pub struct WebServer {
    service: Service,
    stage: Arc<Stage>,
    authority: Option<Authority>,
}

/// What the test and the connections share.
pub struct Stage {
    traffic: Arc<Traffic>,
    /// Before every answer.
    all: Gate,
    /// Before the answers of `/gate`.
    one: Gate,
    /// Opened at the end, so that who pauses here is woken by it.
    end: Gate,
}

impl WebServer {
    /// Listens for plain HTTP.
    pub fn start() -> WebServer {
        WebServer::launch(None, Wire::plain)
    }

    /// Listens for HTTPS, with certificates that are made for this server alone.
    pub fn start_tls(tls: Tls) -> WebServer {
        let authority = Authority::new();
        let config: Arc<ServerConfig> = authority.server(tls);
        WebServer::launch(Some(authority), move |socket| Wire::tls(socket, &config))
    }

    fn launch<W>(authority: Option<Authority>, wire: W) -> WebServer
    where
        W: Fn(TcpStream) -> io::Result<Wire> + Send + Sync + 'static,
    {
        let stage = Arc::new(Stage::new());
        let shared = Arc::clone(&stage);
        let service = Service::start("web server", move |socket, number| {
            // How a connection ends is the test's affair: many end by an error.
            let _ = wire(socket).and_then(|wire| converse(wire, number, &shared));
        });
        WebServer { service, stage, authority }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// What a script has as its target, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.stage.traffic.requests()
    }

    /// Returns as soon as `count` requests have come, answered or not.
    pub fn wait_for(&self, count: usize) {
        self.stage.traffic.wait_for(count);
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.service.accepted()
    }

    /// The largest number of requests that waited for an answer at one time.
    pub fn most_at_once(&self) -> usize {
        self.stage.traffic.most_at_once()
    }

    /// Reads requests but answers none from now on.
    pub fn stall(&self) {
        self.stage.all.close();
    }

    /// Answers those that were held, and all others.
    pub fn resume(&self) {
        self.stage.all.open();
    }

    /// Lets `/gate` answer.
    pub fn open_gate(&self) {
        self.stage.one.open();
    }

    /// Holds the answers of `/gate`, as from the start.
    pub fn close_gate(&self) {
        self.stage.one.close();
    }

    /// The certificate of the authority that a client must trust. Panics for plain HTTP, as [`WebServer::client_pem`] does.
    pub fn ca_pem(&self) -> String {
        self.authority.as_ref().expect("it was started with TLS").certificate()
    }

    /// A certificate that the server accepts from a client, followed by its key.
    pub fn client_pem(&self) -> String {
        self.authority.as_ref().expect("it was started with TLS").client()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        for gate in [&self.stage.all, &self.stage.one, &self.stage.end] {
            gate.open();
        }
    }
}

impl Stage {
    fn new() -> Stage {
        Stage { traffic: Arc::default(), all: Gate::opened(), one: Gate::closed(), end: Gate::closed() }
    }
}

/// One request and its answer after the other, until either side has enough.
fn converse(wire: Wire, connection: usize, stage: &Stage) -> io::Result<()> {
    let mut reader = wire.buffered();
    loop {
        let read = Received::read(&mut reader);
        let wire = reader.get_mut();
        let mut request = match read {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let refusal = Answer::of("text/plain", error.to_string()).status(400).last();
                return refusal.write("GET", wire).map(|()| wire.say_goodbye());
            }
            Err(error) => return Err(error),
        };
        let in_flight = stage.traffic.record(&mut request, connection);
        stage.all.pass();
        let reply = routes::reply(&request, stage);
        if !matches!(reply, Reply::Silence) {
            drop(in_flight);
        }
        let after = match reply {
            Reply::Answer(answer) => {
                answer.write(&request.method, wire)?;
                if answer.is_last() { After::Close } else { After::Keep }
            }
            Reply::Fault(fault) => fault(&request, stage, wire)?,
            Reply::Silence => {
                wire.wait_for_the_peer_to_close();
                After::Close
            }
        };
        wire.flush()?;
        if after == After::Close || !request.wants_to_keep() {
            break;
        }
    }
    reader.get_mut().say_goodbye();
    Ok(())
}

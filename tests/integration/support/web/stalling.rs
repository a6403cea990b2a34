//! A server with one worker, as a gunicorn with one sync worker is: while it is busy the world queues before it.

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use serde_json::json;

use super::answer::Answer;
use super::gate::Gate;
use super::ports;
use super::request::Received;
use super::service::{Service, Workers};
use super::traffic::Traffic;

/// Serves one connection after the other, each with one answer. The test says when it stalls.
pub struct StallingServer {
    service: Service,
    traffic: Arc<Traffic>,
    gate: Arc<Gate>,
}

impl StallingServer {
    /// Listens with room for `backlog` connections that wait. Beyond that the kernel lets a client try again after a second.
    pub fn start(backlog: u32) -> StallingServer {
        let (traffic, gate) = (Arc::<Traffic>::default(), Arc::new(Gate::opened()));
        let (log, passage) = (Arc::clone(&traffic), Arc::clone(&gate));
        let service =
            Service::on(ports::listener(backlog), Workers::One, "stalling server", move |socket, connection| {
                // A client that gave up is the test's affair.
                let _ = serve(&socket, connection, &log, &passage);
            });
        StallingServer { service, traffic, gate }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// What a script has as its target.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Stalls at the next request, until it is released.
    pub fn hold(&self) {
        self.gate.close();
    }

    /// Goes on.
    pub fn release(&self) {
        self.gate.open();
    }

    /// Returns as soon as it has begun with `count` requests.
    pub fn wait_for(&self, count: usize) {
        self.traffic.wait_for(count);
    }

    /// The requests that it has begun with.
    pub fn requests(&self) -> Vec<Received> {
        self.traffic.requests()
    }
}

impl Drop for StallingServer {
    fn drop(&mut self) {
        self.gate.open();
    }
}

fn serve(socket: &TcpStream, connection: usize, traffic: &Arc<Traffic>, gate: &Gate) -> io::Result<()> {
    let Some(mut request) = Received::read(&mut BufReader::new(socket))? else { return Ok(()) };
    let in_flight = traffic.record(&mut request, connection);
    gate.pass();
    drop(in_flight);
    Answer::json(&json!({"n": request.order})).last().write(&request.method, &mut &*socket)
}

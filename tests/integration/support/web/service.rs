//! A listener on a free port of the loopback and the threads that serve its connections, all ended and joined on drop.
//!
//! Every socket has a time limit of [`PATIENCE`] in both directions, and every open one is shut down on drop, so no thread
//! can outlive its service. What is said on a connection is not known here.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::wait::PATIENCE;

/// How many connections are served at a time.
#[derive(Clone, Copy, Debug)]
pub enum Workers {
    /// Each connection has a thread of its own.
    OnePerConnection,
    /// One after the other; the others wait in the backlog of the kernel.
    One,
}

/// Listens until it is dropped.
pub struct Service {
    address: SocketAddr,
    open: Arc<Mutex<Open>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Open {
    closing: bool,
    accepted: usize,
    streams: BTreeMap<usize, TcpStream>,
}

impl Service {
    /// Serves with a thread for each connection; `serve` gets the connection and its number, from 1 on.
    pub fn start(name: &str, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        Service::on(listener, Workers::OnePerConnection, name, serve)
    }

    /// Serves on a listener that was made elsewhere.
    pub fn on(
        listener: TcpListener,
        workers: Workers,
        name: &str,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> Service {
        let address = listener.local_addr().expect("it is bound");
        let open = Arc::<Mutex<Open>>::default();
        let shared = Arc::clone(&open);
        let accept = move || accept_all(&listener, workers, &shared, &Arc::new(serve));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(accept).expect("a thread can be had");
        Service { address, open, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        look(&self.open).accepted
    }

    fn close(&self) {
        let mut open = look(&self.open);
        open.closing = true;
        for stream in open.streams.values() {
            // It may have been closed by the other side.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.close();
        // Wakes the thread that accepts. Where this is refused, those that wait in the backlog wake it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(joined.is_ok() || thread::panicking(), "a thread of the service panicked");
    }
}

fn accept_all<S>(listener: &TcpListener, workers: Workers, open: &Arc<Mutex<Open>>, serve: &Arc<S>)
where
    S: Fn(TcpStream, usize) + Send + Sync + 'static,
{
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let Some(admitted) = Admitted::new(&stream, open) else { break };
        match workers {
            Workers::One => admitted.serve(stream, serve.as_ref()),
            Workers::OnePerConnection => {
                let serve = Arc::clone(serve);
                let name = format!("connection {}", admitted.number);
                let work = move || admitted.serve(stream, serve.as_ref());
                threads.push(thread::Builder::new().name(name).spawn(work).expect("a thread can be had"));
            }
        }
        threads.extract_if(.., |thread| thread.is_finished()).for_each(join);
    }
    threads.into_iter().for_each(join);
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("no connection makes its thread panic");
}

/// The entry of an open connection. It holds a second descriptor, so the connection closes when this is dropped too.
struct Admitted {
    number: usize,
    open: Arc<Mutex<Open>>,
}

impl Admitted {
    /// `None` once the service is closing.
    fn new(stream: &TcpStream, open: &Arc<Mutex<Open>>) -> Option<Admitted> {
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("it is not zero");
        stream.set_nodelay(true).ok()?;
        let second = stream.try_clone().expect("there are descriptors");
        let mut entries = look(open);
        if entries.closing {
            return None;
        }
        entries.accepted += 1;
        let number = entries.accepted;
        entries.streams.insert(number, second);
        Some(Admitted { number, open: Arc::clone(open) })
    }

    /// Takes the whole entry, which a closure that only reads its number would leave behind.
    fn serve(self, stream: TcpStream, serve: &impl Fn(TcpStream, usize)) {
        serve(stream, self.number);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        look(&self.open).streams.remove(&self.number);
    }
}

fn look(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().expect("nobody panics while looking")
}

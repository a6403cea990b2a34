//! Socket.IO servers under gunicorn, and the library's client for them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use pyperf::clock::Clock;
use pyperf::load::http::{Settings, Target, Transport};
use pyperf::load::socketio::{Arguments, Client, Connected, Dialer, Event, Generation, Options, What};

use super::environment::{Environment, Packages};
use super::gunicorn::{Configuration, Gunicorn};
use super::python::Python;

/// Which server, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub generation: Generation,
    pub mode: &'static str,
}

/// Every pair.
pub const KINDS: [Kind; 4] = [
    Kind { generation: Generation::Four, mode: "eventlet" },
    Kind { generation: Generation::Four, mode: "gevent" },
    Kind { generation: Generation::Three, mode: "eventlet" },
    Kind { generation: Generation::Three, mode: "gevent" },
];

impl Kind {
    /// The server, to be configured and started.
    pub fn server(self) -> Configuration<'static> {
        let packages = match self.generation {
            Generation::Four => Packages::SocketIo5,
            Generation::Three => Packages::SocketIo4,
        };
        let worker = match (self.generation, self.mode) {
            (Generation::Three, "gevent") => "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
            (_, mode) => mode,
        };
        let mode = format!("SOCKETIO_MODE={}", self.mode);
        Gunicorn::of(&Environment::new(&Python::default(), packages))
            .application("socketio_api:application")
            .arguments(["--worker-class", worker, "--env", &mode])
    }
}

/// Where such a server is.
pub fn options(gunicorn: &Gunicorn) -> Options {
    let target = Target::parse(&format!("http://{}", gunicorn.address())).expect("a URL");
    Options { timeout: Duration::from_secs(20), ..Options::new(target) }
}

/// A dialer of a run of its own.
pub fn dialer() -> Dialer {
    dialer_with(&Settings::default())
}

/// A dialer on a transport of these settings.
pub fn dialer_with(settings: &Settings) -> Dialer {
    Dialer::new(&Transport::new(settings, Clock::start()).expect("good settings"))
}

/// Runs a test to its end, or fails it after a minute.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") })
}

/// A client, and what has happened that no test has asked for yet.
pub struct Watched {
    client: Client,
    seen: RefCell<VecDeque<What>>,
}

impl Deref for Watched {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Watched {
    /// Connects, or fails the test.
    pub async fn connect(dialer: &Dialer, options: Options) -> (Watched, Connected) {
        let (client, connected) = Client::connect(dialer, options).await.expect("connected");
        (Watched { client, seen: RefCell::default() }, connected)
    }

    /// The first thing of that kind that happens, or has happened and not been asked for; what else happens is kept.
    pub async fn until<T>(&self, mut wanted: impl FnMut(&What) -> Option<T>) -> T {
        let found = self.seen.borrow().iter().enumerate().find_map(|(at, what)| Some((at, wanted(what)?)));
        if let Some((at, found)) = found {
            self.seen.borrow_mut().remove(at);
            return found;
        }
        loop {
            let Some(Event { what, .. }) = self.client.next_event().await else {
                panic!("it is over, after {:?}", self.seen.borrow());
            };
            if let Some(found) = wanted(&what) {
                return found;
            }
            self.seen.borrow_mut().push_back(what);
        }
    }

    /// What the next event of that name carries, as scripts see it.
    pub async fn received(&self, wanted: &str) -> Vec<serde_json::Value> {
        let arguments = self.until(|what| match what {
            What::Received { name, arguments, .. } if name == wanted => Some(arguments.clone()),
            _ => None,
        });
        Arguments::shown(arguments.await)
    }

    /// Why it is over.
    pub async fn over(&self) -> &'static str {
        self.until(|what| match what {
            What::Over { why } => Some(*why),
            _ => None,
        })
        .await
    }
}

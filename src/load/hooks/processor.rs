//! The handle that users call a processor through, and the thread that it runs on.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indexmap::IndexMap;
use nix::sys::signal::{SigSet, Signal};
use tokio::sync::{Semaphore, mpsc as orders, oneshot};

use super::super::http::{Settings, Sockets, Transport};
use super::call::{Call, Called};
use super::desk::{Desk, Order};
use super::failure::Failure;
use super::lint::{self, Lint};
use super::settings::{HooksError, Limits, Runtime, Sink, Source};
use super::{node, quickjs};
use crate::clock::Clock;

/// What others send to end or to suspend pyperf.
const SIGNALS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
/// Room on the thread's stack for what is not JavaScript.
const NATIVE_STACK: usize = 4 << 20;

/// A loaded processor. Cheap to clone; it ends with its last handle.
#[derive(Clone, Debug)]
pub struct Processor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    functions: IndexMap<String, Option<Lint>>,
    turns: Semaphore,
    orders: Option<orders::Sender<Order>>,
    shared: Arc<Common>,
    thread: Option<JoinHandle<()>>,
    runtime: Runtime,
}

/// What the handle and the thread share beside the channel.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// Users that are gone.
    gone: Mutex<Vec<u64>>,
    /// Whether all is over.
    closing: AtomicBool,
}

impl Common {
    pub(super) fn gone(&self) -> Vec<u64> {
        std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }
}

/// What the thread is started with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) source: Source,
    pub(super) limits: Limits,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) sink: Sink,
    pub(super) shared: Arc<Common>,
}

impl Start {
    pub(super) fn desk(&self) -> Desk {
        Desk::new(self.clock, self.limits, self.sink.clone(), self.source.folder.clone())
    }

    /// Sends what `fetch` asks for, each on a connection of its own: nobody retries one that went stale.
    pub(super) fn transport(&self) -> Result<Transport, HooksError> {
        let settings = Settings { sockets: Sockets::PerUser(1), ..self.settings.clone() };
        Ok(Transport::new(&settings, self.clock)?)
    }
}

/// The functions that a processor exports, in its order, each with the text of its code.
pub(super) type Functions = Vec<(String, String)>;

/// Where the thread tells how loading went.
pub(super) type Loaded = mpsc::SyncSender<Result<(Functions, Runtime), HooksError>>;

impl Processor {
    /// Loads a processor on a thread of its own; blocks until it is loaded.
    ///
    /// `settings` say how its requests are sent: names, TLS and proxies as the run has them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, its code fails, or it needs a Node.js that is not there.
    pub fn start(
        source: Source,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        sink: Sink,
    ) -> Result<Self, HooksError> {
        let source = found(source)?;
        let text = std::fs::read_to_string(&source.file)
            .map_err(|error| HooksError::Unreadable { file: source.file.clone(), source: error })?;
        let name = source.file.strip_prefix(&source.folder).unwrap_or(&source.file).display().to_string();
        let shared = Arc::new(Common::default());
        let (sender, receiver) = orders::channel(limits.pending.max(1));
        let (loaded, outcome) = mpsc::sync_channel(1);
        let start = Start { source, limits, settings, clock, sink, shared: shared.clone() };
        let builder =
            std::thread::Builder::new().name("hooks".into()).stack_size(limits.stack.saturating_add(NATIVE_STACK));
        let thread = undisturbed(|| builder.spawn(move || run(&start, receiver, &loaded)))?;
        let ended = || HooksError::Engine("its thread ended".into());
        match outcome.recv().map_err(|_| ended()).and_then(|outcome| outcome) {
            Ok((functions, runtime)) => Ok(Self(Arc::new(Inner {
                clock,
                functions: lint::of(&name, &text, functions),
                turns: Semaphore::new(limits.pending.clamp(1, Semaphore::MAX_PERMITS)),
                orders: Some(sender),
                shared,
                thread: Some(thread),
                runtime,
            }))),
            Err(error) => {
                drop(sender);
                let _ = thread.join();
                Err(error)
            }
        }
    }

    /// Whether it exports such a function.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.functions.contains_key(name)
    }

    /// The functions that it exports.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.0.functions.keys().map(String::as_str)
    }

    /// What is wrong with that function when it is used as `beforeRequest` or `connect.function`.
    #[must_use]
    pub fn lint(&self, name: &str) -> Option<&Lint> {
        self.0.functions.get(name)?.as_ref()
    }

    /// What runs it; never [`Runtime::Auto`].
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        self.0.runtime
    }

    /// Calls a function and waits for its end. It always ends: every wait is bounded.
    pub async fn call(&self, call: Call) -> Called {
        let asked = self.0.clock.now();
        let Some(index) = self.0.functions.get_index_of(&*call.function) else {
            let message = format!("the processor exports no function `{}`", call.function);
            return failed(Failure::new(&format!("Undefined function \"{}\"", call.function), message));
        };
        let gone = || failed(Failure::new("ERR_HOOK_ENDED", "the processor has ended"));
        let Ok(_turn) = self.0.turns.acquire().await else { return gone() };
        let (answer, outcome) = oneshot::channel();
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let order = Order { call, index, asked, answer };
        let Some(orders) = &self.0.orders else { return gone() };
        if orders.send(order).await.is_err() {
            return gone();
        }
        outcome.await.unwrap_or_else(|_| gone())
    }

    /// The user is gone: its `context` is dropped.
    pub fn forget(&self, user: u64) {
        self.0.shared.gone.lock().unwrap_or_else(PoisonError::into_inner).push(user);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a thread that no signal is delivered to: it is there before the command takes its signals over, and one that reached it
/// would end everything.
fn undisturbed<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = SigSet::thread_get_mask()?;
    // A thread begins with the mask of the one that starts it.
    SigSet::from_iter(SIGNALS).thread_block()?;
    let started = start();
    before.thread_set_mask()?;
    started
}

/// A call that was not made.
fn failed(failure: Failure) -> Called {
    Called {
        outcome: Err(failure),
        variables: None,
        request: None,
        emitted: Vec::new(),
        took: Duration::ZERO,
        busy: Duration::ZERO,
        queued: Duration::ZERO,
    }
}

/// The source with its paths as the system knows them.
fn found(source: Source) -> Result<Source, HooksError> {
    if source.file.extension().is_some_and(|extension| extension == "ts" || extension == "mts" || extension == "cts") {
        return Err(HooksError::TypeScript(source.file));
    }
    let real = |path: PathBuf| {
        std::fs::canonicalize(&path).map_err(|error| HooksError::Unreadable { file: path, source: error })
    };
    let (file, folder) = (real(source.file)?, real(source.folder)?);
    Ok(Source { file, folder, ..source })
}

/// The thread: the embedded engine, or node when that is wanted or needed.
fn run(start: &Start, mut orders: orders::Receiver<Order>, loaded: &Loaded) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = loaded.send(Err(error.into()));
            return;
        }
    };
    runtime.block_on(async {
        let mut lacking = None;
        if start.source.runtime != Runtime::Node {
            match quickjs::run(start, &mut orders, loaded).await {
                Ok(()) => return,
                Err(HooksError::NeedsNode(what)) if start.source.runtime == Runtime::Auto => lacking = Some(what),
                Err(error) => {
                    let _ = loaded.send(Err(error));
                    return;
                }
            }
        }
        if let Err(error) = node::run(start, &mut orders, loaded, lacking).await {
            let _ = loaded.send(Err(error));
        }
    });
}

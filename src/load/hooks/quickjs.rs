//! The embedded engine: QuickJS, its bounds, and the loop that gives it its turns.
//!
//! It stands alone because it is the only place, with `native`, that knows the engine. JavaScript runs only inside a *turn*: one call,
//! one timer, one answer, with all that follows from it at once; each turn has a deadline that the engine looks at as it goes.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Aborted, LocalBoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use rquickjs::context::EvalOptions;
use rquickjs::prelude::IntoArgs;
use rquickjs::{Context, Ctx, Function, Object, Persistent, Runtime, TypedArray, Value};
use tokio::sync::mpsc::Receiver;

use super::super::http::Transport;
use super::desk::{Order, Outbound};
use super::failure::{Described, Failure};
use super::fetch::{self, Fetched};
use super::linking::{Entry, Hooked, Linking, track};
use super::native::{self, State};
use super::processor::{Functions, Loaded, Start};
use super::settings::{self, HooksError};
use crate::clock::Moment;

/// Calls that are taken from the channel at a time.
const BATCH: usize = 64;
/// Follow-ups that are run before the clock is looked at again.
const JOBS: usize = 1000;
/// How often a processor is started in a run.
const MOST_STARTS: usize = 10;

/// Runs a processor until nobody calls it any more. An error means that it could not be loaded, and nothing was told yet.
pub(super) async fn run(start: &Start, orders: &mut Receiver<Order>, loaded: &Loaded) -> Result<(), HooksError> {
    let transport = Rc::new(start.transport()?);
    let mut engine = Engine::new(start, transport.clone())?;
    let functions = match engine.load().await {
        Ok(functions) => functions,
        Err(error) => {
            engine.lay_down();
            return Err(error);
        }
    };
    if loaded.send(Ok((functions, settings::Runtime::QuickJs))).is_err() {
        return Ok(());
    }
    for _ in 0..MOST_STARTS {
        let ended = engine.serve(start, orders).await;
        let failure = match ended {
            Ended::Closed => Failure::new("ERR_HOOK_ENDED", "the run is over"),
            Ended::Spent => Failure::new(
                "ERR_HOOK_BUSY",
                "another call never paused or filled the memory, and the processor was started anew",
            ),
        };
        engine.state.desk.borrow_mut().fail_all(&failure);
        engine.lay_down();
        if ended == Ended::Closed {
            return Ok(());
        }
        start.sink.note("the processor was started anew, as a hook never paused or filled the memory: what it kept in its modules is lost");
        engine = match Engine::new(start, transport.clone()) {
            Ok(engine) => engine,
            Err(error) => {
                gone(start, &error);
                return Ok(());
            }
        };
        if let Err(error) = engine.load().await {
            gone(start, &error);
            engine.lay_down();
            return Ok(());
        }
    }
    engine.lay_down();
    start.sink.note("the processor was started anew too often: it has ended");
    Ok(())
}

fn gone(start: &Start, error: &HooksError) {
    start.sink.note(&format!("the processor could not be started anew: {error}"));
}

/// Why an engine takes no more calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Nobody calls any more.
    Closed,
    /// JavaScript that cannot be broken off, or no memory to go on.
    Spent,
}

/// The entry points of `host/quickjs.js`.
struct Entries {
    dispatch: Entry,
    abandon: Entry,
    forget: Entry,
    fire: Entry,
    load: Entry,
    fetched: Entry,
    settled: Entry,
}

struct Engine {
    state: Rc<State>,
    // In the order in which they have to go: values, what is around them, the whole.
    entries: Option<Entries>,
    hooked: Hooked,
    context: Context,
    runtime: Runtime,
    transport: Rc<Transport>,
    fetches: FuturesUnordered<LocalBoxFuture<'static, (u32, Result<Fetched, Aborted>)>>,
    aborts: HashMap<u32, AbortHandle>,
    rejections: Rc<Cell<bool>>,
    spent: Cell<bool>,
    /// Whether it was ever broken off or out of memory.
    hurt: Cell<bool>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.entries = None;
        self.hooked.0.borrow_mut().take();
        self.runtime.set_host_promise_rejection_tracker(None);
    }
}

impl Engine {
    fn new(start: &Start, transport: Rc<Transport>) -> Result<Self, HooksError> {
        let broken = |error: rquickjs::Error| HooksError::Engine(error.to_string());
        let runtime = Runtime::new().map_err(broken)?;
        let state = Rc::new(State::new(start));
        runtime.set_memory_limit(start.limits.heap);
        runtime.set_max_stack_size(start.limits.stack);
        let (at, shared) = (state.clone(), start.shared.clone());
        runtime.set_interrupt_handler(Some(Box::new(move || {
            at.deadline.get().is_some_and(|deadline| at.clock.now() > deadline) || shared.is_closing()
        })));
        let hooked = Hooked::default();
        runtime.set_loader(hooked.clone(), hooked.clone());
        let context = Context::full(&runtime).map_err(broken)?;
        let rejections = Rc::new(Cell::new(false));
        track(&runtime, &hooked, &rejections);
        let entries = context
            .with(|ctx| {
                let host = host(&ctx, &state, start)?;
                *hooked.0.borrow_mut() = Some(Linking {
                    resolve: entry(&ctx, &host, "resolve")?,
                    source: entry(&ctx, &host, "source")?,
                    rejection: entry(&ctx, &host, "rejection")?,
                });
                Ok(Entries {
                    dispatch: entry(&ctx, &host, "dispatch")?,
                    abandon: entry(&ctx, &host, "abandon")?,
                    forget: entry(&ctx, &host, "forget")?,
                    fire: entry(&ctx, &host, "fire")?,
                    load: entry(&ctx, &host, "load")?,
                    fetched: entry(&ctx, &host, "fetched")?,
                    settled: entry(&ctx, &host, "settled")?,
                })
            })
            .map_err(|error: rquickjs::Error| {
                let why = context.with(|ctx| describe(&ctx, &error));
                HooksError::Engine(format!("{} {}", why.message, why.stack))
            })?;
        let (fetches, aborts) = (FuturesUnordered::new(), HashMap::new());
        Ok(Self {
            state,
            entries: Some(entries),
            hooked,
            context,
            runtime,
            transport,
            fetches,
            aborts,
            rejections,
            spent: Cell::new(false),
            hurt: Cell::new(false),
        })
    }

    async fn load(&mut self) -> Result<Functions, HooksError> {
        let give_up = self.state.clock.now() + self.state.limits.load;
        self.turn(give_up, |entries| &entries.load, ());
        loop {
            if let Some(loaded) = self.state.loaded.borrow_mut().take() {
                return self.outcome(loaded);
            }
            if self.state.clock.now() >= give_up {
                let message = format!("it is not loaded after {:?}", self.state.limits.load);
                return Err(HooksError::Failed(settings::Failed { message, at: None }));
            }
            self.start_fetches();
            let wait = self.until_next().min(Duration::from_millis(100));
            tokio::select! {
                Some((number, fetched)) = self.fetches.next(), if !self.fetches.is_empty() => self.fetched(number, fetched),
                () = tokio::time::sleep(wait) => {}
            }
            self.tend();
        }
    }

    fn outcome(&self, loaded: Result<String, String>) -> Result<Functions, HooksError> {
        let folder = &self.state.desk.borrow().folder;
        match loaded {
            Ok(functions) => serde_json::from_str(&functions).map_err(|error| HooksError::Engine(error.to_string())),
            Err(described) => {
                let described = Described::read(&described);
                let needs_node = described.needs_node;
                let failed = described.failed(folder);
                Err(if needs_node { HooksError::NeedsNode(failed) } else { HooksError::Failed(failed) })
            }
        }
    }

    async fn serve(&mut self, start: &Start, orders: &mut Receiver<Order>) -> Ended {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.start_fetches();
            let wait = self.until_next();
            tokio::select! {
                count = orders.recv_many(&mut batch, BATCH) => {
                    if count == 0 || start.shared.is_closing() {
                        return Ended::Closed;
                    }
                    self.dispatch(&mut batch);
                }
                Some((number, fetched)) = self.fetches.next(), if !self.fetches.is_empty() => self.fetched(number, fetched),
                () = tokio::time::sleep(wait) => {}
            }
            for user in start.shared.gone() {
                self.state.desk.borrow_mut().forget(user);
                self.turn(self.deadline(), |entries| &entries.forget, (exact(user),));
            }
            self.tend();
            if self.spent.get() || self.is_starved() {
                return Ended::Spent;
            }
        }
    }

    /// Hands calls over, one turn each.
    fn dispatch(&self, batch: &mut Vec<Order>) {
        for order in batch.drain(..).take_while(|_| !self.spent.get()) {
            let Some(outbound) = self.state.desk.borrow_mut().admit(order) else { continue };
            let Outbound { id, user, kind, index, arguments, fresh, began } = outbound;
            let deadline = began + self.state.limits.run;
            let arguments = (id, exact(user), kind, index, arguments, fresh);
            self.turn(deadline, |entries| &entries.dispatch, arguments);
        }
    }

    /// Ends it. One that was hurt is left where it is: QuickJS ends the whole process when it finds at its end that it has lost track
    /// of a value, and the results of the run are worth more than its memory, which is bounded.
    fn lay_down(mut self) {
        self.fetches.clear();
        if self.hurt.get() {
            std::mem::forget(self);
        }
    }

    /// Whether memory ran out, and what the processor keeps leaves no room to go on.
    fn is_starved(&self) -> bool {
        if !self.state.starved.replace(false) {
            return false;
        }
        self.hurt.set(true);
        self.runtime.run_gc();
        let used = usize::try_from(self.runtime.memory_usage().malloc_size).unwrap_or_default();
        used > self.state.limits.heap / 4 * 3
    }

    /// One turn of JavaScript: an entry point, and what follows from it at once.
    fn turn<A>(&self, deadline: Moment, entry: impl FnOnce(&Entries) -> &Entry, arguments: A)
    where
        A: for<'js> IntoArgs<'js>,
    {
        let Some(entries) = &self.entries else { return };
        self.state.deadline.set(Some(deadline));
        self.enter(entry(entries), arguments);
        self.follow_up();
        if self.rejections.replace(false) {
            self.enter(&entries.settled, ());
        }
        self.state.deadline.set(None);
        let mut desk = self.state.desk.borrow_mut();
        if desk.at_work().is_some() {
            desk.rest(self.state.clock.now());
        }
    }

    fn enter<A>(&self, entry: &Entry, arguments: A)
    where
        A: for<'js> IntoArgs<'js>,
    {
        let broken = self.context.with(|ctx| {
            let done = entry.clone().restore(&ctx).and_then(|entry| entry.call::<_, ()>(arguments));
            done.err().map(|error| describe(&ctx, &error))
        });
        if let Some(described) = broken {
            self.fail(described);
        }
    }

    /// Runs what has become ready: promises that go on.
    fn follow_up(&self) {
        let mut jobs = 0;
        loop {
            match self.runtime.execute_pending_job() {
                Ok(false) => return,
                Ok(true) => {}
                Err(broken) => {
                    let described = broken.0.with(|ctx| describe(&ctx, &rquickjs::Error::Exception));
                    self.fail(described);
                }
            }
            jobs += 1;
            if jobs % JOBS == 0 && !self.may_go_on() {
                return;
            }
        }
    }

    /// Whether what follows from what follows may go on. A chain without end mostly ends when the engine breaks off one of its links;
    /// when it does not, the engine is spent.
    fn may_go_on(&self) -> bool {
        let now = self.state.clock.now();
        let Some(deadline) = self.state.deadline.get().filter(|deadline| now > *deadline) else { return true };
        if self.state.desk.borrow().at_work().is_some() {
            self.fail(Described { message: "interrupted".into(), ..Described::default() });
        }
        let spent = now > deadline + self.state.limits.run;
        self.spent.set(spent);
        self.hurt.set(true);
        !spent
    }

    /// A turn broke off in a way that JavaScript could not catch: the call that was at work fails, and when there is none it is said.
    fn fail(&self, mut described: Described) {
        self.hurt.set(true);
        if let Some([code, message]) = self.state.limit(&described.message) {
            (described.code, described.message) = (code, message);
        } else if described.code.is_empty() {
            described.code.clone_from(&described.message);
        }
        let mut desk = self.state.desk.borrow_mut();
        let failure = described.failure(&desk.folder);
        match desk.at_work() {
            Some(id) => {
                desk.fail(id, failure);
                self.state.broken.borrow_mut().push(id);
            }
            None => self.state.sink.note(&format!("the processor was broken off: {failure}")),
        }
    }

    /// Fires the timers that are due, and gives up calls that have waited for too long.
    fn tend(&self) {
        for _ in 0..BATCH {
            let due = self.state.timers.borrow_mut().take(self.state.clock.now());
            let Some(number) = due else { break };
            self.turn(self.deadline(), |entries| &entries.fire, (number,));
        }
        let expired = self.state.desk.borrow_mut().expire();
        for id in self.state.broken.take().into_iter().chain(expired) {
            self.turn(self.deadline(), |entries| &entries.abandon, (id,));
        }
    }

    fn deadline(&self) -> Moment {
        self.state.clock.now() + self.state.limits.run
    }

    /// How long there is nothing to do but to listen.
    fn until_next(&self) -> Duration {
        let timer = self.state.timers.borrow().next_due();
        let call = self.state.desk.borrow().next_due();
        let next = [timer, call].into_iter().flatten().min();
        next.map_or(Duration::from_secs(3600), |next| next.since(self.state.clock.now()))
    }

    fn start_fetches(&mut self) {
        for (number, wanted, body) in self.state.wanted.take() {
            let (transport, clock) = (self.transport.clone(), self.state.clock);
            let (fetched, abort) = abortable(async move { fetch::fetch(&transport, clock, &wanted, body).await });
            self.aborts.insert(number, abort);
            self.fetches.push(Box::pin(async move { (number, fetched.await) }));
        }
        for number in self.state.unwanted.take() {
            if let Some(abort) = self.aborts.get(&number) {
                abort.abort();
            }
        }
    }

    fn fetched(&mut self, number: u32, fetched: Result<Fetched, Aborted>) {
        self.aborts.remove(&number);
        self.state.fetching.set(self.state.fetching.get().saturating_sub(1));
        let deadline = self.deadline();
        match fetched {
            Ok(Ok((head, body))) => self.turn(deadline, |entries| &entries.fetched, (number, head, Copied(body))),
            Ok(Err(error)) => {
                let told = serde_json::json!(error).to_string();
                self.turn(deadline, |entries| &entries.fetched, (number, told, ()));
            }
            Err(Aborted) => {}
        }
    }
}

/// Bytes that become an array of JavaScript's own.
struct Copied(Bytes);

impl<'js> rquickjs::IntoJs<'js> for Copied {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        TypedArray::<u8>::new_copy(ctx.clone(), &self.0)?.into_js(ctx)
    }
}

/// The number of a user as JavaScript can hold it.
#[expect(clippy::cast_precision_loss, reason = "users are counted from zero, and nobody counts beyond 2^53")]
fn exact(user: u64) -> f64 {
    user as f64
}

/// Evaluates the host's own scripts.
fn host<'js>(ctx: &Ctx<'js>, state: &Rc<State>, start: &Start) -> rquickjs::Result<Object<'js>> {
    let script = |source: &str, name: &str| {
        let mut options = EvalOptions::default();
        options.filename = Some(format!("pyperf:{name}"));
        ctx.eval_with_options::<Function<'js>, _>(source, options)
    };
    let common = script(include_str!("host/host.js"), "host.js")?;
    let around = script(include_str!("host/quickjs.js"), "quickjs.js")?;
    around.call((native::object(ctx, state, start)?, common))
}

fn entry<'js>(ctx: &Ctx<'js>, host: &Object<'js>, name: &str) -> rquickjs::Result<Entry> {
    let function: Function<'js> = host.get(name)?;
    Ok(Persistent::save(ctx, function))
}

/// What an exception says of itself.
fn describe(ctx: &Ctx<'_>, error: &rquickjs::Error) -> Described {
    if !error.is_exception() {
        return Described { message: error.to_string(), ..Described::default() };
    }
    let value = ctx.catch();
    let Some(object) = value.as_object() else {
        // When memory is out, there is none for an error either.
        return Described { message: "out of memory".into(), ..Described::default() };
    };
    let text = |name: &str| object.get::<_, Option<String>>(name).ok().flatten().unwrap_or_default();
    let (message, stack) = (text("message"), text("stack"));
    Described { code: String::new(), message, stack, needs_node: false }
}

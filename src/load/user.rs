//! The one interpreter of flows: a virtual user acts out its scenario, step by step.
//!
//! A user is one task and owns little: its variables, its cookies, its connection. Every step has a moment at which it is due; the
//! next one is due when this one was over, or, after a wait, when the wait should have been over. So what is late because the
//! driver was busy is known as late.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;

use super::calls::Handed;
use super::cookies::Cookies;
use super::http::Connections;
use super::rounds::Rounds;
use super::shared::Shared;
use super::{socketio, websocket};
use crate::clock::Moment;
use crate::random::Random;
use crate::recording::traffic::log::{UserRow, UserState};
use crate::scenario::engine::Engine;
use crate::scenario::flow::{Flow, Loop, Parallel, Step, Think, Wait};
use crate::scenario::length::{self, Given};
use crate::scenario::script::Scenario;
use crate::scenario::template::{Scope, Template};
use crate::scenario::variables::Variables;

/// What a user is counted under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number among all users.
    pub(super) number: u64,
    /// The phase that it arrived in.
    pub(super) phase: u16,
    /// Its scenario.
    pub(super) scenario: u16,
}

impl Place {
    /// What is kept of a user that begins when it is due.
    pub(super) const fn row(self, due: Moment) -> UserRow {
        let Self { number, phase, scenario } = self;
        UserRow { number, phase, scenario: Some(scenario), due, began: due, ended: None, state: UserState::Active }
    }
}

/// A virtual user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) shared: Arc<Shared>,
    /// `None` for `before` and `after`, which are not counted.
    pub(super) place: Option<Place>,
    pub(super) cookies: Cookies,
    pub(super) connections: Connections,
    /// The socket of a scenario that is not over HTTP, once it is open.
    pub(super) line: OnceLock<Line>,
    /// Steps over the socket take turns: what comes is for one of them.
    turn: tokio::sync::Mutex<()>,
    mind: Mutex<Mind>,
}

impl Drop for User {
    /// What came to a user counts, also when it was sent home in the middle of its flow.
    fn drop(&mut self) {
        match self.line.get() {
            Some(Line::WebSocket(client, _)) => self.sum_up_messages(client),
            Some(Line::SocketIo(client, _)) => self.sum_up_events(client),
            None => {}
        }
    }
}

/// A socket, with how long what is awaited may take.
#[derive(Debug)]
pub(super) enum Line {
    /// A WebSocket.
    WebSocket(websocket::Client, Duration),
    /// A connection of Socket.IO.
    SocketIo(socketio::Client, Duration),
}

/// What a user knows, and how it chooses.
#[derive(Debug)]
pub(super) struct Mind {
    pub(super) variables: Variables,
    pub(super) random: Random,
    /// What functions of the processor were given last.
    pub(super) handed: Option<Handed>,
}

/// Why a user ended before its flow did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// What it is counted as.
    pub(super) code: String,
    /// More of it.
    pub(super) detail: String,
}

impl Failed {
    pub(super) fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }
}

/// When the next step is due, or why there is none.
pub(super) type Done = Result<Moment, Failed>;

impl User {
    /// A user that arrives.
    pub(super) fn arriving(shared: &Arc<Shared>, place: Place, random: Random) -> Self {
        Self::new(shared, Some(place), random)
    }

    /// Nobody in particular: who acts out `before` and `after`.
    pub(super) fn unseen(shared: &Arc<Shared>) -> Self {
        Self::new(shared, None, Random::stream(shared.seed, u64::MAX - 2))
    }

    fn new(shared: &Arc<Shared>, place: Option<Place>, mut random: Random) -> Self {
        let variables = shared.variables(&mut random);
        Self {
            connections: shared.transport.connections(),
            cookies: Cookies::default(),
            shared: shared.clone(),
            place,
            line: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
            mind: Mutex::new(Mind { variables, random, handed: None }),
        }
    }

    /// A user's whole life, from the moment at which it was due.
    pub(super) async fn live(self, due: Moment) {
        let Some(place) = self.place else { return };
        let began = self.shared.now();
        let row = UserRow { began, ..place.row(due) };
        {
            let mut ledger = self.shared.ledger();
            let tally = ledger.tally();
            tally.touch(began);
            tally.users_of(place.phase).created += 1;
            *tally.created_by.entry(place.scenario).or_default() += 1;
            tally.lateness.record(began.since(due));
            ledger.user(row);
        }
        let shared = self.shared.clone();
        let ended = match shared.script.scenarios.get(usize::from(place.scenario)) {
            // Most users have no socket, and none of them is to carry the room for one.
            Some(Scenario { engine: Engine::Http, flow, .. }) => {
                let ended = self.act(flow, due).await;
                self.leave();
                ended
            }
            Some(scenario) => Box::pin(self.play(scenario, due)).await,
            None => Ok(due),
        };
        let now = self.shared.now();
        let mut ledger = self.shared.ledger();
        let tally = ledger.tally();
        tally.touch(now);
        let state = match ended {
            Ok(_) => {
                tally.users_of(place.phase).completed += 1;
                tally.sessions.record(now.since(began));
                UserState::Completed
            }
            Err(_) => {
                tally.users_of(place.phase).failed += 1;
                UserState::Failed
            }
        };
        ledger.user(UserRow { ended: Some(now), state, ..row });
        drop(ledger);
        self.shared.active.fetch_sub(1, Relaxed);
    }

    /// What the user knows. Held between waits, never across one.
    pub(super) fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts out a scenario, connected as its engine wants it.
    pub(super) async fn play(&self, scenario: &Scenario, due: Moment) -> Done {
        let ended = match &scenario.engine {
            Engine::Http => self.act(&scenario.flow, due).await,
            Engine::WebSocket(engine) => Box::pin(self.over_websocket(scenario, engine, due)).await,
            Engine::SocketIo(engine) => Box::pin(self.over_socketio(scenario, engine, due)).await,
        };
        self.leave();
        ended
    }

    /// Lets the processor forget this user.
    fn leave(&self) {
        if let (Some(processor), Some(_)) = (&self.shared.processor, &self.mind().handed) {
            processor.forget(self.number());
        }
    }

    /// Acts out a flow.
    pub(super) async fn act(&self, flow: &Flow, mut due: Moment) -> Done {
        for step in flow.iter() {
            due = self.step(step, due).await?;
        }
        Ok(due)
    }

    async fn step(&self, step: &Step, due: Moment) -> Done {
        match step {
            // Boxed, so that a user that waits does not carry the room that a request needs.
            Step::Request(request) => Box::pin(self.request(request, due)).await,
            Step::Think(think) => self.think(think, due).await,
            Step::Log(line) => {
                self.shared.lines.say(&self.text(line));
                Ok(due)
            }
            Step::Function(hook) => Box::pin(self.function(hook, due)).await,
            Step::Emit(_) | Step::Send(_) | Step::Receive(_) => Box::pin(self.message(step, due)).await,
            Step::Loop(repeated) => self.again_and_again(repeated, due).await,
            Step::Parallel(parallel) => self.at_once(parallel, due).await,
        }
    }

    /// A step over the user's socket.
    async fn message(&self, step: &Step, due: Moment) -> Done {
        let _turn = self.turn.lock().await;
        match (step, self.line.get()) {
            (Step::Emit(emit), Some(Line::SocketIo(client, patience))) => self.emit(client, emit, *patience, due).await,
            (Step::Send(send), Some(Line::WebSocket(client, patience))) => {
                self.send_message(client, send, *patience, due).await
            }
            (Step::Receive(wait), Some(Line::WebSocket(client, patience))) => {
                self.receive_message(client, wait, *patience, due).await
            }
            // The loading of the script lets them through for scenarios that have such a socket only.
            _ => Err(Failed::new("invalid_step", "the scenario has no such socket")),
        }
    }

    pub(super) fn text(&self, template: &Template) -> String {
        let Mind { variables, random, .. } = &mut *self.mind();
        template.text(&mut Scope { variables, random }).into_owned()
    }

    pub(super) fn value(&self, template: &Template) -> Option<Value> {
        let Mind { variables, random, .. } = &mut *self.mind();
        template.render(&mut Scope { variables, random })
    }

    async fn think(&self, think: &Think, due: Moment) -> Done {
        let length = match &think.length {
            Wait::Fixed(length) => *length,
            Wait::Rendered(template) => {
                let text = self.text(template);
                length::think_length(Given::Text(&text)).map_err(|bad| {
                    let failed = Failed::new("invalid think", bad.to_string());
                    self.refused(think.span, &failed);
                    failed
                })?
            }
        };
        let length = match think.jitter {
            Some(jitter) => jitter.applied(length, self.mind().random.unit()),
            None => length,
        };
        let end = due + length;
        let left = end.since(self.shared.now());
        if left > Duration::ZERO {
            self.connections.reduce();
            tokio::time::sleep(left).await;
        }
        Ok(end)
    }

    /// A loop, boxed because it may stand inside another one.
    fn again_and_again<'a>(
        &'a self,
        repeated: &'a Loop,
        mut due: Moment,
    ) -> Pin<Box<dyn Future<Output = Done> + Send + 'a>> {
        Box::pin(async move {
            let mut rounds = Rounds::of(repeated, self)?;
            while let Some((number, element)) = rounds.next(self) {
                {
                    let variables = &mut self.mind().variables;
                    variables.set(&repeated.value, Value::from(number));
                    variables.set(&repeated.element, element);
                }
                due = self.act(&repeated.steps, due).await?;
                if let Some(hook) = &repeated.while_true {
                    let began = self.shared.now();
                    let goes_on = Box::pin(self.goes_on(hook)).await?;
                    due = self.later(due, began);
                    if !goes_on {
                        break;
                    }
                }
                // A loop without a wait in it must not keep the driver for itself.
                tokio::task::yield_now().await;
            }
            Ok(due)
        })
    }

    /// Steps at the same time; the first that fails ends the user.
    fn at_once<'a>(&'a self, parallel: &'a Parallel, due: Moment) -> Pin<Box<dyn Future<Output = Done> + Send + 'a>> {
        Box::pin(async move {
            let steps: Vec<Pin<Box<dyn Future<Output = Done> + Send + '_>>> =
                parallel.steps.iter().map(|step| Box::pin(self.step(step, due)) as Pin<Box<_>>).collect();
            let mut running = stream::iter(steps).buffer_unordered(parallel.limit);
            let mut last = due;
            while let Some(done) = running.next().await {
                last = last.max(done?);
            }
            Ok(last)
        })
    }
}

//! The calls under way: who waits for which, since when, and until when.
//!
//! It stands alone because both runtimes need the same books: every call that was taken in is answered exactly once, by the
//! function, by a failure, or by the clock.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::call::{Call, Called, Emitted, Person, Variables, Verdict};
use super::failure::{Described, Failure};
use super::settings::{Limits, Sink};
use crate::clock::{Clock, Moment};

/// Calls that are over of which the end is still looked for.
const MOST_OVER: usize = 1024;

/// A call on its way to the thread of the processor.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) call: Call,
    pub(super) index: u32,
    pub(super) asked: Moment,
    pub(super) answer: oneshot::Sender<Called>,
}

/// A call as it is handed to JavaScript.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) id: u32,
    pub(super) user: u64,
    pub(super) kind: u8,
    pub(super) index: u32,
    pub(super) arguments: Option<String>,
    /// Whether the variables differ from those that JavaScript knows.
    pub(super) fresh: bool,
    pub(super) began: Moment,
}

/// What JavaScript says of a call that is over.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) failure: Option<String>,
    pub(super) verdict: bool,
    pub(super) variables: Option<String>,
    pub(super) request: Option<String>,
    pub(super) emitted: Option<String>,
}

#[derive(Debug)]
struct Pending {
    user: u64,
    began: Moment,
    queued: Duration,
    busy: Duration,
    answer: oneshot::Sender<Called>,
}

#[derive(Debug)]
struct Known {
    person: Arc<Person>,
    variables: Variables,
}

/// The books.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) sink: Sink,
    /// The script's folder, which places are told relative to.
    pub(super) folder: PathBuf,
    pending: HashMap<u32, Pending, RandomState>,
    due: VecDeque<(Moment, u32)>,
    users: HashMap<u64, Known, RandomState>,
    last: u32,
    at_work: Option<(u32, Moment)>,
}

impl Desk {
    pub(super) fn new(clock: Clock, limits: Limits, sink: Sink, folder: PathBuf) -> Self {
        let (pending, users) = (HashMap::default(), HashMap::default());
        Self { clock, limits, sink, folder, pending, due: VecDeque::new(), users, last: 0, at_work: None }
    }

    /// Takes a call in. Nothing when it is answered already, as it is too large.
    pub(super) fn admit(&mut self, order: Order) -> Option<Outbound> {
        let Order { call, index, asked, answer } = order;
        let began = self.clock.now();
        self.last = self.last.wrapping_add(1);
        let (id, user) = (self.last, call.person.number);
        let pending = Pending { user, began, queued: began.since(asked), busy: Duration::ZERO, answer };
        let arguments = call.what.arguments();
        if arguments.as_ref().is_some_and(|text| text.len() > self.limits.text) {
            let message = format!("what `{}` is to be given is larger than {} bytes", call.function, self.limits.text);
            self.answer(pending, Err(Failure::new("ERR_HOOK_TOO_LARGE", message)), Reply::default());
            return None;
        }
        let mut fresh = true;
        match self.users.get_mut(&user) {
            Some(known) if Arc::ptr_eq(&known.variables, &call.variables) => fresh = false,
            Some(known) => known.variables = call.variables,
            None => {
                self.users.insert(user, Known { person: call.person, variables: call.variables });
            }
        }
        self.tidy();
        self.due.push_back((began + self.limits.wait, id));
        self.pending.insert(id, pending);
        self.at_work = Some((id, began));
        Some(Outbound { id, user, kind: call.what.kind(), index, arguments, fresh, began })
    }

    /// Forgets when calls that are over would have had to end: behind one that waits for long, they would be without end.
    fn tidy(&mut self) {
        if self.due.len() > 2 * self.pending.len() + MOST_OVER {
            let pending = &self.pending;
            self.due.retain(|(_, id)| pending.contains_key(id));
        }
    }

    /// A user's variables, as JSON.
    pub(super) fn variables(&self, user: u64) -> Option<String> {
        serde_json::to_string(&*self.users.get(&user)?.variables).ok()
    }

    /// Who that is.
    pub(super) fn person(&self, user: u64) -> Option<Arc<Person>> {
        self.users.get(&user).map(|known| known.person.clone())
    }

    /// The user is gone.
    pub(super) fn forget(&mut self, user: u64) {
        self.users.remove(&user);
    }

    /// JavaScript is at work for that call from now on.
    pub(super) fn working(&mut self, id: u32) {
        let now = self.clock.now();
        self.rest(now);
        self.at_work = Some((id, now));
    }

    /// JavaScript is at work for nobody any more.
    pub(super) fn rest(&mut self, now: Moment) {
        if let Some((id, since)) = self.at_work.take()
            && let Some(pending) = self.pending.get_mut(&id)
        {
            pending.busy += now.since(since);
        }
    }

    /// The call that JavaScript is at work for, if it is not over.
    pub(super) fn at_work(&self) -> Option<u32> {
        self.at_work.map(|(id, _)| id).filter(|id| self.pending.contains_key(id))
    }

    /// JavaScript is done with a call. An answer to one that is over is not heard.
    pub(super) fn reply(&mut self, id: u32, mut reply: Reply) {
        let Some(mut pending) = self.pending.remove(&id) else { return };
        if let Some((_, since)) = self.at_work.filter(|(at_work, _)| *at_work == id) {
            pending.busy += self.clock.now().since(since);
        }
        let texts = [&reply.variables, &reply.request, &reply.emitted];
        let outcome = if texts.into_iter().flatten().any(|text| text.len() > self.limits.text) {
            reply = Reply::default();
            let message = format!("what the hook leaves behind is larger than {} bytes", self.limits.text);
            Err(Failure::new("ERR_HOOK_TOO_LARGE", message))
        } else {
            match reply.failure.take() {
                Some(described) => Err(Described::read(&described).failure(&self.folder)),
                None => Ok(Verdict(reply.verdict)),
            }
        };
        self.answer(pending, outcome, reply);
    }

    /// A call has failed, in a way that JavaScript cannot tell.
    pub(super) fn fail(&mut self, id: u32, failure: Failure) {
        if let Some(pending) = self.pending.remove(&id) {
            self.answer(pending, Err(failure), Reply::default());
        }
    }

    /// All calls under way fail.
    pub(super) fn fail_all(&mut self, failure: &Failure) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            self.answer(pending, Err(failure.clone()), Reply::default());
        }
        self.due.clear();
    }

    /// Calls that have waited for too long fail; these are they.
    pub(super) fn expire(&mut self) -> Vec<u32> {
        let mut expired = Vec::new();
        while let Some(&(due, id)) = self.due.front() {
            if self.pending.contains_key(&id) {
                if due > self.clock.now() {
                    break;
                }
                let message = format!("neither `next` nor its promise has ended it within {:?}", self.limits.wait);
                self.fail(id, Failure::new("ERR_HOOK_TIMEOUT", message));
                expired.push(id);
            }
            self.due.pop_front();
        }
        expired
    }

    /// Whether no call is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// When the next call will have waited for too long.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.front().map(|(due, _)| *due)
    }

    fn answer(&mut self, pending: Pending, outcome: Result<Verdict, Failure>, reply: Reply) {
        let took = self.clock.now().since(pending.began);
        let variables: Option<Variables> = reply.variables.and_then(|text| match serde_json::from_str(&text) {
            Ok(variables) => Some(Arc::new(variables)),
            Err(error) => {
                self.sink.note(&format!("what a hook has left in its variables cannot be read: {error}"));
                None
            }
        });
        if let (Some(variables), Some(known)) = (&variables, self.users.get_mut(&pending.user)) {
            known.variables = variables.clone();
        }
        let called = Called {
            outcome,
            variables,
            request: reply.request.and_then(|text| serde_json::from_str(&text).ok()),
            emitted: reply.emitted.map(|text| Emitted::list(&text)).unwrap_or_default(),
            took,
            busy: pending.busy,
            queued: pending.queued,
        };
        // Who asked may be gone, and then nobody wants to know.
        let _ = pending.answer.send(called);
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::What;
    use super::*;

    #[test]
    fn the_ends_of_calls_that_are_over_do_not_pile_up() {
        let mut desk = Desk::new(Clock::start(), Limits::default(), Sink::new(|_| ()), PathBuf::new());
        let person = Arc::new(Person { number: 0, uid: String::new(), scenario: Arc::default() });
        let call = Call { person, function: "f".into(), what: What::Function, variables: Variables::default() };
        let order = || Order { call: call.clone(), index: 0, asked: Moment::default(), answer: oneshot::channel().0 };
        let never = desk.admit(order()).expect("taken in").id;
        for _ in 0..10 * MOST_OVER {
            let id = desk.admit(order()).expect("taken in").id;
            desk.reply(id, Reply::default());
        }
        assert!(desk.due.len() <= MOST_OVER + 3, "{}", desk.due.len());
        assert_eq!((desk.due.front().map(|(_, id)| *id), desk.is_idle()), (Some(never), false));
    }
}

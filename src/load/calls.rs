//! Calls of the processor's functions: what they are given, and what becomes of what they leave behind.
//!
//! Time that a function takes is measured by itself and moves what comes next: it is in no latency.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::compose::Ready;
use super::hooks::{Call, Called, Emitted, Person, Variables, What};
use super::user::{Done, Failed, User};
use crate::clock::Moment;
use crate::printable::printable;
use crate::recording::traffic::named::HOOK_TIME;
use crate::recording::traffic::{FailureKind, Tally};
use crate::scenario::amend;
use crate::scenario::hook::Hook;
use crate::scenario::request::Request;

/// The longest name that a function may count something under, in characters.
const LONGEST: usize = 200;
/// Names that functions have without their being handed over: the environment is large, and the same for all.
const KNOWN: [&str; 2] = ["$processEnvironment", "$env"];

/// What a user hands to functions, made when the first is called.
#[derive(Debug)]
pub(super) struct Handed {
    person: Arc<Person>,
    /// Its variables, as they were at that version.
    variables: Variables,
    version: u64,
}

/// A request as its hooks see it and as they have left it.
pub(super) struct Amended {
    /// As they see it.
    pub(super) shown: Map<String, Value>,
    /// As it is sent, if they have changed it.
    pub(super) own: Option<Box<(Request, Ready)>>,
}

impl User {
    /// A `function` step.
    pub(super) async fn function(&self, hook: &Hook, due: Moment) -> Done {
        let began = self.shared.now();
        match self.call(hook, What::Function).await {
            Some(called) => self.outcome(hook, called).map(|_| self.later(due, began)),
            None => {
                // To go on without it is Artillery's way.
                let name = self.text(&hook.name);
                let failed = Failed::new(format!("Undefined function \"{name}\""), "it is not exported");
                self.failed_before(hook.span, &failed, FailureKind::Function);
                Ok(due)
            }
        }
    }

    /// Whether there is another round of a loop.
    pub(super) async fn goes_on(&self, hook: &Hook) -> Result<bool, Failed> {
        match self.call(hook, What::WhileTrue).await {
            Some(called) => self.outcome(hook, called),
            None => Ok(false),
        }
    }

    /// What a function says of a condition; `None` when there is no such function.
    pub(super) async fn says(&self, hook: &Hook) -> Option<Result<bool, Failed>> {
        let called = self.call(hook, What::IfTrue).await?;
        Some(self.outcome(hook, called))
    }

    /// Lets the hooks of a request change it.
    pub(super) async fn amend(&self, request: &Request) -> Result<Amended, Failed> {
        let shared = &self.shared;
        let before = amend::shown(request, &shared.script.target, shared.script.http.timeout.as_secs_f64());
        let mut shown = before.clone();
        for hook in &request.hooks.before_request {
            let asked = What::BeforeRequest { request: Value::Object(shown.clone()) };
            let Some(mut called) = self.call(hook, asked).await else { continue };
            if let Some(Value::Object(left)) = called.request.take() {
                shown = left;
            }
            self.outcome(hook, called)?;
        }
        if shown == before {
            return Ok(Amended { shown, own: None });
        }
        for key in amend::in_vain(&before, &shown) {
            shared.say_once(&format!("note: a function has changed `{key}` of a request, which has no effect"));
        }
        let request = amend::amended(request, &before, &shown).map_err(|why| {
            let failed = Failed::new("ERR_HOOK_REQUEST", why);
            self.failed_before(request.span, &failed, FailureKind::Function);
            failed
        })?;
        let name = amend::name(&before, &shown).map(|name| self.shown(name));
        let endpoint = name.and_then(|name| shared.endpoint_named(request.endpoint, &name));
        let request = Request { endpoint: endpoint.unwrap_or(request.endpoint), ..request };
        let ready = shared.composer.prepare(&request);
        Ok(Amended { shown, own: Some(Box::new((request, ready))) })
    }

    /// Lets the hooks of a request look at the answer, also when the script did not like it.
    pub(super) async fn hand_over(
        &self,
        hooks: &[Hook],
        shown: &Map<String, Value>,
        response: Value,
    ) -> Result<(), Failed> {
        let mut ended = Ok(());
        for hook in hooks {
            let (request, response) = (Value::Object(shown.clone()), response.clone());
            let Some(called) = self.call(hook, What::AfterResponse { request, response }).await else { continue };
            ended = ended.and(self.outcome(hook, called).map(drop));
        }
        ended
    }

    /// Lets the hooks of a request know that there was no answer.
    pub(super) async fn complain(&self, hooks: &[Hook], shown: &Map<String, Value>, failed: &Failed) {
        for hook in hooks {
            let error = serde_json::json!({"code": failed.code, "message": failed.detail});
            let request = Value::Object(shown.clone());
            if let Some(called) = self.call(hook, What::OnError { error, request }).await {
                // The user has failed already; that this failed too is counted.
                let _ = self.outcome(hook, called);
            }
        }
    }

    /// When what follows is due after a stretch of JavaScript that began at that moment.
    pub(super) fn later(&self, due: Moment, began: Moment) -> Moment {
        due + self.shared.now().since(began)
    }

    /// Calls a function; `None` when the processor has none of that name.
    pub(super) async fn call(&self, hook: &Hook, what: What) -> Option<Called> {
        let processor = self.shared.processor.as_ref()?;
        let name = self.text(&hook.name);
        if !processor.has(&name) {
            return None;
        }
        let (person, variables) = self.handed();
        let before = variables.clone();
        let call = Call { person, function: name.as_str().into(), what, variables };
        let called = processor.call(call).await;
        if let Some(variables) = &called.variables {
            self.take_back(&before, variables);
        }
        if self.place.is_some() {
            let now = self.shared.now();
            let mut ledger = self.shared.ledger();
            let tally = ledger.tally();
            tally.touch(now);
            tally.named.measure(&[HOOK_TIME, &name].concat(), called.took);
            called.emitted.iter().for_each(|emitted| enter(emitted, tally, now));
        }
        Some(called)
    }

    /// What a call came to; a failure is counted and kept.
    pub(super) fn outcome(&self, hook: &Hook, called: Called) -> Result<bool, Failed> {
        called.outcome.map(|verdict| verdict.0).map_err(|failure| {
            let failed = Failed::new(failure.code.clone(), format!("`{}`: {failure}", self.text(&hook.name)));
            self.failed_before(hook.span, &failed, FailureKind::Function);
            failed
        })
    }

    /// Who calls, and what it knows.
    fn handed(&self) -> (Arc<Person>, Variables) {
        let mut mind = self.mind();
        let version = mind.variables.version();
        let fresh = |variables: &crate::scenario::variables::Variables| Arc::new(variables.all(&KNOWN));
        let mind = &mut *mind;
        let handed = mind.handed.get_or_insert_with(|| Handed {
            person: self.person(mind.variables.named("$uuid")),
            variables: fresh(&mind.variables),
            version,
        });
        if handed.version != version {
            (handed.variables, handed.version) = (fresh(&mind.variables), version);
        }
        (handed.person.clone(), handed.variables.clone())
    }

    fn person(&self, uid: Option<&Value>) -> Arc<Person> {
        let scenario = self.place.and_then(|place| self.shared.script.scenarios.get(usize::from(place.scenario)));
        Arc::new(Person {
            number: self.number(),
            uid: uid.and_then(Value::as_str).unwrap_or_default().to_owned(),
            scenario: scenario.map(|scenario| scenario.written.clone()).unwrap_or_default(),
        })
    }

    /// Takes the variables back that were handed over as `before`. Steps at the same time may have changed others since.
    fn take_back(&self, before: &Variables, variables: &Variables) {
        let mind = &mut *self.mind();
        let Some(handed) = &mut mind.handed else { return };
        if handed.version == mind.variables.version() {
            mind.variables.replace(variables);
            (handed.variables, handed.version) = (variables.clone(), mind.variables.version());
        } else {
            mind.variables.merge(before, variables);
        }
    }

    /// Its number as the processor knows it: those who act out `before` and `after` have one too.
    pub(super) fn number(&self) -> u64 {
        self.place.map_or(u64::MAX, |place| place.number)
    }
}

/// Counts what a function has reported. Its names are printed, and kept as long as the run goes on.
fn enter(emitted: &Emitted, tally: &mut Tally, now: Moment) {
    let fit = |name: &String| printable(name, LONGEST);
    let value = |value: f64| Duration::try_from_secs_f64(value / 1e3).unwrap_or_default();
    match emitted {
        Emitted::Counter(name, by) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as a counter does")]
            let by = by.round() as u64;
            tally.named.count(&fit(name), by);
        }
        Emitted::Histogram(name, number) | Emitted::CustomStat(name, number) => {
            tally.named.measure(&fit(name), value(*number));
        }
        Emitted::Rate(name) => tally.named.happened(&fit(name), now),
        Emitted::Error(code) => tally.error(&fit(code), None, now),
    }
}

//! What all users of a run share: the script made ready, the transport, the ledger.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::books::{Books, End};
use super::compose::Composer;
use super::hooks::Processor;
use super::http::{Proxies, Settings, Sockets, TlsSettings, Transport};
use super::ledger::Ledger;
use super::lines::Lines;
use super::secrets;
use super::socketio::Dialer;
use super::{Broken, Options};
use crate::clock::{Clock, Moment};
use crate::printable::printable;
use crate::random::Random;
use crate::recording::traffic::log::LoadHead;
use crate::recording::traffic::{EndpointLabel, Progress, Traffic, Window};
use crate::scenario::endpoint::{Endpoint, EndpointId};
use crate::scenario::payload::Order;
use crate::scenario::script::Script;
use crate::scenario::source::{Sources, Span};
use crate::scenario::variables::Variables;

/// Names that functions may give to endpoints; further ones have no effect.
const MOST_NAMED: usize = 200;
/// The longest of them, in characters.
const LONGEST_NAME: usize = 100;
/// Lines that are said once each; further ones are not said.
const MOST_SAID: usize = 100;

/// What all users of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) script: Script,
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) grace: Duration,
    pub(super) transport: Transport,
    /// Makes the connections of Socket.IO.
    pub(super) dialer: Dialer,
    pub(super) composer: Composer,
    /// Where the functions are that the script calls.
    pub(super) processor: Option<Processor>,
    pub(super) lines: Lines,
    /// Users that are active now.
    pub(super) active: AtomicU64,
    /// When users are sent home, in nanoseconds; 0 as long as they may stay.
    pub(super) ends: AtomicU64,
    sources: Sources,
    /// How many rows each payload has given in its order.
    rows: Vec<AtomicU64>,
    /// Of each scenario the sum of its weight and of those before it.
    weights: Vec<u64>,
    /// Variables that all users begin with; captures of `before` are added.
    common: Mutex<Arc<HashMap<String, Value>>>,
    /// Values that must not be shown, whoever knows them: those of the script, and those that `before` has found out.
    secrets: Mutex<Arc<Vec<String>>>,
    /// Endpoints that functions have given another name.
    named: Mutex<HashMap<(EndpointId, String), EndpointId>>,
    /// What has been said that is to be said once.
    said: Mutex<HashSet<String>>,
    ledger: Mutex<Ledger>,
    books: Mutex<Books>,
}

/// How the requests of a script are sent.
#[must_use]
pub fn settings(script: &Script, proxies: Proxies) -> Settings {
    let http = &script.http;
    let pem = |text: &String| text.clone().into_bytes();
    Settings {
        timeout: http.timeout,
        sockets: http.pool.map_or(Sockets::PerUser(http.sockets), Sockets::Shared),
        tls: TlsSettings {
            verify: !http.tls.insecure,
            authorities: http.tls.authorities.iter().map(pem).collect(),
            identity: http.tls.identity.as_ref().map(|(certificate, key)| (pem(certificate), pem(key))),
            server_name: http.tls.server_name.clone(),
        },
        proxies,
    }
}

impl Shared {
    pub(super) fn new(
        script: Script,
        sources: &Sources,
        options: Options,
        clock: Clock,
        lines: Lines,
    ) -> Result<Self, Broken> {
        let settings = settings(&script, options.proxies);
        let weights = script.scenarios.iter().scan(0_u64, |sum, scenario| {
            *sum = sum.saturating_add(scenario.weight);
            Some(*sum)
        });
        let mut ledger = Ledger::new(options.seed, clock);
        if options.recording.is_some() {
            ledger.collect_rows();
        }
        let transport = Transport::new(&settings, clock)?;
        Ok(Self {
            dialer: Dialer::new(&transport),
            transport,
            composer: Composer::new(&script),
            processor: options.processor,
            rows: script.payloads.iter().map(|_| AtomicU64::new(0)).collect(),
            weights: weights.collect(),
            common: Mutex::new(script.shared.clone()),
            secrets: Mutex::new(Arc::new(script.secrets.clone())),
            named: Mutex::default(),
            said: Mutex::default(),
            ledger: Mutex::new(ledger),
            books: Mutex::new(Books::new(&script, options.windows)),
            active: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            sources: sources.clone(),
            seed: options.seed,
            grace: options.grace,
            lines,
            clock,
            script,
        })
    }

    /// The numbers of now. Held for as long as it takes to add to them, never across a wait.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of before. Whoever needs both locks takes this one first.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sums up the windows that are over.
    pub(super) fn settle(&self) {
        let mut books = self.books();
        loop {
            let Some(closed) = self.ledger().take_closed() else { return };
            let tally = books.enter(closed);
            self.ledger().reuse(tally);
        }
    }

    /// The windows that are summed up, from that number on.
    pub(super) fn windows_from(&self, number: usize) -> Vec<Window> {
        self.books().windows_from(number).to_vec()
    }

    /// What is known of the load before it begins.
    pub(super) fn head(&self) -> LoadHead {
        self.books().head(self.seed)
    }

    /// When arrivals were told to end before their time.
    pub(super) fn stopped(&self) -> Option<Moment> {
        let ends = self.ends.load(Relaxed);
        let grace = u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX);
        (ends > 0).then(|| Moment::from_nanos(ends.saturating_sub(grace)))
    }

    /// Closes the books.
    pub(super) fn finish(&self, end: End) -> Traffic {
        let mut books = self.books();
        books.finish(&mut self.ledger(), self.seed, self.clock, end)
    }

    pub(super) fn progress(&self) -> Progress {
        self.settle();
        let now = self.clock.now();
        let ends = self.ends.load(Relaxed);
        let patience = (ends > 0).then(|| Moment::from_nanos(ends).since(now));
        self.books().progress(&self.ledger(), now, self.active.load(Relaxed), patience)
    }

    /// The endpoint of that name where a request is otherwise filed under `endpoint`; `None` when there are too many.
    pub(super) fn endpoint_named(&self, endpoint: EndpointId, name: &str) -> Option<EndpointId> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (endpoint, printable(name, LONGEST_NAME));
        if let Some(known) = named.get(&key) {
            return Some(*known);
        }
        if named.len() >= MOST_NAMED {
            self.say_once(
                "note: functions give requests more names than are kept apart; the rest has the script's own",
            );
            return None;
        }
        let written = self.script.endpoints.get(endpoint)?;
        let fresh = Endpoint { name: Some(key.1.clone()), ..written.clone() };
        let id = EndpointId::from_index(self.books().add_endpoint(&self.script, &fresh));
        named.insert(key, id);
        Some(id)
    }

    /// The endpoints from that number on.
    pub(super) fn endpoints_from(&self, number: usize) -> Vec<EndpointLabel> {
        self.books().endpoints_from(number).to_vec()
    }

    /// Prints a line, unless it has been printed before.
    pub(super) fn say_once(&self, line: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST_SAID && said.insert(line.to_owned()) {
            drop(said);
            self.lines.say(line);
        }
    }

    /// Where a step is written: `csr-http.yaml:34`.
    pub(super) fn step(&self, span: Span) -> String {
        format!("{}:{}", self.sources.name(span.source), span.line)
    }

    /// Chooses a scenario: by weight, independently of every other choice.
    pub(super) fn scenario(&self, random: &mut Random) -> usize {
        let ticket = random.below(self.weights.last().copied().unwrap_or_default());
        self.weights.iter().position(|sum| ticket < *sum).unwrap_or_default()
    }

    /// What a user knows when it arrives. Later ones win: what all share, rows, variables, its own id.
    pub(super) fn variables(&self, random: &mut Random) -> Variables {
        let common = self.common.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut variables = Variables::over(common);
        for (payload, given) in self.script.payloads.iter().zip(&self.rows) {
            let count = payload.rows.len();
            let at = match payload.order {
                Order::Random => random.index(count),
                Order::Sequence => usize::try_from(given.fetch_add(1, Relaxed)).unwrap_or_default() % count.max(1),
            };
            for (field, value) in payload.fields.iter().zip(payload.rows.get(at).into_iter().flatten()) {
                variables.set(field, value.clone());
            }
        }
        for (name, values) in &self.script.variables {
            if let Some(value) = values.get(random.index(values.len())) {
                variables.set(name, value.clone());
            }
        }
        variables.set("$uuid", Value::String(uuid(random)));
        variables
    }

    /// Lets all users know what `before` has found out.
    pub(super) fn share(&self, found: &Variables) {
        let mut common = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = HashMap::clone(&common);
        all.extend(found.own().map(|(name, value)| (name.to_owned(), value.clone())));
        *common = Arc::new(all);
        drop(common);
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::clone(&secrets);
        secrets::collect(found.own(), &mut all);
        *secrets = Arc::new(all);
    }

    /// Values that must not be shown, whoever knows them.
    pub(super) fn secrets(&self) -> Arc<Vec<String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }
}

/// A version 4 UUID (RFC 9562, 5.4).
fn uuid(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let high = high & !0xF000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_4() {
        let uuid = uuid(&mut Random::new(1));
        let groups: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert!(uuid[14..].starts_with('4') && "89ab".contains(&uuid[19..20]), "{uuid}");
    }
}

//! How users are to be connected over sockets: what the script and its functions say, filled in for one user.
//!
//! It opens nothing. What cannot be a header or an address fails here, before anybody is asked.

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::hooks::What;
use super::http::Target;
use super::socketio::{self, Generation, Means, Options};
use super::user::{Failed, Mind, User};
use super::websocket::{self, Wish};
use crate::scenario::engine::socketio::{self as said, SocketIo};
use crate::scenario::engine::websocket::WebSocket;
use crate::scenario::flow::Connect;
use crate::scenario::template::{Scope, Template};

/// What a user is to be connected to.
pub(super) struct Wanting {
    pub(super) target: String,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
}

impl User {
    /// What the script says of the connection, filled in for this user.
    pub(super) fn options(&self, engine: &SocketIo) -> Result<Options, Failed> {
        let target = Target::parse(&self.shared.script.target)
            .map_err(|bad| Failed::new("Invalid URL", format!("{}: {bad}", self.shown(&self.shared.script.target))))?;
        let mut options = Options::new(target);
        let Mind { variables, random, .. } = &mut *self.mind();
        let mut scope = Scope { variables, random };
        let text = |(name, value): &(String, Template)| (name.clone(), value.text(&mut scope).into_owned());
        options.headers = headers(&engine.headers.iter().map(text).collect::<Vec<_>>())?;
        options.path = engine.path.text(&mut scope).into_owned();
        options.query =
            engine.query.iter().map(|(name, value)| (name.clone(), value.text(&mut scope).into_owned())).collect();
        options.auth = engine.auth.as_ref().and_then(|auth| auth.render(&mut scope));
        options.seed = scope.random.next();
        options.transports = transports(engine);
        options.generation = engine.generation.map(|generation| match generation {
            said::Generation::Three => Generation::Three,
            said::Generation::Four => Generation::Four,
        });
        options.reconnection = engine.reconnection.map(reconnection);
        options.timeout = engine.timeout;
        Ok(options)
    }

    /// Where to and with what, as the script and its function say.
    pub(super) async fn wanting(&self, connect: Option<&Connect>, handshake: &WebSocket) -> Result<Wanting, Failed> {
        let mut wanting = {
            let Mind { variables, random, .. } = &mut *self.mind();
            let mut scope = Scope { variables, random };
            let target = connect.and_then(|connect| connect.target.as_ref());
            let target =
                target.map_or_else(|| self.shared.script.target.clone(), |target| target.text(&mut scope).into_owned());
            let text = |(name, value): &(String, Template)| (name.clone(), value.text(&mut scope).into_owned());
            let headers = handshake.headers.iter().map(text).collect();
            Wanting { target, headers, subprotocols: handshake.subprotocols.clone() }
        };
        let Some(hook) = connect.and_then(|connect| connect.function.as_ref()) else { return Ok(wanting) };
        let headers: serde_json::Map<String, Value> =
            wanting.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        let arguments = json!({
            "target": wanting.target,
            "subprotocols": wanting.subprotocols,
            "options": {"headers": headers},
        });
        let Some(mut called) = self.call(hook, What::Connect { arguments }).await else { return Ok(wanting) };
        let left = called.request.take();
        self.outcome(hook, called)?;
        if let Some(left) = left {
            wanting.take(&left);
        }
        Ok(wanting)
    }

    /// That as the handshake says it.
    pub(super) fn wish(&self, wanting: &Wanting, handshake: &WebSocket) -> Result<Wish, Failed> {
        let target = websocket::target(&wanting.target)
            .map_err(|bad| Failed::new(format!("Invalid URL: {}", self.shown(&wanting.target)), bad.to_string()))?;
        let headers = headers(&wanting.headers)?;
        Ok(Wish { target, headers, subprotocols: wanting.subprotocols.clone(), largest: handshake.largest })
    }
}

impl Wanting {
    /// Takes over what a function has left of `{target, subprotocols, options: {headers}, headers}`.
    fn take(&mut self, left: &Value) {
        if let Some(target) = left.get("target").and_then(Value::as_str) {
            target.clone_into(&mut self.target);
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let headers = [left.get("options").and_then(|options| options.get("headers")), left.get("headers")];
        if let Some(headers) = headers.into_iter().flatten().rev().find_map(Value::as_object) {
            self.headers = headers.iter().map(|(name, value)| (name.to_lowercase(), text(value))).collect();
        }
        if let Some(names) = left.get("subprotocols").and_then(Value::as_array) {
            self.subprotocols = names.iter().map(text).collect();
        }
    }
}

/// The transports that may be used; only one that comes later is moved to.
fn transports(engine: &SocketIo) -> Vec<Means> {
    let means = |transport: &said::Transport| match transport {
        said::Transport::Polling => Means::Polling,
        said::Transport::WebSocket => Means::WebSocket,
    };
    let most = if engine.upgrade { usize::MAX } else { 1 };
    engine.transports.iter().map(means).take(most).collect()
}

fn reconnection(wanted: said::Reconnection) -> socketio::Reconnection {
    socketio::Reconnection {
        attempts: wanted.attempts.map_or(u32::MAX, |attempts| u32::try_from(attempts).unwrap_or(u32::MAX)),
        delay: wanted.delay,
        longest: wanted.longest,
        spread: wanted.jitter,
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, Failed> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let (name, value) = header.ok_or_else(|| {
            let detail = format!("the header `{name}` has characters that a header may not have");
            Failed::new("ERR_INVALID_CHAR", detail)
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

//! `config.socketio`, and `socketio` of a scenario: how users are connected. The names are those of socket.io-client.

use std::time::Duration;

use super::super::finding::Findings;
use super::super::node::{Kind, Node};
use super::super::section::{Section, count, number, one_or_more, text, truth};
use super::super::settings;
use super::super::template::Template;

/// How long to wait for a response or an acknowledgement, as Artillery does.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How users are connected.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketIo {
    /// Where the server listens for it.
    pub path: Template,
    /// Which transports are tried, in this order.
    pub transports: Vec<Transport>,
    /// Whether a connection that began with polling goes on as a WebSocket.
    pub upgrade: bool,
    /// What is added to the query of the address.
    pub query: Vec<(String, Template)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// What proves who connects, since generation 4.
    pub auth: Option<Template>,
    /// Which generation of the protocol is spoken; `None` finds out.
    pub generation: Option<Generation>,
    /// What happens when the connection is lost.
    pub reconnection: Option<Reconnection>,
    /// How long connecting may take.
    pub timeout: Duration,
    /// How long a response or an acknowledgement may take.
    pub patience: Duration,
    /// Whether any certificate is accepted; it holds for requests too.
    pub insecure: bool,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One request after another.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// A generation of Engine.IO, the layer below Socket.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Socket.IO 1 and 2.
    Three,
    /// Socket.IO 3 and 4.
    Four,
}

/// How a lost connection is made again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnection {
    /// How often that is tried in a row; `None` is without end.
    pub attempts: Option<u64>,
    /// How long to wait before the first.
    pub delay: Duration,
    /// How long to wait at most.
    pub longest: Duration,
    /// How far waits vary: 0.5 is between half of it and half as much again.
    pub jitter: f64,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self { attempts: None, delay: Duration::from_secs(1), longest: Duration::from_secs(5), jitter: 0.5 }
    }
}

impl Default for SocketIo {
    fn default() -> Self {
        Self {
            path: Template::of_text("/socket.io"),
            transports: vec![Transport::Polling, Transport::WebSocket],
            upgrade: true,
            query: Vec::new(),
            headers: Vec::new(),
            auth: None,
            generation: None,
            reconnection: Some(Reconnection::default()),
            timeout: Duration::from_secs(20),
            patience: PATIENCE,
            insecure: false,
        }
    }
}

/// Options of socket.io-client that change nothing here, and why.
const WITHOUT_EFFECT: [(&str, &str); 7] = [
    ("forceNew", "every user has a connection of its own"),
    ("multiplex", "every user has a connection of its own"),
    ("autoConnect", "users are connected before their first step"),
    ("rememberUpgrade", "every user begins anew"),
    ("perMessageDeflate", "messages are not compressed"),
    ("ca", "`config.tls.ca` holds for all engines"),
    ("withCredentials", "it is for browsers"),
];

impl SocketIo {
    /// Reads a map over what is there already, key by key.
    pub fn read(&mut self, node: &Node, findings: &mut Findings) {
        let Some(mut section) = Section::of(node, "`socketio`", findings) else { return };
        if let Some(node) = section.take("path") {
            self.path = Template::of(node);
        }
        if let Some(node) = section.take("transports") {
            self.transports = transports(node, findings).unwrap_or_else(|| std::mem::take(&mut self.transports));
        }
        if let Some(node) = section.take("upgrade") {
            self.upgrade = truth(node, "upgrade", findings).unwrap_or(true);
        }
        if let Some(node) = section.take("query") {
            self.query = query(node, findings);
        }
        if let Some(node) = section.take("extraHeaders") {
            self.headers = settings::headers(node, findings);
        }
        if let Some(node) = section.take("auth") {
            self.auth = Some(Template::of(node));
        }
        if let Some(node) = section.take("eio") {
            self.generation = generation(node, findings);
        }
        self.read_reconnection(&mut section, findings);
        if let Some(node) = section.take("timeout") {
            self.timeout = millis(node, "timeout", findings).unwrap_or(self.timeout);
        }
        self.insecure |= insecure(&mut section, findings);
        for (key, why) in WITHOUT_EFFECT {
            section.without_effect(key, why, findings);
        }
        section.end(findings);
    }

    fn read_reconnection(&mut self, section: &mut Section<'_>, findings: &mut Findings) {
        let mut reconnection = self.reconnection.unwrap_or_default();
        let wanted = section.take("reconnection").and_then(|node| truth(node, "reconnection", findings));
        if let Some(node) = section.take("reconnectionAttempts") {
            // Without end is `Infinity`, which YAML has as a text.
            let endless =
                node.as_text().is_some_and(|text| text.trim_start_matches('.').eq_ignore_ascii_case("infinity"));
            reconnection.attempts = if endless { None } else { count(node, "reconnectionAttempts", findings) };
        }
        if let Some(node) = section.take("reconnectionDelay") {
            reconnection.delay = millis(node, "reconnectionDelay", findings).unwrap_or(reconnection.delay);
        }
        if let Some(node) = section.take("reconnectionDelayMax") {
            reconnection.longest = millis(node, "reconnectionDelayMax", findings).unwrap_or(reconnection.longest);
        }
        if let Some(node) = section.take("randomizationFactor") {
            reconnection.jitter = number(node, "randomizationFactor", findings)
                .map_or(reconnection.jitter, |factor| factor.clamp(0.0, 1.0));
        }
        let wanted = wanted.unwrap_or(self.reconnection.is_some());
        self.reconnection = wanted.then_some(reconnection);
    }
}

fn transports(node: &Node, findings: &mut Findings) -> Option<Vec<Transport>> {
    let mut list = Vec::new();
    for node in one_or_more(node) {
        list.push(match node.as_text() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            _ => {
                findings.error(node.span, "a transport is polling or websocket", "");
                return None;
            }
        });
    }
    list.dedup();
    if list.is_empty() {
        findings.error(node.span, "there is no transport", "polling, websocket, or both");
        return None;
    }
    Some(list)
}

/// A map, or a text such as `a=1&b=2`.
fn query(node: &Node, findings: &mut Findings) -> Vec<(String, Template)> {
    let Kind::Text(text) = &node.kind else { return settings::pairs(node, "query", findings) };
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), Template::of_text(value))
    };
    text.trim_start_matches('?').split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn generation(node: &Node, findings: &mut Findings) -> Option<Generation> {
    match text(node, "eio", findings)?.as_str() {
        "3" => Some(Generation::Three),
        "4" => Some(Generation::Four),
        "auto" => None,
        _ => {
            findings.error(node.span, "`eio` is 3, 4 or auto", "Socket.IO 1 and 2 speak Engine.IO 3, later ones 4");
            None
        }
    }
}

/// Whether `rejectUnauthorized` is off.
pub(super) fn insecure(section: &mut Section<'_>, findings: &mut Findings) -> bool {
    let Some(entry) = section.entry("rejectUnauthorized").filter(|entry| entry.value.kind != Kind::Null) else {
        return false;
    };
    let insecure = truth(&entry.value, "rejectUnauthorized", findings) == Some(false);
    if insecure {
        let beside = "to Artillery it holds for the sockets alone";
        findings.changed(entry.span, "any certificate is accepted, of requests too", beside);
    }
    insecure
}

/// A number of milliseconds.
pub(super) fn millis(node: &Node, what: &str, findings: &mut Findings) -> Option<Duration> {
    let millis = number(node, what, findings)?;
    let length = Duration::try_from_secs_f64(millis / 1e3).ok();
    if length.is_none() {
        findings.error(node.span, format!("`{what}` is a number of milliseconds, 0 or more"), "");
    }
    length
}

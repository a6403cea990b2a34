//! `config.ws`: how the users of WebSocket scenarios are connected. The names are those of npm's `ws`.

use std::time::Duration;

use super::super::finding::Findings;
use super::super::node::Node;
use super::super::section::{Section, count, number, one_or_more, text};
use super::super::settings;
use super::super::template::Template;
use super::socketio::{PATIENCE, insecure, millis};

/// The largest message that is taken, unless the script says otherwise; in bytes.
pub const LARGEST: usize = 16 << 20;

/// How users are connected.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    /// The protocols that are offered.
    pub subprotocols: Vec<String>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// How long connecting may take; `None` is as long as for HTTP.
    pub handshake: Option<Duration>,
    /// The largest message that is taken, in bytes.
    pub largest: usize,
    /// How long an awaited message may take.
    pub patience: Duration,
    /// Whether any certificate is accepted; it holds for requests too.
    pub insecure: bool,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            headers: Vec::new(),
            handshake: None,
            largest: LARGEST,
            patience: PATIENCE,
            insecure: false,
        }
    }
}

/// Options of `ws` that change nothing here, and why.
const WITHOUT_EFFECT: [(&str, &str); 6] = [
    ("perMessageDeflate", "messages are not compressed"),
    ("proxy", "the environment's HTTP_PROXY and HTTPS_PROXY hold for all engines"),
    ("ca", "`config.tls.ca` holds for all engines"),
    ("followRedirects", "a redirect is no WebSocket"),
    ("protocolVersion", "there is only version 13"),
    ("skipUTF8Validation", "texts are checked"),
];

impl WebSocket {
    /// Reads `config.ws`.
    pub fn read(&mut self, node: &Node, findings: &mut Findings) {
        let Some(mut section) = Section::of(node, "`ws`", findings) else { return };
        self.read_handshake(&mut section, findings);
        if let Some(node) = section.take("timeout") {
            self.patience = number(node, "timeout", findings)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .unwrap_or(self.patience);
        }
        if let Some(node) = section.take("handshakeTimeout") {
            self.handshake = millis(node, "handshakeTimeout", findings);
        }
        if let Some(node) = section.take("maxPayload") {
            let largest = count(node, "maxPayload", findings).and_then(|bytes| usize::try_from(bytes).ok());
            self.largest = largest.filter(|bytes| *bytes > 0).unwrap_or(self.largest);
        }
        self.insecure |= insecure(&mut section, findings);
        for (key, why) in WITHOUT_EFFECT {
            section.without_effect(key, why, findings);
        }
        section.end(findings);
    }

    /// What `config.ws` and a `connect` step have in common.
    pub(in crate::scenario) fn read_handshake(&mut self, section: &mut Section<'_>, findings: &mut Findings) {
        if let Some(node) = section.take("subprotocols") {
            self.subprotocols =
                one_or_more(node).iter().filter_map(|node| text(node, "a subprotocol", findings)).collect();
        }
        if let Some(node) = section.take("headers") {
            self.headers = settings::headers(node, findings);
        }
        if let Some(node) = section.take("origin") {
            self.headers.push(("origin".to_owned(), Template::of(node)));
        }
        let offered = |name: &str| name == "sec-websocket-protocol";
        for (_, value) in self.headers.extract_if(.., |(name, _)| offered(name)) {
            if let Template::Fixed(value) = value {
                let names = value.as_str().unwrap_or_default().split(',');
                self.subprotocols.extend(names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
            }
        }
    }
}

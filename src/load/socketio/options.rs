//! What to connect to, and how: the options of `socket.io-client` that a load test has a use for.
//!
//! It stands alone because it is plain: the scenario's side fills it in, the rest of the client reads it. The defaults are
//! those of `socket.io-client` 4.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::engine::Generation;
use super::packet::Limits;
use crate::load::http::{BadUrl, COMPONENT, Target};

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// In requests, one of which waits for the server to have something to say.
    Polling,
    /// On a WebSocket.
    WebSocket,
}

impl Means {
    /// As the query `transport` says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// What to connect to, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server; what stands behind its host is not used.
    pub target: Target,
    /// Where on the server Socket.IO is.
    pub path: String,
    /// The transports that may be used. The first begins; a WebSocket that comes later is moved to once it works.
    pub transports: Vec<Means>,
    /// Further parameters of the URL; with generation 3 also of every namespace but `/`.
    pub query: Vec<(String, String)>,
    /// Further headers of every request, a WebSocket's too.
    pub headers: HeaderMap,
    /// Cookies to send, as one header; beside those of `headers`.
    pub cookies: Option<HeaderValue>,
    /// What is said when a namespace is asked for; generation 3 cannot say it.
    pub auth: Option<Value>,
    /// The generation, when it is known; otherwise it is found out.
    pub generation: Option<Generation>,
    /// What is done when the connection is lost.
    pub reconnection: Option<Reconnection>,
    /// The longest that a connection may take to come about, namespace `/` included.
    pub timeout: Duration,
    /// The largest message or body that is taken, in bytes.
    pub largest: usize,
    /// The most bytes in a packet.
    pub limits: Limits,
    /// Where chance comes from: the delays of a reconnection.
    pub seed: u64,
}

/// How a lost connection is made again: after delays that double, from the first to the longest, each up to `spread` of
/// itself shorter or longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnection {
    /// How often it is tried before it is given up.
    pub attempts: u32,
    /// The first delay.
    pub delay: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// From 0 to 1.
    pub spread: f64,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self { attempts: u32::MAX, delay: Duration::from_secs(1), longest: Duration::from_secs(5), spread: 0.5 }
    }
}

/// Nobody waits for longer; what scripts say may be beyond what can be computed with.
const EVER: Duration = Duration::from_secs(365 * 86_400);

impl Reconnection {
    /// The delay before an attempt, counted from 0; `chance` is from 0 to 1 (`backo2`).
    #[must_use]
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let doubled = self.delay.saturating_mul(1_u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX));
        let factor = 1.0 + self.spread.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        let longest = self.longest.min(EVER);
        doubled.min(longest).mul_f64(factor).min(longest).max(Duration::from_millis(1))
    }
}

impl Options {
    /// The usual: polling first, then a WebSocket; all else as it is in the client that everybody uses.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            path: "/socket.io".into(),
            transports: vec![Means::Polling, Means::WebSocket],
            query: Vec::new(),
            headers: HeaderMap::new(),
            cookies: None,
            auth: None,
            generation: None,
            reconnection: Some(Reconnection::default()),
            timeout: Duration::from_secs(20),
            largest: 16 << 20,
            limits: Limits::default(),
            seed: 0,
        }
    }

    /// The headers of every request.
    pub(super) fn all_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(more) = &self.cookies {
            let mut values: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
            values.push(more.as_bytes());
            if let Ok(mut value) = HeaderValue::from_bytes(&values.join(&b"; "[..])) {
                value.set_sensitive(true);
                headers.insert(COOKIE, value);
            }
        }
        if let Some((user, password)) = self.target.credentials()
            && !headers.contains_key(AUTHORIZATION)
            && let Ok(mut value) =
                HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// The target of a request: `further` comes behind the parameters that every one has.
    pub(super) fn url(&self, generation: Generation, means: Means, further: &[(&str, &str)]) -> Result<Target, BadUrl> {
        let origin = self.target.origin();
        let scheme = if origin.is_secure() { "https" } else { "http" };
        let path = self.path.trim_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        let host = origin.authority().to_str().unwrap_or_default();
        let mut url = format!("{scheme}://{host}/{path}{slash}?");
        for (name, value) in &self.query {
            url.extend([&encoded(name), "=", &encoded(value), "&"]);
        }
        url.extend(["EIO=", &generation.number().to_string(), "&transport=", means.name()]);
        for (name, value) in further {
            url.extend(["&", name, "=", &encoded(value)]);
        }
        Target::parse(&url)
    }

    /// The query of a namespace that has none of its own, with generation 3.
    pub(super) fn query_text(&self) -> String {
        let pairs: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        pairs.join("&")
    }

    /// Whether a session may move to a WebSocket.
    pub(super) fn may_upgrade(&self) -> bool {
        self.transports.contains(&Means::WebSocket)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_the_client_of_everybody_says() {
        let mut options = Options::new(Target::parse("https://api.example.com:8443/ignored").expect("a URL"));
        options.query = vec![("token".into(), "a b&c".into())];
        let target = options.url(Generation::Four, Means::Polling, &[("sid", "x/y")]).expect("a URL");
        assert_eq!(target.path(), "/socket.io/?token=a%20b%26c&EIO=4&transport=polling&sid=x%2Fy");
        options.path = "/".into();
        let target = options.url(Generation::Three, Means::WebSocket, &[]).expect("a URL");
        assert_eq!(target.path(), "/?token=a%20b%26c&EIO=3&transport=websocket");
        assert_eq!(options.query_text(), "token=a%20b%26c");
    }

    #[test]
    fn cookies_of_both_places_are_sent() {
        let mut options = Options::new(Target::parse("http://me:pw@h/").expect("a URL"));
        options.headers.insert(COOKIE, HeaderValue::from_static("a=1"));
        options.cookies = Some(HeaderValue::from_static("b=2"));
        let headers = options.all_headers();
        assert_eq!(headers[COOKIE], "a=1; b=2");
        assert_eq!(headers[AUTHORIZATION], "Basic bWU6cHc=");
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let reconnection = Reconnection::default();
        let millis = |attempt, chance| reconnection.delay(attempt, chance).as_millis();
        assert_eq!([millis(0, 0.5), millis(1, 0.5), millis(9, 0.5)], [1000, 2000, 5000]);
        assert_eq!([millis(0, 0.0), millis(0, 1.0), millis(99, 1.0)], [500, 1500, 5000]);
        let endless = Reconnection { delay: Duration::MAX, longest: Duration::MAX, ..reconnection };
        assert_eq!(endless.delay(0, 1.0), EVER);
    }
}

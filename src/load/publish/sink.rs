//! One destination: what it gets, how it is reached, and what came of it.
//!
//! Kept apart from the encoders, which are pure, and from the publisher, which knows no kind of destination. Every window gets a
//! connection of its own, as most servers close one that rests for ten seconds; proxies are not used, as Artillery uses none here.
//! What is told of a failure names host and port, never headers, user, password or path.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::net::UdpSocket;
use url::Url;

use super::{Published, otlp, prometheus, statsd};
use crate::clock::Clock;
use crate::load::http::{Keep, Outgoing, Settings, SettingsError, Target, TlsSettings, Transport};
use crate::printable::printable;
use crate::random::{Random, mix};
use crate::scenario::publish::{Otlp, Prometheus, Publication, Statsd};
use crate::stop::Stop;

/// How long a destination may take for one window; Artillery gives a Pushgateway as long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take once somebody wants the report now.
const HURRY: Duration = Duration::from_millis(500);
/// Between two looks whether somebody does.
const LOOK: Duration = Duration::from_millis(25);

/// One destination.
#[derive(Debug)]
pub(super) struct Sink {
    place: String,
    kind: Kind,
    windows: u64,
    failed: u64,
    reason: String,
}

#[derive(Debug)]
enum Kind {
    Prometheus { settings: Prometheus, registry: Box<prometheus::Registry>, address: Url, poster: Box<Poster> },
    Statsd(Statsd),
    Otlp { settings: Otlp, poster: Box<Poster> },
}

impl Sink {
    /// A destination. Nothing is sent yet.
    pub(super) fn new(publication: &Publication, clock: Clock) -> Result<Self, SettingsError> {
        let (place, kind) = match publication.clone() {
            Publication::Prometheus(settings) => {
                let address = prometheus::address(&settings.gateway.0, &prometheus::job(&mut chance(clock)));
                let poster = Poster::new(clock, settings.authorities.as_deref(), &[], prometheus::CONTENT_TYPE)?;
                let place = format!("the Pushgateway {}", host(&address));
                let (registry, poster) = (Box::default(), Box::new(poster));
                (place, Kind::Prometheus { settings, registry, address, poster })
            }
            Publication::Statsd(settings) => {
                (format!("StatsD on {}:{}", settings.host, settings.port), Kind::Statsd(settings))
            }
            Publication::Otlp(settings) => {
                let kind = otlp::content_type(settings.encoding);
                let poster = Box::new(Poster::new(clock, None, &settings.headers.0, kind)?);
                (format!("the collector {}", host(&settings.endpoint.0)), Kind::Otlp { settings, poster })
            }
        };
        Ok(Self { place, kind, windows: 0, failed: 0, reason: String::new() })
    }

    /// Sends a window, or counts why it could not be sent.
    pub(super) async fn take(&mut self, published: &Published, hurry: &Stop) {
        self.windows += 1;
        let sent = tokio::select! {
            sent = self.kind.send(published) => sent,
            () = tokio::time::sleep(PATIENCE) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            () = hurried(hurry) => Err("interrupted".to_owned()),
        };
        if let Err(reason) = sent {
            self.failed += 1;
            self.reason = reason;
        }
    }

    /// What could not be sent; `None` when all was.
    pub(super) fn told(&self) -> Option<String> {
        let Self { windows, failed, .. } = self;
        let place = printable(&crate::redact::text(&self.place), 200);
        let reason = printable(&crate::redact::text(&self.reason), 300);
        (*failed > 0).then(|| {
            format!(
                "publish-metrics: {failed} of {windows} windows could not be sent to {place}; the last time: {reason}"
            )
        })
    }
}

impl Kind {
    async fn send(&mut self, published: &Published) -> Result<(), String> {
        match self {
            Self::Prometheus { settings, registry, address, poster } => {
                registry.add(published);
                poster.post(address, registry.text(settings).into()).await
            }
            Self::Statsd(settings) => datagrams(settings, &statsd::lines(published, settings)).await,
            Self::Otlp { settings, poster } => match otlp::body(published, settings) {
                Some(body) => poster.post(&settings.endpoint.0, body.into()).await,
                None => Ok(()),
            },
        }
    }
}

/// Waits until somebody wants the end, and a moment longer.
async fn hurried(stop: &Stop) {
    while stop.reason().is_none() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(HURRY).await;
}

/// Host and port of an address, which is all of it that may be shown.
fn host(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Chance that is not the run's own: two runs of the same seed are two jobs.
fn chance(clock: Clock) -> Random {
    let since = clock.wall(clock.now()).duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Random::stream(mix(since.as_secs()) ^ u64::from(since.subsec_nanos()), u64::from(std::process::id()))
}

async fn datagrams(settings: &Statsd, lines: &[String]) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let found = tokio::net::lookup_host((settings.host.as_str(), settings.port)).await.map_err(told)?;
    // Nobody tells whether a server listens: like Artillery, the address of version 4 where there is one.
    let address = found.min_by_key(SocketAddr::is_ipv6).ok_or("the host has no address")?;
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).await.map_err(told)?;
    socket.connect(address).await.map_err(told)?;
    for datagram in statsd::datagrams(lines) {
        socket.send(datagram.as_bytes()).await.map_err(told)?;
    }
    Ok(())
}

/// Posts bodies.
#[derive(Debug)]
struct Poster {
    clock: Clock,
    transport: Transport,
    headers: HeaderMap,
}

impl Poster {
    fn new(
        clock: Clock,
        authorities: Option<&str>,
        headers: &[(String, String)],
        content_type: &'static str,
    ) -> Result<Self, SettingsError> {
        let authorities = authorities.map(|pem| pem.as_bytes().to_vec()).into_iter().collect();
        let tls = TlsSettings { authorities, ..TlsSettings::default() };
        // The patience is for all parts of an exchange together, so those of the transport must not run out at the same time.
        let transport = Transport::new(&Settings { timeout: PATIENCE * 2, tls, ..Settings::default() }, clock)?;
        let mut map = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                map.insert(name, value);
            }
        }
        Ok(Self { clock, transport, headers: map })
    }

    /// Posts a body; anything but a success is a failure. The body of the answer is not told, as it may quote a secret.
    async fn post(&self, url: &Url, body: Bytes) -> Result<(), String> {
        let target = Target::of(url).map_err(|error| error.to_string())?;
        let mut headers = self.headers.clone();
        if let Some((user, password)) = target.credentials()
            && let Ok(value) = HeaderValue::try_from(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
        {
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        let (due, keep) = (self.clock.now(), Keep::Nothing);
        let outgoing = Outgoing { method: Method::POST, target, headers, body, http2: false, keep, due };
        match self.transport.exchange(&self.transport.connections(), outgoing).await.outcome {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status)),
            Err(failure) if failure.detail.is_empty() => Err(failure.code.into_owned()),
            Err(failure) => Err(format!("{}: {}", failure.code, failure.detail)),
        }
    }
}

//! The HTTP transport of the load engine: sends one request on a connection of a virtual user, and says exactly what
//! happened and how long each part took.
//!
//! It goes down to hyper's connections because of what a load test asks of it: no task for an idle user, nothing retried,
//! nothing hidden, every wait named and bounded, failures in the words that Artillery's users count. It knows nothing of
//! scripts, templates, cookies, redirects and metrics: these live above it.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `exchange` | one request and its response, from the wait for a socket to the last byte |
//! | `talk` | the request and the response on their connection: the hot path |
//! | `open` | a new connection: name, address, proxy, TLS |
//! | `pool` | the sockets of a user, and the queue for them |
//! | `connection`, `stream` | what a connection is, resting or at work |
//! | `upgrade` | a connection that is handed over to another protocol |
//! | `body`, `decode` | what is kept of a body, and its decoding, bounded |
//! | `target`, `proxy`, `resolve` | where to, and which way |
//! | `tls`, `trust`, `failure` | to whom, and what went wrong |

mod body;
mod connection;
mod decode;
mod exchange;
mod failure;
#[cfg(test)]
pub(in crate::load) mod loopback;
mod open;
mod pool;
mod proxy;
mod resolve;
mod stream;
mod talk;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod upgrade;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use url::Url;

pub use body::{Body, Keep, Missing};
pub use exchange::Transport;
pub use failure::{Failure, Stage};
pub use pool::Connections;
pub(in crate::load) use stream::Stream;
pub(in crate::load) use target::COMPONENT;
pub use target::{BadUrl, Origin, Target};
pub(in crate::load) use upgrade::{Switch, Upgraded};

use crate::clock::Moment;
use crate::problem::{Advice, Exit};

/// How a run speaks HTTP.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest wait for each of: a connection (name, TCP, proxy and TLS together), the head of a response counted
    /// from the start of the request, and the body counted from the head. The wait for a free socket has no end.
    pub timeout: Duration,
    /// Who shares sockets.
    pub sockets: Sockets,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// Which way to go.
    pub proxies: Proxies,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            sockets: Sockets::PerUser(1),
            tls: TlsSettings::default(),
            proxies: Proxies::default(),
        }
    }
}

/// How many connections there are to each origin at a time. Zero counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// So many for each user; Artillery has one.
    PerUser(usize),
    /// So many for all users together (`config.http.pool`), first come, first served.
    Shared(usize),
}

/// Whom to trust, and how to prove who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether certificates are checked; `-k` turns it off.
    pub verify: bool,
    /// PEM texts of the authorities to trust instead of the system's.
    pub authorities: Vec<Vec<u8>>,
    /// PEM texts of the client's certificate chain and of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name to ask for and to check instead of the host (`tls.servername`).
    pub server_name: Option<String>,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { verify: true, authorities: Vec::new(), identity: None, server_name: None }
    }
}

/// Proxies by the scheme of what is asked for. User and password of the URL are sent to the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:`, asked in absolute form.
    pub http: Option<Url>,
    /// For `https:`, asked for a tunnel.
    pub https: Option<Url>,
    /// The rules of `NO_PROXY`: `*`, `host`, `.suffix`, `host:port`.
    pub except: Vec<String>,
}

/// Why a transport cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An authority is not a PEM certificate.
    #[error("cannot read a certificate authority: {0}")]
    Authority(String),
    /// The client certificate or its key is not usable.
    #[error("cannot use the client certificate: {0}")]
    Identity(String),
    /// The name to ask for is no name.
    #[error("`{0}` is no server name")]
    ServerName(String),
    /// A proxy cannot be used.
    #[error("cannot use the proxy: {0}")]
    Proxy(String),
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl Advice for SettingsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// All headers but `Host` (added unless it is there) and `Content-Length` (always the body's own).
    pub headers: HeaderMap,
    /// The body, empty when there is none.
    pub body: Bytes,
    /// Whether HTTP/2 is offered to an `https:` server.
    pub http2: bool,
    /// What to keep of the response's body.
    pub keep: Keep,
    /// When the request should have been sent.
    pub due: Moment,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// How long each part took.
    pub timings: Timings,
    /// The response, or what went wrong.
    pub outcome: Result<Answer, Failure>,
}

/// When things happened, and how long they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// When the request should have been sent.
    pub due: Moment,
    /// How long it waited for a free socket.
    pub queued: Duration,
    /// The lookup of the host's name, when this exchange made the connection and the host has a name; as of the next two, as far
    /// as it came when it failed.
    pub dns: Option<Duration>,
    /// The TCP connection and the proxy's tunnel, when this exchange made the connection.
    pub connect: Option<Duration>,
    /// The TLS handshake, when this exchange made the connection.
    pub tls: Option<Duration>,
    /// When the last byte of the request was handed to the system.
    pub sent: Option<Moment>,
    /// When the head of the response had come.
    pub head: Option<Moment>,
    /// When all was over.
    pub done: Moment,
    /// The local port of the connection.
    pub local_port: Option<u16>,
    /// Whether the connection had served before.
    pub reused: bool,
    /// Bytes of the body, as encoded by the server.
    pub received: u64,
}

/// A response.
///
/// Headers may share one buffer of at least 8 KiB: copy what is to outlive the step.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The version that the server speaks.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// What was kept of the body, decoded.
    pub body: Body,
}

//! Engines: which protocol a scenario speaks, and what the script says of it.

pub mod socketio;
pub mod websocket;

use std::sync::Arc;

use self::socketio::SocketIo;
use self::websocket::WebSocket;

/// The protocol of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Engine {
    /// Requests and answers.
    #[default]
    Http,
    /// Events, beside requests.
    SocketIo(Arc<SocketIo>),
    /// Messages.
    WebSocket(Arc<WebSocket>),
}

/// The engines as scripts name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `http`
    Http,
    /// `socketio`, and `socketio-v3` of the plugin of that name.
    SocketIo,
    /// `ws`, and `websocket` as Artillery's typings have it.
    WebSocket,
}

impl Kind {
    /// The names that scripts may use.
    pub const NAMES: [&'static str; 5] = ["http", "socketio", "socketio-v3", "ws", "websocket"];

    /// The engine of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "http" => Self::Http,
            "socketio" | "socketio-v3" => Self::SocketIo,
            "ws" | "websocket" => Self::WebSocket,
            _ => return None,
        })
    }
}

/// The settings of all engines, for scenarios to begin with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Engines {
    /// `config.socketio`
    pub socketio: SocketIo,
    /// `config.ws`
    pub websocket: WebSocket,
}

impl Engines {
    /// The engine of a scenario, with what `config` says of it.
    #[must_use]
    pub fn engine(&self, kind: Kind) -> Engine {
        match kind {
            Kind::Http => Engine::Http,
            Kind::SocketIo => Engine::SocketIo(Arc::new(self.socketio.clone())),
            Kind::WebSocket => Engine::WebSocket(Arc::new(self.websocket.clone())),
        }
    }
}

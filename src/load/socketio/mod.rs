//! Socket.IO, both generations that servers speak, on our own transport.
//!
//! [`Dialer`] is made once for a run and remembers what servers speak; [`Client`] is one user's connection with its namespaces.
//! A task attends each connection, as pings must be answered while its user thinks, waits for a page or runs a hook; it sleeps
//! between packets. Everything that happens is an [`Event`] with its moment. Nothing here knows scripts or metrics.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `engine`, `packet` | what is said, as bytes: pure |
//! | `arguments` | JSON with bytes in it |
//! | `options` | what to connect to, and how |
//! | `event` | what happens, in the words of `socket.io-client` |
//! | `polling`, `carrier` | the transports: requests, and a WebSocket |
//! | `session`, `down` | one connection of Engine.IO: transport, upgrade, pings; how it is lost |
//! | `dial` | how a session comes about: which generation, which transport |
//! | `rooms` | the namespaces of a client, and what waits for them |
//! | `attend`, `reconnect` | the task: orders in, events out, and the connection made again |
//! | `client` | what a user holds in hand |
//! | `reserved` | events that clients take for their own |

mod arguments;
mod attend;
mod carrier;
mod client;
mod dial;
mod down;
pub mod engine;
mod event;
mod options;
pub mod packet;
mod polling;
mod reconnect;
pub mod reserved;
mod rooms;
mod session;
#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use client::{Ack, Acknowledged, Client, Emitted, Gone, Unacknowledged};
pub use dial::Dialer;
pub use engine::Generation;
pub use event::{Connected, Event, Refused, What};
pub use options::{Means, Options, Reconnection};
pub use packet::Limits;

//! What a client does with an event that has the name of one of its own.
//!
//! It stands alone because the generations differ, and because scripts do it: `emit: { channel: connect }` was harmless with
//! one client and ends the process with the next. Here it never ends anything.

use super::Generation;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It is sent.
    Sent,
    /// The client of that generation takes it for one of its own: nothing is sent, nobody is told.
    Local,
    /// The client of that generation throws: nothing is sent.
    Thrown,
}

/// `socket.io-client` 2, `lib/socket.js`: `events`.
const LOCAL: [&str; 13] = [
    "connect",
    "connect_error",
    "connect_timeout",
    "connecting",
    "disconnect",
    "error",
    "reconnect",
    "reconnect_attempt",
    "reconnect_failed",
    "reconnect_error",
    "reconnecting",
    "ping",
    "pong",
];

/// `socket.io-client` 4, `lib/socket.ts`: `RESERVED_EVENTS`.
const THROWN: [&str; 6] = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What a client of that generation does with an event of that name.
#[must_use]
pub fn treatment(generation: Generation, event: &str) -> Treatment {
    match generation {
        Generation::Three if LOCAL.contains(&event) => Treatment::Local,
        Generation::Four if THROWN.contains(&event) => Treatment::Thrown,
        _ => Treatment::Sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generations_differ() {
        let of = |event| [Generation::Three, Generation::Four].map(|generation| treatment(generation, event));
        assert_eq!(of("connect"), [Treatment::Local, Treatment::Thrown]);
        assert_eq!(of("connecting"), [Treatment::Local, Treatment::Sent]);
        assert_eq!(of("newListener"), [Treatment::Sent, Treatment::Thrown]);
        assert_eq!(of("joinRoom"), [Treatment::Sent; 2]);
    }
}

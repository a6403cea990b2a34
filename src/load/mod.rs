//! Driving load: virtual users that act out a script against a server.
//!
//! The engine knows nothing of the sampler; both stamp what they see with the same clock.

pub mod http;

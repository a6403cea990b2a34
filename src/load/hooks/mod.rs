//! The JavaScript that a script brings along: its processor, loaded once for a run, and its functions, called by users.
//!
//! It stands alone because foreign code runs here: on a thread of its own, within bounds of time and memory, behind a bounded
//! channel, so that a hook that never ends holds up the users who wait for it and nobody else. It knows neither flows nor
//! templates: it is given variables and a request as JSON, and gives back what the function made of them.
//!
//! The functions run in QuickJS inside this process, or in a `node` child when they need more of Node. What a call means, who
//! wins when a function both calls `next` and returns a promise, what has changed: all that is told once, in `host/host.js`,
//! which both run.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `processor` | the handle that users call through, and the thread behind it |
//! | `call`, `settings` | what is asked and answered; what is to be loaded, and its bounds |
//! | `desk` | the calls under way: who waits, since when, until when |
//! | `quickjs`, `linking`, `native` | the embedded engine, what it asks of the host, and what its JavaScript can ask of us |
//! | `files`, `crypto`, `address`, `timers`, `fetch` | each of these things |
//! | `node`, `pipes` | the child process |
//! | `failure` | what went wrong, in the user's file and line |
//! | `lint` | what is surely not meant that way |

mod address;
mod call;
mod crypto;
mod desk;
mod failure;
mod fetch;
mod files;
mod linking;
mod lint;
mod native;
mod node;
mod pipes;
mod processor;
mod quickjs;
mod settings;
mod timers;

pub use call::{Call, Called, Emitted, Person, Variables, Verdict, What};
pub use failure::Failure;
pub use lint::Lint;
pub use processor::Processor;
pub use settings::{HooksError, Limits, Runtime, Said, Sink, Source};

//! pyperf: what was the server's Python doing, and what did its users see?
//!
//! `pyperf attach` samples a running gunicorn from outside and draws a flamegraph; `pyperf run` sends the load that a script
//! describes and tells what came of it; `pyperf run-with-load` does both, and puts every sample under the phase that it was taken in.
//! One idea carries the design: *two engines, one clock, no shared state; record first, label
//! later*. Each engine stamps what it sees and hands it back as plain data; everything a graph or a report says is a pure function
//! of that data, and can be said again, differently.
//!
//! ```text
//!   process tree ──births, deaths──► watch ──a reader each──► sampling ──stacks──► recorder ──► Recording ─► Profile ─► Report
//!                                                                ▲                                │           svg, txt, json
//!   Clock ── Moment ─────────────────────────────────────────────┤                               file
//!   Stop ── StopReason ──────────────────────────────────────────┤
//!                                                                ▼
//!   script ──► Plan (when) ──► driver ──► users (act out flows) ──► ledger ──► Traffic ──► LoadReport: summary, details, json
//! ```
//!
//! # Where to find what
//!
//! | layer | module | what it holds |
//! | --- | --- | --- |
//! | kernel | [`clock`] | the one clock and its moments |
//! | | [`stop`] | the one way anything is told to end |
//! | | [`problem`] | what the user is told, and the exit codes |
//! | | [`printable`] | what makes foreign text fit to be shown |
//! | | [`redact`] | what takes secrets out of it |
//! | | [`random`] | noise that can be repeated |
//! | | [`interned`] | tables of distinct values with typed ids |
//! | facts | [`process`] | who is there, which one is the master, may we read it |
//! | | [`scenario`] | what a load script says |
//! | data | [`recording`] | processes, threads, stacks, samples, losses, the file that keeps them; what a load run came to |
//! | engines | [`stack`] | reading the Python stacks of one process, and what its threads are doing |
//! | | [`sampler`] | following the tree, reading on time, recording |
//! | | [`load`] | virtual users that act out a script, and the JavaScript that it brings along |
//! | analysis | [`profile`] | from a recording to labelled, folded samples |
//! | | [`report`] | from a profile, or from traffic, to bytes |
//! | shell | [`cli`] | what was typed, and what it means |
//! | | [`command`] | one file a command: the place to start reading |
//! | | [`ui`] | the only owner of stdout and stderr |
//!
//! A layer sees the ones above it in this table and never those below; analysis sees kernel, facts and data alone.
//! `tests/architecture.rs` holds this map and checks it.

#![forbid(unsafe_code)]

pub mod clock;
pub mod interned;
pub mod printable;
pub mod problem;
pub mod random;
pub mod redact;
pub mod stop;

pub mod process;
pub mod scenario;

pub mod recording;

pub mod load;
pub mod sampler;
pub mod stack;

pub mod profile;
pub mod report;

pub mod cli;
pub mod command;
pub mod ui;

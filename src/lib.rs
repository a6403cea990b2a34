//! pyperf: what was the server's Python doing?
//!
//! `pyperf attach` samples a running gunicorn from outside and draws a flamegraph. One idea carries the design: *record
//! first, label later*. The sampler stamps what it sees with one clock and hands it back as plain data; everything a graph
//! or a report says is a pure function of that data, and can be said again, differently, from a file.
//!
//! ```text
//!   process tree ──births, deaths──► watch ──a reader each──► sampling (one loop a process) ──stacks──► recorder ──► Recording
//!                                                                 ▲                                                   │     │
//!   Clock ── Moment ──────────────────────────────────────────────┤                                                 file    ▼
//!   Stop ── StopReason ───────────────────────────────────────────┘       svg, txt, json ◄── Report ◄── Profile ◄── pure from here on
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
//! | data | [`recording`] | processes, threads, stacks, samples, losses; the file that keeps them |
//! | engines | [`stack`] | reading the Python stacks of one process, and what its threads are doing |
//! | | [`sampler`] | following the tree, reading on time, recording |
//! | | [`load`] | virtual users that act out a script |
//! | analysis | [`profile`] | from a recording to labelled, folded samples |
//! | | [`report`] | from a profile to bytes |
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

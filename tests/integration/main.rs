//! The integration suite: the built `pyperf` run on real processes.
//!
//! Every test starts what it needs (a Python, an environment made by pip, a gunicorn tree) through `support`, which installs what
//! is missing or fails with the reason; nothing is skipped. What a test starts dies with the guard that holds it.

#![expect(clippy::expect_used, clippy::panic, reason = "in a test the failed expectation is the report")]

mod attach;
mod churn;
mod containers;
mod corpus;
mod damaged;
mod demo;
mod dump;
mod idle;
mod listening;
mod load_faults;
mod load_flow;
mod load_gunicorn;
mod load_hooks;
mod load_http;
mod load_publish;
mod load_recording;
mod load_run;
mod load_socketio;
mod load_team;
mod load_websocket;
mod matrix;
mod modes;
mod permission;
mod recordings;
mod signals;
mod snapshots;
mod socketio;
mod states;
mod support;
mod support_web_works;
mod support_works;
mod truth;
mod usage;
mod views;
mod websocket;
mod which;
mod with_load;

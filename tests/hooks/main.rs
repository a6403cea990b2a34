//! Processors on both runtimes: one table of cases, run in the embedded engine and in a `node` child.

#![expect(clippy::expect_used, clippy::panic, reason = "in a test the failed expectation is the report")]

mod calls;
mod modules;
mod node;
mod packages;
mod provider;
mod sidecar;
mod support;

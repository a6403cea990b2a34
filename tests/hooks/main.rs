//! Processors on both runtimes: one table of cases, run in the embedded engine and in a `node` child.

#![expect(clippy::expect_used, clippy::panic, reason = "in a test the failed expectation is the report")]

/// Runs a test in each runtime.
macro_rules! in_both {
    ($($name:ident),* $(,)?) => {
        mod quickjs {
            $(#[test] fn $name() { super::$name(super::Runtime::QuickJs); })*
        }
        mod node {
            $(#[test] fn $name() { super::$name(super::Runtime::Node); })*
        }
    };
}

mod calls;
mod modules;
mod node;
mod packages;
mod provider;
mod sidecar;
mod support;

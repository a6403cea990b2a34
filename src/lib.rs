#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
pub mod cli;
pub mod clock;
pub mod command;
pub mod interned;
pub mod problem;
pub mod process;
pub mod profile;
pub mod recording;
pub mod report;
pub mod sampler;
pub mod stack;
pub mod stop;
pub mod ui;

//! What the tests stand on: Pythons and their packages, running servers, the binary under test, and readers of its output.
//!
//! Two rules hold throughout. A process is ended by the guard that started it, by number and never by name. An event is waited for
//! (a line of output, a state in `/proc`), never slept for.

pub mod collapsed;
pub mod cores;
pub mod environment;
pub mod gunicorn;
pub mod http;
pub mod large_recording;
pub mod load;
pub mod namespace;
pub mod output;
pub mod process;
pub mod pyperf;
pub mod python;
pub mod recording;
pub mod sampling;
pub mod say;
pub mod script;
pub mod socketio;
pub mod steps;
pub mod temp_dir;
pub mod wait;
pub mod waiting_recording;
pub mod web;
pub mod websockets;

use std::path::{Path, PathBuf};

/// Where the sample applications are.
pub fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/apps")
}

//! What a processor is loaded from, within which bounds, and why that may fail.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::http::SettingsError;
use crate::problem::{Advice, Exit};

/// Which JavaScript runs a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// The embedded one; `node` when the processor needs more than it has.
    #[default]
    Auto,
    /// The embedded one.
    QuickJs,
    /// A `node` child process.
    Node,
}

/// A processor and what surrounds it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file that `config.processor` names.
    pub file: PathBuf,
    /// The script's folder: the only one that hooks may read files of.
    pub folder: PathBuf,
    /// What runs it.
    pub runtime: Runtime,
    /// `process.env`; its `PATH` is where `node` is looked for.
    pub environment: HashMap<String, String>,
    /// `artillery.testRunId`.
    pub test_run_id: String,
}

/// The bounds of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its memory, in bytes.
    pub heap: usize,
    /// Its stack, in bytes.
    pub stack: usize,
    /// How long JavaScript may run without a pause.
    pub run: Duration,
    /// How long a call may take altogether, waiting included.
    pub wait: Duration,
    /// How long loading the processor may take, waiting included.
    pub load: Duration,
    /// Calls that may be under way; further ones wait for their turn.
    pub pending: usize,
    /// The longest text that is handed over or back for one call, in bytes.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heap: 64 << 20,
            stack: 512 << 10,
            run: Duration::from_secs(1),
            wait: Duration::from_secs(120),
            load: Duration::from_secs(30),
            pending: 10_000,
            text: 16 << 20,
        }
    }
}

/// What a processor says on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A line of `console` or `artillery.log`.
    Console(&'a str),
    /// Something that pyperf has to say of the processor.
    Note(&'a str),
}

/// Who listens to it. Lines are cut at 64 KiB; they may hold secrets and control characters.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(Said<'_>) + Send + Sync>);

impl Sink {
    /// A listener. It is called on the thread of the processor, and must not wait.
    pub fn new(listen: impl Fn(Said<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listen))
    }

    pub(super) fn console(&self, line: &str) {
        (self.0)(Said::Console(cut(line)));
    }

    pub(super) fn note(&self, line: &str) {
        (self.0)(Said::Note(cut(line)));
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sink")
    }
}

/// As much of a text as is handed on.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(64 << 10);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Why there is no processor.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// The file is not there, or cannot be read.
    #[error("cannot read the processor {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is TypeScript.
    #[error("the processor {} is TypeScript", .0.display())]
    TypeScript(PathBuf),
    /// Its own code failed.
    #[error("the processor cannot be loaded: {0}")]
    Failed(Failed),
    /// It asks for something that the embedded engine lacks.
    #[error("the processor needs Node.js: {0}")]
    NeedsNode(Failed),
    /// The same, and there is no `node`.
    #[error("the processor needs Node.js ({0}), and there is no `node` on the PATH")]
    NoNode(Failed),
    /// `node` does not do what it should.
    #[error("cannot run the processor in node: {0}")]
    Node(String),
    /// What is said of connections cannot be used.
    #[error("the processor cannot send requests")]
    Settings(#[from] SettingsError),
    /// The system refused something.
    #[error("the processor cannot be run")]
    System(#[from] std::io::Error),
    /// The embedded engine cannot be set up.
    #[error("the JavaScript engine does not start: {0}")]
    Engine(String),
}

/// What went wrong, and where in the user's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What.
    pub message: String,
    /// `file:line`, if it is known.
    pub at: Option<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.at {
            Some(at) => write!(formatter, " ({at})"),
            None => Ok(()),
        }
    }
}

impl Advice for HooksError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TypeScript(_) => Some("compile it to JavaScript and name that file".into()),
            Self::NeedsNode(_) => Some("--processor-runtime auto or node runs it in a node process".into()),
            Self::NoNode(_) => Some("install Node.js 18 or later, or do without what is missing".into()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::System(_) | Self::Engine(_) => Exit::Failed,
            _ => Exit::Usage,
        }
    }
}

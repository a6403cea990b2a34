//! Driving load: virtual users that act out a script against a server.
//!
//! One thread drives everything: it releases each user on its due time ([`plan`], [`driver`]), and every user is one light task
//! that the one interpreter of flows ([`user`]) acts out. What happens is counted in the [`ledger`], which is handed back when the
//! run is over. The engine knows nothing of the sampler; both stamp what they see with the same clock. It prints nothing: lines
//! that a script logs leave through a bounded channel, and so do windows that are to be published ([`publish`]). JavaScript that a
//! script brings along runs on a thread of its own ([`hooks`]).
//!
//! Three protocols are spoken, each without knowing scripts: [`http`], [`websocket`] on its connections, and [`socketio`] on both.
//! What a script says of them is acted out in `request`, `over_websocket` and `over_socketio`.

mod answer;
mod books;
mod calls;
mod compose;
mod connecting;
mod cookies;
mod driver;
mod expectation;
mod headers;
mod heard;
pub mod hooks;
pub mod http;
mod judge;
mod keeper;
mod kept;
mod ledger;
pub mod lines;
mod mailbox;
mod messages;
mod over_socketio;
mod over_websocket;
pub mod plan;
pub mod publish;
mod redirect;
mod request;
mod rounds;
mod rows;
mod secrets;
mod shared;
pub mod socketio;
mod timer;
mod user;
pub mod websocket;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use self::hooks::Processor;
use self::http::{Proxies, SettingsError};
use self::keeper::Keeper;
use self::lines::{Lines, Logged};
use self::plan::Plan;
use self::publish::Outlet;
use self::shared::Shared;
pub use self::shared::settings;
use crate::clock::Clock;
use crate::problem::{Advice, Exit};
use crate::recording::file::{FileError, RecordingFile};
use crate::recording::traffic::{Progress, Traffic, Window};
use crate::scenario::script::Script;
use crate::scenario::source::Sources;
use crate::stop::Stop;

/// A load run under way.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    driver: JoinHandle<Result<Traffic, Broken>>,
    keeper: Option<Keeper>,
    lines: Logged,
    done: Stop,
}

/// How to run a script.
#[derive(Debug)]
pub struct Options {
    /// Where chance comes from.
    pub seed: u64,
    /// Which way requests go.
    pub proxies: Proxies,
    /// How long users may go on once the run is told to stop.
    pub grace: Duration,
    /// Where the functions are that the script calls.
    pub processor: Option<Processor>,
    /// Where lines go that the script prints, if somebody prints there already.
    pub lines: Option<(Lines, Logged)>,
    /// Where each window goes as soon as it is closed.
    pub windows: Option<Outlet>,
    /// Where every request is kept.
    pub recording: Option<RecordingFile>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// The numbers, which are whole whatever became of the recording.
    pub traffic: Traffic,
    /// Why the recording is not whole, if it is not.
    pub unwritten: Option<FileError>,
    /// Rows of requests and users that the recording lacks, as too many were waiting to be written.
    pub lost: u64,
}

/// Who tells a run to end.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// No more arrivals; users may go on for a moment.
    pub arrivals: Stop,
    /// No more users either.
    pub users: Stop,
}

/// Why a load run could not begin, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// What the script says of connections cannot be used.
    #[error("what the script says of TLS or proxies cannot be used")]
    Settings(#[from] SettingsError),
    /// The system refused something that the driver cannot do without.
    #[error("the driver of the load cannot work")]
    System(#[from] std::io::Error),
    /// The flow `before` did not come to its end.
    #[error("`before` failed: {0}")]
    Before(String),
    /// The driver itself failed.
    #[error("the driver of the load failed, and what it had counted is lost")]
    Panicked,
}

impl Advice for Broken {
    fn hint(&self) -> Option<String> {
        matches!(self, Self::Before(_))
            .then(|| "what `before` asks the server for has to work before users arrive".into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

impl Load {
    /// Starts a run on a thread of its own.
    ///
    /// # Errors
    ///
    /// When what the script says of connections cannot be used, or there can be no thread.
    pub fn start(
        script: Script,
        sources: &Sources,
        mut options: Options,
        clock: Clock,
        stops: &Stops,
    ) -> Result<Self, Broken> {
        let plan = Plan::of(&script.phases, options.seed);
        let (sender, lines) = options.lines.take().unwrap_or_else(lines::channel);
        let recording = options.recording.clone();
        let shared = Arc::new(Shared::new(script, sources, options, clock, sender)?);
        let keeper = recording.map(|file| Keeper::start(&shared, file)).transpose()?;
        let done = Stop::default();
        let driver = std::thread::Builder::new().name("load".into()).spawn({
            let (shared, stops, done) = (shared.clone(), stops.clone(), done.clone());
            move || {
                let result = driver::drive(&shared, &plan, &stops);
                done.request(crate::stop::StopReason::DurationOver);
                result
            }
        });
        let driver = match driver {
            Ok(driver) => driver,
            Err(error) => {
                keeper.map(Keeper::end);
                return Err(error.into());
            }
        };
        Ok(Self { shared, driver, keeper, lines, done })
    }

    /// How the run is doing.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.progress()
    }

    /// The windows that are over, from that number on.
    #[must_use]
    pub fn windows_from(&self, number: usize) -> Vec<Window> {
        self.shared.windows_from(number)
    }

    /// What scripts have logged since the last call, line by line, fit for a terminal.
    pub fn logged(&self) -> impl Iterator<Item = String> {
        self.lines.take()
    }

    /// Sleeps for `length` or until the run is over; tells whether it is.
    #[must_use]
    pub fn wait(&self, length: Duration) -> bool {
        self.done.wait(length).is_some() || self.driver.is_finished()
    }

    /// Waits for the end of the run, and writes what its recording still lacks.
    ///
    /// # Errors
    ///
    /// When the run could not begin, or the driver failed.
    pub fn finish(self) -> Result<Ended, Broken> {
        let driven = self.driver.join().unwrap_or(Err(Broken::Panicked));
        let keeping = self.keeper.map(Keeper::end);
        let traffic = driven?;
        let (unwritten, lost) = match keeping {
            Some(Some(keeping)) => keeping.conclude(&traffic),
            Some(None) => return Err(Broken::Panicked),
            None => (None, 0),
        };
        Ok(Ended { traffic, unwritten, lost })
    }
}

//! `pyperf demo`: all that pyperf does, on a small service of its own.
//!
//! It brings a booking office in Python, a gunicorn to serve it and a load that makes two of its functions slow, so that
//! there is something to see before anything of one's own is profiled. What it starts is gone when it ends, on every way
//! out; only the virtual environment stays, for the next time.

mod environment;
mod folder;
mod server;
mod task;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use self::environment::Environment;
use self::server::Server;
use super::{run as load, signals};
use crate::cli::{Console, Demo, Run};
use crate::clock::{Clock, Moment};
use crate::problem::{Exit, Problem};
use crate::report::load::Layout;
use crate::scenario::load::Wanted;
use crate::ui::Ui;

/// Ten users in three phases of a second each, to see whether it works at all.
const SHORT: &str = r#"{"config": {"phases": [
    {"name": "Warm up", "duration": 1, "arrivalRate": 2},
    {"name": "Ramp up", "duration": 1, "arrivalRate": 2, "rampTo": 4},
    {"name": "Sustained max load", "duration": 1, "arrivalRate": 5}
]}}"#;

/// Prepares, serves, and shows.
pub(super) fn run(wish: &Demo) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let clock = Clock::start();
    let interrupts = signals::Interrupts::watch()?;
    let environment = Environment::ready(wish, ui, &interrupts)?;
    let results = results(wish.out.as_deref(), clock)?;
    let server = Server::start(&environment, &results.join("server.log"), clock, &interrupts)?;
    ui.remark(&format!("a booking office answers at {}, served by gunicorn, process {}", server.url(), server.pid()));
    // What comes from now on is for the run.
    drop(interrupts);
    show(wish, script(wish, &server.url()), server.pid(), &results)
}

fn script(wish: &Demo, url: &str) -> Wanted {
    Wanted {
        text: Some(include_str!("scenario.yaml").to_owned()),
        target: Some(url.to_owned()),
        overrides: wish.short.then(|| SHORT.to_owned()),
        seed: wish.seed,
        // No environment: a proxy that it names would not lead to this machine.
        ..Wanted::default()
    }
}

/// Sends the load to the server with this pid, which is what there is to show. The results go to the folder.
fn show(wish: &Demo, script: Wanted, _pid: i32, results: &Path) -> Result<(), Problem> {
    load::run(&Run {
        script,
        output: Some(results.join("report.json")),
        grace: wish.grace,
        fail_on_errors: false,
        labels: Vec::new(),
        console: Console::Classic,
        layout: Layout::Artillery2,
        verbosity: wish.verbosity,
    })
}

/// The folder for the results, made now.
fn results(out: Option<&Path>, clock: Clock) -> Result<PathBuf, Problem> {
    let now = jiff::Timestamp::try_from(clock.wall(Moment::default())).unwrap_or_default();
    let dated = || now.to_zoned_datetime(TimeZone::system()).strftime("pyperf-demo-%Y%m%d-%H%M%S").to_string().into();
    let path = out.map_or_else(dated, Path::to_owned);
    std::fs::create_dir_all(&path).map(|()| path.clone()).map_err(|error| {
        let sentence = format!("cannot make the folder {} for the results", path.display());
        Problem::new(Exit::Failed, sentence).because(&error).hint("choose another place: --out DIR")
    })
}

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
use std::time::Duration;

use self::environment::Environment;
use self::server::Server;
use super::{folder as folder_of_results, run_with_load, signals};
use crate::cli::{Console, Demo, Processing, Run, RunWithLoad};
use crate::clock::Clock;
use crate::problem::{Exit, Problem};
use crate::process::find;
use crate::process::tree::Follow;
use crate::profile::{FrameStyle, Leaves, Level, Selection, View};
use crate::recording::Mode;
use crate::report::Format;
use crate::report::load::Layout;
use crate::scenario::load::Wanted;
use crate::stack::{By, Line, Options};
use crate::ui::Ui;

/// Samples of each process per second: its requests take a few milliseconds, and what grew is to be seen on a fast machine too, where
/// a second at 100 Hz has three or four samples of them.
const RATE: u32 = 500;
/// How long the server is sampled before the load.
const LEAD: Duration = Duration::from_secs(1);

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

/// Sends the load to the server with this pid, samples it meanwhile, and puts the results into the folder.
fn show(wish: &Demo, script: Wanted, pid: i32, results: &Path) -> Result<(), Problem> {
    run_with_load::run(&RunWithLoad {
        run: Run {
            processing: Processing::default(),
            script,
            output: None,
            recording: None,
            grace: wish.grace,
            fail_on_errors: false,
            labels: Vec::new(),
            console: Console::Classic,
            layout: Layout::Artillery2,
            verbosity: wish.verbosity,
        },
        wanted: Some(find::Wanted::Pid(pid)),
        follow: Follow::Descendants,
        rate: RATE,
        reading: Options { mode: Mode::NonBlocking, line: Line::Current, locals: 0, by: By::Auto },
        view: View {
            selection: Selection::default(),
            levels: vec![Level::Phase],
            style: FrameStyle { lines: true, full_files: false },
            leaves: Leaves::Frames,
        },
        format: Format::Flamegraph,
        out: Some(results.to_owned()),
        lead: LEAD,
    })
}

/// The folder for the results, made now.
fn results(out: Option<&Path>, clock: Clock) -> Result<PathBuf, Problem> {
    let dated = || folder_of_results::dated("pyperf-demo-%Y%m%d-%H%M%S", clock).into();
    let path = out.map_or_else(dated, Path::to_owned);
    std::fs::create_dir_all(&path).map(|()| path.clone()).map_err(|error| {
        let sentence = format!("cannot make the folder {} for the results", path.display());
        Problem::new(Exit::Failed, sentence).because(&error).hint("choose another place: --out DIR")
    })
}

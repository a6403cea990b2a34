//! What the commands that send load have in common: the script made ready, what is printed, what the exit code means.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::folder::dated;
use super::{check, output, processor};
use crate::cli::{Console, Run};
use crate::clock::{Clock, Moment};
use crate::load::Ended;
use crate::load::http::Proxies;
use crate::problem::{Exit, Problem};
use crate::recording::traffic::{Traffic, Window};
use crate::report::load::{LoadReport, Names, window};
use crate::scenario::load::{Loaded, load};
use crate::scenario::plugins::Plugins;
use crate::scenario::script::Script;
use crate::scenario::source::Sources;
use crate::ui::{Ui, Verbosity};

/// A script that can be run.
pub(super) struct Prepared {
    pub(super) script: Script,
    pub(super) sources: Sources,
    pub(super) proxies: Proxies,
    /// The functions that it calls, if it calls any.
    pub(super) functions: Option<processor::Ready>,
}

impl Prepared {
    /// What is doubtful in functions that are to change requests.
    fn doubts(&self) -> Vec<String> {
        self.functions.as_ref().map(|functions| functions.doubts.clone()).unwrap_or_default()
    }
}

/// Reads a script, says what there is to say of it, and what will be run.
pub(super) fn prepare(ui: Ui, wish: &Run, clock: Clock) -> Result<Prepared, Problem> {
    let Loaded { script, mut findings, sources } = load(&wish.script);
    let proxies = proxies(wish)?;
    let mut functions = None;
    if let Some(script) = &script {
        let wanted = (&wish.script, wish.processing);
        functions = processor::load(ui, script, wanted, proxies.clone(), clock, &mut findings)?;
    }
    let Some(script) = script.filter(|_| !findings.has_errors()) else {
        ui.findings(&findings.text(&sources));
        return Err(check::refusal(&findings));
    };
    if wish.verbosity == Verbosity::Normal {
        ui.findings(&findings.text(&sources));
    }
    ui.remark(&format!("{}; --seed {}", check::plan(&script, wish.script.seed), wish.script.seed));
    Ok(Prepared { script, sources, proxies, functions })
}

/// What is told of a run, once its script is the load's.
pub(super) struct Shown {
    /// The arrivals of each phase in words.
    pub(super) arrivals: Vec<String>,
    /// Whether windows are printed.
    windows: bool,
    scenarios: Vec<String>,
    plugins: Plugins,
    extended: bool,
    doubts: Vec<String>,
    clock: Clock,
    zone: TimeZone,
}

impl Shown {
    pub(super) fn of(wish: &Run, prepared: &Prepared, clock: Clock) -> Self {
        let script = &prepared.script;
        Self {
            doubts: prepared.doubts(),
            arrivals: script.phases.iter().map(|phase| phase.arrivals.words()).collect(),
            windows: wish.verbosity == Verbosity::Normal && wish.console == Console::Metrics,
            scenarios: script.scenarios.iter().map(|scenario| scenario.name.clone()).collect(),
            plugins: script.plugins.clone(),
            extended: script.http.extended_metrics,
            clock,
            zone: TimeZone::system(),
        }
    }

    /// What is printed of a window, where that is wanted.
    pub(super) fn window(&self, over: &Window) -> String {
        if !self.windows {
            return String::new();
        }
        let by_endpoint = &self.plugins.by_endpoint;
        let (scenarios, namespace) = (&self.scenarios, by_endpoint.namespace.as_str());
        let names = Names { scenarios, namespace, extended: self.extended };
        window(over, &names, by_endpoint, self.clock.wall(Moment::default()), &self.zone)
    }

    /// The windows from that number on.
    pub(super) fn windows_from(&self, number: usize, traffic: &Traffic) -> String {
        traffic.windows.iter().skip(number).map(|over| self.window(over)).collect()
    }

    /// The numbers of a run that is over.
    pub(super) fn report<'a>(&'a self, wish: &'a Run, traffic: &'a Traffic) -> LoadReport<'a> {
        LoadReport::of(traffic, &self.plugins, self.extended).labelled(&wish.labels).doubting(&self.doubts)
    }
}

/// Prints what came of a run.
pub(super) fn tell(ui: Ui, wish: &Run, report: &LoadReport<'_>) {
    let zone = TimeZone::system();
    match (wish.verbosity, wish.console) {
        (Verbosity::PathOnly, _) => {}
        (Verbosity::Normal, Console::Classic) => {
            ui.result(&report.summary(&zone));
            ui.result(&format!("\n{}\n", report.details()));
        }
        (Verbosity::Normal, Console::Metrics) => ui.result(&report.listing(&zone)),
    }
    ui.result(&report.verdicts());
}

/// What the run means to whoever waits for the exit code.
pub(super) fn verdict(wish: &Run, report: &LoadReport<'_>, interrupted: Exit) -> Result<(), Problem> {
    let count = |name: &str| report.metrics.counters.get(name).copied().unwrap_or_default();
    let users = report.numbers.users;
    let refused: u64 = report.numbers.codes.range(400..).map(|(_, count)| count).sum();
    // Only an interruption sends users home, so those of a plan that was over by then were cut short as well.
    if report.traffic.cut_short || report.traffic.abandoned > 0 {
        return Err(Problem::new(
            interrupted,
            "interrupted before the plan was over; this is what there was until then",
        ));
    }
    if !report.held() {
        let failed = report.checked.iter().filter(|checked| checked.strict && !checked.held).count();
        return Err(Problem::new(Exit::Failed, format!("{failed} of the checks that `ensure` makes failed")));
    }
    if count("plugins.expect.failed") > 0 {
        let failed = count("plugins.expect.failed");
        return Err(Problem::new(Exit::Unexpected, format!("{failed} expectations were not met")));
    }
    if wish.fail_on_errors && (users.failed > 0 || refused > 0) {
        let sentence = format!("{} users failed, and {refused} answers were errors", users.failed);
        return Err(Problem::new(Exit::Failed, sentence));
    }
    Ok(())
}

/// Says what the recording lacks; that it could not be written is a failure, unless the run has another one.
pub(super) fn kept(ui: Ui, ended: Ended, verdict: Result<(), Problem>) -> Result<(), Problem> {
    if ended.lost > 0 {
        ui.note(&format!("the recording lacks {} requests or users: the disk was too slow for them", ended.lost));
    }
    let problems = verdict.err().into_iter().chain(ended.unwritten.map(Problem::from));
    output::foremost(problems)
}

/// The file that `--output` means: in a folder one with the date in its name, as Artillery names it.
pub(super) fn place(path: &Path, clock: Clock) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    path.join(dated("artillery_report_%Y%m%d_%H%M%S.json", clock))
}

/// The proxies that the environment names.
fn proxies(wish: &Run) -> Result<Proxies, Problem> {
    let environ = &wish.script.environ;
    let named = |names: [&str; 2]| names.iter().find_map(|name| environ.get(*name)).filter(|text| !text.is_empty());
    let proxy = |names: [&str; 2]| {
        let Some(text) = named(names) else { return Ok(None) };
        let url = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        url::Url::parse(&url)
            .map(Some)
            .map_err(|error| Problem::new(Exit::Usage, format!("{} does not name a proxy", names[0])).because(&error))
    };
    let except =
        named(["NO_PROXY", "no_proxy"]).map(|text| text.split(',').map(|rule| rule.trim().to_owned()).collect());
    Ok(Proxies {
        http: proxy(["HTTP_PROXY", "http_proxy"])?,
        https: proxy(["HTTPS_PROXY", "https_proxy"])?,
        except: except.unwrap_or_default(),
    })
}

//! `pyperf run`: send the load that a script describes, then tell what came of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::{check, output, publish, signals};
use crate::cli::{Console, Run};
use crate::clock::{Clock, Moment};
use crate::load::http::Proxies;
use crate::load::{Broken, Ended, Load, Options, Stops};
use crate::problem::{Exit, Problem};
use crate::recording::file::RecordingFile;
use crate::recording::traffic::{Traffic, Window};
use crate::redact;
use crate::report::load::{LoadReport, Names, window};
use crate::scenario::load::load;
use crate::ui::{Ui, Verbosity};

/// Sends, then tells.
pub(super) fn run(wish: &Run) -> Result<(), Problem> {
    let ui = Ui::new(wish.verbosity);
    let loaded = load(&wish.script);
    let Some(script) = loaded.script else {
        ui.findings(&loaded.findings.text(&loaded.sources));
        return Err(check::refusal(&loaded.findings));
    };
    if wish.verbosity == Verbosity::Normal {
        ui.findings(&loaded.findings.text(&loaded.sources));
    }
    let clock = Clock::start();
    let json = wish.output.as_deref().map(|path| place(path, clock));
    json.as_deref().map_or(Ok(()), output::check)?;
    let stops = Stops::default();
    let writing = signals::stop_load_on_interrupt(&stops)?;

    ui.remark(&format!("{}; --seed {}", check::plan(&script, wish.script.seed), wish.script.seed));
    let scenarios: Vec<String> = script.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let (plugins, extended) = (script.plugins.clone(), script.http.extended_metrics);
    let proxies = proxies(wish)?;
    let (publishing, windows) = publish::start(&script, clock, &stops)?;
    let keep = |path: &Path| {
        let (target, started) = (redact::text(&script.target), clock.wall(Moment::default()));
        RecordingFile::create_for_load(path, &target, started)
    };
    let recording = wish.recording.as_deref().map(keep).transpose()?;
    let options = Options { seed: wish.script.seed, proxies, grace: wish.grace, windows, recording };
    let load = Load::start(script, &loaded.sources, options, clock, &stops).map_err(|broken| forget(wish, broken))?;
    let names = Names { scenarios: &scenarios, namespace: &plugins.by_endpoint.namespace, extended };
    let zone = TimeZone::system();
    let anchor = clock.wall(Moment::default());
    let told = |over: &Window| match (wish.verbosity, wish.console) {
        (Verbosity::Normal, Console::Metrics) => window(over, &names, &plugins.by_endpoint, anchor, &zone),
        _ => String::new(),
    };
    let windows = ui.follow_load(&load, &stops, &told);
    let ended = load.finish();
    publishing.finish(ui);
    let Ended { traffic, unwritten, lost } = ended.map_err(|broken| forget(wish, broken))?;
    let last: String = traffic.windows.iter().skip(windows).map(told).collect();
    ui.result(&last);

    let report = LoadReport::of(&traffic, &plugins, extended).labelled(&wish.labels);
    tell(ui, wish, &report);
    ui.result(&report.verdicts());
    if let Some(path) = &json {
        writing.begin();
        let fill = |to: &mut dyn Write| report.write_json(wish.layout, to);
        output::deliver(ui, &fill, "the numbers as JSON", path, &writing)?;
    }
    if lost > 0 {
        ui.note(&format!("the recording lacks {lost} requests or users: the disk was too slow for them"));
    }
    let verdict = verdict(wish, &traffic, &report, writing.exit());
    match (verdict, unwritten) {
        (Ok(()), Some(error)) => Err(error.into()),
        (verdict, unwritten) => {
            if let Some(error) = unwritten {
                ui.note(&error.to_string());
            }
            verdict
        }
    }
}

/// Nothing was recorded of a run that could not begin, and the next try may want the name.
fn forget(wish: &Run, broken: Broken) -> Problem {
    if matches!(broken, Broken::Settings(_) | Broken::Before(_)) {
        wish.recording.as_deref().map(std::fs::remove_file);
    }
    broken.into()
}

fn tell(ui: Ui, wish: &Run, report: &LoadReport<'_>) {
    let zone = TimeZone::system();
    match (wish.verbosity, wish.console) {
        (Verbosity::PathOnly, _) => {}
        (Verbosity::Normal, Console::Classic) => {
            ui.result(&report.summary(&zone));
            ui.result(&format!("\n{}\n", report.details()));
        }
        (Verbosity::Normal, Console::Metrics) => {
            ui.result(&report.listing(&zone));
        }
    }
}

/// What the run means to whoever waits for the exit code.
fn verdict(wish: &Run, traffic: &Traffic, report: &LoadReport<'_>, interrupted: Exit) -> Result<(), Problem> {
    let count = |name: &str| report.metrics.counters.get(name).copied().unwrap_or_default();
    let users = report.numbers.users;
    let refused: u64 = report.numbers.codes.range(400..).map(|(_, count)| count).sum();
    // Only an interruption sends users home, so those of a plan that was over by then were cut short as well.
    if traffic.cut_short || traffic.abandoned > 0 {
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

/// The file that `--output` means: in a folder one with the date in its name, as Artillery names it.
fn place(path: &Path, clock: Clock) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let now = jiff::Timestamp::try_from(clock.wall(Moment::default())).unwrap_or_default();
    path.join(now.to_zoned_datetime(TimeZone::system()).strftime("artillery_report_%Y%m%d_%H%M%S.json").to_string())
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

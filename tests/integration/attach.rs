//! `pyperf attach` on a gunicorn that is serving: what is written where, in which format, and what is said about it.

use std::fs;

use serde_json::Value;

use crate::support::collapsed::Collapsed;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::{Configuration, Gunicorn, Launcher};
use crate::support::pyperf::{Finished, Pyperf};
use crate::support::python::Python;
use crate::support::temp_dir::TempDir;

#[test]
fn the_default_is_a_flamegraph_named_after_the_master() {
    let dir = TempDir::new();
    let gunicorn = web().workers(2).start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let out = TempDir::new();
    let finished = Pyperf::attach(gunicorn.pid(), ["-d", "0.5"]).cwd(&out).run().succeeded();

    let name = format!("profile-{}.svg", gunicorn.pid());
    assert_eq!(out.names(), [name.as_str()]);
    assert_eq!(finished.stdout.lines().count(), 1);
    assert!(finished.stdout.starts_with(&format!("{name}: ")), "{}", finished.stdout);
    for said in [" samples of 2 workers in 0.", "; non-blocking", "lost"] {
        assert!(finished.stdout.contains(said), "{said:?} is missing in {}", finished.stdout);
    }
    assert!(!finished.stderr.contains(['\r', '\u{1b}']), "no live line without a terminal: {:?}", finished.stderr);

    let svg = fs::read_to_string(out.join(&name)).expect("the file was written");
    let title = format!("gunicorn api:application, pid {}", gunicorn.pid());
    for part in ["<svg", "</svg>", "Search", "held_request (work.py:", "gunicorn/workers/sync.py", " at 100 Hz", &title]
    {
        assert!(svg.contains(part), "{part:?} is missing");
    }
    assert!(!svg.contains("wait_for_signals"), "the master is not in the default graph");
}

#[test]
fn the_file_is_named_after_the_master_below_a_wrapper_too() {
    let dir = TempDir::new();
    let gunicorn = web().launcher(Launcher::Shell).start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let out = TempDir::new();
    Pyperf::attach(gunicorn.launched_pid(), ["-d", "0.3"]).cwd(&out).run().succeeded();
    assert_eq!(out.names(), [format!("profile-{}.svg", gunicorn.pid())]);
}

#[test]
fn each_format_is_written_as_its_name_says() {
    let dir = TempDir::new();
    let gunicorn = web().start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let written = |format: &str| {
        let out = TempDir::new();
        let arguments = ["-d", "0.3", "-f", format, "-o", "named"];
        Pyperf::attach(gunicorn.pid(), arguments).cwd(&out).run().succeeded();
        assert_eq!(out.names(), ["named"]);
        fs::read_to_string(out.join("named")).expect("the file was written")
    };

    assert!(written("flamegraph").contains("<svg"));
    for format in ["collapsed", "raw"] {
        assert_held(&Collapsed::parse(&written(format)));
    }
    let speedscope: Value = serde_json::from_str(&written("speedscope")).expect("it is JSON");
    assert_eq!(speedscope["$schema"], "https://www.speedscope.app/file-format-schema.json");
    let frames = speedscope["shared"]["frames"].as_array().expect("there are frames");
    let held = frames.iter().position(|frame| frame["name"].as_str().is_some_and(|name| name.contains("held_request")));
    let held = held.expect("the function is among the frames");
    let samples = speedscope["profiles"][0]["samples"].as_array().expect("there are samples");
    let shows = |sample: &Value| sample.as_array().is_some_and(|sample| sample.iter().any(|frame| *frame == held));
    assert!(samples.iter().any(shows));
    assert_eq!(speedscope["profiles"][0]["weights"].as_array().map(Vec::len), Some(samples.len()));
}

#[test]
fn a_dash_is_standard_output() {
    let dir = TempDir::new();
    let gunicorn = web().start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let finished = run(&gunicorn, &["-d", "0.3", "-f", "collapsed", "-o", "-"]);
    assert_held(&Collapsed::parse(&finished.stdout));
}

#[test]
fn quiet_prints_the_path_alone() {
    let dir = TempDir::new();
    let gunicorn = web().start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let path = dir.join("quiet.svg").display().to_string();
    let finished = run(&gunicorn, &["-q", "-d", "0.3", "-o", &path]);
    assert_eq!((finished.stdout, finished.stderr), (format!("{path}\n"), String::new()));
}

#[test]
fn the_rate_is_what_was_asked_for() {
    let dir = TempDir::new();
    let gunicorn = web().start();
    let _held = gunicorn.hold(&dir.join("gate"));
    for rate in [10_u32, 100, 250] {
        let stacks = run(&gunicorn, &["-r", &rate.to_string(), "-d", "1", "-f", "collapsed", "-o", "-"]).stdout;
        // Late ticks are left out rather than made up for, so a busy machine takes fewer samples but never more.
        let samples = Collapsed::parse(&stacks).total();
        assert!((1..=u64::from(rate) + 1).contains(&samples), "{samples} samples at {rate} Hz");
    }
}

#[test]
fn only_threads_with_the_gil_count_if_wanted() {
    let dir = TempDir::new();
    let gunicorn = web().start();
    let _held = gunicorn.hold(&dir.join("gate"));
    let finished = Pyperf::attach(gunicorn.pid(), ["--gil", "-d", "0.3"]).cwd(&dir).run();
    // A sleeper may hold the GIL for the moment in which it wakes; in all other samples nobody does.
    if finished.code == Some(0) {
        let samples: u32 =
            finished.stdout.split([' ', ':']).find_map(|word| word.parse().ok()).expect("it says how many");
        assert!(samples < 10, "{}", finished.stdout);
    } else {
        finished.ended_with(1).says(&["there is nothing to draw"]);
    }
}

fn web() -> Configuration<'static> {
    Gunicorn::of(&Environment::new(&Python::default(), Packages::Web))
}

fn run(gunicorn: &Gunicorn, arguments: &[&str]) -> Finished {
    Pyperf::attach(gunicorn.pid(), arguments.iter().copied()).run().succeeded()
}

/// All samples are of the one request.
fn assert_held(stacks: &Collapsed) {
    assert!(stacks.share_of("held_request") > 0.95, "{stacks:?}");
    assert!(stacks.share_of("handle_request") > 0.95, "{stacks:?}");
}

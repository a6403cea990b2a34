//! `--mode`, `--states` and `--by state`: what counts, and what threads waited for, in every output of a made-up recording.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use pyperf::profile::activity::Activity;
use pyperf::profile::{FrameStyle, Leaves, Level, Measure, Selection, View};
use pyperf::recording::file::read;
use pyperf::report::{Format, Report, activity_json, activity_text};
use serde_json::{Value, json};

use crate::support::collapsed::Collapsed;
use crate::support::pyperf::Pyperf;
use crate::support::recording::{Recording, State};
use crate::support::temp_dir::TempDir;
use crate::support::waiting_recording::{self, CPU_MICROS, DATABASE, SAMPLES};

/// What all workers took in one place of the pattern.
const TENTH: u64 = 2 * SAMPLES / 10;

fn recorded() -> TempDir {
    let dir = TempDir::new();
    waiting_recording::write(&dir.join("run.pyperf"));
    dir
}

/// What `pyperf report` writes, in lines that end in these frames.
fn report(dir: &TempDir, arguments: &[&str]) -> String {
    let own = ["report", "run.pyperf", "-q", "-o", "-"];
    Pyperf::new(own.iter().chain(arguments)).cwd(dir).run().succeeded().stdout
}

fn stacks(dir: &TempDir, arguments: &[&str]) -> Vec<(String, u64)> {
    let text = report(dir, &[&["-f", "collapsed", "--nolineno"], arguments].concat());
    Collapsed::parse(&text).stacks.into_iter().map(|(stack, count)| (stack.join(";"), count)).collect()
}

fn expected<const N: usize>(stacks: [(&str, u64); N]) -> Vec<(String, u64)> {
    stacks.map(|(stack, count)| (stack.to_owned(), count)).into()
}

#[test]
fn cpu_time_adds_up_to_that_of_the_samples() {
    let dir = recorded();
    let of = |arguments: &[&str]| stacks(&dir, &[&["--mode", "cpu"], arguments].concat());
    let (parse, render) = ("main (app.py);parse (app.py)", "main (app.py);render (app.py)");
    assert_eq!(of(&[]), expected([(parse, TENTH * 9_000), (render, TENTH * 1_000)]));
    assert_eq!(of(&["--states"]), of(&[]));
    assert_eq!(of(&["--phase", "light"]).iter().map(|(_, micros)| micros).sum::<u64>(), CPU_MICROS / 2);
    let by_state = of(&["--by", "state"]);
    assert!(by_state.iter().all(|(stack, _)| stack.starts_with("running;main")), "{by_state:?}");

    let speedscope: Value = serde_json::from_str(&report(&dir, &["--mode", "cpu", "-f", "speedscope"])).expect("JSON");
    for profile in speedscope["profiles"].as_array().expect("two workers") {
        assert_eq!(profile["unit"], json!("microseconds"));
        let weights = profile["weights"].as_array().expect("weights").iter().filter_map(Value::as_f64);
        assert!((weights.sum::<f64>() - 2_000_000.0).abs() < 1.0);
    }
    let said = Pyperf::new(["report", "run.pyperf", "--mode", "cpu"]).cwd(&dir).run().succeeded().stdout;
    let told = "4.00 s of CPU time of 2 workers in 20.0 s; non-blocking · nothing lost · 20.0 % of the CPU time is in no sample";
    assert!(said.contains(told), "{said}");
}

#[test]
fn waiting_is_shown_with_what_was_waited_for() {
    let dir = recorded();
    let database = format!("main (app.py);query (app.py);[waiting: recv {DATABASE}]");
    let waiting = expected([
        ("main (app.py);query (app.py);[waiting: re,cv\u{fffd} \u{fffd}[2Jx]", TENTH),
        (&database, 3 * TENTH),
        ("main (app.py);render (app.py);[runnable: waiting for a core]", TENTH),
        ("main (app.py);render (app.py);[waiting for the GIL]", 2 * TENTH),
    ]);
    let mut found = stacks(&dir, &["--mode", "wait"]);
    found.sort();
    assert_eq!(found, waiting);
    let mut all = stacks(&dir, &["--states", "--idle"]);
    assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 2 * SAMPLES);
    all.retain(|(stack, _)| stack.ends_with(']'));
    all.sort();
    let idle = expected([("main (app.py);accept (app.py);[idle]", TENTH)]);
    assert_eq!(all, [idle, waiting].concat());
    let by_state = stacks(&dir, &["--by", "state"]);
    let mut roots: Vec<&str> = by_state.iter().filter_map(|(stack, _)| stack.split(';').next()).collect();
    roots.dedup();
    let database = format!("waiting: recv {DATABASE}");
    let expected =
        ["running", "runnable: waiting for a core", "waiting for the GIL", "waiting: re,cv\u{fffd} \u{fffd}[2Jx"];
    assert_eq!(roots, [&expected[..3], &expected[3..], &[&database]].concat());
    let svg = report(&dir, &["--mode", "wait"]);
    assert!(svg.contains(&format!("<title>[waiting: recv {DATABASE}] (1,200 samples, 42.86%)</title>")), "{svg}");
}

#[test]
fn the_gil_is_a_mode_too() {
    let dir = recorded();
    let by_flag = stacks(&dir, &["--gil"]);
    assert_eq!(by_flag.iter().map(|(_, count)| count).sum::<u64>(), 2 * TENTH);
    assert_eq!(by_flag, stacks(&dir, &["--mode", "gil"]));
    assert_eq!(by_flag, stacks(&dir, &["--gil", "--mode", "gil", "--idle"]));
    assert_eq!(stacks(&dir, &[]), stacks(&dir, &["--mode", "wall"]));
}

#[test]
fn a_report_tells_where_the_time_went() {
    let dir = recorded();
    let text = report(&dir, &["--text", "--mode", "cpu"]);
    for told in [
        "threads: 20.0 % running, 10.0 % waiting for a core, 20.0 % for the GIL, 40.0 % other, 10.0 % idle",
        &format!("   30.0 %  waiting: recv {DATABASE}"),
        "function, by CPU time",
        "   90.0 %   90.0 %  parse (app.py)",
        "22.2 % of the time in requests in heavy went to waiting for the GIL",
        &format!("33.3 % of the time in requests in heavy went to waiting in recv {DATABASE}."),
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let json: Value = serde_json::from_str(&report(&dir, &["--json"])).expect("JSON");
    let heavy = &json["pyperf"]["activity"]["phases"][1];
    assert_eq!((&heavy["gilWait"], &heavy["runnable"]), (&json!(0.2), &json!(0.1)));
    assert_eq!(heavy["waits"][0], json!({"call": "recv", "on": DATABASE, "share": 0.3}));
    assert_eq!(heavy["workers"][0]["gilWait"], json!(0.2));
    let drawn = ["report", "run.pyperf", "--mode", "cpu", "--states", "--diff", "light", "heavy"];
    let table = Pyperf::new(drawn).cwd(&dir).run().succeeded().stdout;
    assert!(table.contains("light · 5 users/s · 10 s · 2.00 s of CPU time\n"), "{table}");
    assert!(table.contains("CPU time in the function itself") && table.contains("No change is larger"), "{table}");
}

#[test]
fn a_recording_of_an_older_pyperf_has_no_cpu_times() {
    let dir = TempDir::new();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/flask-sync/run.pyperf");
    fs::copy(old, dir.join("run.pyperf")).expect("it can be copied");
    let refused = Pyperf::new(["report", "run.pyperf", "--mode", "cpu"]).cwd(&dir).run().ended_with(2);
    refused.says(&["the recording has no CPU times: an older pyperf made it", "record anew"]);
    assert!(report(&dir, &["--mode", "wait", "-f", "collapsed"]).contains("[waiting]"));
}

#[test]
fn the_tables_hold_what_their_documentation_says() {
    let dir = recorded();
    let recording = Recording::read(&dir.join("run.pyperf"));
    let micros: u128 = recording.samples.iter().map(|sample| sample.cpu.as_micros()).sum();
    assert_eq!(micros, u128::from(CPU_MICROS));
    for (state, tenths) in
        [(State::Running, 2), (State::Runnable, 1), (State::GilWait, 2), (State::Waiting, 4), (State::Idle, 1)]
    {
        assert_eq!(recording.samples.iter().filter(|sample| sample.state == state).count() as u64, tenths * TENTH);
    }
    let database = Some(("recv".to_owned(), Some(DATABASE.to_owned())));
    assert_eq!(recording.samples.iter().filter(|sample| sample.wait == database).count() as u64, 3 * TENTH);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_recording_is_refused_or_drawn_and_never_a_panic(
        flips in prop::collection::vec((any::<Index>(), any::<u8>()), 1..20),
    ) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(recorded().join("run.pyperf")).expect("it is there"));
        let dir = TempDir::new();
        let mut bytes = WHOLE.clone();
        for (place, byte) in flips {
            *place.get_mut(&mut bytes) = byte;
        }
        fs::write(dir.join("run.pyperf"), bytes).expect("it can be written");
        let Ok(recording) = read(&dir.join("run.pyperf")) else { return Ok(()) };
        for measure in [Measure::Wall, Measure::Cpu, Measure::Gil, Measure::Wait] {
            let selection = Selection { measure, idle: true, ..Selection::default() };
            let (levels, style) = (vec![Level::Phase, Level::State], FrameStyle { lines: true, full_files: false });
            let report = Report::of(&recording, View { selection, levels, style, leaves: Leaves::States });
            let _ = (report.title(), report.subtitle());
            for format in [Format::Collapsed, Format::Speedscope, Format::Flamegraph] {
                // Of a graph without samples an error is told.
                let _ = report.write(format, &mut Vec::new());
            }
            let activity = Activity::of(&recording, measure);
            let _ = (activity_text(&activity, &recording), activity_json(&activity, &recording));
        }
    }
}

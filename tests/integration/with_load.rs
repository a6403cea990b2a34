//! `pyperf run-with-load` on a real gunicorn: every sample under the phase that it was taken in, results in one folder, nothing lost
//! to an interruption or a kill.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::collapsed::Collapsed;
use crate::support::environment::{Environment, Packages};
use crate::support::gunicorn::Gunicorn;
use crate::support::pyperf::{Pyperf, Running};
use crate::support::python::Python;
use crate::support::recording;
use crate::support::temp_dir::TempDir;
use crate::support::wait;
use crate::support::web::ports::dead_port;

/// Twelve users that sleep, a pause in which they finish, and twelve that burn. The names are in the wrong order for anybody who
/// sorts them. Each request is long beside what gunicorn does around it.
const SCRIPT: &str = r#"
config:
  target: "http://placeholder"
  http: { timeout: 20 }
  phases:
    - { name: Zebras sleep, duration: 2, arrivalCount: 12 }
    - { pause: 1 }
    - { name: Ants burn, duration: 2, arrivalCount: 12 }
  payload: { path: rows.csv, fields: [path], order: sequence }
scenarios:
  - name: one request
    flow:
      - get: { url: "/sleep?s=0.2", ifTrue: 'path == "sleep"' }
      - get: { url: "/burn?s=0.15", ifTrue: 'path == "burn"' }
"#;

fn gunicorn() -> Gunicorn {
    Gunicorn::of(&Environment::new(&Python::shared(), Packages::Web)).workers(2).start()
}

fn start(dir: &TempDir, gunicorn: &Gunicorn, arguments: &[&str]) -> Running {
    start_by(Command::new(Pyperf::PROGRAM), dir, gunicorn, arguments)
}

/// The same by a command that runs pyperf with the arguments that follow.
fn start_by(mut command: Command, dir: &TempDir, gunicorn: &Gunicorn, arguments: &[&str]) -> Running {
    fs::write(dir.join("script.yaml"), SCRIPT).expect("the directory is ours");
    fs::write(dir.join("rows.csv"), "sleep\n".repeat(12) + &"burn\n".repeat(12)).expect("the directory is ours");
    let target = format!("http://{}", gunicorn.address());
    command.args(["run-with-load", "script.yaml", "--target", &target, "--out", "out", "--lead", "0.3"]);
    command.args(arguments).current_dir(dir).env_remove("SUDO_UID").env_remove("SUDO_GID");
    // The proxies of the session are not those of a test.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    Running::of(command)
}

/// The stacks below the phases whose label begins so, without that level.
fn below(text: &str, phase: &str) -> Collapsed {
    let lines = text.lines().filter(|line| line.starts_with(phase)).filter_map(|line| line.split_once(';'));
    Collapsed::parse(&lines.flat_map(|(_, rest)| [rest, "\n"]).collect::<String>())
}

fn collapsed(dir: &TempDir, arguments: &[&str]) -> String {
    let own = ["report", "out/run.pyperf", "-f", "collapsed", "-o", "-"];
    Pyperf::new(own.into_iter().chain(arguments.iter().copied())).cwd(dir).run().succeeded().stdout
}

#[test]
fn every_sample_stands_under_the_phase_that_it_was_taken_in() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let finished = start(&dir, &gunicorn, &[]).wait(wait::PATIENCE).succeeded();

    let graph = format!("profile-{}.svg", gunicorn.pid());
    for file in [&graph, "report.json", "report.txt", "run.pyperf"] {
        assert!(finished.stdout.contains(&format!("out/{file}: ")), "{file} is not named in {}", finished.stdout);
        assert!(dir.join("out").join(file).is_file(), "{file}");
    }
    let svg = fs::read_to_string(dir.join("out").join(graph)).expect("a graph");
    assert!(svg.contains("Zebras sleep · 12 users · 2 s") && svg.contains("Ants burn · 12 users · 2 s"));

    let text = collapsed(&dir, &["--by", "phase"]);
    let (asleep, burning) = (below(&text, "Zebras sleep"), below(&text, "Ants burn"));
    assert!(asleep.share_of("slow_query") >= 0.95 && asleep.share_of("burn_cpu") <= 0.05, "{text}");
    assert!(burning.share_of("burn_cpu") >= 0.95 && burning.share_of("slow_query") <= 0.05, "{text}");
    let place = |phase: &str| text.find(phase).unwrap_or_else(|| panic!("no {phase} in {text}"));
    assert!(place("Zebras sleep") < place("Ants burn"), "phases stand in the order of time");

    let alone = Collapsed::parse(&collapsed(&dir, &["--phase", "Ants burn"]));
    assert_eq!(alone.total(), burning.total());
    let unknown = Pyperf::new(["report", "out/run.pyperf", "--phase", "Bees"]).cwd(&dir).run().ended_with(2);
    unknown.says(&["no phase `Bees`", "`Ants burn`"]);

    let diff = ["report", "out/run.pyperf", "--diff", "Zebras sleep", "Ants burn", "-o", "diff.svg"];
    let told = Pyperf::new(diff).cwd(&dir).run().succeeded().stdout;
    assert!(told.contains("burn_cpu") && told.contains("slow_query"), "{told}");
    assert!(fs::read_to_string(dir.join("diff.svg")).expect("a graph").contains("Ants burn"));
}

#[test]
fn an_endpoint_has_the_samples_of_its_time() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    start(&dir, &gunicorn, &["-q"]).wait(wait::PATIENCE).succeeded();
    for (endpoint, own, others) in [
        ("sleep", "slow_query", "burn_cpu"),
        ("get */BURN*", "burn_cpu", "slow_query"),
        ("/burn", "burn_cpu", "slow_query"),
    ] {
        let stacks = Collapsed::parse(&collapsed(&dir, &["--endpoint", endpoint]));
        // Sleepers and burners are never in flight together.
        assert!(stacks.share_of(own) >= 0.9 && stacks.share_of(others) == 0.0, "{endpoint}: {stacks:?}");
    }
    let all = Collapsed::parse(&collapsed(&dir, &[]));
    let both = Collapsed::parse(&collapsed(&dir, &["--endpoint", "?s=0."]));
    assert!(both.total() <= all.total() && both.total() * 10 >= all.total() * 9, "{both:?} of {all:?}");
    let by_phase = collapsed(&dir, &["--endpoint", "burn", "--by", "phase,worker"]);
    assert!(below(&by_phase, "Zebras sleep").stacks.is_empty(), "{by_phase}");

    let report = |arguments: &[&str]| {
        let own = ["report", "out/run.pyperf"];
        Pyperf::new(own.into_iter().chain(arguments.iter().copied())).cwd(&dir).run()
    };
    let drawn = report(&["--endpoint", "burn", "-o", "burn.svg"]).succeeded().stdout;
    assert!(drawn.contains("only while `GET /burn?s=0.15` was in flight, by time"), "{drawn}");
    assert!(fs::read_to_string(dir.join("burn.svg")).expect("a graph").contains("no other endpoint was meanwhile"));
    let text = report(&["--endpoint", "burn", "--text", "-o", "-"]).succeeded().stdout;
    let functions = text.split("Functions only while `GET /burn?s=0.15`").nth(1).expect("it says which");
    assert!(functions.contains("burn_cpu") && !functions.contains("slow_query"), "{text}");
    let diff = ["--endpoint", "s=0.", "--diff", "Zebras sleep", "Ants burn", "-o", "diff.svg"];
    assert!(report(&diff).succeeded().stdout.contains("one of 2 endpoints like `s=0.`"));
    report(&["--endpoint", "burn", "--phase", "Zebras sleep"]).ended_with(1).says(&["nothing to draw"]);
    let unknown = report(&["--endpoint", "brun"]).ended_with(2);
    unknown.says(&["an endpoint like `brun`", "did you mean `GET /burn?s=0.15`?", "`GET /sleep?s=0.2`"]);
}

#[test]
fn the_report_has_both_halves() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    start(&dir, &gunicorn, &["--output", "artillery.json"]).wait(wait::PATIENCE).succeeded();
    let json = |path: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(dir.join(path)).expect("a file")).expect("JSON")
    };
    let whole = json("out/report.json");
    assert_eq!(whole["aggregate"]["counters"]["http.requests"], 24);
    assert_eq!(json("artillery.json")["aggregate"], whole["aggregate"]);
    let own = &whole["pyperf"];
    let phases = own["activity"]["phases"].as_array().expect("phases");
    let names: Vec<&str> = phases.iter().filter_map(|phase| phase["name"].as_str()).collect();
    assert_eq!(&names[..4], ["before load", "Zebras sleep", "phase 2", "Ants burn"]);
    let burning = &phases[3];
    let endpoints: Vec<_> =
        burning["endpoints"].as_array().expect("endpoints").iter().map(|of| &of["endpoint"]).collect();
    assert_eq!(endpoints, ["GET /burn?s=0.15"]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {burning}"));
    let users = &burning["users"];
    assert!(number(&users["mean"]) > 0.3 && number(&users["most"]) >= number(&users["mean"]), "{users}");
    assert!((number(&burning["requestsPerSecond"]) - 6.0).abs() < 0.6, "{burning}");
    assert!(number(&burning["latencyMs"]["p50"]) >= 100.0 && burning["errors"] == 0, "{burning}");
    assert!(number(&burning["inFlight"]["mean"]) <= number(&users["mean"]), "{burning}");
    assert!(number(&burning["cores"]) > 0.3 && burning["arrivals"] == "12 users", "{burning}");
    for cost in ["samplerCpuMs", "driverCpuMs"] {
        assert!(own["overhead"][cost].as_f64().is_some_and(|millis| millis > 0.0), "{cost} in {own}");
    }
    let text = fs::read_to_string(dir.join("out/report.txt")).expect("a file");
    for part in ["Summary report @", "Ants burn · 12 users · 2 s", "What this run cost", "burn_cpu", "GET /burn?s=0.15"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn an_interruption_writes_everything_there_is() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let running = start(&dir, &gunicorn, &[]);
    recorded(&dir.join("out/run.pyperf"), "SELECT count(*) FROM sample WHERE state <> 2");
    running.interrupt();
    let finished = running.wait(wait::PATIENCE).ended_with(130);
    assert!(finished.stdout.contains("out/report.txt"), "{}", finished.stdout);
    assert!(collapsed(&dir, &["--by", "phase"]).contains("Zebras sleep"));
}

#[test]
fn a_recording_outlives_a_kill() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let (running, file) = (start(&dir, &gunicorn, &[]), dir.join("out/run.pyperf"));
    recorded(&file, "SELECT count(*) FROM sample WHERE state <> 2");
    let counted = recording::ask(&file, "SELECT count(*) FROM sample");
    running.kill();
    let _ = running.wait(wait::PATIENCE);
    // A kill within a batch leaves a journal, which the first reader rolls back.
    assert!(Collapsed::parse(&collapsed(&dir, &[])).share_of("slow_query") > 0.0);
    assert!(recording::ask(&file, "SELECT count(*) FROM sample") >= counted, "what was written stays");
    let whole = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    assert_eq!(recording::ask(&file, whole), Some(1));
}

/// The limit of a file's size is a full disk that needs no root.
#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=131072", "--", Pyperf::PROGRAM]);
    let running = start_by(limited, &dir, &gunicorn, &["-r", "200", "-f", "collapsed"]);
    let finished = running.wait(wait::PATIENCE).ended_with(1);
    let finished = finished.says(&["cannot write the recording out/run.pyperf", "pyperf report out/run.pyperf"]);
    assert_eq!(finished.stderr.matches("cannot write").count(), 1, "{}", finished.stderr);
    // Memory still holds everything.
    for file in [&format!("profile-{}.txt", gunicorn.pid()), "report.json", "report.txt", "run.pyperf"] {
        assert!(finished.stdout.contains(&format!("out/{file}: ")), "{file} is not named in {}", finished.stdout);
    }
    let json = fs::read_to_string(dir.join("out/report.json")).expect("a report");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["aggregate"]["counters"]["http.requests"], 24);
    assert!(recording::ask(&dir.join("out/run.pyperf"), "SELECT count(*) FROM sample") > Some(0));
    assert!(Collapsed::parse(&collapsed(&dir, &["--idle"])).total() > 0);
}

#[test]
fn a_result_that_cannot_be_written_keeps_no_other_from_its_place() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let running = start(&dir, &gunicorn, &["--output", "numbers.json"]);
    recorded(&dir.join("out/run.pyperf"), "SELECT count(*) FROM sample");
    for name in ["out/report.json", &format!("out/profile-{}.svg", gunicorn.pid())] {
        fs::create_dir(dir.join(name)).expect("the directory is ours");
    }
    let finished = running.wait(wait::PATIENCE).ended_with(1);
    let graph = format!("cannot write out/profile-{}.svg", gunicorn.pid());
    let finished = finished.says(&[&graph, "cannot write out/report.json", "it is a folder"]);
    for file in ["out/report.txt", "out/run.pyperf", "numbers.json"] {
        assert!(finished.stdout.contains(&format!("{file}: ")), "{file} is not named in {}", finished.stdout);
        assert!(dir.join(file).is_file(), "{file}");
    }
}

/// The team's way of working: samples on the server, load from another machine.
#[test]
fn two_recordings_are_joined_on_the_wall_clock() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let attached = Pyperf::attach(gunicorn.pid(), ["--recording", "server.pyperf"]).cwd(&dir).start();
    recorded(&dir.join("server.pyperf"), "SELECT count(*) FROM sample");
    fs::write(dir.join("script.yaml"), SCRIPT).expect("the directory is ours");
    fs::write(dir.join("rows.csv"), "sleep\n".repeat(12) + &"burn\n".repeat(12)).expect("the directory is ours");
    let target = format!("http://{}", gunicorn.address());
    let load = ["run", "script.yaml", "--target", &target, "--recording", "load.pyperf"];
    Pyperf::new(load).cwd(&dir).env("HTTP_PROXY", "").env("http_proxy", "").run().succeeded();
    attached.interrupt();
    attached.wait(wait::PATIENCE).succeeded();

    let joined = |arguments: &[&str]| {
        let own = ["report", "-f", "collapsed", "-o", "-", "--by", "phase"];
        Pyperf::new(own.into_iter().chain(arguments.iter().copied())).cwd(&dir).run()
    };
    for files in [["server.pyperf", "load.pyperf"], ["load.pyperf", "server.pyperf"]] {
        let text = joined(&files).succeeded().stdout;
        let (asleep, burning) = (below(&text, "Zebras sleep"), below(&text, "Ants burn"));
        assert!(asleep.share_of("slow_query") >= 0.95, "{files:?}: {text}");
        assert!(burning.share_of("burn_cpu") >= 0.95, "{files:?}: {text}");
    }
    // Three seconds are a phase and the pause behind it.
    let shifted = joined(&["server.pyperf", "load.pyperf", "--clock-offset", "-3"]).succeeded();
    assert!(below(&shifted.stdout, "Ants burn").stacks.is_empty(), "{}", shifted.stdout);
    shifted.says(&["the clocks of the two machines do not seem to agree"]);
    for (files, given) in [(["server.pyperf", "load.pyperf"], "-3"), (["load.pyperf", "server.pyperf"], "2.5")] {
        let told = joined(&[files[0], files[1], "--clock-offset", given]).succeeded().stderr;
        let offset = told.split("with --clock-offset ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let offset: f64 = offset.and_then(|offset| offset.parse().ok()).unwrap_or_else(|| panic!("none in {told}"));
        // Both clocks are this machine's.
        assert!(offset.abs() < 0.3, "{files:?}: {told}");
    }
    let right = joined(&["server.pyperf", "load.pyperf"]).succeeded().stderr;
    assert!(!right.contains("do not seem to agree"), "{right}");
    let burning = joined(&["server.pyperf", "load.pyperf", "--endpoint", "burn"]).succeeded().stdout;
    assert!(burning.contains("burn_cpu") && !burning.contains("slow_query"), "{burning}");
    let requests = Pyperf::new(["report", "server.pyperf", "--endpoint", "burn"]).cwd(&dir).run().ended_with(2);
    requests.says(&["the recording has no requests"]);
    let alone = Pyperf::new(["report", "load.pyperf"]).cwd(&dir).run().ended_with(1);
    alone.says(&["load.pyperf has no samples", "pyperf report --text load.pyperf"]);
    let text = Pyperf::new(["report", "load.pyperf", "--text", "-o", "-"]).cwd(&dir).run().succeeded().stdout;
    assert!(text.contains("Phases by time") && !text.contains("Sampling used"), "{text}");
    joined(&["server.pyperf", "server.pyperf"]).ended_with(2).says(&["neither of the two recordings has a load"]);
}

#[test]
fn what_can_fail_fails_before_a_request() {
    let (dir, gunicorn) = (TempDir::new(), gunicorn());
    let nobody = format!("http://{}", dead_port());
    start(&dir, &gunicorn, &["-t", "ftp://x"]).wait(wait::PATIENCE).ended_with(2);
    let run = |arguments: &[&str]| {
        let own = ["run-with-load", "script.yaml", "--out", "none"];
        Pyperf::new(own.into_iter().chain(arguments.iter().copied())).cwd(&dir).run()
    };
    run(&["--target", &nobody]).ended_with(1).says(&["nobody answers at 127.0.0.1:"]);
    let target = format!("http://{}", gunicorn.address());
    run(&["--target", &target, "--pid", "999999"]).ended_with(3).says(&["no process 999999"]);
    assert!(!dir.join("none").exists(), "nothing is left of a run that did not begin");
}

/// Waits until a recording that grows answers a question with more than 0.
fn recorded(path: &Path, question: &str) {
    wait::until("samples in the file", wait::PATIENCE, || {
        (path.is_file() && recording::ask(path, question).is_some_and(|count| count > 0)).then_some(())
    });
}

//! A run as a whole: its exit code, its checks, its files and texts, the limit of users, and what ends it before its time.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::load::{Load, Ran, counts};
use crate::support::process;
use crate::support::web::WebServer;
use crate::support::web::ports::dead_port;

/// A script with these phases, in YAML, whose users ask for a path and then for `/json`.
fn phased(server: &WebServer, phases: &str, path: &str) -> Load {
    let target = server.url();
    Load::script(format!(
        "config:\n  target: \"{target}\"\n  phases: {phases}\nscenarios:\n  - name: one\n    flow:\n      \
         - get: {{ url: {path} }}\n      - get: {{ url: /json }}\n"
    ))
}

/// `[planned, created, completed, failed, skipped]` of a phase.
fn phase(ran: &Ran, number: usize) -> [u64; 5] {
    ["planned", "created", "completed", "failed", "skipped"]
        .map(|what| ran.own(&format!("/phases/{number}/{what}")).as_u64().expect("a count"))
}

#[test]
fn the_exit_code_says_what_came_of_it() {
    let server = WebServer::start();
    let load = |steps: [&str; 1]| Load::of(&server.url(), steps);
    let fine = "get: { url: /json, expect: { statusCode: 200 } }";
    let unexpected = "get: { url: /json, expect: [{ statusCode: 201 }, { hasProperty: none }, { contentType: json }] }";
    load(["get: { url: /reset }"]).run().ended_with(0);
    load(["get: { url: /reset }"]).arguments(["--fail-on-errors"]).run().ended_with(1);
    load(["get: { url: /status/500 }"]).arguments(["--fail-on-errors"]).run().ended_with(1);
    load([fine]).arguments(["--fail-on-errors"]).run().ended_with(0);
    let expecting = |steps| load(steps).config("plugins: { expect: {} }");
    let met = expecting([fine]).run().ended_with(0);
    assert_eq!(met.counters_of("plugins.expect."), counts(&[("ok", 1), ("ok.statusCode", 1)]));
    let missed = expecting([unexpected]).users(2).run().ended_with(21);
    assert_eq!(missed.users(), [2, 2, 0, 0]);
    let failed = missed.counters_of("plugins.expect.failed");
    assert_eq!(failed, counts(&[("", 4), (".hasProperty", 2), (".statusCode", 2)]));
    assert_eq!(missed.counter("plugins.expect.ok.contentType"), 2);
    missed.tells(&["  not ok statusCode 201, got 200\n"]);
    let both = load([unexpected]).config("plugins: { expect: {}, ensure: { thresholds: [vusers.created: 1] } }");
    both.run().ended_with(1);
    // Without the plugin nothing is expected.
    let ignored = load([unexpected]).run().ended_with(0);
    assert!(ignored.finished.stderr.contains("expect"), "{}", ignored.finished.stderr);
}

#[test]
fn a_script_that_is_wrong_or_missing_sends_nothing() {
    let server = WebServer::start();
    let ran = phased(&server, "[{ duration: 1, arivalRate: 1 }]", "/json").run().ended_with(2);
    let words = ["arivalRate", "script.yaml:3:", "did you mean `arrivalRate`?"];
    assert!(words.iter().all(|word| ran.finished.stderr.contains(word)), "{}", ran.finished.stderr);
    let hook = Load::of(&server.url(), ["function: doIt"])
        .config("processor: ./functions.js")
        .file("functions.js", "not JavaScript");
    hook.run().ended_with(2);
    Load::of(&server.url(), ["get: { url: /json }"]).arguments(["missing.yaml"]).run().ended_with(2);
    Load::of(&server.url(), ["get: { url: /json }"]).arguments(["--no-such-flag"]).run().ended_with(2);
    assert!(server.requests().is_empty());
}

#[test]
fn an_expectation_can_end_a_user_or_be_told_as_json() {
    let server = WebServer::start();
    let steps = ["get: { url: /json, expect: { statusCode: 404 } }", "get: { url: /items }"];
    let load = |options: &str| Load::of(&server.url(), steps).config(&format!("plugins: {{ expect: {options} }}"));
    let ran = load("{ reportFailuresAsErrors: true, formatter: silent }").run().ended_with(21);
    assert_eq!((ran.users(), server.requests().len()), ([1, 0, 1, 0], 1));
    assert!(ran.counters_of("errors.").keys().all(|code| code.starts_with("Failed expectations for request http")));
    assert!(!ran.finished.stdout.contains("not ok"), "{}", ran.finished.stdout);
    let ran = load("{ outputFormat: json }").run().ended_with(21);
    let lines = ran.finished.stdout.lines().filter(|line| line.starts_with('{'));
    let told: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((told.len(), &told[0]["failed"], &told[0]["status"]), (1, &json!(["statusCode"]), &json!(200)));
}

#[test]
fn checks_are_told_and_decide() {
    let server = WebServer::start();
    let load = |config: &str| Load::of(&server.url(), ["get: { url: /json }"]).users(3).config(config);
    let held = "plugins: { ensure: { thresholds: [http.response_time.p99: 60000, vusers.failed: 1], \
                conditions: [{ expression: \"http.codes.200 == 3 and vusers.created == 3\" }, \
                { expression: \"vusers.skipped > 0\", strict: false }], max: 60000, median: 60000, maxErrorRate: 0 } }";
    let ran = load(held).run().succeeded();
    ran.tells(&[
        "Checks:\n",
        "ok: http.response_time.p99 < 60000\n",
        "ok: vusers.failed < 1\n",
        "ok: http.codes.200 == 3 and vusers.created == 3\n",
        "fail: vusers.skipped > 0 (optional) – ",
        "ok: http.response_time.max < 60000\n",
    ]);
    let checks = ran.own("/checks").as_array().expect("a list").clone();
    assert_eq!(checks.iter().filter(|check| check["held"] == json!(true)).count(), checks.len() - 1);
    for (config, line) in [
        ("plugins: { ensure: { thresholds: [http.requests: 3] } }", "fail: http.requests < 3 – it is 3\n"),
        ("plugins: { ensure: { p95: 0 } }", "fail: http.response_time.p95 < 0 – it is "),
        ("plugins: { ensure: { thresholds: [http.reqests: 9] } }", "close to it: http.requests"),
        ("plugins: { ensure: { conditions: [expression: \"vusers.created < 3\"] } }", "vusers.created is 3\n"),
    ] {
        let ran = load(config).run().ended_with(1);
        ran.tells(&["Checks:\n", line]);
        assert!(ran.finished.stderr.contains("ensure"), "{}", ran.finished.stderr);
        let quiet = load(config).arguments(["-q"]).run().ended_with(1);
        quiet.tells(&[line]);
        assert!(!quiet.finished.stdout.contains("Summary"), "{}", quiet.finished.stdout);
    }
    let failing = Load::of(&server.url(), ["get: { url: /empty }"]).users(2);
    let ran = failing.config("plugins: { ensure: { maxErrorRate: 10 } }").run().ended_with(1);
    ran.tells(&["2 of 2 virtual users did not complete: 100 %\n"]);
    // As Artillery has it, `config.ensure` needs the plugin; that it does nothing is said.
    let ran = load("ensure: { p95: 0 }").run().succeeded();
    assert!(ran.finished.stderr.contains("ensure"), "{}", ran.finished.stderr);
}

#[test]
fn satisfaction_is_scored() {
    let server = WebServer::start();
    let steps = [
        "get: { url: /json }",
        "get: { url: \"/wait?ms=150\" }",
        "get: { url: \"/wait?ms=500\" }",
        "get: { url: /reset }",
    ];
    let config = ["plugins: { apdex: {} }", "apdex: { threshold: 100 }"];
    let ran = Load::of(&server.url(), steps).config(config[0]).config(config[1]).run().succeeded();
    assert_eq!(ran.counters_of("apdex."), counts(&[("frustrated", 1), ("satisfied", 1), ("tolerated", 1)]));
    ran.tells(&["Apdex score: 0.5 (poor)\n"]);
}

#[test]
fn endpoints_have_metrics_of_their_own() {
    let server = WebServer::start();
    let steps = [
        "get: { url: \"/echo?id={{ id }}\" }",
        "get: { url: \"/status/{{ id }}\", name: one status }",
        "get: { url: /server-timing }",
        "get: { url: /reset }",
    ];
    let load = || Load::of(&server.url(), steps).users(2).config("variables: { id: 404 }");
    let ran = load().run().succeeded();
    let expected = [
        ("/echo.codes.200", 2),
        ("/reset.errors.ECONNRESET", 2),
        ("/server-timing.codes.200", 2),
        ("/status/{{ id }} (one status).codes.404", 2),
    ];
    assert_eq!(ran.counters_of("plugins.metrics-by-endpoint."), counts(&expected));
    let summaries = &ran.json["aggregate"]["summaries"];
    assert_eq!(summaries["plugins.metrics-by-endpoint.response_time./echo"]["count"], json!(2));
    assert_eq!(summaries["plugins.metrics-by-endpoint.server-timing./server-timing"]["max"], json!(12.5));
    let labels: Vec<&str> =
        ran.own("/endpoints").as_array().expect("a list").iter().filter_map(|one| one["label"].as_str()).collect();
    assert_eq!(labels.len(), 4, "{labels:?}");
    let options = "{ useOnlyRequestNames: true, ignoreUnnamedRequests: true, metricsNamespace: mine }";
    let ran = load().config(&format!("plugins: {{ metrics-by-endpoint: {options} }}")).run().succeeded();
    assert_eq!(ran.counters_of("mine."), counts(&[("one status.codes.404", 2)]));
    assert!(ran.counters_of("plugins.metrics-by-endpoint.").is_empty());
}

#[test]
fn more_users_than_allowed_are_skipped_and_counted() {
    let server = WebServer::start();
    let phases =
        "[{ name: full, duration: 100ms, arrivalCount: 10, maxVusers: 3 }, { duration: 20ms, arrivalCount: 1 }]";
    let load = phased(&server, phases, "/gate").start();
    // Those who are skipped leave no trace until the end; the fourth is of the next phase, so all ten have arrived.
    server.wait_for(4);
    server.open_gate();
    let ran = load.ended().succeeded();
    assert_eq!((phase(&ran, 0), phase(&ran, 1)), ([10, 3, 3, 0, 7], [1, 1, 1, 0, 0]));
    assert_eq!((ran.users(), server.requests().len(), server.most_at_once()), ([4, 4, 0, 7], 8, 4));
    ran.tells(&["  Scenarios launched:  4\n", "7 virtual users were not started"]);
    assert_eq!(ran.own("/phases/0/name"), &json!("full"));
}

#[test]
fn a_limit_of_nobody_lets_nobody_in() {
    let server = WebServer::start();
    let phases =
        "[{ duration: 50ms, arrivalCount: 4, maxVusers: 0 }, { duration: 50ms, arrivalCount: 2, maxVusers: \"5\" }]";
    let ran = phased(&server, phases, "/json").run().succeeded();
    assert_eq!((phase(&ran, 0), phase(&ran, 1)), ([4, 0, 0, 0, 4], [2, 2, 2, 0, 0]));
    assert_eq!((ran.users(), server.requests().len()), ([2, 2, 0, 4], 4));
}

#[test]
fn every_kind_of_phase_keeps_to_the_plan() {
    let server = WebServer::start();
    let phases = "[{ duration: 200ms, arrivalRate: 50 }, { pause: 50ms }, { duration: 1, arrivalRate: 4, rampTo: 8 }, \
                  { duration: 100ms, arrivalCount: 3, name: last }, { duration: 0.1, arrivalRate: 20.5 }]";
    let ran = phased(&server, phases, "/json").arguments(["--seed", "5"]).run().succeeded();
    let planned: Vec<u64> = (0..5).map(|number| phase(&ran, number)[0]).collect();
    assert_eq!(planned, [10, 0, 6, 3, 2]);
    assert!((0..5).all(|number| phase(&ran, number)[..3] == [planned[number]; 3]));
    assert_eq!((ran.users(), server.requests().len()), ([21, 21, 0, 0], 42));
    assert_eq!((ran.own("/phases/3/name"), ran.own("/phases/1/name")), (&json!("last"), &json!("phase 2")));
    ran.tells(&["  Scenarios launched:  21\n", "  Requests completed:  42\n", "    one: 21 (100%)\n"]);
}

#[test]
fn the_json_is_what_tooling_for_artillery_reads() {
    let server = WebServer::start();
    let steps = ["get: { url: /json }", "get: { url: /status/404 }", "get: { url: /reset }"];
    let ran =
        Load::of(&server.url(), steps).users(4).arguments(["--name", "nightly", "--tags", "a:b", "--note", "n"]).run();
    let ran = ran.succeeded();
    let aggregate = &ran.json["aggregate"];
    let keys: Vec<&str> = aggregate.as_object().expect("a map").keys().map(String::as_str).collect();
    let wanted = [
        "counters",
        "rates",
        "firstCounterAt",
        "firstHistogramAt",
        "lastCounterAt",
        "lastHistogramAt",
        "firstMetricAt",
        "lastMetricAt",
        "period",
        "summaries",
        "histograms",
    ];
    assert_eq!(keys, wanted);
    let windows = ran.json["intermediate"].as_array().expect("a list");
    assert!(!windows.is_empty() && windows.iter().all(|window| window["period"].is_string()));
    let total = |name: &str| windows.iter().filter_map(|window| window["counters"][name].as_u64()).sum::<u64>();
    for name in
        ["http.requests", "http.responses", "vusers.created", "vusers.failed", "errors.ECONNRESET", "http.codes.404"]
    {
        assert_eq!(total(name), ran.counter(name), "{name}");
        assert!(ran.counter(name) > 0, "{name}");
    }
    assert_eq!((ran.counter("http.requests"), ran.counter("http.responses")), (12, 8));
    let times = &aggregate["summaries"]["http.response_time"];
    let fields: Vec<&str> = times.as_object().expect("a map").keys().map(String::as_str).collect();
    assert_eq!(fields, ["min", "max", "count", "mean", "p50", "median", "p75", "p90", "p95", "p99", "p999"]);
    assert!(times.as_object().expect("a map").values().all(Value::is_number));
    assert_eq!(aggregate["summaries"], aggregate["histograms"]);
    assert_eq!(aggregate["summaries"]["http.response_time.4xx"]["count"], json!(4));
    let [first, last] = ["firstMetricAt", "lastMetricAt"].map(|key| aggregate[key].as_u64().expect("milliseconds"));
    assert!(first <= last && first > 1_600_000_000_000 && aggregate["period"].as_u64().is_some());
    assert!(aggregate["rates"]["http.request_rate"].is_number());
    assert_eq!(
        (ran.own("/version"), ran.own("/cutShort"), ran.own("/abandoned")),
        (&json!(1), &json!(false), &json!(0))
    );
    assert_eq!(ran.own("/labels"), &json!({"name": "nightly", "tags": "a:b", "note": "n"}));
}

#[test]
fn the_summary_has_the_layout_that_teams_know() {
    let server = WebServer::start();
    let ran = Load::of(&server.url(), ["get: { url: /json }", "get: { url: /status/404 }", "get: { url: /empty }"])
        .users(2)
        .run();
    let ran = ran.succeeded();
    let out = &ran.finished.stdout;
    let lines: Vec<&str> = out.lines().take(19).collect();
    assert_eq!(lines[0], "All virtual users finished");
    let date = lines[1].strip_prefix("Summary report @ ").expect("a date");
    let digits: String = date.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    assert!(["00:00:00(+0000) 0000-00-00", "00:00:00(-0000) 0000-00-00"].contains(&digits.as_str()), "{date}");
    assert_eq!(lines[2..5], ["  Scenarios launched:  2", "  Scenarios completed: 0", "  Requests completed:  4"]);
    assert!(lines[5].starts_with("  Mean response/sec: "), "{out}");
    assert_eq!(lines[6], "  Response time (msec):");
    let named = lines[7..12].iter().map(|line| line.split(':').next().unwrap_or_default());
    assert_eq!(named.collect::<Vec<_>>(), ["    min", "    max", "    median", "    p95", "    p99"]);
    let rest = [
        "  Scenario counts:",
        "    the scenario: 2 (100%)",
        "  Codes:",
        "    200: 2",
        "    404: 2",
        "  Errors:",
        "    ECONNRESET: 2",
    ];
    assert_eq!(lines[12..19], rest);
    for section in ["Phases (ms from send)", "Endpoints (ms), first byte", "What failed"] {
        assert!(out.contains(section), "{section} is missing in:\n{out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
}

#[test]
fn the_json_goes_where_it_is_wanted() {
    let server = WebServer::start();
    let load = || Load::of(&server.url(), ["get: { url: /json }"]);
    let ran = load().folder("reports").arguments(["-o", "reports"]).run().succeeded();
    let inside: Vec<String> = fs::read_dir(ran.path("reports"))
        .expect("it is there")
        .map(|entry| entry.expect("it is readable").file_name().display().to_string())
        .collect();
    assert_eq!(inside.len(), 1);
    let is_json = Path::new(&inside[0]).extension().is_some_and(|extension| extension == "json");
    assert!(inside[0].starts_with("artillery_report_20") && is_json, "{inside:?}");
    let ran = load().folder("reports").arguments(["--output", "reports/my.json", "--quiet"]).run().succeeded();
    let text = fs::read_to_string(ran.path("reports/my.json")).expect("it is there");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["aggregate"]["counters"]["http.requests"], json!(1));
    assert_eq!(ran.finished.stdout, "reports/my.json\n");
    assert_eq!(ran.finished.stderr, "");
    let asked = server.requests().len();
    let ran = load().arguments(["-o", "nowhere/report.json"]).run().ended_with(1);
    assert!(ran.finished.stderr.contains("cannot write nowhere/report.json"), "{}", ran.finished.stderr);
    assert_eq!((server.requests().len(), ran.names()), (asked, vec!["script.yaml".to_owned()]));
    let ran = load().arguments(["-o", "-", "-q"]).run().succeeded();
    let printed: Value = serde_json::from_str(&ran.finished.stdout).expect("JSON alone");
    assert_eq!(printed["aggregate"]["counters"]["http.requests"], json!(1));
}

/// Users that arrive for an hour, and wait at a gate before their second request.
fn endless(server: &WebServer) -> Load {
    phased(server, "[{ name: long, duration: 3600, arrivalRate: 50 }]", "/gate")
}

#[test]
fn the_first_interruption_ends_arrivals_and_users_may_finish() {
    let server = WebServer::start();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        server.close_gate();
        let before = server.requests().len();
        let load = endless(&server).arguments(["--grace", "60"]).start();
        server.wait_for(before + 3);
        process::signal(load.running().pid(), signal);
        load.running().stderr().wait_for("no more users arrive");
        server.open_gate();
        let ran = load.ended().ended_with(code);
        let [created, completed, failed, _] = ran.users();
        assert!(created >= 3 && created == completed && failed == 0, "{:?}", ran.users());
        assert_eq!(server.requests().len() - before, usize::try_from(created * 2).expect("a test is short"));
        assert_eq!((ran.own("/cutShort"), ran.own("/abandoned")), (&json!(true), &json!(0)));
        ran.tells(&["Stopped early; all virtual users that had arrived finished\n", "Summary report @ "]);
        assert_eq!(ran.own("/phases/0/planned"), &json!(180_000));
        assert!(ran.finished.stderr.contains("interrupted before the plan was over"), "{}", ran.finished.stderr);
    }
}

#[test]
fn the_second_interruption_ends_the_users_too() {
    let server = WebServer::start();
    let load = endless(&server).arguments(["--grace", "3600"]).start();
    server.wait_for(3);
    load.running().interrupt();
    load.running().stderr().wait_for("no more users arrive");
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    let [created, completed, failed, _] = ran.users();
    assert!(created >= 3 && completed == 0 && failed == 0, "{:?}", ran.users());
    assert_eq!((ran.own("/cutShort"), ran.own("/abandoned")), (&json!(true), &json!(created)));
    ran.tells(&[&format!("Stopped while {created} virtual users were still active\n"), "Summary report @ "]);
}

#[test]
fn without_grace_the_first_interruption_ends_all() {
    let server = WebServer::start();
    let load = endless(&server).arguments(["--grace", "0"]).start();
    server.wait_for(2);
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert!(ran.own("/abandoned").as_u64() >= Some(2));
    ran.tells(&["Summary report @ "]);
}

#[test]
fn an_interruption_after_the_last_arrival_sends_users_home() {
    let server = WebServer::start();
    let phases = "[{ duration: 20ms, arrivalCount: 3 }]";
    let load = phased(&server, phases, "/gate").arguments(["--grace", "0.1"]).start();
    server.wait_for(3);
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert_eq!((ran.own("/abandoned"), ran.users()), (&json!(3), [3, 0, 0, 0]));
    ran.tells(&["Stopped while 3 virtual users were still active\n"]);
}

#[test]
fn an_interruption_that_sends_nobody_home_changes_nothing() {
    let server = WebServer::start();
    let phases = "[{ duration: 20ms, arrivalCount: 3 }]";
    let load = phased(&server, phases, "/gate").arguments(["--grace", "60"]).start();
    server.wait_for(3);
    // The last user comes with the end of the plan.
    load.running().interrupt();
    load.running().stderr().wait_for("no more users arrive");
    server.open_gate();
    let ran = load.ended().succeeded();
    assert_eq!((ran.own("/cutShort"), ran.users()), (&json!(false), [3, 3, 0, 0]));
    ran.tells(&["All virtual users finished\n"]);
}

#[test]
fn an_interruption_in_before_sends_nobody() {
    let server = WebServer::start();
    let load = Load::script(format!(
        "config: {{ target: \"{}\" }}\nbefore: {{ flow: [get: {{ url: /gate }}] }}\nscenarios: [{{ flow: [get: {{ url: /json }}] }}]\n",
        server.url()
    ))
    .start();
    server.wait_for(1);
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert_eq!((server.requests().len(), ran.users()), (1, [0, 0, 0, 0]));
}

#[test]
fn an_interruption_in_after_ends_it_and_nothing_else() {
    let server = WebServer::start();
    let load = Load::script(format!(
        "config: {{ target: \"{}\", phases: [{{ duration: 20ms, arrivalCount: 1 }}] }}\nafter: {{ flow: [get: {{ url: /gate }}] }}\n\
         scenarios: [{{ flow: [get: {{ url: /json }}] }}]\n",
        server.url()
    ))
    .start();
    server.wait_for(2);
    load.running().interrupt();
    load.running().stderr().wait_for("no more users arrive");
    load.running().interrupt();
    let ran = load.ended().succeeded();
    assert_eq!((ran.users(), ran.counter("http.requests")), ([1, 1, 0, 0], 1));
    ran.tells(&["`after` failed: interrupted\n", "All virtual users finished\n"]);
}

#[test]
fn users_that_never_wait_can_be_ended_too() {
    let server = WebServer::start();
    let busy = "loop: [get: { url: /never-reached, ifTrue: \"1 > 2\" }]";
    let load = Load::of(&server.url(), ["get: { url: /json }", busy]).users(2).arguments(["--grace", "0.1"]).start();
    server.wait_for(2);
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert_eq!((ran.users(), ran.own("/abandoned")), ([2, 0, 0, 0], &json!(2)));
}

#[test]
fn the_end_of_the_terminal_is_an_interruption() {
    let server = WebServer::start();
    let load = endless(&server).arguments(["--grace", "0"]).start();
    server.wait_for(1);
    process::signal(load.running().pid(), Signal::SIGHUP);
    let ran = load.ended().ended_with(130);
    assert_eq!(ran.own("/cutShort"), &json!(true));
}

#[test]
fn a_killed_pyperf_leaves_no_half_file() {
    let server = WebServer::start();
    let load = endless(&server).start();
    server.wait_for(1);
    load.running().kill();
    let ran = load.ended();
    assert_eq!((ran.finished.signal, ran.json), (Some(9), Value::Null));
}

#[test]
fn a_server_that_goes_away_is_an_error_and_the_run_goes_on() {
    let server = WebServer::start();
    let phases = "[{ duration: 20ms, arrivalCount: 2 }, { duration: 20ms, arrivalCount: 2 }]";
    let steps = "[get: { url: /no-answer }]";
    let target = server.url();
    let load = Load::script(format!(
        "config: {{ target: \"{target}\", phases: {phases}, timeout: 60 }}\nscenarios: [flow: {steps}]\n"
    ));
    let load = load.start();
    server.wait_for(4);
    drop(server);
    let ran = load.ended().succeeded();
    assert_eq!((ran.users(), ran.counters_of("errors.")), ([4, 0, 4, 0], counts(&[("ECONNRESET", 4)])));
    let gone = Load::of(&format!("http://{}", dead_port()), ["get: { url: /json }"]).users(5).run().succeeded();
    assert_eq!((gone.users(), gone.counters_of("errors.")), ([5, 0, 5, 0], counts(&[("ECONNREFUSED", 5)])));
}

#[test]
fn extended_metrics_say_where_time_went() {
    let server = WebServer::start();
    let ran =
        Load::of(&server.url(), ["get: { url: /json }"]).config("http: { extendedMetrics: true }").run().succeeded();
    let summaries = &ran.json["aggregate"]["summaries"];
    assert_eq!((&summaries["http.tcp"]["count"], &summaries["http.total"]["count"]), (&json!(1), &json!(1)));
}

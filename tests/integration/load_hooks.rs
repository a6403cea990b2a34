//! Functions of a processor as a script calls them: what they change, what they count, and what happens when they fail. All of
//! it as a server sees it.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::load::{Load, Ran, counts};
use crate::support::process;
use crate::support::pyperf::Pyperf;
use crate::support::web::WebServer;

/// Functions that a team may have.
const FUNCTIONS: &str = r"
const fetch = require('node-fetch');
let login;

// Everybody who comes before the first login is over waits for the same one.
async function setAuthHeader(requestParams, context, ee, next) {
  login = login || fetch(process.env.LOGIN_URI).then((response) => response.text());
  requestParams.headers.Authorization = 'Bearer token-' + (await login).length;
  ee.emit('counter', 'logins.used', 1);
  next();
}

function prepare(context, ee, next) {
  context.vars.name = context.vars.$processEnvironment.PREPARED_AS + context.vars.$env.PREPARED_AS.length;
  context.started = Date.now();
  return next();
}

function look(requestParams, response, context, ee, next) {
  context.vars.seen = (context.vars.seen || 0) + 1;
  context.vars.status = response.statusCode;
  context.vars.kept = context.started > 0;
  ee.emit('histogram', 'body.length', response.body.length);
  ee.emit('rate', 'looks');
  return next();
}

const later = () => new Promise((resolve) => setTimeout(resolve, 500));

function rename(requestParams, context, ee, next) {
  requestParams.name = 'Page ' + context.vars.$loopCount;
  requestParams.timeout = requestParams.url.includes('no-answer') ? 0.3 : 20;
  next();
}

const rewrite = async (requestParams) => {
  requestParams.url = requestParams.url.replace('/never-reached', '/echo?rewritten={{ name }}');
  requestParams.json = { a: 1, b: '{{ name }}' };
};

function complain(error, requestParams, context, ee, next) {
  ee.emit('counter', 'complaints.' + error.code, 1);
  next();
}

module.exports = {
  setAuthHeader, prepare, look, rewrite, rename, complain,
  more: (context, next) => next(context.vars.seen < 3),
  isPrepared: (vars) => vars.name === 'prepared8',
  isNot: () => false,
  throws: () => { throw new Error('thrown'); },
  rejects: async () => { const error = new Error('x'); error.code = 'EREJECTED'; throw error; },
  refuses: (context, ee, next) => next(new Error('refused')),
  forever: () => { for (;;); },
  silent: (context, ee, next) => {},
  slowly: async (context) => { await later(); context.vars.mine = 'mine'; },
  slowlyTrue: async () => { await later(); return true; },
};
";

fn load(server: &str, users: usize, scenario: &str) -> Load {
    Load::script(format!(
        "config:\n  target: {server}\n  processor: ./functions.js\n  http: {{ timeout: 20 }}\n  phases: [{{ duration: 50ms, arrivalCount: {users} }}]\n\
         scenarios:\n{scenario}"
    ))
    .file("functions.js", FUNCTIONS)
    .env("LOGIN_URI", &format!("{server}/counter"))
    .env("PREPARED_AS", "prepared")
}

fn logged(ran: &Ran) -> Vec<&str> {
    ran.finished.stdout.lines().take_while(|line| !line.starts_with("All virtual users")).collect()
}

#[test]
fn a_token_is_fetched_once_for_all_users() {
    let server = WebServer::start();
    let scenario = "  - name: api\n    beforeRequest: setAuthHeader\n    flow: [{ get: { url: /items } }, { get: { url: /json } }]\n";
    for runtime in ["auto", "quickjs"] {
        let ran = load(&server.url(), 5, scenario).arguments(["--processor-runtime", runtime]).run().succeeded();
        assert_eq!((ran.users(), ran.counter("logins.used"), ran.counter("http.requests")), ([5, 5, 0, 0], 10, 10));
    }
    let requests = server.requests();
    let (logins, others): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.path() == "/counter");
    assert_eq!((logins.len(), others.len()), (2, 20));
    for request in others {
        let token = request.header("authorization").unwrap_or_default();
        assert!(token.starts_with("Bearer token-"), "{token}");
    }
}

#[test]
fn functions_see_and_change_what_users_know() {
    let server = WebServer::start();
    let scenario = r#"  - name: api
    beforeScenario: prepare
    afterResponse: [look]
    flow:
      - loop: [get: { url: "/echo?name={{ name }}&seen={{ seen }}" }]
        whileTrue: more
      - get: { url: /json, ifTrue: isPrepared }
      - get: { url: /never-reached, ifTrue: isNot }
      - post: { url: /never-reached, beforeRequest: rewrite }
      - get: { url: /items, ifTrue: kept }
      - log: "{{ status }} {{ seen }} {{ kept }}"
"#;
    let ran = load(&server.url(), 1, scenario).run().succeeded();
    let targets: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        [
            "/echo?name=prepared8&seen=undefined",
            "/echo?name=prepared8&seen=1",
            "/echo?name=prepared8&seen=2",
            "/json",
            "/echo?rewritten=prepared8",
            "/items",
        ]
    );
    let body = server.requests().into_iter().find(|request| request.method == "POST").map(|request| request.body);
    let body: serde_json::Value = serde_json::from_slice(&body.expect("one was sent")).expect("a document");
    assert_eq!(body, json!({"a": 1, "b": "prepared8"}));
    assert_eq!(logged(&ran), ["200 6 true"]);
    let summaries = &ran.json["aggregate"]["summaries"];
    assert_eq!(
        (&summaries["body.length"]["count"], &summaries["pyperf.hook_time.look"]["count"]),
        (&json!(6), &json!(6))
    );
    ran.tells(&["Functions of the processor took", "  look: 6 calls, p50 "]);
}

#[test]
fn what_others_capture_while_a_function_is_at_work_stays() {
    let server = WebServer::start();
    let steps =
        "parallel: [{ function: slowly }, { get: { url: \"/echo?a=1\", capture: { json: $.query, as: got } } }]";
    let scenario =
        format!("  - name: api\n    flow:\n      - {steps}\n      - log: \"{{{{ mine }}}} {{{{ got }}}}\"\n");
    let ran = load(&server.url(), 1, &scenario).run().succeeded();
    assert_eq!(logged(&ran), ["mine {\"a\":\"1\"}"]);
}

#[test]
fn the_time_of_a_condition_is_in_no_latency() {
    let server = WebServer::start();
    let step = "get: { url: /json, ifTrue: slowlyTrue }";
    let ran = load(&server.url(), 1, &format!("  - name: api\n    flow: [{step}]\n")).run().succeeded();
    let summaries = &ran.json["aggregate"]["summaries"];
    assert!(summaries["pyperf.hook_time.slowlyTrue"]["min"].as_f64() >= Some(490.0), "{summaries:#}");
    assert!(ran.own("/fromDue")["max"].as_f64() < Some(450.0), "{:#}", ran.own("/fromDue"));
}

#[test]
fn an_interruption_ends_users_whose_functions_hang_and_the_run_is_told() {
    let server = WebServer::start();
    let scenario = "  - name: hangs\n    flow: [{ log: here }, { function: silent }]\n";
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let load = load(&server.url(), 2, scenario).start();
        for _ in 0..2 {
            load.running().stdout().wait_for("here");
        }
        process::signal(load.running().pid(), signal);
        load.running().stderr().wait_for("interrupted");
        process::signal(load.running().pid(), signal);
        let ran = load.ended().ended_with(code);
        assert_eq!((ran.users(), ran.own("/abandoned")), ([2, 0, 0, 0], &json!(2)));
    }
}

#[test]
fn a_function_that_fails_ends_its_user_and_nobody_else() {
    let server = WebServer::start();
    let functions = ["throws", "rejects", "refuses", "forever", "silent"];
    let steps = |name: &str| {
        format!("  - name: {name}\n    flow: [{{ function: {name} }}, {{ get: {{ url: /never-reached }} }}]\n")
    };
    for (function, code, words) in [
        ("throws", "thrown", "`throws`: thrown (functions.js:"),
        ("rejects", "EREJECTED", "`rejects`: x (functions.js:"),
        ("refuses", "refused", "`refuses`: refused (functions.js:"),
        ("forever", "ERR_HOOK_BUSY", "without a pause (functions.js:"),
        ("silent", "ERR_HOOK_TIMEOUT", "silent"),
    ] {
        let ran = load(&server.url(), 2, &steps(function))
            .arguments(["--processor-time", "0.2", "--processor-wait", "1"])
            .run()
            .succeeded();
        assert_eq!((ran.users(), ran.counters_of("errors.")), ([2, 0, 2, 0], counts(&[(code, 2)])), "{function}");
        ran.tells(&[&format!("2 × function: {code} at script.yaml:"), words]);
    }
    let all: String = functions.iter().take(3).map(|name| steps(name)).collect();
    let ran =
        load(&server.url(), 30, &(all + "  - name: fine\n    flow: [{ get: { url: /json } }]\n")).run().succeeded();
    assert_eq!(ran.counter("vusers.completed"), ran.counter("http.codes.200"));
    assert_eq!(server.requests().iter().filter(|request| request.path() == "/never-reached").count(), 0);
}

#[test]
fn a_function_gives_requests_names_and_time_limits() {
    let server = WebServer::start();
    let scenario = r"  - name: api
    beforeRequest: rename
    flow:
      - loop: [get: { url: /json }]
        count: 2
      - get: { url: /no-answer }
";
    let ran = load(&server.url(), 2, scenario).arguments(["--recording", "run.pyperf"]).run().succeeded();
    assert_eq!((ran.users(), ran.counter("errors.ETIMEDOUT")), ([2, 0, 2, 0], 2));
    ran.tells(&["\n  Page 0 ", "\n  Page 1 "]);
    let again = Pyperf::new(["report", "--json", "-o", "-"]).arguments([ran.path("run.pyperf")]).run().succeeded();
    assert!(again.stdout.contains("Page 0") && again.stdout.contains("Page 1"), "{}", again.stdout);
}

#[test]
fn a_request_without_an_answer_is_complained_about() {
    let server = WebServer::start();
    let scenario =
        "  - name: api\n    onError: complain\n    flow: [{ get: { url: \"http://127.0.0.1:1/nobody\" } }]\n";
    let ran = load(&server.url(), 2, scenario).run().succeeded();
    let expected: BTreeMap<String, u64> = counts(&[("ECONNREFUSED", 2)]);
    assert_eq!((ran.counters_of("complaints."), ran.counters_of("errors.")), (expected.clone(), expected));
}

#[test]
fn names_that_the_processor_does_not_have_are_said_before_the_run() {
    let server = WebServer::start();
    let scenario = "  - name: api\n    beforeRequest: setAuthHeadr\n    flow: [{ get: { url: /json } }]\n";
    let ran = load(&server.url(), 1, scenario).run().ended_with(2);
    assert!(ran.finished.stderr.contains("did you mean `setAuthHeader`?"), "{}", ran.finished.stderr);
    assert_eq!(server.requests().len(), 0);

    let scenario = "  - name: api\n    flow: [{ function: unheardOf }, { get: { url: /json } }]\n";
    let ran = load(&server.url(), 3, scenario).run().succeeded();
    assert!(ran.finished.stderr.contains("the processor has no function `unheardOf`"), "{}", ran.finished.stderr);
    assert_eq!((ran.users(), ran.counter("errors.Undefined function \"unheardOf\"")), ([3, 3, 0, 0], 3));
}

#[test]
fn a_processor_that_cannot_be_loaded_is_refused_with_its_line() {
    let server = WebServer::start();
    let scenario = "  - name: api\n    flow: [{ function: f }]\n";
    for (text, words) in [
        ("module.exports = {\n  f: 1,\n\nnothing here\n};\n", "functions.js:"),
        ("\n\nthrow new Error('not today');\n", "not today (functions.js:3)"),
        ("const x = require('./not-there');\n", "not-there"),
    ] {
        let ran = load(&server.url(), 1, scenario).file("functions.js", text).run().ended_with(2);
        assert!(ran.finished.stderr.contains(words), "{words}: {}", ran.finished.stderr);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_hook_that_loses_its_headers_is_pointed_at() {
    let server = WebServer::start();
    let functions = "module.exports = {\n  lose: (requestParams, context, ee, next) => {\n    requestParams = {};\n    requestParams.headers = { a: 1 };\n    next();\n  },\n};\n";
    let scenario = "  - name: api\n    beforeRequest: lose\n    flow: [{ get: { url: /status/401 } }]\n";
    let ran = load(&server.url(), 1, scenario).file("functions.js", functions).run().succeeded();
    let words = "changes after that line never reach the request";
    assert!(
        ran.finished.stderr.contains(words) && ran.finished.stderr.contains("functions.js:3"),
        "{}",
        ran.finished.stderr
    );
    ran.tells(&["1 of 1 answer were 401", "`lose` assigns its first parameter"]);
}

#[test]
fn what_before_finds_out_everybody_knows() {
    let server = WebServer::start();
    let script = format!(
        "config:\n  target: {}\n  processor: ./functions.js\n  phases: [{{ duration: 50ms, arrivalCount: 3 }}]\nbefore:\n  flow: [{{ function: \
         prepare }}]\nscenarios:\n  - flow: [{{ get: {{ url: \"/echo?{{{{ name }}}}\" }} }}]\n",
        server.url()
    );
    let ran = Load::script(script).file("functions.js", FUNCTIONS).env("PREPARED_AS", "prepared").run().succeeded();
    assert_eq!(ran.users(), [3, 3, 0, 0]);
    assert!(server.requests().iter().all(|request| request.target == "/echo?prepared8"));
    assert_eq!(ran.json["aggregate"]["summaries"]["pyperf.hook_time.prepare"], json!(null), "it is in no number");
}

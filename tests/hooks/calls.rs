//! What a call means: its arguments, who ends it, what it changes, how it fails.

use pyperf::load::hooks::{Emitted, Runtime, Verdict, What};
use serde_json::{Value, json};

use super::support::{Subject, block_on, call};

in_both!(
    ends_however_it_says_so,
    the_second_end_is_not_heard,
    failures_name_code_message_and_place,
    what_never_ends_fails_and_the_run_goes_on,
    exit_ends_the_call_alone,
    variables_go_in_and_out,
    a_context_is_one_object,
    requests_are_changed,
    answers_and_errors_are_seen,
    decisions,
    events_are_counted,
    what_is_said,
    sloppy_mode_and_shared_state,
    many_at_once,
);

const CALLS: &str = "calls.js";
/// What is said of something that cannot be told.
const UNTOLD: &str = "something was thrown that cannot be told";

fn ends_however_it_says_so(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    assert!(subject.processor.has("direct") && !subject.processor.has("missing"));
    for function in ["direct", "later", "lodashless"] {
        subject.step(function, json!({}));
    }
    assert_eq!(subject.step("promise", json!({}))["seen"], "by a promise");
    assert_eq!(subject.step("noNext", json!({}))["seen"], "without");
    assert!(subject.heard().iter().any(|line| line.contains("`noNext` takes no `next`")), "{:?}", subject.heard());
    let missing = subject.call("missing", What::Function, json!({})).outcome.expect_err("there is none");
    assert_eq!(missing.code, "Undefined function \"missing\"");
    let later = subject.call("later", What::Function, json!({}));
    assert!(later.took.as_millis() >= 4, "{:?}", later.took);
}

fn the_second_end_is_not_heard(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    for function in ["both", "twice", "promiseThenNext", "direct"] {
        subject.step(function, json!({}));
    }
}

fn failures_name_code_message_and_place(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    for (function, code, message, line) in [
        ("nextError", "ENOTOKEN", "no token", Some("nextError:")),
        ("nextText", "plain text", "plain text", None),
        ("throws", "boom", "boom", Some("throws:")),
        ("bare", UNTOLD, UNTOLD, None),
        ("bareRejects", UNTOLD, UNTOLD, None),
        (
            "reference",
            "undefinedThing is not defined",
            "ReferenceError: undefinedThing is not defined",
            Some("reference:"),
        ),
        ("rejects", "late boom", "TypeError: late boom", Some("rejects:")),
        ("timerThrows", "in a timer", "in a timer", Some("timerThrows:")),
    ] {
        let failure = subject.call(function, What::Function, json!({})).outcome.expect_err(function);
        assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message), "{function}");
        assert_eq!(failure.at, line.map(place), "{function}: {:?}", subject.heard());
    }
}

/// Where a function is that fits on one line.
fn place(function: &str) -> String {
    let text = include_str!("processors/calls.js");
    let line = text.lines().position(|line| line.trim_start().starts_with(function)).expect("a line of its own");
    format!("calls.js:{}", line + 1)
}

fn what_never_ends_fails_and_the_run_goes_on(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    for (function, code) in [
        ("never", "ERR_HOOK_TIMEOUT"),
        ("loops", "ERR_HOOK_BUSY"),
        ("loopsLater", "ERR_HOOK_BUSY"),
        ("loopsInTimer", "ERR_HOOK_BUSY"),
        ("chains", "ERR_HOOK_BUSY"),
        ("nests", ""),
        ("recurses", "ERR_HOOK_STACK"),
        ("allocates", "ERR_HOOK_MEMORY"),
        ("hoards", "ERR_HOOK_MEMORY"),
        ("backtracks", "ERR_HOOK_BUSY"),
    ] {
        let failure = subject.call(function, What::Function, json!({})).outcome.expect_err(function);
        assert!(
            failure.code.starts_with(if code.is_empty() { "ERR_HOOK_" } else { code }),
            "{function}: {failure}, {:?}",
            subject.heard()
        );
        if runtime == Runtime::QuickJs && !["never", "chains", "nests", "backtracks"].contains(&function) {
            assert_eq!(failure.at, Some(place(&format!("{function}:"))), "{function}: {failure}");
        }
        subject.step("direct", json!({}));
    }
}

fn exit_ends_the_call_alone(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    for function in ["exits", "exitsLater"] {
        let failure = subject.call(function, What::Function, json!({})).outcome.expect_err(function);
        assert_eq!(failure.code, "ERR_HOOK_EXIT", "{function}: {failure}");
        subject.step("direct", json!({}));
    }
}

fn variables_go_in_and_out(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let variables = json!({"list": [1, 2, 3], "deep": {}, "gone": 1, "kept": 1.5, "text": "a\u{2028}\"\\\u{1f600}"});
    assert!(subject.call("looks", What::Function, variables.clone()).variables.is_none());
    let changed = subject.step("changes", variables.clone());
    let expected = json!({
        "list": [1, 2, 3, 4], "deep": {"er": {"x": "ü\u{2028}\""}}, "kept": 1.5, "text": "a\u{2028}\"\\\u{1f600}"
    });
    assert_eq!(changed, expected);
    // What is set back outside is set back inside.
    assert!(subject.call("looks", What::Function, variables).variables.is_none());
    assert_eq!(subject.step("replaces", json!({"a": 1})), json!({"only": 1}));
    assert_eq!(subject.step("circular", json!({"a": 1})), json!({"a": 1, "ok": 1}));
}

fn a_context_is_one_object(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let one = |user, variables: Value| {
        let called = block_on(subject.processor.call(call(user, "keeps", What::Function, variables)));
        called.outcome.expect("well");
        Value::Object((*called.variables.expect("changed")).clone())
    };
    let first = one(1, json!({"b": 2}));
    assert_eq!(first["alive"], "alive");
    assert_eq!([&first["scenario"], &first["uid"], &first["mine"]], [&json!("a scenario"), &json!("uid-1"), &json!(1)]);
    assert_eq!(first["client"], json!({"when": "1970-01-01T00:00:00.000Z"}));
    let mut second = first.clone();
    second["other"] = json!("captured");
    assert_eq!(one(1, second)["mine"], 2);
    assert_eq!(one(2, json!({}))["mine"], 1);
    subject.processor.forget(1);
    subject.step("direct", json!({}));
    assert_eq!(one(1, json!({}))["mine"], 1);
}

fn requests_are_changed(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let request = json!({"url": "/x", "method": "POST", "headers": {"a": "b"}, "body": "text"});
    let before = |function| {
        let called = subject.call(function, What::BeforeRequest { request: request.clone() }, json!({}));
        called.outcome.expect("well");
        called.request
    };
    let headers = json!({"a": "b", "Authorization": "Bearer t"});
    let changed = json!({"url": "/x", "method": "POST", "headers": headers, "json": {"a": [1, 2]}});
    assert_eq!(before("before"), Some(changed));
    assert_eq!(before("beforeUnchanged"), None);
    assert_eq!(before("beforeAssigns"), None);
    assert_eq!(before("beforeBuffer").expect("changed")["body"], "hällo");
    let lint = subject.processor.lint("beforeAssigns").expect("it assigns its parameter");
    assert!(lint.message.contains("changes after that line never reach the request"), "{}", lint.message);
    assert_eq!(lint.at, place("requestParams = {};"));
    assert!(subject.processor.lint("before").is_none());
    let arguments = json!({"target": "ws://h", "options": {}});
    let connected = subject.call("connect", What::Connect { arguments }, json!({"a": "1"}));
    assert_eq!(connected.request, Some(json!({"target": "ws://h/x", "options": {"headers": {"a": "1"}}})));
}

fn answers_and_errors_are_seen(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let request = json!({"url": "/x"});
    let response = json!({"statusCode": 201, "headers": {"content-type": "t"}, "body": "{\"id\":7}"});
    let called = subject.call("after", What::AfterResponse { request: request.clone(), response }, json!({}));
    called.outcome.expect("well");
    assert_eq!(
        called.variables.map(|all| Value::Object((*all).clone())),
        Some(json!({"status": 201, "id": 7, "type": "t"}))
    );
    let error = json!({"code": "ECONNREFUSED", "message": "refused"});
    let called = subject.call("onError", What::OnError { error, request }, json!({}));
    assert_eq!(called.variables.expect("changed")["failed"], json!([true, "ECONNREFUSED", "refused", "/x"]));
}

fn decisions(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let decide =
        |function, what: &What, variables| subject.call(function, what.clone(), variables).outcome.expect(function);
    for (role, verdict) in [("admin", true), ("guest", false)] {
        for function in ["isAdmin", "isAdminLater"] {
            assert_eq!(decide(function, &What::IfTrue, json!({"role": role})), Verdict(verdict), "{function}");
        }
    }
    subject.call("ifThrows", What::IfTrue, json!({})).outcome.expect_err("there is no such thing");
    for (round, verdict) in [(0, true), (1, true), (2, false)] {
        assert_eq!(decide("again", &What::WhileTrue, json!({"round": round})), Verdict(verdict), "round {round}");
    }
    for function in ["againReturns", "againLater"] {
        assert_eq!(decide(function, &What::WhileTrue, json!({"go": true})), Verdict(true));
        assert_eq!(decide(function, &What::WhileTrue, json!({"go": 1})), Verdict(false));
    }
}

fn events_are_counted(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let called = subject.call("emits", What::Function, json!({}));
    called.outcome.expect("well");
    let expected = [
        Emitted::Counter("c".into(), 2.0),
        Emitted::Histogram("h".into(), 1.5),
        Emitted::Histogram("s".into(), 3.0),
        Emitted::Rate("r".into()),
        Emitted::CustomStat("custom".into(), 7.0),
        Emitted::Error("ECUSTOM".into()),
    ];
    assert_eq!(called.emitted, expected);
}

fn what_is_said(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    subject.step("says", json!({}));
    for _ in 0..3 {
        subject.step("unheard", json!({}));
    }
    subject.step("later", json!({}));
    let heard = subject.heard();
    assert_eq!(heard[0], "console: told { a: 1 } [ 1, 'x' ]");
    assert_eq!(heard[1], "console: text and 5");
    let unheard: Vec<_> = heard.iter().filter(|line| line.contains("nobody listens")).collect();
    assert_eq!(unheard.len(), 1, "{heard:?}");
    assert!(unheard[0].ends_with(&format!("({})", place("unheard:"))), "{heard:?}");
}

fn sloppy_mode_and_shared_state(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let sloppy = subject.step("sloppy", json!({}));
    assert_eq!(sloppy, json!({"sloppy": "an undeclared global", "undeclared": 1}));
    for round in 1..=3 {
        let called = block_on(subject.processor.call(call(round, "counts", What::Function, json!({}))));
        assert_eq!(called.variables.expect("changed")["shared"], round);
    }
}

fn many_at_once(runtime: Runtime) {
    let subject = Subject::new(CALLS, runtime);
    let outcomes = block_on(async {
        let calls = (0..2000).map(|user| subject.processor.call(call(user, "later", What::Function, json!({}))));
        futures_util::future::join_all(calls).await
    });
    assert!(outcomes.iter().all(|called| called.outcome.is_ok()));
}

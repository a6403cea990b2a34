//! Scenarios of WebSocket as scripts have them, on Python's `websockets`: what is sent and waited for, what is counted, and what is
//! said when something goes wrong.

use serde_json::json;

use crate::support::load::{Load, Ran, counts};
use crate::support::websockets::WebSockets;

/// Some users of one scenario over WebSocket.
fn script(target: &str, users: usize, config: &str, steps: &[&str]) -> Load {
    let steps: String = steps.iter().map(|step| ["      - ", step, "\n"].concat()).collect();
    Load::script(format!(
        "config:\n  target: \"{target}\"\n  timeout: 20\n  phases: [{{ duration: 100ms, arrivalCount: {users} }}]\n{config}\
         scenarios:\n  - name: messages\n    engine: ws\n    flow:\n{steps}"
    ))
}

fn logged(ran: &Ran) -> Vec<&str> {
    ran.finished.stdout.lines().take_while(|line| !line.starts_with("All virtual users")).collect()
}

#[test]
fn messages_are_sent_awaited_and_counted() {
    let server = WebSockets::start();
    let steps = [
        "send: { payload: { name: \"{{ name }}\", id: 7 }, capture: { json: $.id, as: id } }",
        "send: { payload: \"hello {{ id }}\", match: { regexp: hello \\d, value: hello 7 } }",
        // Nobody waits for the answer to this one, which the next step takes.
        "send: first",
        "wait: { match: { regexp: \".*\", value: first } }",
        "send: { payload: [1, \"{{ id }}\"], capture: { json: \"$[1]\", as: last } }",
        "log: \"{{ id }} {{ last }}\"",
    ];
    let ran = script(&server.url("/echo"), 3, "  variables: { name: Ana }\n", &steps).run().succeeded();
    assert_eq!((ran.users(), logged(&ran)), ([3, 3, 0, 0], vec!["7 7"; 3]), "{}", ran.finished.stdout);
    assert_eq!(ran.counter("websocket.messages_sent"), 12);
    assert_eq!(ran.counter("websocket.messages_received"), 12);
    let summaries = &ran.json["aggregate"]["summaries"];
    assert_eq!(summaries["websocket.connect_time"]["count"], json!(3));
    assert_eq!(summaries["websocket.response_time"]["count"], json!(9));
    ran.tells(&[
        "  Requests completed:  12\n",
        "  Codes:\n    0: 12\n",
        "SEND hello {{ id }}",
        "WebSocket: 12 messages sent, ",
    ]);
    assert_eq!(server.log().wait_for_lines("closed:", 3).len(), 3);
}

#[test]
fn a_handshake_carries_what_the_script_says() {
    let server = WebSockets::start();
    let config = "  variables: { sid: abc }\n  ws: { headers: { Cookie: \"sid={{ sid }}\" }, subprotocols: [chat.v1, chat.v2] }\n";
    let waits =
        ["wait: { match: { regexp: \".*\", value: sid=abc } }", "wait: { match: { regexp: \".*\", value: chat.v2 } }"];
    let ran = script(&server.url("/headers"), 1, config, &waits).run().succeeded();
    assert_eq!(ran.users(), [1, 1, 0, 0], "{}", ran.finished.stdout);

    let connect =
        "connect: { target: \"{{ target }}/headers\", headers: { Cookie: \"sid={{ $uuid }}\" }, subprotocols: [] }";
    let wait = "wait: { match: { regexp: \"^sid=[0-9a-f-]+\", value: \"sid={{ $uuid }}\" } }";
    let ran = script(&server.url(""), 1, config, &[connect, wait]).run().succeeded();
    assert_eq!(ran.users(), [1, 1, 0, 0], "{}", ran.finished.stdout);
}

#[test]
fn a_function_says_where_to() {
    let server = WebSockets::start();
    let functions = "module.exports = { where: (wsArgs, context, next) => {\n  wsArgs.target += '/headers';\n  wsArgs.options.headers = { cookie: \
                     'by=' + context.vars.who };\n  next();\n} };\n";
    let config = "  variables: { who: function }\n  processor: ./functions.js\n";
    let steps = ["connect: { function: where }", "wait: { match: { regexp: \".*\", value: by=function } }"];
    let ran = script(&server.url(""), 2, config, &steps).file("functions.js", functions).run().succeeded();
    assert_eq!(ran.users(), [2, 2, 0, 0], "{}", ran.finished.stdout);
}

#[test]
fn what_goes_wrong_is_an_error_with_its_reason() {
    let server = WebSockets::start();
    for (path, step, code, words) in [
        ("/refuse", "send: never", "Unexpected server response: 403", "not connected: Unexpected server response: 403"),
        ("/close", "wait: { capture: { json: $.a, as: a } }", "WebSocket closed (4001)", "go away"),
        ("/echo", "wait: { capture: { json: $.a, as: a } }", "response timeout", "no message came"),
        (
            "/echo",
            "send: { payload: hello, match: { regexp: \".*\", value: other } }",
            "Failed capture or match",
            "not \"other\"",
        ),
        ("/echo", "send: { payload: hello, capture: { json: $.a, as: a } }", "Failed capture or match", "is not JSON"),
    ] {
        let ran = script(&server.url(path), 1, "", &[step])
            .arguments(["--overrides", "{\"config\": {\"timeout\": 1}}"])
            .run()
            .succeeded();
        assert_eq!((ran.users(), ran.counters_of("errors.")), ([1, 0, 1, 0], counts(&[(code, 1)])), "{path} {step}");
        ran.tells(&[words]);
    }
    let ran = script("ws://127.0.0.1:1", 1, "", &["send: never"]).run().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("ECONNREFUSED", 1)]));
}

#[test]
fn a_message_that_is_too_large_ends_the_connection() {
    let server = WebSockets::start();
    let large = "x".repeat(2000);
    let step = format!("send: {{ payload: \"{large}\", match: {{ regexp: x, value: x }} }}");
    let ran = script(&server.url("/echo"), 1, "  ws: { maxPayload: 1000 }\n", &[&step]).run().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1)]));
}

#[test]
fn pieces_and_pings_are_the_connections_own_business() {
    let server = WebSockets::start();
    let steps = [
        "wait: { match: { regexp: \".*\", value: abc } }",
        "wait: { match: { regexp: \"end$\", value: end } }",
        "wait: { match: { regexp: \".*\", value: answered } }",
    ];
    let ran = script(&server.url("/fragments"), 1, "", &steps).run().succeeded();
    assert_eq!((ran.users(), ran.counter("websocket.messages_received")), ([1, 1, 0, 0], 3), "{}", ran.finished.stdout);
}

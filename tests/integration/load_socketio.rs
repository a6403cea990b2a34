//! Scenarios of Socket.IO as scripts have them, on python-socketio 5 and 4 under gunicorn: what is sent and waited for, what is
//! counted, and what is said when something goes wrong.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::load::{Load, Ran};
use crate::support::process;
use crate::support::socketio::{KINDS, Kind};

const FOUR: Kind = KINDS[0];

/// Some users of one scenario over Socket.IO.
fn script(target: SocketAddr, users: usize, config: &str, steps: &[&str]) -> Load {
    let steps: String = steps.iter().map(|step| ["      - ", step, "\n"].concat()).collect();
    Load::script(format!(
        "config:\n  target: http://{target}\n  timeout: 20\n  phases: [{{ duration: 100ms, arrivalCount: {users} }}]\n{config}\
         scenarios:\n  - name: sockets\n    engine: socketio\n    flow:\n{steps}"
    ))
}

/// Lines of standard output before the summary.
fn logged(ran: &Ran) -> Vec<&str> {
    ran.finished.stdout.lines().take_while(|line| !line.starts_with("All virtual users")).collect()
}

#[test]
fn a_scenario_is_the_same_for_both_generations_on_every_transport() {
    for kind in KINDS {
        let gunicorn = kind.server().start();
        for transports in ["[polling]", "[websocket]", "[polling, websocket]"] {
            let config = format!(
                "  variables: {{ room: five }}\n  socketio: {{ transports: {transports}, query: {{ a: \"{{{{ room }}}}\" }}, extraHeaders: \
                 {{ Cookie: \"sid={{{{ room }}}}\" }} }}\n"
            );
            let ran = script(
                gunicorn.address(),
                3,
                &config,
                &[
                    "emit: { channel: joinRoom, data: { room: \"{{ room }}\", n: 1 }, response: { channel: joinRoomSuccess, data: { n: 1, \
                     room: five }, capture: { json: $.0.room, as: got } } }",
                    "emit: [echo, \"{{ got }}\", 2]\n        acknowledge: { data: [five, 2], capture: { json: $.1, as: two } }",
                    "emit: [echo, { a: \"{{ two }}\" }]\n        namespace: /chat\n        acknowledge: { match: { json: $.1.a, value: 2 } }",
                    "emit: { channel: many, data: 3 }\n        response: { on: one, args: [0, 1, 2] }",
                    "log: \"{{ got }} {{ two }}\"",
                ],
            )
            .run()
            .succeeded();
            assert_eq!(ran.users(), [3, 3, 0, 0], "{kind:?} {transports}");
            assert_eq!(logged(&ran), ["five 2"; 3], "{kind:?} {transports}");
            // A welcome, the answer to joinRoom, and three of many: acknowledgements are no events.
            assert_eq!([ran.counter("socketio.emit"), ran.counter("socketio.events_received")], [12, 15]);
            assert_eq!(ran.json["aggregate"]["summaries"]["socketio.response_time"]["count"], json!(12));
            assert_eq!(ran.json["aggregate"]["summaries"]["socketio.connect_time"]["count"], json!(3));
            assert_eq!(ran.counter("http.requests"), 0, "messages are no requests");
            ran.tells(&[
                "  Requests completed:  12\n",
                "  Codes:\n    0: 12\n",
                "EMIT echo (/chat)",
                "The code 0 in the summary",
            ]);
        }
        let log = gunicorn.log();
        let connects = log.wait_for_lines("connect: sid=five", 9);
        assert!(connects.iter().all(|line| line.contains("a=five")), "{connects:?}");
    }
}

#[test]
fn what_does_not_come_is_an_error_with_its_reason() {
    let gunicorn = FOUR.server().start();
    let failing = [
        ("emit: [nobody]\n        acknowledge: {}", "acknowledge timeout", "acknowledge timeout"),
        ("emit: [joinRoom, a]\n        response: { on: never }", "response timeout", "no event `never` came"),
        (
            "emit: [joinRoom, a]\n        response: { on: joinRoomSuccess, data: b }",
            "response timeout",
            "`joinRoomSuccess` came with other data: [\"a\"]",
        ),
        ("emit: [echo, a]\n        acknowledge: { data: b }", "data is not valid", "[\"a\"]"),
        (
            "emit: [echo, a]\n        acknowledge: { match: { json: $.0, value: b } }",
            "Failed capture or match",
            "it is \"a\", not \"b\"",
        ),
        (
            "emit: [echo, a]\n        namespace: /closed\n        response: { on: never }",
            "no such room",
            "the server let the user go, or never let it in",
        ),
        ("emit: [leave]\n        response: { on: never }", "io server disconnect", "the server let the user go"),
    ];
    for (step, code, detail) in failing {
        let ran = script(gunicorn.address(), 1, "", &[step])
            .arguments(["--overrides", "{\"config\": {\"timeout\": 1}}"])
            .run()
            .succeeded();
        assert_eq!((ran.users(), ran.counter(&format!("errors.{code}"))), ([1, 0, 1, 0], 1), "{step}");
        // An answer that the script does not like is one, too.
        assert_eq!(ran.own("/endpoints/0/fromDue/count"), &json!(1), "{step}: {:#}", ran.own("/endpoints/0"));
        ran.tells(&[detail]);
    }
}

#[test]
fn a_user_that_is_not_let_in_fails_before_its_first_step() {
    let gunicorn = FOUR.server().start();
    let steps = ["log: never", "emit: [echo, a]"];
    let config = "  socketio: { extraHeaders: { X-Refuse: \"1\" } }\n";
    let ran = script(gunicorn.address(), 2, config, &steps).run().succeeded();
    assert_eq!((ran.users(), ran.counter("errors.not you")), ([2, 0, 2, 0], 2));
    ran.tells(&["2 × not connected: not you at script.yaml:"]);

    let ran = script(gunicorn.address(), 1, "  socketio: { path: /elsewhere }\n", &steps).run().succeeded();
    assert_eq!((ran.users(), ran.counter("errors.xhr poll error")), ([1, 0, 1, 0], 1));
    ran.tells(&["Is the path right?"]);
    assert_eq!(logged(&ran), Vec::<&str>::new());
}

#[test]
fn reserved_names_are_counted_and_said_once() {
    for (kind, reserved) in [(FOUR, vec!["connect"]), (KINDS[2], vec!["connect", "connecting"])] {
        let gunicorn = kind.server().start();
        let steps = ["emit: { channel: connect, data: ping }", "emit: { channel: connecting, data: ping }"];
        let ran = script(gunicorn.address(), 4, "", &steps).run().succeeded();
        assert_eq!((ran.users(), ran.counter("socketio.emit")), ([4, 4, 0, 0], 8));
        let counted: Vec<String> = ran.counters_of("socketio.reserved.").into_keys().collect();
        assert_eq!(
            (counted, logged(&ran).len()),
            (reserved.iter().map(|name| (*name).to_owned()).collect(), reserved.len())
        );
    }
}

#[test]
fn a_server_that_is_killed_ends_what_is_waited_for() {
    let gunicorn = FOUR.server().start();
    let config = "  socketio: { reconnection: false }\n";
    let load = script(gunicorn.address(), 1, config, &["log: here", "emit: [nobody]\n        response: { on: never }"])
        .start();
    load.running().stdout().wait_for("here");
    // The master first, so that there is no other worker in its place.
    let workers = gunicorn.workers();
    for pid in [gunicorn.pid()].into_iter().chain(workers) {
        process::signal(pid, Signal::SIGKILL);
    }
    let ran = load.ended().succeeded();
    assert_eq!(ran.users(), [1, 0, 1, 0]);
    let disconnected = ran.counters_of("socketio.disconnected.");
    assert_eq!(disconnected.values().sum::<u64>(), 1, "{disconnected:?}");
}

#[test]
fn what_came_to_users_that_are_sent_home_is_counted() {
    let gunicorn = FOUR.server().start();
    // The welcome comes before the acknowledgement, and no step looks for it.
    let steps = ["emit: [echo, a]\n        acknowledge: true", "log: here", "think: 600"];
    let load = script(gunicorn.address(), 3, "", &steps).start();
    for _ in 0..3 {
        load.running().stdout().wait_for("here");
    }
    load.running().interrupt();
    load.running().stderr().wait_for("interrupted");
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert_eq!((ran.users(), ran.counter("socketio.events_received")), ([3, 0, 0, 0], 3));
}

#[test]
fn steps_at_the_same_time_do_not_take_each_other_s_answers() {
    let gunicorn = FOUR.server().start();
    let steps = "parallel:\n        - emit: { channel: many, data: 3, response: { channel: one, data: [0, 1, 2] } }\n        \
                 - emit: { channel: joinRoom, data: five, response: { channel: joinRoomSuccess, data: five } }\n        \
                 - emit: { channel: joinRoom, data: six, response: { channel: joinRoomSuccess, data: six } }";
    let ran = script(gunicorn.address(), 4, "", &[steps]).run().succeeded();
    assert_eq!((ran.users(), ran.counter("socketio.emit")), ([4, 4, 0, 0], 12), "{}", ran.finished.stdout);
    assert!(ran.finished.stderr.contains("take turns"), "{}", ran.finished.stderr);
}

#[test]
fn secrets_name_no_numbers() {
    let gunicorn = FOUR.server().start();
    let step = "emit: [echo, a]\n        namespace: \"/chat?token=literal-token\"\n        acknowledge: true";
    let ran = script(gunicorn.address(), 1, "", &[step]).run().succeeded();
    assert!(!ran.everything().contains("literal-token"), "{}", ran.everything());
}

#[test]
fn requests_of_a_scenario_of_sockets_are_requests() {
    let gunicorn = FOUR.server().start();
    let ran = script(gunicorn.address(), 1, "", &["get: { url: /nothing }", "emit: [echo, a]", "think: 0.01"])
        .run()
        .succeeded();
    assert_eq!([ran.counter("http.codes.404"), ran.counter("socketio.emit")], [1, 1]);
    ran.tells(&["  Requests completed:  2\n", "    0: 1\n    404: 1\n"]);
}

#[test]
fn a_thousand_users_take_little_memory() {
    let gunicorn = FOUR.server().start();
    let steps = ["emit: [echo, a]\n        acknowledge: { data: a }", "think: 600"];
    let load = script(gunicorn.address(), 1000, "", &steps).arguments(["--grace", "0"]).start();
    gunicorn.log().wait_for_lines("connect:", 1000);
    let status = std::fs::read_to_string(format!("/proc/{}/status", load.running().pid())).expect("it runs");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.is_some_and(|kib| kib < 150 << 10), "{peak:?} KiB at the peak");
    load.running().interrupt();
    let ran = load.ended().ended_with(130);
    assert_eq!((ran.users()[0], ran.counter("errors.xhr poll error")), (1000, 0));
}

//! The Socket.IO client on real servers: python-socketio 5 and 4 under gunicorn, on eventlet and gevent.

use std::time::Duration;

use http::HeaderValue;
use nix::sys::signal::Signal;
use pyperf::load::http::{Settings, Target, TlsSettings};
use pyperf::load::socketio::reserved::Treatment;
use pyperf::load::socketio::{Arguments, Client, Generation, Means, Options, Reconnection, Unacknowledged, What};
use serde_json::{Value, json};

use crate::support::process;
use crate::support::socketio::{KINDS, Kind, Watched, dialer, dialer_with, options, run};
use crate::support::temp_dir::TempDir;

const LONG: Duration = Duration::from_secs(30);
/// Each list of transports, and whether it ends on a WebSocket.
const TRANSPORTS: [&[Means]; 3] = [&[Means::Polling], &[Means::WebSocket], &[Means::Polling, Means::WebSocket]];
const FOUR: Kind = KINDS[0];
const THREE: Kind = KINDS[2];

fn values(values: &[Value]) -> Arguments {
    Arguments::new(values.to_vec())
}

/// Waits until the connection has moved to a WebSocket, if it is to.
async fn settled(client: &Watched, transports: &[Means]) {
    if transports.len() == 2 {
        client
            .until(|what| match what {
                What::Upgraded { .. } => Some(()),
                What::NotUpgraded { why } => panic!("not upgraded: {why}"),
                _ => None,
            })
            .await;
    }
}

#[test]
fn both_generations_speak_on_every_transport() {
    for kind in KINDS {
        let gunicorn = kind.server().start();
        run(async {
            let dialer = dialer();
            for transports in TRANSPORTS {
                let options = Options { transports: transports.to_vec(), ..options(&gunicorn) };
                let (client, connected) = Watched::connect(&dialer, options.clone()).await;
                assert_eq!((connected.generation, connected.means), (kind.generation, transports[0]), "{kind:?}");
                assert_eq!(dialer.known(&options), Some(kind.generation));
                assert_eq!(client.received("welcome").await, [json!({"n": 1})], "{kind:?} {transports:?}");
                settled(&client, transports).await;
                talk(&client).await;
                client.close().await;
                assert_eq!(client.over().await, "io client disconnect");
                assert_eq!((client.lost(), client.unsent()), (0, 0));
            }
        });
        gunicorn.log().wait_for_lines("server: disconnect", 3);
    }
}

/// Events, acknowledgements, namespaces and bytes.
async fn talk(client: &Watched) {
    let joined = json!({"room": "hé😀", "n": 1.5});
    client.emit("/", "joinRoom", values(std::slice::from_ref(&joined))).await.expect("sent");
    assert_eq!(client.received("joinRoomSuccess").await, [joined]);
    for (namespace, answer) in [("/", json!(["a"])), ("/chat", json!(["chat", "a"])), ("chat", json!(["chat", "a"]))] {
        let (_, ack) = client.emit_with_ack(namespace, "echo", values(&[json!("a")])).await.expect("sent");
        let acknowledged = ack.within(LONG).await.expect("acknowledged");
        assert_eq!(json!(acknowledged.arguments.shown()), answer);
    }
    let piece = json!({"piece": {"type": "Buffer", "data": [1, 0, 255]}});
    let (_, ack) = client.emit_with_ack("/", "bytes", Arguments::with_buffers(vec![piece])).await.expect("sent");
    let reversed = [json!({"type": "Buffer", "data": [255, 0, 1]}), json!({"length": 3})];
    assert_eq!(client.received("bytes").await, reversed);
    let acknowledged = ack.within(LONG).await.expect("acknowledged");
    assert_eq!(acknowledged.arguments.shown(), [json!({"type": "Buffer", "data": [111, 107]})]);
    // More than one body of requests may have, in order.
    for number in 0..100 {
        client.emit("/", "joinRoom", values(&[json!(number)])).await.expect("sent");
    }
    client.emit("/", "many", values(&[json!(300)])).await.expect("sent");
    for number in 0..100 {
        assert_eq!(client.received("joinRoomSuccess").await, [json!(number)]);
    }
    for number in 0..300 {
        assert_eq!(client.received("one").await, [json!(number)]);
    }
}

#[test]
fn headers_cookies_query_and_auth_reach_the_server() {
    for kind in [FOUR, THREE] {
        let gunicorn = kind.server().start();
        run(async {
            for transports in TRANSPORTS {
                let mut options = Options { transports: transports.to_vec(), ..options(&gunicorn) };
                options.headers.insert("cookie", HeaderValue::from_static("oidc-jwt=abc"));
                options.cookies = Some(HeaderValue::from_static("b=2"));
                options.query = vec![("who".into(), "me & you".into())];
                options.auth = Some(json!({"token": "t"}));
                let (client, _) = Watched::connect(&dialer(), options).await;
                client.close().await;
            }
        });
        for line in gunicorn.log().wait_for_lines("connect: ", 3).iter().take(3) {
            assert!(line.contains("oidc-jwt=abc; b=2") && line.contains("who=me%20%26%20you"), "{line}");
            assert_eq!(line.contains("{'token': 't'}"), kind.generation == Generation::Four, "{line}");
        }
    }
}

#[test]
fn a_server_that_refuses_is_quoted() {
    for kind in KINDS {
        let gunicorn = kind.server().start();
        run(async {
            for transports in [TRANSPORTS[0], TRANSPORTS[1]] {
                let mut options = Options { transports: transports.to_vec(), ..options(&gunicorn) };
                options.headers.insert("x-refuse", HeaderValue::from_static("1"));
                let refused = Client::connect(&dialer(), options.clone()).await.expect_err("refused");
                let message = match (kind.generation, transports[0]) {
                    // Refused before there is a session: eventlet answers so, gevent-websocket just closes.
                    (Generation::Three, Means::WebSocket) if kind.mode == "gevent" => "transport close",
                    (Generation::Three, Means::WebSocket) => "websocket error",
                    _ => "not you",
                };
                assert_eq!(refused.message, message, "{kind:?} {transports:?} {refused:?}");
                options.headers.clear();
                let (client, _) = Watched::connect(&dialer(), options).await;
                client.emit("/closed", "lost", values(&[])).await.expect("handed over");
                let message = client.until(|what| match what {
                    What::NotJoined { namespace, refused } if namespace == "/closed" => Some(refused.message.clone()),
                    _ => None,
                });
                assert_eq!(message.await, "no such room");
                assert_eq!(client.unsent(), 0, "the event was dropped with its namespace; told with the next order");
                client.emit("/closed", "lost", values(&[])).await.expect("handed over");
                client.close().await;
                assert_eq!(client.unsent(), 2);
            }
        });
    }
}

#[test]
fn tls_is_that_of_any_request() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let dir = TempDir::new();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| dir.join(name).display().to_string());
    std::fs::write(&certificate, made.cert.pem()).expect("the directory is ours");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("the directory is ours");
    let gunicorn =
        FOUR.server().argument("--certfile").argument(&certificate).argument("--keyfile").argument(&key).start();
    let target = format!("https://localhost:{}", gunicorn.address().port());
    let options = Options::new(Target::parse(&target).expect("a URL"));
    let trusting = TlsSettings { authorities: vec![made.cert.pem().into_bytes()], ..TlsSettings::default() };
    run(async {
        for tls in [TlsSettings { verify: false, ..TlsSettings::default() }, trusting] {
            let dialer = dialer_with(&Settings { tls, ..Settings::default() });
            for transports in TRANSPORTS {
                let options = Options { transports: transports.to_vec(), ..options.clone() };
                let (client, connected) = Watched::connect(&dialer, options).await;
                assert!(connected.timings.tls.is_some() && connected.timings.dns.is_some());
                settled(&client, transports).await;
                let (_, ack) = client.emit_with_ack("/", "echo", values(&[json!(1)])).await.expect("sent");
                assert!(ack.within(LONG).await.is_ok());
                client.close().await;
            }
        }
        for (means, words) in [(Means::Polling, "xhr poll error"), (Means::WebSocket, "websocket error")] {
            let options = Options { transports: vec![means], ..options.clone() };
            let refused = Client::connect(&dialer(), options).await.expect_err("refused");
            let code = refused.failure.expect("a failure").code;
            assert_eq!((refused.message.as_str(), &*code), (words, "DEPTH_ZERO_SELF_SIGNED_CERT"));
        }
    });
}

#[test]
fn a_pinned_generation_is_not_another() {
    for (kind, pinned) in [(FOUR, Generation::Three), (THREE, Generation::Four)] {
        let gunicorn = kind.server().start();
        run(async {
            for transports in [TRANSPORTS[0], TRANSPORTS[1]] {
                let options =
                    Options { generation: Some(pinned), transports: transports.to_vec(), ..options(&gunicorn) };
                let refused = Client::connect(&dialer(), options).await.expect_err("refused");
                let words = if transports[0] == Means::Polling { "xhr poll error" } else { "websocket error" };
                assert_eq!(refused.message, words);
                let failure = refused.failure.expect("a failure");
                assert_eq!(failure.code, "Unexpected server response: 400");
                let answer = failure.partial.expect("an answer");
                assert!(String::from_utf8_lossy(&answer.body.bytes).contains("unsupported version"));
            }
        });
    }
}

#[test]
fn a_server_that_leaves_is_not_called_again() {
    for kind in KINDS {
        let gunicorn = kind.server().start();
        run(async {
            for transports in TRANSPORTS {
                let options = Options { transports: transports.to_vec(), ..options(&gunicorn) };
                let (client, _) = Watched::connect(&dialer(), options).await;
                settled(&client, transports).await;
                let (_, ack) = client.emit_with_ack("/", "leave", values(&[])).await.expect("sent");
                if kind.generation == Generation::Three && transports == [Means::Polling] {
                    // python-engineio 3 may forget the session before the request that waits can tell.
                    let what = client.until(|what| match what {
                        What::Disconnected { why, .. } | What::Over { why } => Some(*why),
                        _ => None,
                    });
                    assert!(["transport error", "io server disconnect"].contains(&what.await));
                    continue;
                }
                assert_eq!(client.over().await, "io server disconnect", "{kind:?} {transports:?}");
                assert!(ack.within(LONG).await != Err(Unacknowledged::TimedOut));
                assert!(client.emit("/", "echo", values(&[])).await.is_err());
            }
        });
    }
}

/// Why the connection was lost.
async fn disconnected(client: &Watched) -> (&'static str, String) {
    client
        .until(|what| match what {
            What::Disconnected { why, detail } => Some((*why, detail.clone())),
            _ => None,
        })
        .await
}

#[test]
fn pings_go_both_ways_while_the_user_does_nothing() {
    for kind in KINDS {
        let gunicorn = kind.server().environment("SOCKETIO_PING=1").start();
        run(async {
            for transports in TRANSPORTS {
                let options = Options { transports: transports.to_vec(), reconnection: None, ..options(&gunicorn) };
                let (client, connected) = Watched::connect(&dialer(), options).await;
                assert_eq!(connected.ping_interval, Duration::from_secs(1));
                // Longer than a server, or a client, waits that hears nothing.
                tokio::time::sleep(Duration::from_millis(3500)).await;
                let (_, ack) = client.emit_with_ack("/", "echo", values(&[json!(1)])).await.expect("still there");
                assert!(ack.within(LONG).await.is_ok(), "{kind:?} {transports:?}");
                client.close().await;
            }
        });
    }
}

#[test]
fn a_server_that_hangs_is_given_up_and_called_again() {
    for kind in [FOUR, THREE] {
        for transports in TRANSPORTS {
            let gunicorn = kind.server().environment("SOCKETIO_PING=1").start();
            let worker = gunicorn.ready(1)[0];
            run(async {
                let reconnection = Reconnection { delay: Duration::from_millis(50), ..Reconnection::default() };
                let options = Options {
                    transports: transports.to_vec(),
                    reconnection: Some(reconnection),
                    timeout: Duration::from_millis(500),
                    ..options(&gunicorn)
                };
                let (client, _) = Watched::connect(&dialer(), options).await;
                client.join("/chat").await.expect("asked");
                client
                    .until(|what| matches!(what, What::Joined { namespace, .. } if namespace == "/chat").then_some(()))
                    .await;
                settled(&client, transports).await;
                process::signal(worker, Signal::SIGSTOP);
                let (_, lost) = client.emit_with_ack("/", "echo", values(&[json!(1)])).await.expect("handed over");
                let why = client.until(|what| match what {
                    What::Disconnected { why, .. } => Some(*why),
                    _ => None,
                });
                assert_eq!(why.await, "ping timeout", "{kind:?} {transports:?}");
                assert_eq!(lost.within(LONG).await, Err(Unacknowledged::Lost));
                let (_, kept) = client.emit_with_ack("/chat", "echo", values(&[json!(2)])).await.expect("handed over");
                client
                    .until(|what| {
                        matches!(what, What::NotReconnected { refused, .. } if refused.message == "timeout")
                            .then_some(())
                    })
                    .await;
                process::signal(worker, Signal::SIGCONT);
                client.until(|what| matches!(what, What::Reconnected { .. }).then_some(())).await;
                let acknowledged = kept.within(LONG).await.expect("it waited for its namespace");
                assert_eq!(acknowledged.arguments.shown(), [json!("chat"), json!(2)]);
                client.close().await;
            });
        }
    }
}

#[test]
fn a_server_that_is_killed_closes_and_attempts_end() {
    for kind in [FOUR, THREE] {
        for transports in TRANSPORTS {
            let gunicorn = kind.server().start();
            let worker = gunicorn.ready(1)[0];
            run(async {
                let reconnection =
                    Reconnection { attempts: 2, delay: Duration::from_millis(100), ..Reconnection::default() };
                let options =
                    Options { transports: transports.to_vec(), reconnection: Some(reconnection), ..options(&gunicorn) };
                let (client, _) = Watched::connect(&dialer(), options).await;
                settled(&client, transports).await;
                process::signal(gunicorn.pid(), Signal::SIGKILL);
                process::signal(worker, Signal::SIGKILL);
                // A connection may be reset or closed, as the system sees fit.
                let (why, detail) = disconnected(&client).await;
                assert!(
                    ["transport close", "transport error"].contains(&why),
                    "{kind:?} {transports:?} {why} {detail}"
                );
                let mut codes = Vec::new();
                let why = client
                    .until(|what| match what {
                        What::NotReconnected { refused, .. } => {
                            codes.push(refused.failure.as_ref().expect("a failure").code.to_string());
                            None
                        }
                        What::Over { why } => Some(*why),
                        _ => None,
                    })
                    .await;
                // The first attempt may meet a socket that is about to go.
                assert_eq!((why, codes.len(), codes[1].as_str()), ("reconnect_failed", 2, "ECONNREFUSED"));
            });
        }
    }
}

#[test]
fn the_server_may_ask_for_acknowledgements() {
    for kind in [FOUR, THREE] {
        let gunicorn = kind.server().start();
        run(async {
            let (client, _) = Watched::connect(&dialer(), options(&gunicorn)).await;
            client.emit("/", "silent", values(&[])).await.expect("sent");
            let id = client
                .until(|what| match what {
                    What::Received { name, ack, .. } if name == "question" => *ack,
                    _ => None,
                })
                .await;
            client.acknowledge("/", id, values(&[json!("fine")])).await.expect("sent");
            client.close().await;
        });
        gunicorn.log().wait_for("answer: fine");
    }
}

#[test]
fn reserved_names_end_nothing() {
    for (kind, treatment) in [(FOUR, Treatment::Thrown), (THREE, Treatment::Local)] {
        let gunicorn = kind.server().start();
        run(async {
            let (client, _) = Watched::connect(&dialer(), options(&gunicorn)).await;
            let emitted = client.emit("/", "connect", values(&[])).await.expect("told");
            assert_eq!(emitted.treatment, treatment);
            let (_, ack) = client.emit_with_ack("/", "connect", values(&[])).await.expect("told");
            assert_eq!(ack.within(LONG).await, Err(Unacknowledged::Lost));
            let (_, ack) = client.emit_with_ack("/", "echo", values(&[json!(1)])).await.expect("sent");
            assert!(ack.within(LONG).await.is_ok());
        });
    }
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

#[test]
fn a_thousand_users_are_small() {
    const USERS: usize = 1000;
    let gunicorn = FOUR.server().argument("--worker-connections").argument("5000").start();
    for transports in [TRANSPORTS[1], TRANSPORTS[0], TRANSPORTS[2]] {
        run(async {
            let dialer = dialer();
            let options = Options { transports: transports.to_vec(), ..options(&gunicorn) };
            let (first, _) = Watched::connect(&dialer, options.clone()).await;
            let before = resident();
            let mut clients = Vec::new();
            while clients.len() < USERS {
                let batch = (0..50).map(|_| Watched::connect(&dialer, options.clone()));
                clients.extend(futures_util::future::join_all(batch).await);
            }
            for (client, _) in &clients {
                settled(client, transports).await;
                assert_eq!(client.received("welcome").await, [json!({"n": 1})]);
            }
            let each = resident().saturating_sub(before) / USERS;
            assert!(each < 120_000, "{each} bytes for each user on {transports:?}");
            for (client, _) in &clients {
                let (_, ack) = client.emit_with_ack("/", "echo", values(&[json!(1)])).await.expect("sent");
                assert!(ack.within(LONG).await.is_ok());
            }
            futures_util::future::join_all(clients.iter().map(|(client, _)| client.close())).await;
            first.close().await;
            #[expect(clippy::print_stderr, reason = "a figure that is worth reading")]
            {
                eprintln!("{each} bytes for each user on {transports:?}");
            }
        });
    }
}

#[test]
fn where_nobody_listens_the_system_is_quoted() {
    run(async {
        for (means, words) in [(Means::Polling, "xhr poll error"), (Means::WebSocket, "websocket error")] {
            let target = Target::parse("http://127.0.0.1:1").expect("a URL");
            let options = Options { transports: vec![means], ..Options::new(target) };
            let refused = Client::connect(&dialer(), options).await.expect_err("refused");
            assert_eq!(refused.message, words);
            assert_eq!(refused.failure.expect("a failure").code, "ECONNREFUSED");
        }
    });
}

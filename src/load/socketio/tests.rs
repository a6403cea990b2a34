//! The client against servers that are played by a script: those that are too old to be installed, and those that misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::clock::Clock;
use crate::load::http::loopback::{hear, linger, run, say, serve};
use crate::load::http::{Settings, Target, Transport};
use crate::load::websocket::tests::{agree, frame};

const LONG: Duration = Duration::from_secs(10);

fn dialer() -> Dialer {
    Dialer::new(&Transport::new(&Settings::default(), Clock::start()).expect("usual settings"))
}

fn options(port: u16, transports: &[Means]) -> Options {
    let target = Target::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
    Options { transports: transports.to_vec(), reconnection: None, ..Options::new(target) }
}

fn greeting(sid: &str, more: &str) -> String {
    format!("{{\"sid\":\"{sid}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000{more}}}")
}

async fn answer(peer: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    say(peer, format!("{head}{body}").as_bytes()).await;
}

fn counted(packet: &str) -> String {
    format!("{}:{packet}", packet.encode_utf16().count())
}

async fn text(peer: &mut TcpStream, packet: &str) {
    say(peer, &frame(0x81, packet.as_bytes())).await;
}

/// The next short frame that the client sends, without its mask.
async fn heard(peer: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 6];
    peer.read_exact(&mut head).await.expect("a frame");
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    peer.read_exact(&mut payload).await.expect("a frame");
    payload.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

async fn next(client: &Client) -> What {
    client.next_event().await.expect("not over yet").what
}

/// Whatever comes before the first of this kind is passed over.
async fn until<T>(client: &Client, wanted: impl Fn(What) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(next(client).await) {
            return found;
        }
    }
}

#[test]
fn an_old_server_that_answers_in_its_own_way_is_recognised() {
    run(async {
        let port = serve(|_, mut peer| async move {
            while let Some(request) = hear(&mut peer).await {
                let line = request.lines().next().expect("a line").to_owned();
                let body = match line.as_str() {
                    line if !line.contains("sid=") => {
                        assert!(line.contains("EIO=4"), "{line}");
                        [counted(&format!("0{}", greeting("x", ""))), counted("40")].concat()
                    }
                    line if line.starts_with("POST") => {
                        assert!(
                            line.contains("EIO=3") && request.ends_with("\r\n\r\n22:42[\"hi\",\"there it is\"]"),
                            "{request}"
                        );
                        "ok".to_owned()
                    }
                    _ => {
                        let packet = counted("42[\"hé😀\",1]");
                        answer(&mut peer, "200 OK", &packet).await;
                        hear(&mut peer).await;
                        linger(&mut peer).await;
                        return;
                    }
                };
                answer(&mut peer, "200 OK", &body).await;
            }
        })
        .await;
        let (dialer, options) = (dialer(), options(port, &[Means::Polling]));
        let (client, connected) = Client::connect(&dialer, options.clone()).await.expect("connected");
        assert_eq!(connected.generation, Generation::Three);
        assert_eq!(dialer.known(&options), Some(Generation::Three));
        let name = until(&client, |what| match what {
            What::Received { name, .. } => Some(name),
            _ => None,
        });
        assert_eq!(name.await, "hé😀");
        client.emit("/", "hi", vec![json!("there it is")].into()).await.expect("handed over");
    });
}

#[test]
fn an_old_server_on_a_websocket_gives_itself_away() {
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            text(&mut peer, &format!("0{}", greeting("x", ""))).await;
            text(&mut peer, "40").await;
            assert_eq!(heard(&mut peer).await, b"42[\"a\"]");
            linger(&mut peer).await;
        })
        .await;
        let (client, connected) =
            Client::connect(&dialer(), options(port, &[Means::WebSocket])).await.expect("connected");
        assert_eq!(connected.generation, Generation::Three);
        client.emit("/", "a", Arguments::default()).await.expect("handed over");
        client.close().await;
    });
}

#[test]
fn a_server_that_says_nothing_of_itself_is_asked_as_a_new_one() {
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            text(&mut peer, &format!("0{}", greeting("x", ""))).await;
            assert_eq!(heard(&mut peer).await, b"40");
            text(&mut peer, "40{\"sid\":\"y\"}").await;
            linger(&mut peer).await;
        })
        .await;
        let (_, connected) = Client::connect(&dialer(), options(port, &[Means::WebSocket])).await.expect("connected");
        assert_eq!(connected.generation, Generation::Four);
    });
}

#[test]
fn a_server_that_refuses_one_generation_is_asked_for_the_other_and_remembered() {
    run(async {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let port = serve(move |_, mut peer| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some(request) = hear(&mut peer).await {
                    let line = request.lines().next().expect("a line").to_owned();
                    let three = line.contains("EIO=3");
                    if !line.contains("sid=") {
                        seen.lock().expect("whole").push(if three { 3 } else { 4 });
                    }
                    if three {
                        let body = [counted(&format!("0{}", greeting("x", ""))), counted("40")].concat();
                        answer(&mut peer, "200 OK", if line.contains("sid=") { "1:6" } else { &body }).await;
                    } else {
                        let body = "{\"code\":5,\"message\":\"Unsupported protocol version\"}";
                        answer(&mut peer, "400 Bad Request", body).await;
                    }
                }
            }
        })
        .await;
        let (dialer, options) = (dialer(), options(port, &[Means::Polling]));
        for _ in 0..2 {
            let (client, connected) = Client::connect(&dialer, options.clone()).await.expect("connected");
            assert_eq!(connected.generation, Generation::Three);
            drop(client);
        }
        assert_eq!(*asked.lock().expect("whole"), [4, 3, 3]);
    });
}

/// A server of generation 4 that has no WebSocket although it says so; what is brought to it is kept.
async fn polled(brought: Arc<Mutex<Vec<String>>>) -> u16 {
    serve(move |_, mut peer| {
        let brought = Arc::clone(&brought);
        async move {
            while let Some(request) = hear(&mut peer).await {
                let (head, body) = request.split_once("\r\n\r\n").expect("a head");
                if head.contains("transport=websocket") {
                    answer(&mut peer, "400 Bad Request", "no").await;
                } else if head.starts_with("POST") {
                    brought.lock().expect("whole").push(body.to_owned());
                    answer(&mut peer, "200 OK", "ok").await;
                } else if head.contains("sid=") {
                    let joined = brought.lock().expect("whole").iter().any(|body| body.starts_with("40"));
                    let body = if joined { "40{\"sid\":\"y\"}" } else { "6" };
                    answer(&mut peer, "200 OK", body).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                } else {
                    answer(&mut peer, "200 OK", &format!("0{}", greeting("x", ",\"maxPayload\":400"))).await;
                }
            }
        }
    })
    .await
}

#[test]
fn a_session_that_cannot_move_stays_and_brings_no_more_at_once_than_is_taken() {
    run(async {
        let brought = Arc::default();
        let port = polled(Arc::clone(&brought)).await;
        let (client, _) =
            Client::connect(&dialer(), options(port, &[Means::Polling, Means::WebSocket])).await.expect("connected");
        let why = until(&client, |what| match what {
            What::NotUpgraded { why } => Some(why),
            _ => None,
        });
        assert_eq!(why.await, "Unexpected server response: 400");
        for number in 0..200 {
            let wide = if number % 2 == 0 { String::new() } else { "w".repeat(100) };
            client.emit("/", "n", vec![json!(number), json!(wide)].into()).await.expect("handed over");
        }
        client.close().await;
        let brought = brought.lock().expect("whole");
        let packets: Vec<&str> = brought.iter().flat_map(|body| body.split('\u{1e}')).collect();
        assert_eq!(packets.len(), 203, "with a join, a leave and a close");
        assert!(brought.iter().all(|body| body.len() <= 400 && body.split('\u{1e}').count() <= 16));
        assert!(packets[101].starts_with("42[\"n\",100,") && packets[201..] == ["41", "1"]);
    });
}

#[test]
fn what_is_no_packet_ends_the_connection() {
    for (bytes, first) in [("42[\"a\"", 0x81), ("9", 0x81), ("45-[\"a\"]", 0x81), ("x", 0x82)] {
        run(async {
            let port = serve(move |_, mut peer| async move {
                agree(&mut peer, "").await;
                text(&mut peer, &format!("0{}", greeting("x", ",\"maxPayload\":1000"))).await;
                heard(&mut peer).await;
                text(&mut peer, "40{\"sid\":\"y\"}").await;
                say(&mut peer, &frame(first, bytes.as_bytes())).await;
                linger(&mut peer).await;
            })
            .await;
            let (client, _) = Client::connect(&dialer(), options(port, &[Means::WebSocket])).await.expect("connected");
            let why = until(&client, |what| match what {
                What::Disconnected { why, .. } => Some(why),
                _ => None,
            });
            assert_eq!(why.await, "parse error", "{bytes}");
            assert!(matches!(next(&client).await, What::Over { why: "parse error" }));
            assert!(client.next_event().await.is_none());
            assert_eq!(client.join("/x").await, Err(Gone));
        });
    }
}

#[test]
fn a_server_that_never_answers_times_out() {
    run(async {
        let port = serve(|_, mut peer| async move { linger(&mut peer).await }).await;
        for means in [Means::Polling, Means::WebSocket] {
            let options = Options { timeout: Duration::from_millis(100), ..options(port, &[means]) };
            let refused = Client::connect(&dialer(), options).await.expect_err("refused");
            assert_eq!(refused.message, "timeout");
        }
    });
}

#[test]
fn an_acknowledgement_that_does_not_come_is_not_waited_for() {
    run(async {
        let port = polled(Arc::default()).await;
        let (client, _) = Client::connect(&dialer(), options(port, &[Means::Polling])).await.expect("connected");
        let (_, ack) = client.emit_with_ack("/", "a", Arguments::default()).await.expect("handed over");
        assert_eq!(ack.within(Duration::from_millis(50)).await, Err(Unacknowledged::TimedOut));
        let (_, ack) = client.emit_with_ack("/", "a", Arguments::default()).await.expect("handed over");
        client.close().await;
        assert_eq!(ack.within(LONG).await, Err(Unacknowledged::Lost));
    });
}

#[test]
fn what_a_user_holds_can_go_to_any_thread() {
    fn spawnable<T: Send>(_: &T) {}
    fn shareable<T: Send + Sync>() {}
    let dialer = dialer();
    spawnable(&Client::connect(&dialer, options(1, &[Means::Polling])));
    shareable::<Client>();
}

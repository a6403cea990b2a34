//! WebSockets against a peer that is played by a script, which does what no good server does.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use super::*;
use crate::clock::{Clock, Moment};
use crate::load::http::loopback::{hear, linger, once, run, say, serve};
use crate::load::http::{Settings, Transport};

fn transport() -> Transport {
    Transport::new(&Settings::default(), Clock::start()).expect("usual settings")
}

fn wish(port: u16) -> Wish {
    Wish::new(target(&format!("ws://127.0.0.1:{port}/chat?a=1")).expect("a URL"))
}

/// Agrees to a handshake; gives the request.
pub(in crate::load) async fn agree(peer: &mut TcpStream, more: &str) -> String {
    let request = hear(peer).await.expect("a request");
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n{more}\r\n"
    );
    say(peer, answer.as_bytes()).await;
    request
}

/// A server that agrees, says these bytes, and listens until the other side is gone.
async fn saying(bytes: Vec<u8>) -> u16 {
    serve(move |_, mut peer| {
        let bytes = bytes.clone();
        async move {
            agree(&mut peer, "").await;
            say(&mut peer, &bytes).await;
            linger(&mut peer).await;
        }
    })
    .await
}

/// A frame as servers send it: the first byte, and a payload of at most 65535 bytes.
pub(in crate::load) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

async fn opened(port: u16) -> Connection {
    open(&transport(), &wish(port), Moment::default()).await.expect("opened").0
}

async fn refused(answer: &'static [u8]) -> Refused {
    open(&transport(), &wish(once(answer).await), Moment::default()).await.expect_err("refused")
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

#[test]
fn a_handshake_says_what_it_must() {
    run(async {
        let port = serve(|_, mut peer| async move {
            let request = agree(&mut peer, "sec-websocket-protocol: two\r\nx-more: 1\r\n").await;
            let head = request.to_ascii_lowercase();
            for line in [
                "get /chat?a=1 http/1.1",
                "upgrade: websocket",
                "connection: upgrade",
                "sec-websocket-version: 13",
                "sec-websocket-protocol: one,two",
                "cookie: a=b",
                "host: 127.0.0.1",
                "authorization: basic bwu6chc=",
            ] {
                assert!(head.contains(line), "{line} is not in {head}");
            }
            assert!(!head.contains("extensions"));
            say(&mut peer, &frame(0x81, head.lines().next().expect("a line").as_bytes())).await;
        })
        .await;
        let mut wish = Wish::new(target(&format!("ws://me:pw@127.0.0.1:{port}/chat?a=1")).expect("a URL"));
        wish.headers.insert("cookie", HeaderValue::from_static("a=b"));
        wish.headers.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
        wish.subprotocols = vec!["one".into(), "two".into()];
        let (mut connection, accepted) = open(&transport(), &wish, Moment::default()).await.expect("opened");
        assert_eq!(
            (accepted.subprotocol.as_deref(), &accepted.headers["x-more"]),
            (Some("two"), &"1".parse().unwrap())
        );
        assert!(accepted.timings.connect.is_some() && accepted.timings.head > accepted.timings.sent);
        assert_eq!(connection.next().await.expect("a message"), text("get /chat?a=1 http/1.1"));
        assert!(matches!(connection.next().await, Err(Ended::Closed { code: 1006, .. })));
    });
}

#[test]
fn a_server_that_refuses_is_quoted() {
    run(async {
        let no = refused(b"HTTP/1.1 403 Forbidden\r\nx-why: no\r\ncontent-length: 6\r\n\r\nno way").await;
        assert_eq!(no.failure.code, "Unexpected server response: 403");
        let answer = no.failure.partial.expect("an answer");
        assert_eq!((&answer.body.bytes[..], &answer.headers["x-why"]), (&b"no way"[..], &"no".parse().unwrap()));
        let plain = refused(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(plain.failure.code, "Unexpected server response: 200");
        let key =
            refused(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n");
        assert_eq!(key.await.failure.code, "Invalid Sec-WebSocket-Accept header");
        let other = refused(b"HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n").await;
        assert_eq!(other.failure.code, "Invalid Upgrade header");
        let port =
            serve(|_, mut peer| async move { drop(agree(&mut peer, "sec-websocket-protocol: x\r\n").await) }).await;
        let asked = open(&transport(), &wish(port), Moment::default()).await.expect_err("refused");
        assert_eq!(asked.failure.code, "Server sent a subprotocol but none was requested");
        let gone = open(&transport(), &wish(1), Moment::default()).await.expect_err("refused");
        assert_eq!(gone.failure.code, "ECONNREFUSED");
        let closed = refused(b"").await;
        assert_eq!(closed.failure.code, "ECONNRESET");
    });
}

#[test]
fn a_server_that_never_answers_times_out() {
    run(async {
        let port = serve(|_, mut peer| async move { linger(&mut peer).await }).await;
        let settings = Settings { timeout: Duration::from_millis(200), ..Settings::default() };
        let transport = Transport::new(&settings, Clock::start()).expect("good");
        let refused = open(&transport, &wish(port), Moment::default()).await.expect_err("refused");
        assert_eq!(refused.failure.code, "ETIMEDOUT");
    });
}

#[test]
fn fragments_and_pings_between_them_make_one_message() {
    run(async {
        let pieces = [
            frame(0x01, "hé".as_bytes()).as_slice(),
            &frame(0x89, b"there?"),
            // A letter may fall apart.
            &frame(0x00, &"€".as_bytes()[..1]),
            &frame(0x80, &"€".as_bytes()[1..]),
            &frame(0x82, &[7; 3000]),
            &frame(0x88, &[&1000_u16.to_be_bytes()[..], b"bye"].concat()),
        ]
        .concat();
        let mut connection = opened(saying(pieces).await).await;
        assert_eq!(connection.next().await.expect("a message"), text("hé€"));
        assert_eq!(connection.next().await.expect("a message"), Message::Binary(Bytes::from_static(&[7; 3000])));
        assert!(matches!(connection.next().await, Err(Ended::Closed { code: 1000, reason }) if reason == "bye"));
        assert!(matches!(connection.next().await, Err(Ended::Closed { code: 1000, .. })), "it stays so");
        assert_eq!(connection.pings(), 1);
        let mut connection = opened(saying(frame(0x88, b"")).await).await;
        assert!(matches!(connection.next().await, Err(Ended::Closed { code: 1005, .. })));
    });
}

#[test]
fn who_breaks_the_protocol_is_told_as_ws_tells_it() {
    let cases: [(&str, Vec<u8>); 12] = [
        ("WS_ERR_INVALID_UTF8", frame(0x81, &[0xc3, 0x28])),
        ("WS_ERR_UNEXPECTED_MASK", vec![0x81, 0x81, 1, 2, 3, 4, 5]),
        ("WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", vec![0x82, 127, 0, 0, 0, 0, 1, 0, 0, 1]),
        ("WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", vec![0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("WS_ERR_INVALID_OPCODE", frame(0x80, b"nothing to continue")),
        ("WS_ERR_INVALID_OPCODE", [frame(0x01, b"a"), frame(0x81, b"b")].concat()),
        ("WS_ERR_INVALID_OPCODE", frame(0x83, b"")),
        ("WS_ERR_INVALID_OPCODE", frame(0x8b, b"")),
        ("WS_ERR_UNEXPECTED_RSV_1", frame(0xc1, b"compressed")),
        ("WS_ERR_EXPECTED_FIN", frame(0x09, b"")),
        ("WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH", frame(0x89, &[0; 126])),
        ("WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH", frame(0x88, b"1")),
    ];
    run(async {
        for (code, bytes) in cases {
            let mut connection = opened(saying(bytes.clone()).await).await;
            match connection.next().await {
                Err(Ended::Failed(failure)) => assert_eq!(failure.code, code, "{bytes:?}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    });
}

#[test]
fn fragments_add_up_to_what_is_taken_and_no_more() {
    run(async {
        let mut bytes = frame(0x01, &[b'a'; 600]);
        bytes.extend(frame(0x00, &[b'a'; 600]));
        let port = saying(bytes).await;
        let wish = Wish { largest: 1000, ..wish(port) };
        let (mut connection, _) = open(&transport(), &wish, Moment::default()).await.expect("opened");
        let Err(Ended::Failed(failure)) = connection.next().await else { panic!("taken") };
        assert_eq!(failure.code, "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH");
    });
}

#[test]
fn half_a_frame_and_silence_is_waited_for() {
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            say(&mut peer, &[0x81, 10, b'a', b'b']).await;
            let mut asked = [0; 9];
            peer.read_exact(&mut asked).await.expect("still there");
            say(&mut peer, b"cdefghij").await;
            linger(&mut peer).await;
        })
        .await;
        let mut connection = opened(port).await;
        let early = tokio::time::timeout(Duration::from_millis(100), connection.next()).await;
        assert!(early.is_err(), "half of it is no message");
        connection.send(text("go!")).await.expect("sent");
        assert_eq!(connection.next().await.expect("a message"), text("abcdefghij"));
    });
}

#[test]
fn a_flood_of_pings_holds_up_nobody_and_fills_nothing() {
    const PINGS: usize = 200_000;
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            let flood = frame(0x89, &[b'p'; 100]).repeat(1000);
            // It never reads: answers cannot be sent for long.
            for _ in 0..PINGS / 1000 {
                say(&mut peer, &flood).await;
            }
            say(&mut peer, &frame(0x81, b"done")).await;
            linger(&mut peer).await;
        })
        .await;
        let mut connection = opened(port).await;
        let mut turns = 0_u32;
        let other = async {
            loop {
                tokio::task::yield_now().await;
                turns += 1;
            }
        };
        let flooded = async {
            let message = connection.next().await.expect("a message");
            (message, connection.pings())
        };
        let (message, pings) = tokio::select! {
            flooded = flooded => flooded,
            () = other => unreachable!("it goes on for ever"),
        };
        assert_eq!((message, pings), (text("done"), PINGS as u64));
        assert!(turns > 1000, "others had {turns} turns only");
        connection.send(text("x")).await.expect("sent");
        drop(connection);
    });
}

#[test]
fn both_sides_may_say_much_before_either_listens() {
    const MUCH: usize = 4 << 20;
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            for _ in 0..MUCH / 0x8000 {
                say(&mut peer, &frame(0x82, &vec![1; 0x8000])).await;
            }
            let mut heard = 0;
            let mut piece = vec![0; 0x10000];
            while heard < MUCH {
                heard += peer.read(&mut piece).await.expect("still there");
            }
            say(&mut peer, &frame(0x88, b"")).await;
            linger(&mut peer).await;
        })
        .await;
        let (client, _) = Client::open(&transport(), &wish(port), Moment::default()).await.expect("opened");
        client.send(Message::Binary(vec![2; MUCH].into())).await.expect("handed over");
        let mut heard = 0;
        loop {
            match client.next().await.expect("not over yet") {
                Event::Message(_, message) => heard += message.len(),
                Event::Ended(_, ended) => {
                    assert!(matches!(ended, Ended::Closed { code: 1005, .. }), "{ended:?}");
                    break;
                }
            }
        }
        assert_eq!((heard, client.lost()), (MUCH, 0));
        assert!(client.next().await.is_none() && client.is_over());
        assert_eq!(client.send(text("x")).await, Err(client::Gone));
    });
}

#[test]
fn a_client_closes_after_all_is_sent() {
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            let mut heard = Vec::<u8>::new();
            while !heard.windows(2).any(|window| window == [0x88, 0x80 | 5]) {
                let mut piece = [0; 100];
                let count = peer.read(&mut piece).await.expect("still there");
                assert!(count > 0, "no close");
                heard.extend(&piece[..count]);
            }
            say(&mut peer, &frame(0x88, &4000_u16.to_be_bytes())).await;
        })
        .await;
        let (client, _) = Client::open(&transport(), &wish(port), Moment::default()).await.expect("opened");
        for _ in 0..3 {
            client.send(text("hello")).await.expect("handed over");
        }
        client.close(Some(1000), "bye").await;
        let Some(Event::Ended(_, Ended::Closed { code, .. })) = client.next().await else { panic!("not closed") };
        assert_eq!(code, 4000);
    });
}

#[test]
fn a_server_that_never_closes_is_left() {
    run(async {
        let port = saying(Vec::new()).await;
        let (client, _) = Client::open(&transport(), &wish(port), Moment::default()).await.expect("opened");
        client.close(None, "").await;
        assert!(matches!(client.next().await, Some(Event::Ended(_, Ended::Closed { code: 1006, .. }))));
    });
}

#[test]
fn a_server_that_never_reads_is_left_with_what_waits_for_it() {
    run(async {
        let port = serve(|_, mut peer| async move {
            agree(&mut peer, "").await;
            std::future::pending::<()>().await;
        })
        .await;
        let (client, _) = Client::open(&transport(), &wish(port), Moment::default()).await.expect("opened");
        client.send(Message::Binary(vec![1; 32 << 20].into())).await.expect("handed over");
        client.send(text("never sent")).await.expect("handed over");
        client.close(None, "").await;
        assert!(matches!(client.next().await, Some(Event::Ended(_, Ended::Closed { code: 1006, .. }))));
        assert!(client.is_over());
    });
}

#[test]
fn a_plain_proxy_is_asked_for_a_tunnel() {
    use crate::load::http::Proxies;
    run(async {
        let port = serve(|_, mut peer| async move {
            let asked = hear(&mut peer).await.expect("a request");
            assert!(asked.starts_with("CONNECT far.example:80 "), "{asked}");
            say(&mut peer, b"HTTP/1.1 200 OK\r\n\r\n").await;
            agree(&mut peer, "").await;
            say(&mut peer, &frame(0x81, b"through")).await;
            linger(&mut peer).await;
        })
        .await;
        let proxies = Proxies { http: format!("http://127.0.0.1:{port}").parse().ok(), ..Proxies::default() };
        let transport = Transport::new(&Settings { proxies, ..Settings::default() }, Clock::start()).expect("good");
        let wish = Wish::new(target("ws://far.example/").expect("a URL"));
        let (mut connection, _) = open(&transport, &wish, Moment::default()).await.expect("opened");
        assert_eq!(connection.next().await.expect("a message"), text("through"));
    });
}

#[test]
fn what_is_held_while_nothing_happens_is_little() {
    fn spawnable<T: Send>(_: &T) {}
    assert!(size_of::<Connection>() < 700, "{}", size_of::<Connection>());
    let (transport, wish) = (transport(), wish(1));
    spawnable(&open(&transport, &wish, Moment::default()));
}

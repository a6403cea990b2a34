//! WebSockets on a real server: Python's `websockets`.

use http::HeaderValue;
use pyperf::clock::{Clock, Moment};
use pyperf::load::http::{Settings, Transport};
use pyperf::load::websocket::{Client, Ended, Event, Message, Refused, Wish, target};

use crate::support::socketio::run;
use crate::support::websockets::WebSockets;

fn transport() -> Transport {
    Transport::new(&Settings::default(), Clock::start()).expect("usual settings")
}

fn wish(server: &WebSockets, path: &str) -> Wish {
    Wish::new(target(&server.url(path)).expect("a URL"))
}

async fn open(wish: &Wish) -> Result<Client, Refused> {
    Client::open(&transport(), wish, Moment::default()).await.map(|(client, _)| client)
}

async fn message(client: &Client) -> Message {
    match client.next().await.expect("not over yet") {
        Event::Message(_, message) => message,
        Event::Ended(_, ended) => panic!("{ended:?}"),
    }
}

async fn ended(client: &Client) -> (u16, String) {
    match client.next().await.expect("not over yet") {
        Event::Ended(_, Ended::Closed { code, reason }) => (code, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_go_there_and_back_and_the_close_is_heard() {
    let server = WebSockets::start();
    run(async {
        let client = open(&wish(&server, "/echo")).await.expect("opened");
        for sent in [
            Message::Text("hé😀".into()),
            Message::Binary(vec![1, 0, 255].into()),
            Message::Text(String::new()),
            Message::Binary(vec![7; 3 << 20].into()),
        ] {
            client.send(sent.clone()).await.expect("sent");
            assert!(message(&client).await == sent);
        }
        client.close(Some(4000), "enough").await;
        assert_eq!(ended(&client).await, (4000, "enough".into()));
    });
    server.log().wait_for("closed: 4000 enough");
}

#[test]
fn headers_and_subprotocols_reach_the_server() {
    let server = WebSockets::start();
    run(async {
        let mut wish = wish(&server, "/headers");
        wish.headers.insert("cookie", HeaderValue::from_static("oidc-jwt=abc"));
        wish.subprotocols = vec!["chat.v3".into(), "chat.v2".into()];
        let (client, accepted) = Client::open(&transport(), &wish, Moment::default()).await.expect("opened");
        assert_eq!(accepted.subprotocol.as_deref(), Some("chat.v2"));
        assert_eq!(message(&client).await, Message::Text("oidc-jwt=abc".into()));
        assert_eq!(message(&client).await, Message::Text("chat.v2".into()));
        wish.subprotocols = vec!["chat.v3".into()];
        let refused = open(&wish).await.expect_err("refused");
        assert_eq!(refused.failure.code, "Server sent no subprotocol");
    });
}

#[test]
fn a_server_that_refuses_or_closes_is_quoted() {
    let server = WebSockets::start();
    run(async {
        let refused = open(&wish(&server, "/refuse")).await.expect_err("refused");
        assert_eq!(refused.failure.code, "Unexpected server response: 403");
        let answer = refused.failure.partial.expect("an answer");
        assert_eq!(&answer.body.bytes[..], b"not you\n");
        let client = open(&wish(&server, "/close")).await.expect("opened");
        assert_eq!(ended(&client).await, (4001, "go away".into()));
    });
}

#[test]
fn fragments_are_joined_and_pings_answered() {
    let server = WebSockets::start();
    run(async {
        let client = open(&wish(&server, "/fragments")).await.expect("opened");
        assert_eq!(message(&client).await, Message::Text("abc".into()));
        assert_eq!(message(&client).await.len(), 70_003);
        assert_eq!(message(&client).await, Message::Text("answered".into()));
    });
}

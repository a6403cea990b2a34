//! The transport against servers that do as they please: each misbehaviour has its class, and nobody hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::loopback::{Peer, always, hear, linger, once, run, say, serve};
use super::{
    Answer, Connections, Exchange, Failure, Keep, Missing, Outgoing, Proxies, Settings, Sockets, Stage, Target,
    TlsSettings, Transport,
};
use crate::clock::{Clock, Moment};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello";

/// One user.
struct User {
    transport: Arc<Transport>,
    connections: Connections,
}

impl User {
    fn new(settings: &Settings) -> Self {
        let transport = Arc::new(Transport::new(settings, Clock::start()).expect("good settings"));
        Self { connections: transport.connections(), transport }
    }

    fn hasty() -> Self {
        Self::new(&Settings { timeout: Duration::from_millis(300), ..Settings::default() })
    }

    async fn get(&self, url: &str) -> Exchange {
        self.send(get(url)).await
    }

    async fn send(&self, outgoing: Outgoing) -> Exchange {
        self.transport.exchange(&self.connections, outgoing).await
    }
}

fn get(url: &str) -> Outgoing {
    Outgoing {
        method: Method::GET,
        target: Target::parse(url).expect("a URL"),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        http2: false,
        keep: Keep::Whole(1 << 20),
        due: Moment::default(),
    }
}

fn post(url: &str, body: impl Into<Bytes>) -> Outgoing {
    Outgoing { method: Method::POST, body: body.into(), ..get(url) }
}

fn here(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

fn answer(exchange: &Exchange) -> &Answer {
    exchange.outcome.as_ref().expect("an answer")
}

fn failure(exchange: &Exchange) -> &Failure {
    exchange.outcome.as_ref().expect_err("a failure")
}

/// What becomes of one request to a server that gives one answer on each connection.
fn told(answer: &'static [u8]) -> Exchange {
    run(async { User::new(&Settings::default()).get(&here(once(answer).await)).await })
}

fn code(exchange: &Exchange) -> (&str, Stage) {
    let failure = failure(exchange);
    (&failure.code, failure.stage)
}

#[test]
fn a_response_comes_with_all_its_times() {
    run(async {
        let port = always(HELLO).await;
        let user = User::new(&Settings::default());
        let first = user.get(&here(port)).await;
        assert_eq!(answer(&first).status, 200);
        assert_eq!(answer(&first).headers["x-a"], "b");
        assert_eq!(&answer(&first).body.bytes[..], b"hello");
        assert!(answer(&first).body.is_complete());
        let times = first.timings;
        let (sent, head) = (times.sent.expect("sent"), times.head.expect("come"));
        assert!(Moment::default() < sent && sent <= head && head <= times.done);
        assert!(times.connect.is_some() && times.dns.is_none() && times.tls.is_none());
        assert_eq!((times.reused, times.received, times.queued), (false, 5, Duration::ZERO));
        let second = user.get(&here(port)).await;
        assert!(second.timings.reused && second.timings.connect.is_none());
        assert_eq!(second.timings.local_port, times.local_port);
    });
}

#[test]
fn the_request_is_framed_and_addressed() {
    run(async {
        let port = serve(|_, mut peer| async move {
            while let Some(request) = hear(&mut peer).await {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len());
                say(&mut peer, head.as_bytes()).await;
            }
        })
        .await;
        let user = User::new(&Settings::default());
        let mut outgoing = post(&here(port), "some body");
        outgoing.headers.insert("content-length", HeaderValue::from_static("3"));
        outgoing.headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        let text = answer(&user.send(outgoing).await).body.bytes.clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.starts_with("POST / HTTP/1.1\r\n") && text.ends_with("\r\n\r\nsome body"), "{text}");
        assert!(
            text.contains("content-length: 9\r\n") && text.contains(&format!("host: 127.0.0.1:{port}\r\n")),
            "{text}"
        );
        assert!(!text.contains("chunked"), "{text}");
        let mut outgoing = get(&here(port));
        outgoing.headers.insert("host", HeaderValue::from_static("another"));
        let text = answer(&user.send(outgoing).await).body.bytes.clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("host: another\r\n") && !text.contains("content-length"), "{text}");
        let text = answer(&user.send(post(&here(port), "")).await).body.bytes.clone();
        assert!(String::from_utf8_lossy(&text).contains("content-length: 0\r\n"));
    });
}

#[test]
fn every_framing_of_a_body_is_understood() {
    let body = |answer_: &'static [u8]| {
        let exchange = told(answer_);
        let body = answer(&exchange).body.clone();
        assert!(body.is_complete(), "{body:?}");
        String::from_utf8_lossy(&body.bytes).into_owned()
    };
    assert_eq!(body(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"), "abcde");
    assert_eq!(
        body(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n2\r\nab\r\n0\r\nx: y\r\n\r\n"),
        "ab"
    );
    assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"), "until the end");
    assert_eq!(body(b"HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nold"), "old");
    assert_eq!(body(b"HTTP/1.1 204 No Content\r\ncontent-length: 7\r\n\r\n"), "");
    assert_eq!(body(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"), "");
    assert_eq!(body(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), "ok");
    let head = run(async {
        let port = once(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        User::new(&Settings::default()).send(Outgoing { method: Method::HEAD, ..get(&here(port)) }).await
    });
    assert!(answer(&head).body.is_complete());
}

#[test]
fn what_is_not_http_is_named_as_nodes_parser_names_it() {
    let awaiting = Stage::AwaitingHead;
    assert_eq!(code(&told(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")), ("HPE_INVALID_CONSTANT", awaiting));
    assert_eq!(code(&told(b"HTTP/1.1 abc OK\r\n\r\n")), ("HPE_INVALID_STATUS", awaiting));
    assert_eq!(code(&told(b"HTTP/1.1 200 OK\r\na header\r\n\r\n")), ("HPE_INVALID_HEADER_TOKEN", awaiting));
    assert_eq!(
        code(&told(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n")),
        ("HPE_UNEXPECTED_CONTENT_LENGTH", awaiting)
    );
    let chunk = told(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n");
    assert_eq!(code(&chunk), ("HPE_INVALID_CHUNK_SIZE", Stage::ReceivingBody));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_says_it_ends(start in 0usize..6, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let starts = [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\ncontent-length: 100\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        ];
        let said = [starts[start].as_bytes(), &rest].concat();
        run(async {
            let port = serve(move |_, mut peer| {
                let said = said.clone();
                async move {
                    hear(&mut peer).await;
                    say(&mut peer, &said).await;
                }
            })
            .await;
            let exchange = User::new(&Settings::default()).get(&here(port)).await;
            assert!(exchange.timings.sent.is_some());
            if let Err(failure) = &exchange.outcome {
                assert_ne!(failure.code, "ETIMEDOUT", "{failure:?}");
            }
        });
    }
}

#[test]
fn a_giant_head_is_refused() {
    run(async {
        let port = serve(|_, mut peer| async move {
            hear(&mut peer).await;
            say(&mut peer, b"HTTP/1.1 200 OK\r\n").await;
            for _ in 0..100_000 {
                if peer.write_all(b"x-header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await.is_err() {
                    return;
                }
            }
        })
        .await;
        assert_eq!(
            code(&User::new(&Settings::default()).get(&here(port)).await),
            ("HPE_HEADER_OVERFLOW", Stage::AwaitingHead)
        );
    });
}

#[test]
fn a_connection_that_breaks_is_a_reset_wherever_it_breaks() {
    assert_eq!(code(&told(b"")), ("ECONNRESET", Stage::AwaitingHead));
    assert_eq!(code(&told(b"HTTP/1.1 200")), ("ECONNRESET", Stage::AwaitingHead));
    let short = told(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort");
    assert_eq!(code(&short), ("ECONNRESET", Stage::ReceivingBody));
    let partial = failure(&short).partial.as_ref().expect("the head had come");
    assert_eq!((partial.status.as_u16(), &partial.body.bytes[..]), (200, &b"short"[..]));
    assert_eq!(partial.body.missing, Some(Missing::Broken));
    assert_eq!(short.timings.received, 5);
    let chunked = told(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
    assert_eq!(code(&chunked), ("ECONNRESET", Stage::ReceivingBody));
    run(async {
        let port = serve(|_, mut peer| async move {
            hear(&mut peer).await;
            say(&mut peer, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await;
            peer.set_zero_linger().expect("a socket");
        })
        .await;
        let exchange = User::new(&Settings::default()).get(&here(port)).await;
        assert_eq!(failure(&exchange).code, "ECONNRESET");
    });
}

#[test]
fn a_connection_that_breaks_under_an_upload_is_told_as_such() {
    run(async {
        let port = serve(|_, mut peer| async move {
            peer.read_exact(&mut [0; 4096]).await.expect("the start of a request");
            peer.set_zero_linger().expect("a socket");
        })
        .await;
        let exchange = User::new(&Settings::default()).send(post(&here(port), vec![b'x'; 32 << 20])).await;
        let (code, stage) = code(&exchange);
        assert!(["ECONNRESET", "EPIPE"].contains(&code), "{:?}", failure(&exchange));
        assert_eq!(stage, Stage::Sending);
    });
}

#[test]
fn silence_times_out_at_its_stage() {
    run(async {
        let silent = serve(|_, mut peer| async move { linger(&mut peer).await }).await;
        let exchange = User::hasty().get(&here(silent)).await;
        assert_eq!(code(&exchange), ("ETIMEDOUT", Stage::AwaitingHead));
        assert!(exchange.timings.sent.is_some() && exchange.timings.head.is_none());

        let halting = serve(|_, mut peer| async move {
            hear(&mut peer).await;
            say(&mut peer, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
            linger(&mut peer).await;
        })
        .await;
        let exchange = User::hasty().get(&here(halting)).await;
        assert_eq!(code(&exchange), ("ETIMEDOUT", Stage::ReceivingBody));
        assert_eq!(&failure(&exchange).partial.as_ref().expect("a head").body.bytes[..], b"half");

        let deaf = serve(|_, peer| async move {
            std::future::pending::<()>().await;
            drop(peer);
        })
        .await;
        let exchange = User::hasty().send(post(&here(deaf), vec![b'x'; 32 << 20])).await;
        assert_eq!(code(&exchange), ("ETIMEDOUT", Stage::Sending));
        assert!(exchange.timings.sent.is_none());
    });
}

#[test]
fn a_body_without_end_is_bounded_in_time_and_memory() {
    run(async {
        let port = serve(|_, mut peer| async move {
            hear(&mut peer).await;
            say(&mut peer, b"HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        let exchange = User::hasty().send(Outgoing { keep: Keep::Start(10), ..get(&here(port)) }).await;
        assert_eq!(code(&exchange), ("ETIMEDOUT", Stage::ReceivingBody));
        assert_eq!(failure(&exchange).partial.as_ref().expect("a head").body.bytes.len(), 10);
        assert!(exchange.timings.received > 4096);
    });
}

#[test]
fn a_body_is_decoded_as_far_as_it_is_kept() {
    run(async {
        let port = serve(|_, mut peer| async move {
            use std::io::Write;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![0; 10_000_000]).expect("memory");
            let body = encoder.finish().expect("memory");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
            while hear(&mut peer).await.is_some() {
                say(&mut peer, &[head.as_bytes(), &body].concat()).await;
            }
        })
        .await;
        let user = User::new(&Settings::default());
        let whole = user.get(&here(port)).await;
        assert_eq!(answer(&whole).body.missing, Some(Missing::Cut), "ratio and cap both bound it");
        assert_eq!(answer(&whole).body.bytes.len(), 1 << 20);
        let start = user.send(Outgoing { keep: Keep::Start(100), ..get(&here(port)) }).await;
        assert_eq!((answer(&start).body.bytes.len(), &answer(&start).body.missing), (100, &Some(Missing::Cut)));
        let nothing = user.send(Outgoing { keep: Keep::Nothing, ..get(&here(port)) }).await;
        assert_eq!((answer(&nothing).body.bytes.len(), &answer(&nothing).body.missing), (0, &Some(Missing::NotKept)));
        assert_eq!(nothing.timings.received, whole.timings.received);
        assert!(nothing.timings.reused);
    });
    let lie = told(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 5\r\n\r\nplain");
    assert!(matches!(answer(&lie).body.missing, Some(Missing::Undecodable(_))));
    assert_eq!(&answer(&lie).body.bytes[..], b"plain");
}

#[test]
fn a_connection_closed_at_rest_is_replaced_without_an_error() {
    run(async {
        let closed = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&closed);
        let port = serve(move |_, mut peer| {
            let told = Arc::clone(&told);
            async move {
                hear(&mut peer).await;
                say(&mut peer, HELLO).await;
                peer.shutdown().await.expect("open");
                told.notify_one();
                linger(&mut peer).await;
            }
        })
        .await;
        let user = User::new(&Settings::default());
        for _ in 0..3 {
            let exchange = user.get(&here(port)).await;
            assert_eq!(answer(&exchange).status, 200);
            assert!(!exchange.timings.reused);
            closed.notified().await;
            // The runtime looks at its sockets before it goes on.
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_connection_that_rests_can_be_made_small_and_used_again() {
    run(async {
        let port = always(HELLO).await;
        let user = User::new(&Settings::default());
        for round in 0..4 {
            let exchange = user.get(&here(port)).await;
            assert_eq!(exchange.timings.reused, round > 0);
            assert_eq!(user.connections.resting(), (1, 0));
            if round % 2 == 0 {
                user.connections.reduce();
                assert_eq!(user.connections.resting(), (1, 1));
            }
        }
        // What belongs to no response is no part of a connection that goes on.
        let port = always(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more than promised").await;
        let user = User::new(&Settings::default());
        assert_eq!(answer(&user.get(&here(port)).await).status, 200);
        user.connections.reduce();
        assert_eq!(user.connections.resting(), (0, 0));
    });
}

#[test]
fn whoever_goes_round_among_many_origins_keeps_small_connections() {
    run(async {
        let user = User::new(&Settings::default());
        for _ in 0..6 {
            assert_eq!(answer(&user.get(&here(always(HELLO).await)).await).status, 200);
        }
        let (all, small) = user.connections.resting();
        assert!(all == 6 && small >= 5, "{small} of {all}");
    });
}

#[test]
fn what_cannot_be_used_again_is_not() {
    for answer_ in [
        &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more than promised",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        run(async {
            let port = always(answer_).await;
            let user = User::new(&Settings::default());
            for _ in 0..2 {
                let exchange = user.get(&here(port)).await;
                assert_eq!(&answer(&exchange).body.bytes[..], b"ok");
                assert!(!exchange.timings.reused);
            }
        });
    }
}

#[test]
fn a_refused_connection_and_an_unknown_host_say_so() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let user = User::new(&Settings::default());
        let exchange = user.get(&here(port)).await;
        assert_eq!(code(&exchange), ("ECONNREFUSED", Stage::Connecting));
        assert!(exchange.timings.sent.is_none());
        let exchange = user.get("http://no-such-host.invalid/").await;
        assert_eq!(failure(&exchange).stage, Stage::Resolving);
        assert!(["ENOTFOUND", "EAI_AGAIN"].contains(&&*failure(&exchange).code), "{:?}", failure(&exchange));
    });
}

#[test]
fn localhost_works_whatever_its_first_address_is() {
    run(async {
        let port = always(HELLO).await;
        let exchange = User::new(&Settings::default()).get(&format!("http://localhost:{port}/")).await;
        assert_eq!(answer(&exchange).status, 200);
        assert!(exchange.timings.dns.is_some());
    });
}

#[test]
fn sockets_are_shared_as_set_and_the_wait_is_told() {
    for (sockets, users, expected) in
        [(Sockets::PerUser(1), 1, 1), (Sockets::PerUser(1), 3, 3), (Sockets::Shared(2), 4, 2)]
    {
        run(async {
            let made = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&made);
            let port = serve(move |number, mut peer| {
                count.store(number + 1, Ordering::Relaxed);
                async move {
                    while hear(&mut peer).await.is_some() {
                        say(&mut peer, HELLO).await;
                    }
                }
            })
            .await;
            let transport =
                Arc::new(Transport::new(&Settings { sockets, ..Settings::default() }, Clock::start()).expect("good"));
            let mut tasks = Vec::new();
            for _ in 0..users {
                let connections = transport.connections();
                for _ in 0..2 {
                    let (transport, connections) = (Arc::clone(&transport), connections.clone());
                    tasks.push(tokio::spawn(async move { transport.exchange(&connections, get(&here(port))).await }));
                }
            }
            let mut queued = 0;
            for task in tasks {
                let exchange = task.await.expect("no panic");
                assert_eq!(answer(&exchange).status, 200);
                queued += usize::from(!exchange.timings.queued.is_zero());
            }
            assert_eq!(made.load(Ordering::Relaxed), expected);
            assert_eq!(queued, 2 * users - expected);
        });
    }
}

/// A throw-away certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    fn of(params: &rcgen::CertificateParams) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn local() -> Self {
        Self::of(&rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names"))
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM")]
    }

    fn server(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM");
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain(), key)
            .expect("a certificate");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn secure(acceptor: TlsAcceptor) -> u16 {
    serve(move |_, peer| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut peer) = acceptor.accept(peer).await else { return };
            while hear(&mut peer).await.is_some() {
                say(&mut peer, HELLO).await;
            }
        }
    })
    .await
}

fn trusting(tls: TlsSettings) -> User {
    User::new(&Settings { tls, ..Settings::default() })
}

fn safely(port: u16) -> String {
    format!("https://127.0.0.1:{port}/")
}

#[test]
fn tls_is_checked_unless_it_is_not_to_be() {
    run(async {
        let identity = Identity::local();
        let port = secure(identity.server(&[])).await;
        let exchange = trusting(TlsSettings::default()).get(&safely(port)).await;
        assert_eq!(code(&exchange), ("DEPTH_ZERO_SELF_SIGNED_CERT", Stage::Handshaking), "{:?}", failure(&exchange));
        let user = trusting(TlsSettings { verify: false, ..TlsSettings::default() });
        let exchange = user.get(&safely(port)).await;
        assert_eq!(answer(&exchange).status, 200);
        assert!(exchange.timings.tls.is_some());
        assert!(user.get(&safely(port)).await.timings.reused);
        let trust = |server_name: Option<&str>| TlsSettings {
            authorities: vec![identity.certificate.clone().into_bytes()],
            server_name: server_name.map(str::to_owned),
            ..TlsSettings::default()
        };
        assert_eq!(answer(&trusting(trust(None)).get(&safely(port)).await).status, 200);
        assert_eq!(answer(&trusting(trust(Some("localhost"))).get(&safely(port)).await).status, 200);
        let exchange = trusting(trust(Some("another"))).get(&safely(port)).await;
        assert_eq!(failure(&exchange).code, "ERR_TLS_CERT_ALTNAME_INVALID");
    });
}

#[test]
fn certificates_are_refused_for_their_reason() {
    run(async {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let authority_pem = params.self_signed(&key).expect("signed").pem();
        let authority = rcgen::Issuer::new(params, key);
        let issue = |year: i32| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
            params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let certificate = params.signed_by(&key, &authority).expect("signed");
            Identity { certificate: certificate.pem(), key: key.serialize_pem() }
        };
        let settings = TlsSettings { authorities: vec![authority_pem.into_bytes()], ..TlsSettings::default() };
        let port = secure(issue(2020).server(&[])).await;
        assert_eq!(failure(&trusting(settings.clone()).get(&safely(port)).await).code, "CERT_HAS_EXPIRED");
        let port = secure(issue(4000).server(&[])).await;
        assert_eq!(failure(&trusting(settings).get(&safely(port)).await).code, "CERT_NOT_YET_VALID");
        let exchange = trusting(TlsSettings {
            authorities: vec![Identity::local().certificate.into_bytes()],
            ..TlsSettings::default()
        });
        let key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &authority).expect("signed");
        let port = secure(Identity { certificate: leaf.pem(), key: key.serialize_pem() }.server(&[])).await;
        assert_eq!(failure(&exchange.get(&safely(port)).await).code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    });
}

#[test]
fn a_client_shows_its_certificate_when_it_has_one() {
    run(async {
        let (server, client) = (Identity::local(), Identity::local());
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(client.chain());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let key = PrivatePkcs8KeyDer::from_pem_slice(server.key.as_bytes()).expect("PEM");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(server.chain(), key.into())
            .expect("a certificate");
        let port = secure(TlsAcceptor::from(Arc::new(config))).await;
        let identity = Some((client.certificate.into_bytes(), client.key.into_bytes()));
        let user = trusting(TlsSettings { verify: false, identity, ..TlsSettings::default() });
        assert_eq!(answer(&user.get(&safely(port)).await).status, 200);
        let user = trusting(TlsSettings { verify: false, ..TlsSettings::default() });
        let exchange = user.get(&safely(port)).await;
        assert_eq!(failure(&exchange).code, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "{:?}", failure(&exchange));
    });
}

#[test]
fn a_plain_server_is_no_tls_server() {
    run(async {
        let port = serve(|_, mut peer| async move { say(&mut peer, b"HTTP/1.1 400 Bad Request\r\n\r\n").await }).await;
        let exchange = trusting(TlsSettings::default()).get(&safely(port)).await;
        assert_eq!(code(&exchange), ("ERR_SSL_WRONG_VERSION_NUMBER", Stage::Handshaking));
        let port = serve(|_, peer| async move { drop(peer) }).await;
        let exchange = trusting(TlsSettings::default()).get(&safely(port)).await;
        assert_eq!(code(&exchange), ("ECONNRESET", Stage::Handshaking), "{:?}", failure(&exchange));
        let port = serve(|_, mut peer| async move { linger(&mut peer).await }).await;
        let exchange = User::hasty().get(&safely(port)).await;
        assert_eq!(code(&exchange), ("ETIMEDOUT", Stage::Handshaking));
    });
}

#[test]
fn http2_is_spoken_where_both_want_it() {
    run(async {
        let acceptor = Identity::local().server(&["h2", "http/1.1"]);
        let port = serve(move |_, peer| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut peer) = acceptor.accept(peer).await else { return };
                echo_over_http2(&mut peer).await;
            }
        })
        .await;
        let user = trusting(TlsSettings { verify: false, ..TlsSettings::default() });
        let outgoing = Outgoing { http2: true, ..post(&safely(port), "a body") };
        let first = user.send(outgoing.clone()).await;
        assert_eq!(answer(&first).version, http::Version::HTTP_2, "{first:?}");
        assert_eq!(&answer(&first).body.bytes[..], b"a body");
        assert!(first.timings.sent.is_some() && first.timings.tls.is_some());
        assert!(user.send(outgoing.clone()).await.timings.reused);
        assert!(!user.get(&safely(port)).await.timings.reused, "who does not offer HTTP/2 does not get it");
        let reset = user.send(Outgoing { body: "reset".into(), ..outgoing.clone() }).await;
        assert_eq!(code(&reset), ("ERR_HTTP2_STREAM_ERROR", Stage::AwaitingHead), "{:?}", failure(&reset));
        let closed = user.send(Outgoing { body: "close".into(), ..outgoing.clone() }).await;
        assert_eq!(code(&closed), ("ECONNRESET", Stage::AwaitingHead), "{:?}", failure(&closed));
        let plain = secure(Identity::local().server(&["http/1.1"])).await;
        let exchange = user.send(Outgoing { http2: true, ..get(&safely(plain)) }).await;
        assert_eq!(answer(&exchange).version, http::Version::HTTP_11);
    });
}

/// The least of HTTP/2 (RFC 9113): answers 200 with the body of the request, one request at a time.
async fn echo_over_http2(peer: &mut impl Peer) -> Option<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    peer.read_exact(&mut [0; 24]).await.ok()?;
    say(peer, &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
    let mut body = Vec::new();
    for _ in 0..1000 {
        let mut head = [0; 9];
        peer.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
        peer.read_exact(&mut payload).await.ok()?;
        match kind {
            SETTINGS if flags == 0 => say(peer, &[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0]).await,
            DATA => body.extend_from_slice(&payload),
            _ => (),
        }
        if body == b"close" {
            return None;
        } else if body == b"reset" {
            say(peer, &[&[0, 0, 4, RST_STREAM, 0][..], &stream, &[0, 0, 0, 2]].concat()).await;
            body.clear();
        } else if matches!(kind, DATA | HEADERS) && flags & 1 == 1 {
            // `:status: 200` is entry 8 of the table that HPACK starts with.
            say(peer, &[&[0, 0, 1, HEADERS, 4][..], &stream, &[0x88]].concat()).await;
            let length = u8::try_from(body.len()).expect("a short body");
            say(peer, &[&[0, 0, length, DATA, 1][..], &stream, &body].concat()).await;
            body.clear();
        }
    }
    None
}

#[test]
fn a_proxy_is_asked_in_absolute_form_and_told_who_asks() {
    run(async {
        let port = serve(|_, mut peer| async move {
            while let Some(request) = hear(&mut peer).await {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len());
                say(&mut peer, head.as_bytes()).await;
            }
        })
        .await;
        let proxies =
            Proxies { http: Url::parse(&format!("http://me:secret@127.0.0.1:{port}")).ok(), ..Proxies::default() };
        let user = User::new(&Settings { proxies, ..Settings::default() });
        let exchange = user.get("http://some.where/path?q").await;
        let text = String::from_utf8_lossy(&answer(&exchange).body.bytes).into_owned();
        assert!(text.starts_with("GET http://some.where/path?q HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("host: some.where\r\n"), "{text}");
        assert!(text.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{text}");
    });
}

#[test]
fn a_tunnel_is_asked_for_and_its_refusal_told() {
    run(async {
        let acceptor = Identity::local().server(&[]);
        let port = serve(move |_, mut peer| {
            let acceptor = acceptor.clone();
            async move {
                let Some(request) = hear(&mut peer).await else { return };
                if !request.starts_with("CONNECT some.where:443 HTTP/1.1\r\n")
                    || !request.contains("Basic bWU6c2VjcmV0")
                {
                    return say(&mut peer, b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                        .await;
                }
                say(&mut peer, b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                let Ok(mut peer) = acceptor.accept(peer).await else { return };
                while hear(&mut peer).await.is_some() {
                    say(&mut peer, HELLO).await;
                }
            }
        })
        .await;
        let user = |login: &str| {
            let proxies =
                Proxies { https: Url::parse(&format!("http://{login}127.0.0.1:{port}")).ok(), ..Proxies::default() };
            let tls = TlsSettings { verify: false, ..TlsSettings::default() };
            User::new(&Settings { tls, proxies, ..Settings::default() })
        };
        let known = user("me:secret@");
        assert_eq!(answer(&known.get("https://some.where/").await).status, 200);
        assert!(known.get("https://some.where/").await.timings.reused);
        let exchange = user("").get("https://some.where/").await;
        assert_eq!(code(&exchange), ("ERR_PROXY_CONNECT_407", Stage::Connecting));
        assert_eq!(failure(&exchange).partial.as_ref().expect("its answer").status, 407);
    });
}

#[test]
fn an_exchange_is_light_and_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: &T) {}
    let user = User::hasty();
    let exchange = async move { user.get("http://127.0.0.1/").await };
    spawnable(&exchange);
    let user = User::hasty();
    let future = user.transport.exchange(&user.connections, get("http://127.0.0.1/"));
    assert!(size_of_val(&future) < 1024, "{}", size_of_val(&future));
}

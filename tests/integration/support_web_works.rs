//! Tests of the web servers of the support, by clients that are written here: plain sockets, and rustls where it must be.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::support::wait::PATIENCE;
use crate::support::web::WebServer;
use crate::support::web::encodings::BOMB;
use crate::support::web::ports::{FullBacklog, dead_port};
use crate::support::web::proxy::Proxy;
use crate::support::web::routes::DOCUMENT;
use crate::support::web::stalling::StallingServer;
use crate::support::web::tls::{Certificate, Client, Tls};

/// What came back: all that could be read, and how the reading ended.
struct Came {
    bytes: Vec<u8>,
    end: Result<(), ErrorKind>,
}

impl Came {
    fn head(&self) -> String {
        let end = find(&self.bytes, b"\r\n\r\n").unwrap_or(self.bytes.len());
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }

    fn body(&self) -> &[u8] {
        find(&self.bytes, b"\r\n\r\n").map_or(&[], |end| &self.bytes[end + 4..])
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.head()))
    }

    fn status(&self) -> u16 {
        self.head().split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status")
    }

    fn header(&self, name: &str) -> Option<String> {
        let head = self.head();
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&server, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("it is not zero");
    stream
}

/// Writes a request on a connection of its own and reads to the end.
fn send(server: SocketAddr, request: &str) -> Came {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(|_| ()).map_err(|error| error.kind());
    Came { bytes, end }
}

fn get(server: &WebServer, target: &str) -> Came {
    get_with(server, target, "")
}

/// With further headers, each with its line's end.
fn get_with(server: &WebServer, target: &str, headers: &str) -> Came {
    send(server.address(), &format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n"))
}

fn post(server: &WebServer, target: &str, content_type: &str, body: &str) -> Came {
    let length = body.len();
    let headers =
        format!("Host: test\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}");
    send(server.address(), &format!("POST {target} HTTP/1.1\r\n{headers}\r\n\r\n{body}"))
}

/// Reads one answer with a length from a connection that stays.
fn read_answer(reader: &mut impl BufRead) -> Came {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_ne!(reader.read_until(b'\n', &mut bytes).expect("it answers"), 0, "it ends before its head does");
    }
    let mut came = Came { bytes, end: Ok(()) };
    let length = came.header("content-length").and_then(|length| length.parse().ok()).expect("it has a length");
    reader.take(length).read_to_end(&mut came.bytes).expect("it sends its body");
    came
}

#[test]
fn a_request_is_seen_as_it_was_sent() {
    let server = WebServer::start();
    let echo = send(
        server.address(),
        "PUT /echo?a=1&b=x%20y HTTP/1.1\r\nX-Two: 1\r\nHOST: test\r\nx-two: 2\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n3\r\nabc\r\n2;extension\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    let echo = echo.json();
    assert_eq!(echo["method"], "PUT");
    assert_eq!(echo["target"], "/echo?a=1&b=x%20y");
    assert_eq!(echo["query"], json!({"a": "1", "b": "x y"}));
    assert_eq!(echo["headers"]["x-two"], "1, 2");
    assert_eq!((&echo["body"], &echo["body_base64"]), (&json!("abcde"), &json!("YWJjZGU=")));

    let requests = server.requests();
    let names: Vec<&str> = requests[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-Two", "HOST", "x-two", "Transfer-Encoding", "Connection"]);
    assert_eq!((requests[0].body.as_slice(), requests[0].order), (b"abcde".as_slice(), 1));
}

#[test]
fn a_connection_is_kept_until_either_side_ends_it() {
    let server = WebServer::start();
    let mut reader = BufReader::new(connect(server.address()));
    for (order, path) in [(1, "/counter"), (2, "/counter"), (3, "/close")] {
        write!(reader.get_mut(), "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("it reads");
        let answer = read_answer(&mut reader);
        if path == "/counter" {
            assert_eq!(answer.json(), json!({"n": order}));
        } else {
            assert_eq!(answer.header("connection").as_deref(), Some("close"));
        }
    }
    assert_eq!(reader.read(&mut [0]).expect("it ends well"), 0);
    assert_eq!(get(&server, "/token").json(), json!({"token": "secret-4"}));
    assert_eq!(server.connections(), 2);
    let connections: Vec<usize> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1, 2]);
}

#[test]
fn a_malformed_request_is_refused_and_not_recorded() {
    let server = WebServer::start();
    for request in
        ["GET /\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
    {
        assert_eq!(send(server.address(), request).status(), 400, "{request}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn documents_and_statuses() {
    let server = WebServer::start();
    let document: Value = serde_json::from_slice(DOCUMENT).expect("it is JSON");
    for path in ["/json", "/head", "/close", "/http10", "/server-timing", "/etag", "/many-headers"] {
        assert_eq!(get(&server, path).json(), document, "{path}");
    }
    assert!(get(&server, "/http10").head().starts_with("HTTP/1.0 200"));
    assert_eq!(get(&server, "/http10").header("content-length"), None);
    assert_eq!(get(&server, "/server-timing").header("server-timing").as_deref(), Some("total;dur=12.5"));
    assert_eq!(get(&server, "/many-headers?n=300").head().matches("X-Header-").count(), 300);
    assert_eq!(get(&server, "/items").json().as_array().map(Vec::len), Some(3));
    let page = String::from_utf8(get(&server, "/page").body().to_vec()).expect("it is text");
    assert!(page.contains("csrf-1234") && page.matches("class=\"entry").count() == 3, "{page}");
    assert!(String::from_utf8(get(&server, "/utf8").body().to_vec()).is_err());

    assert_eq!(get(&server, "/status/503").json(), json!({"status": 503}));
    assert_eq!((get(&server, "/status/204").status(), get(&server, "/status/204").body().len()), (204, 0));
    assert_eq!(get(&server, "/nothing").status(), 404);
    let fresh = get_with(&server, "/etag", "If-None-Match: \"v1\"\r\n");
    assert_eq!((fresh.status(), fresh.body().len()), (304, 0));
    let head = send(server.address(), "HEAD /head HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(head.header("content-length"), Some(DOCUMENT.len().to_string()));
    assert_eq!((head.header("x-head").as_deref(), head.body().len()), (Some("yes"), 0));
}

#[test]
fn chunks_and_trailers() {
    let server = WebServer::start();
    let chunked = get(&server, "/chunked");
    // A chunk may end inside a letter.
    let chunked = String::from_utf8_lossy(chunked.body());
    assert!(chunked.starts_with("10\r\n{\"name\"") && chunked.ends_with("\r\n0\r\n\r\n"), "{chunked}");
    assert!(get(&server, "/chunked-trailers").body().ends_with(b"\r\n0\r\nX-Trailer: last\r\n\r\n"));
    assert!(get(&server, "/informational").bytes.starts_with(b"HTTP/1.1 103"));
}

#[test]
fn encodings() {
    let server = WebServer::start();
    let decoded = |path, decode: fn(&[u8]) -> io::Result<Vec<u8>>| decode(get(&server, path).body());
    let expected = DOCUMENT.to_vec();
    assert_eq!(decoded("/gzip", |body| all(GzDecoder::new(body))).expect("it is gzip"), expected);
    assert_eq!(decoded("/deflate", |body| all(ZlibDecoder::new(body))).expect("it is zlib"), expected);
    assert_eq!(decoded("/raw-deflate", |body| all(DeflateDecoder::new(body))).expect("it is deflate"), expected);
    let brotli = |body: &[u8]| all(brotli_decompressor::Decompressor::new(body, 4096));
    assert_eq!(decoded("/br", brotli).expect("it is brotli"), expected);
    let zstd = |body: &[u8]| all(ruzstd::decoding::StreamingDecoder::new(body).map_err(io::Error::other)?);
    assert_eq!(decoded("/zstd", zstd).expect("it is zstd"), expected);

    let bomb = get(&server, "/gzip-bomb");
    assert!(bomb.body().len() < 20_000, "{}", bomb.body().len());
    assert_eq!(io::copy(&mut GzDecoder::new(bomb.body()), &mut io::sink()).expect("it is gzip"), BOMB);
    assert!(decoded("/bad-gzip", |body| all(GzDecoder::new(body))).is_err());
    assert_eq!(get(&server, "/unknown-coding").header("content-encoding").as_deref(), Some("rot13"));
}

fn all(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map(|_| bytes)
}

#[test]
fn redirects_cookies_and_credentials() {
    let server = WebServer::start();
    let location = |target: &str| {
        let answer = get(&server, target);
        (answer.status(), answer.header("location").expect("it says where"))
    };
    assert_eq!(location("/redirect/2"), (302, "/redirect/1".to_owned()));
    assert_eq!(location("/redirect/1"), (302, "/echo".to_owned()));
    assert_eq!(location("/redirect-to?url=http%3A%2F%2Fh%2Fx&status=307"), (307, "http://h/x".to_owned()));
    assert_eq!(location("/redirect-loop"), (302, "/redirect-loop".to_owned()));

    let set = get(&server, "/set-cookie?a=1&b=2&Path=/x&Max-Age=0");
    assert_eq!(set.json(), json!({"a": "1", "b": "2"}));
    let head = set.head();
    assert!(head.contains("Set-Cookie: a=1; Path=/x; Max-Age=0\r\nSet-Cookie: b=2; Path=/x; Max-Age=0"), "{head}");
    let cookies = get_with(&server, "/cookies", "Cookie: a=1; b=x=y\r\nCookie: c=3\r\n");
    assert_eq!(cookies.json(), json!({"a": "1", "b": "x=y", "c": "3"}));

    let with = |credentials: &str| {
        get_with(&server, "/basic-auth/me/pass", &format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials)))
    };
    assert_eq!((with("me:pass").status(), with("me:other").status()), (200, 401));
    assert!(get(&server, "/basic-auth/me/pass").header("www-authenticate").is_some());
}

#[test]
fn forms() {
    let server = WebServer::start();
    let form = post(&server, "/form", "application/x-www-form-urlencoded", "a=1&name=Zo%C3%AB+B&a=2");
    assert_eq!(form.json(), json!({"a": "1, 2", "name": "Zoë B"}));

    let body = "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xyz\r\nContent-Disposition: form-data; \
                name=\"file\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\ntwo\r\nlines\r\n--xyz--\r\n";
    let parts = post(&server, "/multipart", "multipart/form-data; boundary=xyz", body).json();
    let first = json!({"name": "a", "filename": null, "content_type": null, "size": 1, "text": "1"});
    let second =
        json!({"name": "file", "filename": "f.txt", "content_type": "text/plain", "size": 10, "text": "two\r\nlines"});
    assert_eq!(parts, json!([first, second]));
}

#[test]
fn connections_that_break() {
    let server = WebServer::start();
    for (path, bytes) in [("/reset", 0), ("/reset-mid-head", 27), ("/reset-mid-body", 55)] {
        let came = get(&server, path);
        assert_eq!((came.end, came.bytes.len()), (Err(ErrorKind::ConnectionReset), bytes), "{path}");
    }
    assert_eq!((get(&server, "/empty").end, get(&server, "/empty").bytes.len()), (Ok(()), 0));
    for path in
        ["/short", "/short-chunks", "/bad-chunk", "/bad-header", "/bad-status-line", "/not-http", "/two-lengths"]
    {
        let came = get(&server, path);
        assert!(came.end == Ok(()) && !came.bytes.is_empty(), "{path}: {:?}", came.head());
    }
    assert_eq!(get(&server, "/long").body(), b"four and more");
    assert_eq!(get(&server, "/huge-header").header("x-huge").map(|value| value.len()), Some(1024 * 1024));

    let idle = send(server.address(), "GET /close-idle HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((idle.header("connection"), idle.end), (None, Ok(())));
}

#[test]
fn bodies_that_take_long() {
    let server = WebServer::start();
    assert_eq!(get(&server, "/big?bytes=100000").body().len(), 100_000);
    assert_eq!(get(&server, "/slow-drip?bytes=20").body(), b"....................");
    assert_eq!(get(&server, "/wait?ms=1").status(), 200);
    for path in ["/never-ending", "/never-ending-head"] {
        let mut stream = connect(server.address());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("it reads");
        stream.read_exact(&mut vec![0; 10 * 1024 * 1024]).expect("there is more than anybody wants");
    }
}

#[test]
fn nothing_is_answered_before_the_test_says_so() {
    let server = WebServer::start();
    thread::scope(|scope| {
        let held = [(); 3].map(|()| scope.spawn(|| get(&server, "/gate").status()));
        server.wait_for(3);
        assert_eq!(server.most_at_once(), 3);
        server.open_gate();
        assert_eq!(held.map(|thread| thread.join().expect("it is answered")), [200; 3]);

        server.stall();
        let stalled = scope.spawn(|| get(&server, "/json").status());
        server.wait_for(4);
        server.resume();
        assert_eq!(stalled.join().expect("it is answered"), 200);
    });
    assert_eq!(server.most_at_once(), 3);
}

#[test]
fn one_client_has_one_request_at_a_time() {
    let server = WebServer::start();
    for _ in 0..50 {
        assert_eq!(get(&server, "/json").status(), 200);
    }
    assert_eq!(server.most_at_once(), 1);
}

#[test]
fn a_server_ends_with_its_guard_whatever_its_connections_do() {
    let server = WebServer::start();
    let address = server.address();
    let mut open: Vec<TcpStream> = Vec::new();
    for path in ["/no-answer", "/gate", "/never-ending", "/slow-drip?bytes=9999&ms=1000", "/wait?ms=60000", "/json"] {
        let mut stream = connect(address);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("it reads");
        open.push(stream);
    }
    server.wait_for(6);
    let (ended, end) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            drop(server);
            ended.send(()).expect("the test waits");
        });
        // Well before the time limits of the sockets.
        end.recv_timeout(PATIENCE / 3).expect("it ends at once");
    });
    let refused = TcpStream::connect_timeout(&address, PATIENCE).expect_err("nobody listens any more");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn tls_with_every_kind_of_certificate() {
    let good = WebServer::start_tls(Tls::default());
    let answer = get_tls(&good, &trusting(&good.ca_pem(), None)).expect("all is well");
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(DOCUMENT));
    assert!(good.url().starts_with("https://127.0.0.1:"), "{}", good.url());

    let stranger = WebServer::start_tls(Tls::default()).ca_pem();
    assert_complains(get_tls(&good, &trusting(&stranger, None)), "UnknownIssuer|BadSignature");
    for (certificate, complaint) in [
        (Certificate::Expired, "Expired"),
        (Certificate::WrongName, "NotValidForName"),
        (Certificate::SelfSigned, "UnknownIssuer|BadSignature"),
    ] {
        let server = WebServer::start_tls(Tls { certificate, ..Tls::default() });
        assert_complains(get_tls(&server, &trusting(&server.ca_pem(), None)), complaint);
    }
}

#[test]
fn tls_with_a_certificate_of_the_client() {
    let server = WebServer::start_tls(Tls { client: Client::Certified, ..Tls::default() });
    let (ca, client) = (server.ca_pem(), server.client_pem());
    let answer = get_tls(&server, &trusting(&ca, Some(&client))).expect("it is let in");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert_complains(get_tls(&server, &trusting(&ca, None)), "CertificateRequired");
    let other = WebServer::start_tls(Tls::default()).client_pem();
    assert_complains(get_tls(&server, &trusting(&ca, Some(&other))), "UnknownCA|DecryptError");
}

#[test]
fn faults_inside_of_tls() {
    let server = WebServer::start_tls(Tls::default());
    let config = trusting(&server.ca_pem(), None);
    let fetch = |path: &str| get_by_tls(&server, path, &config).map_err(|error| error.kind());
    assert_eq!(fetch("/reset-mid-body"), Err(ErrorKind::ConnectionReset));
    assert_eq!(fetch("/empty"), Ok(Vec::new()));
    assert_eq!(fetch("/big?bytes=100000").map(|bytes| bytes.ends_with(&[b'x'; 10_000])), Ok(true));
}

fn trusting(ca: &str, client: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("it is PEM")).expect("it is a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring knows them").with_root_certificates(roots);
    Arc::new(match client {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("it has a certificate");
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("it has a key");
            builder.with_client_auth_cert(vec![certificate], key).expect("they belong together")
        }
    })
}

/// All that comes for `GET /json`, up to a proper end.
fn get_tls(server: &WebServer, config: &Arc<ClientConfig>) -> io::Result<Vec<u8>> {
    get_by_tls(server, "/json", config)
}

fn get_by_tls(server: &WebServer, target: &str, config: &Arc<ClientConfig>) -> io::Result<Vec<u8>> {
    let name = ServerName::try_from("localhost").expect("it is a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("the configuration is good");
    let mut stream = StreamOwned::new(connection, connect(server.address()));
    write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    all(stream)
}

fn assert_complains(answer: io::Result<Vec<u8>>, words: &str) {
    let error = format!("{:?}", answer.expect_err("it must not be trusted"));
    assert!(words.split('|').any(|word| error.contains(word)), "{words}: {error}");
}

#[test]
fn a_proxy_forwards_whole_urls_and_tunnels() {
    let (server, proxy) = (WebServer::start(), Proxy::start());
    let target = format!("{}/echo?a=1", server.url());
    let host = server.address();
    let came = send(
        proxy.address(),
        &format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nProxy-Connection: x\r\nContent-Length: 2\r\n\r\nhi"),
    );
    let echo = came.json();
    assert_eq!((&echo["target"], &echo["body"]), (&json!("/echo?a=1"), &json!("hi")));
    assert_eq!(echo["headers"]["proxy-connection"], Value::Null);

    let mut stream = connect(proxy.address());
    write!(stream, "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("it reads");
    let mut established = [0; 39];
    stream.read_exact(&mut established).expect("it answers");
    assert_eq!(&established, b"HTTP/1.1 200 Connection established\r\n\r\n");
    write!(stream, "GET /counter HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it reads");
    let through = Came { bytes: all(stream).expect("it ends well"), end: Ok(()) };
    assert_eq!(through.json(), json!({"n": 2}));

    let forwarded: Vec<(String, String)> =
        proxy.forwarded().into_iter().map(|request| (request.method, request.target)).collect();
    assert_eq!(forwarded, [("POST".to_owned(), target), ("CONNECT".to_owned(), host.to_string())]);
}

#[test]
fn a_proxy_asks_who_it_is_and_says_what_it_cannot_do() {
    let server = WebServer::start();
    let proxy = Proxy::start_with("me:pass");
    assert!(proxy.url().starts_with("http://127.0.0.1:"));
    let ask = |target: &str, credentials: &str| {
        let header = format!("Proxy-Authorization: Basic {}", STANDARD.encode(credentials));
        send(proxy.address(), &format!("GET {target} HTTP/1.1\r\nHost: test\r\n{header}\r\n\r\n")).status()
    };
    let target = format!("{}/json", server.url());
    assert_eq!((ask(&target, "me:other"), ask(&target, "me:pass")), (407, 200));
    assert_eq!(ask("/json", "me:pass"), 400);
    assert_eq!(ask(&format!("http://{}/", dead_port()), "me:pass"), 502);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_stalling_server_serves_one_after_the_other() {
    let server = StallingServer::start(16);
    assert!(server.url().starts_with("http://127.0.0.1:"));
    let ask = || send(server.address(), "GET / HTTP/1.1\r\nHost: test\r\n\r\n").json()["n"].clone();
    assert_eq!(ask(), 1);
    server.hold();
    thread::scope(|scope| {
        let queued = [(); 3].map(|()| scope.spawn(ask));
        server.wait_for(2);
        assert_eq!(server.requests().len(), 2);
        server.release();
        let mut numbers: Vec<u64> =
            queued.map(|thread| thread.join().expect("it is answered").as_u64().expect("a number")).to_vec();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3, 4]);
    });
}

#[test]
fn a_stalling_server_ends_while_it_holds() {
    let server = StallingServer::start(1);
    server.hold();
    let mut waiting = connect(server.address());
    waiting.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the kernel takes it");
    server.wait_for(1);
    // Two more that wait in its backlog and say nothing.
    let _silent = [(); 2].map(|()| connect(server.address()));
    drop(server);
}

#[test]
fn ports_where_nobody_answers() {
    let refused = TcpStream::connect_timeout(&dead_port(), PATIENCE).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let full = FullBacklog::new();
    let error = TcpStream::connect_timeout(&full.address(), Duration::from_millis(50)).expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_pipe_of_requests_is_answered_in_order() {
    let server = WebServer::start();
    let one = "GET /counter HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut reader = BufReader::new(connect(server.address()));
    reader.get_mut().write_all(one.repeat(3).as_bytes()).expect("it reads");
    let numbers = [(); 3].map(|()| read_answer(&mut reader).json()["n"].clone());
    assert_eq!(numbers, [1, 2, 3]);
}

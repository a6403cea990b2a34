//! A mock identity provider, and a processor that logs in to it: all calls share one token.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pyperf::load::hooks::{Runtime, What};
use serde_json::json;

use super::packages::{copy, installed};
use super::support::{Subject, block_on, call, folder, limits, source};

in_both!(one_token_serves_all, fetch_is_the_one_of_the_web);

type Log = Arc<Mutex<Vec<String>>>;

/// Serves on loopback for as long as the test runs; gives its address and what it is asked.
fn provider() -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let log = Log::default();
    let asked = log.clone();
    let serve = move || {
        for peer in listener.incoming().flatten().take(1000) {
            let asked = asked.clone();
            std::thread::Builder::new().spawn(move || answer(peer, &asked)).expect("a thread");
        }
    };
    std::thread::Builder::new().spawn(serve).expect("a thread");
    (address, log)
}

fn answer(mut peer: TcpStream, asked: &Log) {
    let mut request = Vec::new();
    let text = loop {
        let mut piece = [0; 4096];
        let count = peer.read(&mut piece).unwrap_or_default();
        if count == 0 {
            return;
        }
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    let line = text.lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("no panic").push(text);
    let (status, head, body) = match line.split(' ').nth(1).unwrap_or_default() {
        "/token" => ("200 OK", "", r#"{"access_token":"t0k3n","expires_in":300}"#),
        "/moved" => ("302 Found", "location: /json\r\n", ""),
        "/json" => ("200 OK", "content-type: application/json\r\n", r#"{"a":"ü"}"#),
        "/slow" => return std::thread::park(),
        _ => ("404 Not Found", "", "nothing"),
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = peer.write_all(answer.as_bytes());
}

fn subject(runtime: Runtime) -> (Subject, Log) {
    subject_of(runtime, &folder().join("token.js"))
}

fn subject_of(runtime: Runtime, file: &Path) -> (Subject, Log) {
    let (address, log) = provider();
    let mut source = source(file, runtime);
    source.environment.insert("KEYCLOAK_URI".into(), address);
    (Subject::load(&source, limits()).unwrap_or_else(|error| panic!("{error}")), log)
}

/// node has no `node-fetch` of its own; where it is installed, it is taken, and otherwise node's `fetch` is.
#[test]
fn one_token_serves_all_through_the_package() {
    let packages = installed(&["node-fetch@2"]);
    copy(&folder(), &packages);
    one_token(subject_of(Runtime::Node, &packages.join("token.js")));
}

fn one_token_serves_all(runtime: Runtime) {
    one_token(subject(runtime));
}

fn one_token((subject, log): (Subject, Log)) {
    let outcomes = block_on(async {
        let what = || What::BeforeRequest { request: json!({"url": "/x"}) };
        let calls = (0..200).map(|user| subject.processor.call(call(user, "setAuthHeader", what(), json!({}))));
        futures_util::future::join_all(calls).await
    });
    for called in outcomes {
        called.outcome.expect("logged in");
        let headers = json!({"Authorization": "Bearer t0k3n", "cookie": "oidc-jwt=t0k3n"});
        assert_eq!(called.request.expect("changed")["headers"], headers);
        assert!(called.busy <= called.took);
    }
    let log = log.lock().expect("no panic");
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("POST /token HTTP/1.1\r\n"), "{log:?}");
    assert!(
        log[0].to_lowercase().contains("content-type: application/x-www-form-urlencoded;charset=utf-8\r\n"),
        "{log:?}"
    );
    assert!(log[0].contains("Basic Y2xpZW50OnNlY3JldA==\r\n"), "{log:?}");
    assert!(log[0].ends_with("grant_type=password&username=user&password=p%26ss+word"), "{log:?}");
}

fn fetch_is_the_one_of_the_web(runtime: Runtime) {
    let (subject, _log) = subject(runtime);
    let seen = subject.step("globalFetch", json!({}));
    let expected = json!({
        "status": [200, true, true, true], "type": "application/json", "json": {"a": "ü"},
        "missing": [404, false, "nothing"], "bytes": 123, "manual": [302, "/json"],
    });
    assert_eq!(seen, expected);
    let failure = subject.call("refused", What::Function, json!({})).outcome.expect_err("nobody listens");
    assert!(failure.message.contains("fetch failed"), "{failure}");
    let failure = subject.call("slow", What::Function, json!({})).outcome.expect_err("given up");
    assert!(failure.message.contains("aborted"), "{failure}");
}

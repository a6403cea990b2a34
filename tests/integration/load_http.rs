//! What `pyperf run` puts on the wire and what it makes of the answers, as a server sees it: requests, bodies, connections,
//! encodings, redirects, cookies.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::load::{Load, counts};
use crate::support::web::WebServer;
use crate::support::web::decoded;
use crate::support::web::request::Received;

/// Method and target of all that came.
fn asked(server: &WebServer) -> Vec<String> {
    server.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
}

fn last(server: &WebServer) -> Received {
    server.requests().pop().expect("something came")
}

#[test]
fn every_method_is_sent_as_it_is_written() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /echo }",
            "post: { url: /echo }",
            "put: { url: /echo, body: text }",
            "patch: { url: /echo, json: {} }",
            "delete: { url: /echo }",
            "head: { url: /echo }",
            "options: { url: /echo }",
            "trace: { url: /echo }",
            "purge: { url: /echo }",
            "propfind: { url: /echo, body: <all/> }",
        ],
    )
    .run()
    .succeeded();
    let methods: Vec<String> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PURGE", "PROPFIND"]);
    assert_eq!((ran.counter("http.requests"), ran.counter("http.responses")), (10, 10));
    assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 10)]));
    assert_eq!(ran.users(), [1, 1, 0, 0]);
    ran.tells(&["  Requests completed:  10\n", "    200: 10\n"]);
}

#[test]
fn an_address_stands_behind_the_target_or_for_itself() {
    let (server, other) = (WebServer::start(), WebServer::start());
    let elsewhere = format!("get: {{ url: \"{}/json?of=other\" }}", other.url());
    let ran = Load::of(
        &format!("{}/status", server.url()),
        [
            "get: { url: /201 }",
            "get: { uri: /202?a=b%20c }",
            "get: { url: \"/203?old=1#part\", qs: { n: 1, list: [a, b], text: \"ä &=\" } }",
            &elsewhere,
        ],
    )
    .run()
    .succeeded();
    assert_eq!(
        asked(&server),
        ["GET /status/201", "GET /status/202?a=b%20c", "GET /status/203?n=1&list=a&list=b&text=%C3%A4%20%26%3D"]
    );
    assert_eq!(asked(&other), ["GET /json?of=other"]);
    assert_eq!(last(&other).header("host"), Some(other.address().to_string().as_str()));
    assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 1), ("201", 1), ("202", 1), ("203", 1)]));
}

#[test]
fn bodies_are_framed_and_named() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "post: { url: /echo, json: { n: 1, text: \"ä\", none: null, list: [1, \"{{ two }}\", \"{{ gone }}\"] } }",
            "post: { url: /echo, body: \"plain {{ two }}\", headers: { Content-Type: text/plain } }",
            "post: { url: /form, form: { a: 1, b: \"x y&z\", two: \"{{ two }}\" } }",
            "post: { url: /multipart, formData: { a: \"{{ two }}\", b: { value: \"<b/>\", contentType: text/xml }, \
             c: { fromFile: ./upload.bin, contentType: image/png }, d: { fromFile: ./upload.bin } } }",
            "post: { url: /echo, json: [], body: not this }",
        ],
    )
    .config("variables: { two: 2 }")
    .file("upload.bin", b"\x00\xff\r\n--x")
    .run()
    .succeeded();
    let requests = server.requests();
    let types: Vec<&str> = requests.iter().map(|request| request.header("content-type").unwrap_or_default()).collect();
    assert_eq!(types[..3], ["application/json", "text/plain", "application/x-www-form-urlencoded"]);
    assert!(types[3].starts_with("multipart/form-data; boundary="), "{types:?}");
    let lengths = requests.iter().map(|request| request.header("content-length").and_then(|text| text.parse().ok()));
    assert!(lengths.zip(&requests).all(|(length, request)| length == Some(request.body.len())));
    let document: serde_json::Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!((&document["n"], &document["text"], &document["none"]), (&json!(1), &json!("ä"), &json!(null)));
    assert_eq!(document["list"][1], json!(2));
    assert_eq!(requests[1].text(), "plain 2");
    assert_eq!(decoded::form(&requests[2]), json!({"a": "1", "b": "x y&z", "two": "2"}));
    let parts = decoded::multipart(&requests[3]);
    assert_eq!((&parts[0]["name"], &parts[0]["text"]), (&json!("a"), &json!("2")));
    assert_eq!((&parts[1]["content_type"], &parts[1]["filename"]), (&json!("text/xml"), &json!(null)));
    let file = |part: &serde_json::Value| [&part["filename"], &part["content_type"], &part["size"]].map(Clone::clone);
    assert_eq!(file(&parts[2]), [json!("upload.bin"), json!("image/png"), json!(7)]);
    assert_eq!(file(&parts[3]), [json!("upload.bin"), json!("application/octet-stream"), json!(7)]);
    assert_eq!(requests[4].text(), "[]");
    assert_eq!(ran.counter("http.codes.200"), 5);
}

#[test]
fn headers_come_from_the_defaults_and_from_the_step() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /echo, headers: { X-Both: step, X-Own: \"{{ name }}\" } }",
            "get: { url: /echo, gzip: false, headers: { USER-agent: mine } }",
        ],
    )
    .config("http: { defaults: { headers: { X-Default: \"d-{{ name }}\", x-both: default } } }")
    .config("variables: { name: Zoë }")
    .run()
    .succeeded();
    let requests = server.requests();
    let header = |n: usize, name: &str| requests[n].header(name).map(str::to_owned);
    assert!(requests.iter().flat_map(|request| &request.headers).all(|(name, _)| *name == name.to_lowercase()));
    assert_eq!(header(0, "x-both").as_deref(), Some("step"));
    assert_eq!((header(0, "x-own").as_deref(), header(0, "x-default").as_deref()), (Some("Zoë"), Some("d-Zoë")));
    assert_eq!((header(1, "x-both").as_deref(), header(1, "x-own")), (Some("default"), None));
    assert_eq!(header(0, "accept-encoding").as_deref(), Some("gzip, deflate, br, zstd"));
    assert_eq!((header(1, "accept-encoding"), header(1, "user-agent").as_deref()), (None, Some("mine")));
    assert_eq!(ran.counter("http.codes.200"), 2);
}

#[test]
fn who_says_nothing_of_headers_is_known_as_artillery() {
    let server = WebServer::start();
    Load::of(&server.url(), ["get: { url: /echo }"]).run().succeeded();
    let request = last(&server);
    let agent = request.header("user-agent").expect("it says who it is");
    assert!(agent.starts_with("Artillery") || agent.starts_with("pyperf"), "{agent}");
    assert_eq!(request.header("host"), Some(server.address().to_string().as_str()));
    assert_eq!(request.header("connection").unwrap_or("keep-alive"), "keep-alive");
}

#[test]
fn credentials_come_from_the_step_or_from_the_address() {
    let server = WebServer::start();
    let inside = server.url().replace("http://", "http://ann:of%20old@");
    let ran = Load::of(
        &inside,
        [
            "get: { url: \"/basic-auth/ann/of%20old\" }",
            "get: { url: /basic-auth/bob/hunter2, auth: { user: bob, pass: \"hunter{{ n }}\" } }",
            "get: { url: /basic-auth/bob/hunter3, auth: { user: bob, pass: hunter2 } }",
        ],
    )
    .config("variables: { n: 2 }")
    .run()
    .succeeded();
    let credentials: Vec<Option<String>> =
        server.requests().iter().map(|request| request.credentials("authorization")).collect();
    assert_eq!(credentials, ["ann:of old", "bob:hunter2", "bob:hunter2"].map(|text| Some(text.to_owned())));
    assert_eq!(ran.counter("http.codes.401"), 2);
    assert_eq!(ran.counter("http.codes.200"), 1);
    assert_eq!(ran.users(), [1, 1, 0, 0]);
}

#[test]
fn a_user_keeps_its_connection_and_shares_it_with_nobody() {
    let server = WebServer::start();
    let steps =
        ["get: { url: /json }", "post: { url: /echo, body: x }", "get: { url: /status/404 }", "get: { url: /chunked }"];
    let ran = Load::of(&server.url(), steps).users(3).run().succeeded();
    assert_eq!((server.requests().len(), server.connections()), (12, 3));
    let mut each: BTreeMap<usize, usize> = BTreeMap::new();
    server.requests().iter().for_each(|request| *each.entry(request.connection).or_default() += 1);
    assert_eq!(each.into_values().collect::<Vec<_>>(), [4, 4, 4]);
    assert_eq!(ran.own("/phases/0/requests"), &json!(12));
}

#[test]
fn connections_that_the_server_ends_are_made_anew() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /close, capture: { json: $.count, as: a } }",
            "get: { url: /http10, capture: { json: $.count, as: b } }",
            "get: { url: /chunked-trailers, capture: { json: $.count, as: c } }",
            "get: { url: /json, headers: { Connection: close } }",
            "get: { url: \"/echo?{{ a }}{{ b }}{{ c }}\" }",
        ],
    )
    .run()
    .succeeded();
    assert_eq!(last(&server).target, "/echo?333");
    let connections: Vec<usize> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2, 3, 3, 4]);
    assert_eq!((ran.counter("http.codes.200"), ran.counters_of("errors.").len()), (5, 0));
}

#[test]
fn an_idle_connection_that_was_closed_is_no_error() {
    let server = WebServer::start();
    let steps =
        ["get: { url: /close-idle }", "think: 50ms", "post: { url: /echo, json: { n: 1 } }", "get: { url: /json }"];
    let ran = Load::of(&server.url(), steps).users(5).run().succeeded();
    assert_eq!(server.requests().len(), 15);
    assert_eq!(ran.users(), [5, 5, 0, 0]);
    assert_eq!(ran.counters_of("errors."), BTreeMap::new());
    assert_eq!(ran.counter("http.requests"), 15);
}

#[test]
fn every_encoding_is_read() {
    let server = WebServer::start();
    let capture = |path: &str| format!("get: {{ url: {path}, capture: {{ json: $.name, as: name }} }}");
    let say = "log: \"name: {{ name }}\"";
    let [gzip, deflate, raw, br, zstd] = ["/gzip", "/deflate", "/raw-deflate", "/br", "/zstd"].map(capture);
    let ran = Load::of(&server.url(), [&gzip, say, &deflate, say, &raw, say, &br, say, &zstd, say]).run().succeeded();
    assert_eq!(ran.finished.stdout.matches("name: Zoë – 東京\n").count(), 5);
    assert_eq!(ran.counter("http.codes.200"), 5);
    assert!(ran.failures().is_empty());
}

#[test]
fn a_bomb_is_not_unpacked_for_ever() {
    let server = WebServer::start();
    let bomb = "get: { url: /gzip-bomb, capture: { regexp: \"x\", as: nothing } }";
    let ran = Load::of(&server.url(), [bomb, "get: { url: /never-reached }"]).run().succeeded();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(ran.users(), [1, 0, 1, 0]);
    assert_eq!(ran.counters_of("errors."), counts(&[("Failed capture or match", 1)]));
}

#[test]
fn redirects_are_followed_hop_by_hop() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        ["get: { url: /redirect/3, capture: { json: $.target, as: end } }", "log: \"end {{ end }}\""],
    )
    .run()
    .succeeded();
    assert_eq!(asked(&server), ["GET /redirect/3", "GET /redirect/2", "GET /redirect/1", "GET /echo"]);
    assert_eq!((ran.counter("http.requests"), ran.counter("http.responses")), (4, 4));
    assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 1), ("302", 3)]));
    assert_eq!(server.connections(), 1);
    ran.tells(&["end /echo\n", "    302: 3\n"]);
}

#[test]
fn redirects_change_the_method_as_browsers_do() {
    let server = WebServer::start();
    let step = |status: u16| format!("post: {{ url: \"/redirect-to?url=/echo&status={status}\", json: {{ a: 1 }} }}");
    let [s301, s302, s303, s307, s308] = [301, 302, 303, 307, 308].map(step);
    Load::of(
        &server.url(),
        [&s301, &s302, &s303, &s307, &s308, "head: { url: \"/redirect-to?url=/echo&status=303\" }"],
    )
    .run()
    .succeeded();
    let arrived: Vec<(String, String, bool)> = server
        .requests()
        .into_iter()
        .filter(|request| request.path() == "/echo")
        .map(|request| (request.method.clone(), request.text(), request.header("content-type").is_some()))
        .collect();
    let get = || ("GET".to_owned(), String::new(), false);
    let post = || ("POST".to_owned(), "{\"a\":1}".to_owned(), true);
    assert_eq!(arrived, [get(), get(), get(), post(), post(), ("HEAD".to_owned(), String::new(), false)]);
}

#[test]
fn a_redirect_elsewhere_takes_no_credentials_along() {
    let (server, other) = (WebServer::start(), WebServer::start());
    let away = format!("get: {{ url: \"/redirect-to?url={}/echo\", auth: {{ user: a, pass: b }} }}", other.url());
    let stay = "get: { url: \"/redirect-to?url=/echo\", auth: { user: a, pass: b } }";
    Load::of(&server.url(), ["get: { url: \"/set-cookie?c=1\" }", &away, stay]).run().succeeded();
    assert_eq!(last(&other).header("authorization"), None);
    assert_eq!(last(&server).credentials("authorization").as_deref(), Some("a:b"));
}

#[test]
fn a_redirect_keeps_the_script_s_cookies_and_host_on_its_origin_only() {
    let (server, other) = (WebServer::start(), WebServer::start());
    let headers = "headers: { Cookie: by=hand, Host: virtual.example }";
    let stay = format!("get: {{ url: \"/redirect-to?url=/set-cookie%3Fr%3D1\", {headers} }}");
    let again = format!("get: {{ url: \"/redirect-to?url=/cookies\", {headers} }}");
    let away = format!("get: {{ url: \"/redirect-to?url={}/echo\", {headers} }}", other.url());
    Load::of(&server.url(), [&stay, &again, &away]).run().succeeded();
    let told = |request: Received| ["cookie", "host"].map(|name| request.header(name).unwrap_or_default().to_owned());
    let both = |cookie: &str| [cookie.to_owned(), "virtual.example".to_owned()];
    let told: Vec<_> = server.requests().into_iter().map(told).collect();
    let expected = ["by=hand", "by=hand", "by=hand; r=1", "by=hand; r=1", "by=hand; r=1"].map(both);
    assert_eq!(told, expected);
    let elsewhere = last(&other);
    assert_eq!(elsewhere.header("host").map(str::to_owned), other.url().strip_prefix("http://").map(str::to_owned));
    assert!(!elsewhere.header("cookie").unwrap_or_default().contains("by=hand"));
}

#[test]
fn a_redirect_may_be_kept_and_a_circle_ends() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /redirect/2, followRedirect: false, capture: { header: location, as: to } }",
            "log: \"to {{ to }}\"",
            "get: { url: /redirect-loop }",
            "get: { url: /never-reached }",
        ],
    )
    .run()
    .succeeded();
    ran.tells(&["to /redirect/1\n", "    ERR_TOO_MANY_REDIRECTS: 1\n"]);
    assert_eq!(server.requests().len(), 1 + 11);
    assert_eq!(ran.counters_of("errors."), counts(&[("ERR_TOO_MANY_REDIRECTS", 1)]));
    assert_eq!(ran.counters_of("http.codes."), counts(&[("302", 12)]));
    assert_eq!(ran.users(), [1, 0, 1, 0]);
    let failure = ran.failure();
    assert_eq!((&failure["step"], &failure["kind"]), (&json!(ran.place("/redirect-loop")), &json!("transport")));
    assert_eq!((&failure["endpoint"], &failure["examples"][0]["status"]), (&json!("GET /redirect-loop"), &json!(302)));
    let away = "get: { url: \"/redirect-to?url=ftp://elsewhere.example/\" }";
    let ran = Load::of(&server.url(), [away, "get: { url: /never-reached }"]).run().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("ERR_INVALID_URL", 1)]));
    assert_eq!((&ran.failure()["examples"][0]["status"], ran.users()), (&json!(302), [1, 0, 1, 0]));
}

#[test]
fn every_user_has_a_jar_of_its_own() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /cookies, cookie: { own: \"{{ $uuid }}\" } }",
            "get: { url: \"/set-cookie?a=1&b=2\" }",
            "get: { url: /cookies }",
            "get: { url: \"/set-cookie?a=gone&Max-Age=0\" }",
            "get: { url: \"/set-cookie?hidden=1&Path=/elsewhere\" }",
            "get: { url: \"/set-cookie?foreign=1&Domain=elsewhere.example\" }",
            "get: { url: /cookies }",
        ],
    )
    .users(2)
    .config("http: { defaults: { cookie: { always: \"yes\" } } }")
    .run()
    .succeeded();
    let mut owns = Vec::new();
    for connection in [1, 2] {
        let mine: Vec<serde_json::Value> = server
            .requests()
            .iter()
            .filter(|request| request.connection == connection && request.path() == "/cookies")
            .map(decoded::cookies)
            .collect();
        let own = mine[0]["own"].clone();
        assert_eq!(mine[0], json!({"always": "yes", "own": own}));
        assert_eq!(mine[1], json!({"always": "yes", "own": own, "a": "1", "b": "2"}));
        assert_eq!(mine[2], json!({"always": "yes", "own": own, "b": "2"}));
        owns.push(own);
    }
    assert_ne!(owns[0], owns[1]);
    assert_eq!(ran.counter("http.codes.200"), 14);
}

#[test]
fn a_cookie_reaches_what_its_path_covers_and_survives_a_redirect() {
    let server = WebServer::start();
    Load::of(
        &server.url(),
        [
            "get: { url: \"/set-cookie?deep=1&Path=/status\" }",
            "get: { url: /status/200 }",
            "get: { url: /cookies, headers: { Cookie: by=hand } }",
            "get: { url: \"/redirect-to?url=/set-cookie%3Fr%3D1\" }",
            "get: { url: /cookies }",
        ],
    )
    .run()
    .succeeded();
    let cookie = |n: usize| server.requests()[n].header("cookie").map(str::to_owned);
    assert_eq!([cookie(1), cookie(2), cookie(5)], ["deep=1", "by=hand", "r=1"].map(|text| Some(text.to_owned())));
}

#[test]
fn a_trace_is_begun_with_each_request() {
    let server = WebServer::start();
    let load = || Load::of(&server.url(), ["get: { url: /redirect/1 }", "get: { url: /json }"]);
    load().config("http: { distributedTracing: true }").run().succeeded();
    load().config("http: { distributedTracing: { sampled: false, traceIdPrefix: \"C0FFEE\" } }").run().succeeded();
    let parents: Vec<Vec<String>> = server
        .requests()
        .iter()
        .map(|request| request.header("traceparent").unwrap_or_default().split('-').map(str::to_owned).collect())
        .collect();
    assert_eq!(parents.len(), 6);
    for (number, parent) in parents.iter().enumerate() {
        let [version, trace, span, flags] = &parent[..] else { panic!("no traceparent: {parent:?}") };
        let (prefix, flag) = if number < 3 { ("a9", "01") } else { ("c0ffee", "00") };
        assert_eq!((version.as_str(), trace.len(), span.len(), flags.as_str()), ("00", 32, 16, flag));
        assert!(trace.starts_with(prefix), "{trace}");
    }
    assert_ne!(parents[0][1], parents[2][1]);
}

#[test]
fn chance_and_conditions_keep_requests_back() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /echo?always, probability: 100 }",
            "get: { url: /echo?never, probability: 0 }",
            "get: { url: /echo?more, ifTrue: \"n > 2\" }",
            "get: { url: /echo?less, ifTrue: \"n < 2\" }",
            "get: { url: /echo?unknown, ifTrue: \"nobody > 2\" }",
            "get: { url: /json, capture: { json: $.count, as: n } }",
            "get: { url: /echo?captured, ifTrue: 'n == 3 and name == \"me\"' }",
        ],
    )
    .users(4)
    .config("variables: { n: 5, name: me }")
    .run()
    .succeeded();
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    server.requests().into_iter().for_each(|request| *asked.entry(request.target).or_default() += 1);
    assert_eq!(asked, counts(&[("/echo?always", 4), ("/echo?captured", 4), ("/echo?more", 4), ("/json", 4)]));
    assert_eq!((ran.counter("http.requests"), ran.users()), (16, [4, 4, 0, 0]));
}

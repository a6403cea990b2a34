//! Servers that break the rules, networks that lead nowhere, certificates that do not fit, proxies: each has its error code, is
//! counted once a user, is kept with what is needed to find its cause, and lets nobody hang. No secret leaves with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::load::{Load, Ran, UnderWay, counts};
use crate::support::web::WebServer;
use crate::support::web::ports::{FullBacklog, dead_port};
use crate::support::web::proxy::Proxy;
use crate::support::web::tls::{Certificate, Client, Tls};

/// Two users that ask for a path, and for another one if they are answered.
fn asking(target: &str, path: &str) -> UnderWay {
    let step = format!("get: {{ url: \"{path}\" }}");
    Load::of(target, [&step, "get: { url: /never-reached }"]).users(2).config("http: { timeout: 1 }").start()
}

/// Both users failed at the first step with this code, and the report knows where.
fn failed_with<'a>(ran: &'a Ran, path: &str, code: &str) -> &'a Value {
    assert_eq!(ran.counters_of("errors."), counts(&[(code, 2)]), "{path}");
    assert_eq!(ran.users(), [2, 0, 2, 0], "{path}");
    assert_eq!(ran.counter("http.requests"), 2, "{path}");
    let failure = ran.failure();
    assert_eq!(failure["endpoint"], json!(format!("GET {path}")));
    let path = path.split('?').next().unwrap_or_default();
    assert_eq!((&failure["kind"], &failure["what"], &failure["count"]), (&json!("transport"), &json!(code), &json!(2)));
    assert_eq!((&failure["step"], &failure["scenario"]), (&json!(ran.place(path)), &json!("the scenario")));
    ran.tells(&[&format!("    {code}: 2\n"), &format!("  2 × {code} at {}", ran.place(path))]);
    &failure["examples"][0]
}

#[test]
fn a_server_that_breaks_the_rules_is_called_by_its_error() {
    let server = WebServer::start();
    let faults = [
        ("/empty", "ECONNRESET"),
        ("/reset", "ECONNRESET"),
        ("/reset-mid-head", "ECONNRESET"),
        ("/bad-status-line", "HPE_INVALID_STATUS"),
        ("/bad-header", "HPE_INVALID_HEADER_TOKEN"),
        ("/not-http", "HPE_INVALID_CONSTANT"),
        ("/two-lengths", "HPE_UNEXPECTED_CONTENT_LENGTH"),
        ("/huge-header", "HPE_HEADER_OVERFLOW"),
        ("/never-ending-head", "HPE_HEADER_OVERFLOW"),
    ];
    for (path, code) in faults {
        let ran = asking(&server.url(), path).ended().succeeded();
        let example = failed_with(&ran, path, code);
        assert_eq!((&example["status"], &example["body"]), (&Value::Null, &json!("")), "{path}");
        assert_eq!(example["request"], json!(format!("GET {}{path}", server.url())));
    }
    assert_eq!(server.requests().len(), 2 * faults.len());
}

#[test]
fn an_answer_that_breaks_off_is_kept_as_far_as_it_came() {
    let server = WebServer::start();
    let faults = [
        ("/reset-mid-body", "ECONNRESET"),
        ("/short", "ECONNRESET"),
        ("/short-chunks", "ECONNRESET"),
        ("/short-sizes", "ECONNRESET"),
        ("/bad-chunk", "HPE_INVALID_CHUNK_SIZE"),
    ];
    for (path, code) in faults {
        let ran = asking(&server.url(), path).ended().succeeded();
        let example = failed_with(&ran, path, code);
        assert_eq!(example["status"], json!(200), "{path}");
        assert!(example["timings"]["first byte"].is_number() && example["timings"]["body"].is_number(), "{example}");
    }
    let ran = asking(&server.url(), "/short").ended().succeeded();
    let body = ran.failure()["examples"][0]["body"].as_str().unwrap_or_default();
    assert!(body.starts_with("only the beginning"), "{body:?}");
}

#[test]
fn silence_and_endlessness_end_with_the_time_limit_and_count_as_samples() {
    let (server, full) = (WebServer::start(), FullBacklog::new());
    let paths = ["/no-answer", "/never-ending", "/slow-drip?bytes=10000&ms=100"];
    let started = paths.map(|path| (path, asking(&server.url(), path)));
    let waiting = asking(&format!("http://{}", full.address()), "/connecting");
    for (path, running) in started {
        let ran = running.ended().succeeded();
        let example = failed_with(&ran, path, "ETIMEDOUT");
        let came = if path == "/no-answer" { Value::Null } else { json!(200) };
        assert_eq!(example["status"], came, "{path}");
        for histogram in ["/endpoints/0/fromSend", "/endpoints/0/fromDue", "/phases/0/fromSend"] {
            assert_eq!(ran.own(histogram)["count"], json!(2), "{path}");
            assert!(ran.own(histogram)["max"].as_f64() >= Some(990.0), "{path}: {:#}", ran.own(histogram));
        }
    }
    let ran = asking(&server.url(), "/no-answer").ended().succeeded();
    let times = &ran.json["aggregate"]["summaries"]["http.response_time"];
    assert_eq!((&times["count"], times["min"].as_f64() >= Some(990.0)), (&json!(2), true), "{times:#}");
    let ran = waiting.ended().succeeded();
    let example = failed_with(&ran, "/connecting", "ETIMEDOUT");
    assert!(example["detail"].as_str().is_some_and(|detail| detail.contains("connecting")), "{example}");
    for histogram in ["firstByte", "fromSend", "fromDue", "connect"] {
        let measured = ran.own(&format!("/endpoints/0/{histogram}"));
        assert_eq!((&measured["count"], measured["max"].as_f64() >= Some(990.0)), (&json!(2), true), "{measured:#}");
    }
}

#[test]
fn what_is_only_odd_is_borne() {
    let server = WebServer::start();
    let ran = Load::of(
        &server.url(),
        [
            "get: { url: /long }",
            "get: { url: /informational, capture: { json: $.count, as: count } }",
            "get: { url: \"/big?bytes=3000000\" }",
            "get: { url: \"/many-headers?n=90\" }",
            "get: { url: /utf8, capture: { regexp: good, as: word } }",
            "get: { url: \"/slow-drip?bytes=5&ms=1\" }",
            "get: { url: /unknown-coding }",
            "get: { url: /bad-gzip }",
            "get: { url: /etag, headers: { If-None-Match: '\"v1\"' } }",
            "get: { url: /status/204 }",
            "get: { url: \"/echo?{{ count }}{{ word }}\" }",
        ],
    )
    .run()
    .succeeded();
    assert_eq!(ran.counters_of("errors."), BTreeMap::new());
    assert_eq!(ran.users(), [1, 1, 0, 0]);
    assert_eq!(server.requests().last().map(|request| request.target.clone()).as_deref(), Some("/echo?3good"));
    assert_eq!(ran.counters_of("http.codes."), counts(&[("200", 9), ("204", 1), ("304", 1)]));
    assert!(ran.counter("http.downloaded_bytes") > 3_000_000);
}

#[test]
fn a_damaged_body_fails_the_capture_that_needs_it() {
    let server = WebServer::start();
    let steps = ["get: { url: /bad-gzip, capture: { json: $.count, as: count } }", "get: { url: /never-reached }"];
    let ran = Load::of(&server.url(), steps).users(2).run().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("Failed capture or match", 2)]));
    assert_eq!((ran.users(), server.requests().len()), ([2, 0, 2, 0], 2));
    assert_eq!((&ran.failure()["kind"], &ran.failure()["count"]), (&json!("capture"), &json!(2)));
}

#[test]
fn a_bad_answer_is_kept_although_nobody_failed() {
    let server = WebServer::start();
    let steps = ["get: { url: /status/200 }", "get: { url: /status/503, name: bad one }", "get: { url: /status/404 }"];
    let ran = Load::of(&server.url(), steps).users(3).run().succeeded();
    assert_eq!(ran.users(), [3, 3, 0, 0]);
    assert_eq!(ran.counters_of("errors."), BTreeMap::new());
    let kinds: Vec<Value> = ran.failures().iter().map(|failure| failure["status"].clone()).collect();
    assert!(kinds.contains(&json!(503)) && kinds.contains(&json!(404)) && kinds.len() == 2, "{kinds:?}");
    let kept = ran.failures().iter().find(|failure| failure["status"] == json!(503)).expect("it is there");
    assert_eq!((&kept["kind"], &kept["count"], &kept["step"]), (&json!("status"), &json!(3), &json!(ran.place("503"))));
    let example = &kept["examples"][0];
    assert_eq!(example["body"], json!("{\"status\":503}"));
    assert!(example["headers"].to_string().contains("application/json"), "{example}");
    ran.tells(&[&format!("  3 × 503 at {}", ran.place("503")), "| {\"status\":503}"]);
    let strict = Load::of(&server.url(), steps).arguments(["--fail-on-errors"]).run().ended_with(1);
    assert_eq!(strict.users(), [1, 1, 0, 0]);
}

#[test]
fn a_place_where_nobody_is_has_its_name() {
    let refused = asking(&format!("http://{}", dead_port()), "/refused").ended().succeeded();
    failed_with(&refused, "/refused", "ECONNREFUSED");
    let unknown = asking("http://nosuch.invalid", "/unknown").ended().succeeded();
    let errors = unknown.counters_of("errors.");
    let code = errors.keys().next().cloned().unwrap_or_default();
    assert!(["ENOTFOUND", "EAI_AGAIN"].contains(&code.as_str()), "{errors:?}");
    failed_with(&unknown, "/unknown", &code);
}

#[test]
fn certificates_are_believed_only_when_they_fit() {
    let with = |certificate| WebServer::start_tls(Tls { certificate, ..Tls::default() });
    let asking = |server: &WebServer, config: &str| {
        let steps = ["get: { url: /echo }", "get: { url: /json }"];
        Load::of(&server.url(), steps).file("ca.pem", server.ca_pem()).config(config)
    };
    let trusting = "tls: { ca: ca.pem }";
    for (certificate, code) in [
        (Certificate::Expired, "CERT_HAS_EXPIRED"),
        (Certificate::WrongName, "ERR_TLS_CERT_ALTNAME_INVALID"),
        (Certificate::SelfSigned, "DEPTH_ZERO_SELF_SIGNED_CERT"),
    ] {
        let server = with(certificate);
        let ran = asking(&server, trusting).run().succeeded();
        assert_eq!((ran.counters_of("errors."), server.requests().len()), (counts(&[(code, 1)]), 0));
        assert_eq!((&ran.failure()["what"], ran.users()), (&json!(code), [1, 0, 1, 0]));
        let ran = asking(&server, trusting).arguments(["-k"]).run().succeeded();
        assert_eq!((ran.counter("http.codes.200"), server.requests().len()), (2, 2), "{certificate:?}");
        let ran = asking(&server, "tls: { rejectUnauthorized: false }").run().succeeded();
        assert_eq!((ran.counter("http.codes.200"), server.requests().len()), (2, 4), "{certificate:?}");
    }
    let server = with(Certificate::Good);
    let ran = asking(&server, trusting).run().succeeded();
    assert_eq!((ran.counter("http.codes.200"), server.connections()), (2, 1));
    assert!(ran.own("/endpoints/0/tls")["count"] == json!(1), "{:#}", ran.own("/endpoints/0"));
    let ran = asking(&server, "timeout: 5").run().succeeded();
    assert_eq!((ran.users(), server.requests().len()), ([1, 0, 1, 0], 2), "{:?}", ran.counters_of("errors."));
    let other = WebServer::start_tls(Tls::default());
    let ran = asking(&server, trusting).file("ca.pem", other.ca_pem()).run().succeeded();
    assert_eq!((ran.users(), server.requests().len()), ([1, 0, 1, 0], 2), "{:?}", ran.counters_of("errors."));
}

#[test]
fn a_server_can_ask_who_its_client_is() {
    let server = WebServer::start_tls(Tls { client: Client::Certified, ..Tls::default() });
    let load = || Load::of(&server.url(), ["get: { url: /echo }"]).file("ca.pem", server.ca_pem());
    let pem = server.client_pem();
    let known = load().config("tls: { ca: ca.pem, cert: me.pem, key: me.pem }").file("me.pem", pem).run().succeeded();
    assert_eq!((known.counter("http.codes.200"), server.requests().len()), (1, 1));
    let unknown = load().config("tls: { ca: ca.pem }").run().succeeded();
    assert_eq!((unknown.users(), server.requests().len()), ([1, 0, 1, 0], 1));
    let errors = unknown.counters_of("errors.");
    assert_eq!(errors, counts(&[("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", 1)]));
}

#[test]
fn speaking_tls_to_who_does_not_is_an_error_on_both_sides() {
    let plain = WebServer::start();
    let ran = asking(&plain.url().replace("http://", "https://"), "/plain").ended().succeeded();
    assert_eq!((ran.users(), plain.requests().len()), ([2, 0, 2, 0], 0));
    failed_with(&ran, "/plain", "ERR_SSL_WRONG_VERSION_NUMBER");
    let secret = WebServer::start_tls(Tls::default());
    let ran = asking(&secret.url().replace("https://", "http://"), "/secret").ended().succeeded();
    assert_eq!((ran.users(), secret.requests().len()), ([2, 0, 2, 0], 0), "{:?}", ran.counters_of("errors."));
}

#[test]
fn requests_go_through_the_proxies_of_the_environment() {
    let (proxy, plain, secure) = (Proxy::start(), WebServer::start(), WebServer::start_tls(Tls::default()));
    // The proxy of the tests is good for one request a connection.
    let load =
        |target: &str| Load::of(target, ["post: { url: \"/form?a=1\", form: { b: 2 } }"]).config("timeout: 5").users(2);
    let ran = load(&plain.url()).env("HTTP_PROXY", &proxy.url()).run().succeeded();
    assert_eq!((ran.counter("http.codes.200"), plain.requests().len()), (2, 2));
    let through: Vec<String> = proxy.forwarded().into_iter().map(|request| request.target).collect();
    assert_eq!(through, [(); 2].map(|()| format!("{}/form?a=1", plain.url())));
    let ran = load(&secure.url()).env("HTTPS_PROXY", &proxy.url()).arguments(["-k"]).run().succeeded();
    assert_eq!((ran.counter("http.codes.200"), secure.requests().len()), (2, 2));
    let tunnel = &proxy.forwarded()[2];
    assert_eq!((tunnel.method.as_str(), tunnel.target.clone()), ("CONNECT", secure.address().to_string()));
    assert_eq!(proxy.forwarded().len(), 4);
    let except = load(&plain.url()).env("HTTP_PROXY", &proxy.url()).env("NO_PROXY", "example.com, 127.0.0.1");
    assert_eq!(except.run().succeeded().counter("http.codes.200"), 2);
    let other = load(&plain.url()).env("HTTPS_PROXY", &proxy.url());
    assert_eq!(other.run().succeeded().counter("http.codes.200"), 2);
    assert_eq!((proxy.forwarded().len(), plain.requests().len()), (4, 6));
}

#[test]
fn a_proxy_wants_its_password_and_nobody_else_sees_it() {
    let (proxy, plain, secure) =
        (Proxy::start_with("ann:pr0xy-pass"), WebServer::start(), WebServer::start_tls(Tls::default()));
    let known = proxy.url().replace("http://", "http://ann:pr0xy-pass@");
    let load = |target: &str| Load::of(target, ["get: { url: /echo }"]).arguments(["-k"]).config("timeout: 5");
    let ran = load(&plain.url()).env("HTTP_PROXY", &known).run().succeeded();
    assert_eq!(ran.counter("http.codes.200"), 1);
    let ran = load(&secure.url()).env("HTTPS_PROXY", &known).run().succeeded();
    assert_eq!(ran.counter("http.codes.200"), 1);
    assert_eq!(proxy.forwarded().len(), 2);
    let seen = plain.requests().into_iter().chain(secure.requests());
    assert!(seen.into_iter().all(|request| request.header("proxy-authorization").is_none()));
    let ran = load(&plain.url()).env("HTTP_PROXY", &proxy.url()).run().succeeded();
    assert_eq!(ran.counters_of("http.codes."), counts(&[("407", 1)]));
    let wrong = known.replace("pr0xy-pass", "wr0ng-pass");
    let ran = load(&secure.url()).env("HTTPS_PROXY", &wrong).run().succeeded();
    assert_eq!((ran.users(), proxy.forwarded().len()), ([1, 0, 1, 0], 2));
    assert!(!ran.everything().contains("wr0ng-pass"), "{}", ran.everything());
    let gone = known.replace(&proxy.address().to_string(), &dead_port().to_string());
    let ran = load(&plain.url()).env("HTTP_PROXY", &gone).run().succeeded();
    assert_eq!(ran.counters_of("errors."), counts(&[("ECONNREFUSED", 1)]));
    assert!(!ran.everything().contains("pr0xy-pass"), "{}", ran.everything());
}

#[test]
fn errors_that_are_all_different_do_not_flood_the_report() {
    let steps = ["get: { url: \"http://[{{ $uuid }}\" }"];
    let ran = Load::of("http://127.0.0.1:1", steps).users(700).run().succeeded();
    assert_eq!((ran.users(), ran.counter("http.requests")), ([700, 0, 700, 0], 0));
    let errors = ran.counters_of("errors.");
    assert_eq!(errors.values().sum::<u64>(), 700);
    assert!(
        errors.len() <= 600
            && errors.keys().all(|code| code.starts_with("Invalid URL - http://[") || code == "(other)")
    );
    assert!(ran.finished.stdout.lines().count() < 150, "{}", ran.finished.stdout);
    ran.tells(&["more kinds of errors\n", "    The step could not be made into a request, and nothing was sent.\n"]);
}

#[test]
fn no_secret_is_in_what_pyperf_writes() {
    let server = WebServer::start();
    let target = server.url().replace("http://", "http://ann:plant-target@");
    let other = server.url().replace("http://", "http://ann:plant-url@");
    let elsewhere = format!("get: {{ url: \"{other}/status/500\" }}");
    let loud = "headers: { Authorization: Bearer plant-bearer, Cookie: a=plant-cookie, X-Api-Key: plant-key }";
    let [echo, body] = [
        format!("get: {{ url: /echo, {loud}, match: {{ json: $.method, value: NONE, strict: false }} }}"),
        "post: { url: /echo, json: { password: plant-json, deep: { access_token: plant-deep } }, \
         match: { json: $.method, value: NONE, strict: false } }"
            .to_owned(),
    ];
    let ran = Load::of(
        &target,
        [
            &elsewhere,
            &echo,
            &body,
            "get: { url: \"/status/500?token=plant-query&page=2\" }",
            "get: { url: \"/set-cookie?session_id=plant-set-cookie\", match: { json: $.none, value: x, strict: false } }",
            "get: { url: \"/redirect-to?status=500&url=http://ann:plant-location@127.0.0.1/\" }",
            "get: { url: \"/status/501?x={{ $processEnvironment.API_TOKEN }}\", headers: { X: \"{{ $env.API_TOKEN }}\" } }",
            "get: { url: \"/status/502?x={{ password }}\" }",
            "get: { url: \"/status/504/{{ userPassword }}\" }",
            "get: { url: \"/token\", capture: { json: $.token, as: token } }",
            "get: { url: \"/gone/{{ token }}\" }",
            "get: { url: /cookies, cookie: { jwt: plant-jar }, match: { json: $.none, value: x, strict: false } }",
            "get: { url: /token, match: { json: $.token, value: other, strict: false } }",
            "get: { url: /json, capture: { json: $.access_token, as: absent, strict: false } }",
            "get: { url: /token, match: { json: $.nothing, value: x, strict: false } }",
            "get: { url: \"http://[{{ $env.API_TOKEN }}\" }",
        ],
    )
    .config("variables: { password: plant-variable }")
    .config("payload: { path: rows.csv, fields: [user, userPassword] }")
    .file("rows.csv", "ann,plant-in-a-row\n")
    .env("API_TOKEN", "plant-environment")
    .run()
    .succeeded();
    assert!(ran.failures().len() >= 11, "{:#}", ran.own("/failures"));
    let asked_for = server.requests().into_iter().filter(|request| request.path() == "/token");
    let mut planted: Vec<String> = asked_for.map(|request| format!("secret-{}", request.order)).collect();
    assert_eq!(planted.len(), 3);
    planted.push("plant-".to_owned());
    let written = ran.everything();
    let leaks: Vec<&str> = written.lines().filter(|line| planted.iter().any(|one| line.contains(one))).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(written.contains("page=2") && written.contains("<hidden>"));

    // What ends a run before it began, and what the plugin prints, are other ways out.
    let ran = Load::script(format!(
        "config: {{ target: \"{target}\" }}\nbefore:\n  flow:\n    - get: {{ url: /token, capture: {{ json: $.token, as: \
         token }} }}\n    - get: {{ url: \"http://[{{{{ token }}}}\" }}\nscenarios: [{{ flow: [get: {{ url: /json }}] }}]\n"
    ));
    let ran = ran.run().ended_with(1);
    let token = format!("secret-{}", server.requests().len());
    assert!(!ran.everything().contains(&token) && !ran.everything().contains("plant-"), "{}", ran.everything());
    let ran = Load::script(format!(
        "config: {{ target: \"{target}\" }}\nbefore:\n  flow:\n    - get: {{ url: /token, capture: {{ json: $.token, as: \
         session.token }} }}\nscenarios: [{{ flow: [get: {{ url: \"/gone/{{{{ session.token }}}}\" }}] }}]\n"
    ));
    let ran = ran.run().succeeded();
    let gone = server.requests().pop().expect("something came").target;
    let token = gone.strip_prefix("/gone/").expect("what the scenario asks for");
    assert!(token.starts_with("secret-"), "{token}");
    assert!(!ran.everything().contains(token) && ran.everything().contains("/gone/<hidden>"), "{}", ran.everything());
    let expecting = "get: { url: \"/status/500?x={{ password }}\", expect: { equals: [a, \"{{ password }}\"] } }";
    let ran = Load::of(&target, [expecting])
        .config("plugins: { expect: {} }")
        .config("variables: { password: plant-variable }");
    let ran = ran.run().ended_with(21);
    assert!(!ran.everything().contains("plant-"), "{}", ran.everything());
}

//! `publish-metrics`: what the destinations of a short run receive, and what a run does about those that fail.
//!
//! A run of a second has one window, or two when the wall clock comes to a full ten seconds meanwhile: what is counted is the
//! sum of all that came.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::pyperf::{Finished, Pyperf};
use crate::support::temp_dir::TempDir;
use crate::support::wait::PATIENCE;
use crate::support::web::WebServer;
use crate::support::web::ports::dead_port;
use crate::support::web::request::Received;
use crate::support::web::tls::Tls;

/// Three users that ask for `/json` once each.
fn script(dir: &TempDir, target: &str, destinations: &str) -> PathBuf {
    let text = format!(
        "config:\n  target: {target}\n  http: {{ timeout: 20 }}\n  phases: [{{ duration: 1, arrivalCount: 3 }}]\n  \
         plugins:\n    publish-metrics:\n{destinations}\
         scenarios:\n  - name: Reader\n    flow: [{{ get: {{ url: /json }} }}]\n"
    );
    let path = dir.join("script.yml");
    fs::write(&path, text).expect("the directory is ours");
    path
}

fn run(dir: &TempDir, target: &str, destinations: &str) -> Finished {
    let script = script(dir, target, destinations);
    Pyperf::new(["run".into(), script.into_os_string()]).run()
}

/// What came to a path that begins so.
fn at(server: &WebServer, start: &str) -> Vec<Received> {
    server.requests().into_iter().filter(|request| request.target.starts_with(start)).collect()
}

#[test]
fn a_pushgateway_gets_the_sum_of_all_windows() {
    let (web, dir) = (WebServer::start(), TempDir::new());
    let gateway = web.url().replace("http://", "http://me:p%40ss@");
    let destination =
        format!("      - {{ type: prometheus, pushgateway: '{gateway}', tags: ['team:a b', 'env:test'] }}\n");
    let finished = run(&dir, &web.url(), &destination).succeeded();
    assert!(!finished.stderr.contains("publish-metrics"), "{}", finished.stderr);

    let pushes = at(&web, "/metrics/job/");
    let last = pushes.last().expect("a push");
    assert_eq!((last.method.as_str(), last.target.len()), ("POST", "/metrics/job/".len() + 36));
    assert!(pushes.iter().all(|push| push.target == last.target), "one job for the whole run");
    assert_eq!(last.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(last.credentials("authorization").as_deref(), Some("me:p@ss"));
    let text = last.text();
    for line in [
        "# TYPE artillery_counters counter",
        r#"artillery_counters{metric="http_codes_200",team="a b",env="test"} 3"#,
        r#"artillery_counters{metric="vusers_created_by_name_reader",team="a b",env="test"} 3"#,
        r#"artillery_counters{metric="vusers_completed",team="a b",env="test"} 3"#,
        "# TYPE artillery_rates gauge",
        "# TYPE artillery_summaries gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
    assert!(text.contains(r#"artillery_summaries{metric="http_response_time_p95",team="a b",env="test"} "#), "{text}");
}

#[test]
fn a_gateway_s_certificate_is_checked_with_the_authority_that_the_script_names() {
    let (web, gateway, dir) = (WebServer::start(), WebServer::start_tls(Tls::default()), TempDir::new());
    fs::write(dir.join("ca.pem"), gateway.ca_pem()).expect("the directory is ours");
    let port = gateway.address().port();
    let destination = format!("      - {{ type: prometheus, pushgateway: 'https://localhost:{port}', ca: ca.pem }}\n");
    let finished = run(&dir, &web.url(), &destination).succeeded();
    assert!(!finished.stderr.contains("publish-metrics"), "{}", finished.stderr);
    assert!(!at(&gateway, "/metrics/job/").is_empty());

    let destination = format!("      - {{ type: prometheus, pushgateway: 'https://localhost:{port}' }}\n");
    run(&dir, &web.url(), &destination).succeeded().says(&["could not be sent to the Pushgateway localhost"]);
}

#[test]
fn statsd_servers_get_datagrams_in_their_dialects() {
    let (web, dir) = (WebServer::start(), TempDir::new());
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("the loopback has free ports"));
    let [plain, telegraf] = sockets.each_ref().map(|socket| socket.local_addr().expect("it is bound").port());
    let destinations = format!(
        "      - {{ type: statsd, port: {plain}, prefix: 'load.', includeOnly: [http] }}\n      \
         - {{ type: influxdb-statsd, host: localhost, port: {telegraf}, tags: ['team:a'], excluded: [http.response] }}\n"
    );
    run(&dir, &web.url(), &destinations).succeeded();

    // All has been sent when the run is over.
    let [plain, telegraf] = sockets.map(|socket| received(&socket));
    assert_eq!(sums(&plain, "|c").get("load.http.codes.200"), Some(&3), "{plain}");
    assert!(plain.contains("load.http.response_time.p95:"), "{plain}");
    assert!(plain.lines().all(|line| line.starts_with("load.http.")), "{plain}");
    assert_eq!(sums(&telegraf, "|c").get("artillery.vusers.created,team=a"), Some(&3), "{telegraf}");
    assert!(sums(&telegraf, "|g").contains_key("artillery.http.request_rate,team=a"), "{telegraf}");
    assert!(!telegraf.contains("http.response_time"), "{telegraf}");
}

/// The lines of all datagrams that are there.
fn received(socket: &UdpSocket) -> String {
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("it is a socket");
    let (mut lines, mut datagram) = (String::new(), [0; 8192]);
    while let Ok(length) = socket.recv(&mut datagram) {
        lines.push_str(&String::from_utf8_lossy(&datagram[..length]));
        lines.push('\n');
    }
    lines
}

/// The sum of what lines of one kind say of each name; fractions are cut off.
fn sums(lines: &str, kind: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, value) in lines.lines().filter_map(|line| line.strip_suffix(kind)?.rsplit_once(':')) {
        let whole: u64 = value.split('.').next().and_then(|whole| whole.parse().ok()).expect("a number");
        *sums.entry(name.to_owned()).or_default() += whole;
    }
    sums
}

#[test]
fn collectors_get_json_or_protocol_buffers() {
    let (web, dir) = (WebServer::start(), TempDir::new());
    let url = web.url();
    let destinations = format!(
        "      - type: open-telemetry\n        serviceName: shop\n        metrics:\n          endpoint: '{url}/echo?json'\n          \
         headers: {{ api-key: s3cret }}\n          attributes: {{ team: a }}\n          includeOnly: [http.responses, vusers.session_length]\n      \
         - type: open-telemetry\n        metrics: {{ exporter: otlp-proto, endpoint: '{url}/echo?proto' }}\n"
    );
    let finished = run(&dir, &url, &destinations).succeeded();
    assert!(!format!("{finished:?}").contains("s3cret"), "{finished:?}");

    let mut responses = 0.0;
    for request in at(&web, "/echo?json") {
        assert_eq!((request.method.as_str(), request.header("api-key")), ("POST", Some("s3cret")));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let resource = &body["resourceMetrics"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "shop");
        for metric in resource["scopeMetrics"][0]["metrics"].as_array().expect("metrics") {
            let name = metric["name"].as_str().expect("a name");
            assert!(name == "http.responses" || name.starts_with("vusers.session_length."), "{metric}");
            let data = &metric[if name == "http.responses" { "sum" } else { "gauge" }]["dataPoints"][0];
            assert_eq!(data["attributes"][0]["value"]["stringValue"], "a");
            if name == "http.responses" {
                responses += data["asDouble"].as_f64().expect("a number");
            }
        }
    }
    assert!((responses - 3.0).abs() < 1e-9, "{responses}");
    let protocol = at(&web, "/echo?proto");
    assert!(!protocol.is_empty());
    for request in protocol {
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert!(request.body.windows(14).any(|bytes| bytes == b"Artillery-test"));
    }
}

#[test]
fn destinations_that_fail_are_told_once_and_change_nothing() {
    let (web, dir, dead) = (WebServer::start(), TempDir::new(), dead_port());
    let url = web.url().replace("http://", "http://me:s3cret@");
    let collector = |path: &str| {
        format!(
            "      - {{ type: open-telemetry, metrics: {{ endpoint: '{url}{path}', headers: {{ x-key: s3cret }} }} }}\n"
        )
    };
    let destinations = format!(
        "      - {{ type: prometheus, pushgateway: 'http://me:s3cret@{dead}/s3cret' }}\n{}{}{}      \
         - {{ type: statsd, host: no-such-host.invalid }}\n",
        collector("/status/503?s3cret"),
        collector("/no-answer"),
        collector("/echo"),
    );
    let finished = run(&dir, &web.url(), &destinations).succeeded();
    let address = web.address();
    let refused = format!("windows could not be sent to the Pushgateway {dead}; the last time: ECONNREFUSED");
    let answered = format!("windows could not be sent to the collector {address}; the last time: it answered 503");
    let silent = format!("windows could not be sent to the collector {address}; the last time: no answer within 5 s");
    let unknown = "windows could not be sent to StatsD on no-such-host.invalid:8125; the last time: ".to_owned();
    for sentence in [refused, answered, silent, unknown] {
        assert_eq!(finished.stderr.matches(&sentence).count(), 1, "{sentence} in:\n{}", finished.stderr);
    }
    assert_eq!(finished.stderr.matches("publish-metrics: ").count(), 4, "{}", finished.stderr);
    assert!(!format!("{finished:?}").contains("s3cret"), "{finished:?}");
    assert!(finished.stdout.contains("Scenarios completed: 3"), "{}", finished.stdout);
    assert!(!at(&web, "/echo").is_empty());
}

#[test]
fn who_interrupts_twice_does_not_wait_for_a_silent_destination() {
    let (web, silent, dir) = (WebServer::start(), WebServer::start(), TempDir::new());
    let endpoint = format!("{}/no-answer", silent.url());
    let destination = format!("      - {{ type: open-telemetry, metrics: {{ endpoint: '{endpoint}' }} }}\n");
    let script = script(&dir, &web.url(), &destination);
    let running = Pyperf::new(["run".into(), script.into_os_string()]).start();
    silent.wait_for(1);
    // Two that are not the same, as a signal that is already pending is not told twice.
    running.interrupt();
    running.terminate();
    let finished = running.wait(PATIENCE);
    assert!(finished.stderr.contains("the last time: interrupted"), "{}", finished.stderr);
}

#[test]
fn what_is_not_published_is_said_before_the_run() {
    let dir = TempDir::new();
    let destinations = "      - { type: datadog, apiKey: x }\n      - type: open-telemetry\n        metrics: { exporter: otlp-grpc }\n        \
                        traces: { exporter: zipkin }\n      - { type: prometheus, pushgateway: 'me:s3cret@gateway' }\n";
    let script = script(&dir, "http://127.0.0.1:1", destinations);
    let finished = Pyperf::new(["check".into(), script.into_os_string()]).run().ended_with(2);
    for sentence in [
        "ignored: nothing is published to `datadog`",
        "pyperf publishes to prometheus, statsd, influxdb-statsd, open-telemetry",
        "ignored: nothing is published with the exporter `otlp-grpc`",
        "ignored: `traces` has no effect",
        "pyperf publishes metrics alone, not traces",
        "error: the `pushgateway` of publish-metrics is no address of http or https",
    ] {
        assert!(finished.stdout.contains(sentence), "{sentence} is missing in:\n{}", finished.stdout);
    }
    assert!(!format!("{finished:?}").contains("s3cret"), "{finished:?}");
}

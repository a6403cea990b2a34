//! The plugin `publish-metrics`: where the numbers of a run are sent while it goes on.
//!
//! Settings only. Three kinds of destination are known: a Prometheus Pushgateway, a statsd server in two dialects, and an
//! OpenTelemetry collector over HTTP. Everything else that Artillery publishes to is said to be ignored, by name. Addresses and
//! headers may hold secrets: they are kept as [`Unshown`], and no finding quotes or points at them. Nothing here sends.

use std::fmt;
use std::path::Path;

use serde_json::Value;
use url::Url;

use super::files;
use super::finding::Findings;
use super::node::{Kind, Node};
use super::section::{Section, closest, count, one_or_more, text};
use crate::redact::HIDDEN;

/// A destination of the numbers of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Publication {
    /// A Prometheus Pushgateway.
    Prometheus(Prometheus),
    /// A statsd server.
    Statsd(Statsd),
    /// An OpenTelemetry collector.
    Otlp(Otlp),
}

/// A Prometheus Pushgateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Its address.
    pub gateway: Unshown<Url>,
    /// What the names of metrics begin with.
    pub prefix: String,
    /// Labels of every metric; their names are names of labels.
    pub tags: Vec<(String, String)>,
    /// PEM of the authorities to trust instead of the system's.
    pub authorities: Option<String>,
}

/// A statsd server, reached over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statsd {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What names begin with, the dot included.
    pub prefix: String,
    /// Tags of every metric, as `key:value`.
    pub tags: Vec<String>,
    /// How tags are written.
    pub dialect: Dialect,
    /// Which metrics are sent.
    pub selection: Selection,
}

/// How statsd servers take tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// At the end, as Datadog's agent reads them: `name:1|c|#key:value`.
    Statsd,
    /// In the name, as Telegraf reads them: `name,key=value:1|c`.
    Telegraf,
}

/// An OpenTelemetry collector, reached over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Its address, path included.
    pub endpoint: Unshown<Url>,
    /// How metrics are written.
    pub encoding: Encoding,
    /// Headers of every request; all of them can be sent.
    pub headers: Unshown<Vec<(String, String)>>,
    /// Attributes of every metric.
    pub attributes: Vec<(String, Value)>,
    /// `service.name`.
    pub service: String,
    /// The name of the meter.
    pub meter: String,
    /// Which metrics are sent.
    pub selection: Selection,
}

/// How OTLP is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As JSON: the exporter `otlp-http`.
    Json,
    /// As protocol buffers: the exporter `otlp-proto`.
    Protobuf,
}

/// Which metrics are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these, when there are any.
    pub only: Vec<String>,
    /// All but these.
    pub except: Vec<String>,
    /// How much of a metric's name the entries give.
    pub by: By,
}

/// How much of a metric's name an entry of a [`Selection`] gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// All of it (OpenTelemetry).
    #[default]
    Name,
    /// What it begins with (statsd).
    Start,
}

impl Selection {
    /// Whether a metric is sent.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let fits = |entry: &String| match self.by {
            By::Name => name == entry,
            By::Start => name.starts_with(entry.as_str()),
        };
        !self.except.iter().any(fits) && (self.only.is_empty() || self.only.iter().any(fits))
    }
}

/// A value that is used and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Unshown<T>(pub T);

impl<T> fmt::Debug for Unshown<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// The types of destination that there are.
const KNOWN: [&str; 4] = ["prometheus", "statsd", "influxdb-statsd", "open-telemetry"];
/// Those that Artillery has too.
const OTHERS: [&str; 8] =
    ["datadog", "cloudwatch", "newrelic", "splunk", "dynatrace", "honeycomb", "lightstep", "mixpanel"];

/// Reads `plugins.publish-metrics`; paths are relative to `folder`, or else to where pyperf runs.
pub fn read(node: &Node, folder: &Path, findings: &mut Findings) -> Vec<Publication> {
    one_or_more(node).iter().filter_map(|node| publication(node, folder, findings)).collect()
}

fn publication(node: &Node, folder: &Path, findings: &mut Findings) -> Option<Publication> {
    let mut section = Section::of(node, "a destination of `publish-metrics`", findings)?;
    let Some(kind) = section.take("type") else {
        findings.ignored(section.span(), "this destination has no `type`", "nothing is published to it");
        return None;
    };
    match text(kind, "type", findings)?.as_str() {
        "prometheus" => prometheus(section, folder, findings).map(Publication::Prometheus),
        "statsd" => statsd(section, Dialect::Statsd, findings).map(Publication::Statsd),
        "influxdb-statsd" => statsd(section, Dialect::Telegraf, findings).map(Publication::Statsd),
        "open-telemetry" => otlp(section, findings).map(Publication::Otlp),
        other => {
            let meant = closest(other, KNOWN.into_iter()).filter(|_| !OTHERS.contains(&other));
            match meant {
                Some(meant) => {
                    findings.error(kind.span, format!("unknown type `{other}`"), &format!("did you mean `{meant}`?"));
                }
                None => findings.ignored(
                    kind.span,
                    format!("nothing is published to `{other}`"),
                    &format!("pyperf publishes to {}", KNOWN.join(", ")),
                ),
            }
            None
        }
    }
}

fn prometheus(mut section: Section<'_>, folder: &Path, findings: &mut Findings) -> Option<Prometheus> {
    let span = section.span();
    let gateway = section.take("pushgateway");
    let prefix = section.take("prefix").and_then(|node| text(node, "prefix", findings));
    let tags = section.take("tags").map(|node| labels(node, findings)).unwrap_or_default();
    let authorities = section.take("ca").and_then(|node| authorities(node, folder, findings));
    section.end(findings);
    let prefix = prefix.unwrap_or_else(|| "artillery".to_owned());
    if !is_label(&prefix.replace(':', "_")) {
        findings.error(span, format!("`{prefix}` cannot begin the name of a metric of Prometheus"), "");
    }
    let Some(gateway) = gateway else {
        findings.error(span, "prometheus needs a `pushgateway`", "such as http://127.0.0.1:9091");
        return None;
    };
    Some(Prometheus { gateway: address(gateway, "pushgateway", findings)?, prefix, tags, authorities })
}

/// The `tags` of Prometheus as labels. One that the gateway would refuse is left out: it would take all metrics with it.
fn labels(node: &Node, findings: &mut Findings) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for tag in texts(node, "tags", findings) {
        let (name, value) = tag.split_once(':').unwrap_or((&tag, ""));
        if !is_label(name) || name.starts_with("__") || name == "metric" {
            findings.ignored(node.span, format!("the tag `{name}` cannot be a label of Prometheus"), "it is left out");
        } else {
            labels.retain(|(known, _)| known != name);
            labels.push((name.to_owned(), value.to_owned()));
        }
    }
    labels
}

/// Whether Prometheus takes this as the name of a label.
fn is_label(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The PEM in the file that `ca` names. Artillery looks in the working directory alone.
fn authorities(node: &Node, folder: &Path, findings: &mut Findings) -> Option<String> {
    let name = text(node, "ca", findings)?;
    let path = Some(folder.join(&name)).filter(|path| path.exists()).unwrap_or_else(|| (&name).into());
    let pem = files::read_text(&path, files::LARGEST_PEM);
    pem.map_err(|why| findings.error(node.span, format!("cannot read {}", path.display()), &why)).ok()
}

fn statsd(mut section: Section<'_>, dialect: Dialect, findings: &mut Findings) -> Option<Statsd> {
    let host = section.take("host").map_or(Some("127.0.0.1".to_owned()), |node| text(node, "host", findings));
    let port = section.take("port").map_or(Some(8125), |node| port(node, findings));
    let prefix = section.take("prefix").map_or(Some("artillery.".to_owned()), |node| text(node, "prefix", findings));
    let tags = section.take("tags").map(|node| texts(node, "tags", findings)).unwrap_or_default();
    let selection = selection(&mut section, By::Start, findings);
    section.without_effect("event", "events are not sent, only metrics", findings);
    section.end(findings);
    Some(Statsd { host: host?, port: port?, prefix: prefix?, tags, dialect, selection })
}

fn port(node: &Node, findings: &mut Findings) -> Option<u16> {
    let port = u16::try_from(count(node, "port", findings)?).ok().filter(|port| *port > 0);
    if port.is_none() {
        findings.error(node.span, "a port is a number from 1 to 65535", "");
    }
    port
}

fn otlp(mut section: Section<'_>, findings: &mut Findings) -> Option<Otlp> {
    let span = section.span();
    let service = section.take("serviceName").and_then(|node| text(node, "serviceName", findings));
    section.without_effect("traces", "pyperf publishes metrics alone, not traces", findings);
    let metrics = section.take("metrics");
    section.end(findings);
    let Some(metrics) = metrics else {
        findings.ignored(span, "nothing is published to this collector", "it has no `metrics`");
        return None;
    };
    let mut section = Section::of(metrics, "`metrics`", findings)?;
    let encoding = section.take("exporter").map_or(Some(Encoding::Json), |node| encoding(node, findings));
    let endpoint = match section.take("endpoint") {
        Some(node) => address(node, "endpoint", findings),
        None => Url::parse("http://localhost:4318/v1/metrics").ok().map(Unshown),
    };
    let headers = section.take("headers").map(|node| headers(node, findings)).unwrap_or_default();
    let attributes = section.take("attributes").map(|node| attributes(node, findings)).unwrap_or_default();
    let meter = section.take("meterName").and_then(|node| text(node, "meterName", findings));
    let selection = selection(&mut section, By::Name, findings);
    section.end(findings);
    Some(Otlp {
        endpoint: endpoint?,
        encoding: encoding?,
        headers: Unshown(headers),
        attributes,
        service: service.unwrap_or_else(|| "Artillery-test".to_owned()),
        meter: meter.unwrap_or_else(|| "Artillery.io_metrics".to_owned()),
        selection,
    })
}

fn encoding(node: &Node, findings: &mut Findings) -> Option<Encoding> {
    match node.as_text() {
        Some("otlp-http") => Some(Encoding::Json),
        Some("otlp-proto") => Some(Encoding::Protobuf),
        Some("otlp-grpc") => {
            let beside = "pyperf does not speak gRPC; collectors take otlp-http and otlp-proto too, on port 4318";
            findings.ignored(node.span, "nothing is published with the exporter `otlp-grpc`", beside);
            None
        }
        _ => {
            findings.error(node.span, "the exporter of metrics is otlp-http or otlp-proto", "");
            None
        }
    }
}

fn attributes(node: &Node, findings: &mut Findings) -> Vec<(String, Value)> {
    if !matches!(node.kind, Kind::Map(_)) {
        findings.error(node.span, "`attributes` is a map", &format!("this is {}", node.what()));
    }
    node.entries().iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect()
}

/// The headers that can be sent. What is wrong with one is said without its line, which may hold a secret.
fn headers(node: &Node, findings: &mut Findings) -> Vec<(String, String)> {
    if !matches!(node.kind, Kind::Map(_)) {
        findings.error_unshown(node.span, "the `headers` of open-telemetry are a map", "");
    }
    let mut headers = Vec::new();
    for entry in node.entries() {
        let value = match &entry.value.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            Kind::Bool(truth) => Some(truth.to_string()),
            _ => None,
        };
        let value = value.filter(|value| http::HeaderValue::try_from(value.as_str()).is_ok());
        match value {
            Some(value) if http::HeaderName::try_from(entry.key.as_str()).is_ok() => {
                headers.push((entry.key.clone(), value));
            }
            _ => {
                let sentence = format!("the header `{}` of open-telemetry cannot be sent", entry.key);
                findings.error_unshown(entry.value.span, sentence, "");
            }
        }
    }
    headers
}

/// An address of HTTP. What is wrong with it is said without its line, which may hold a password.
fn address(node: &Node, key: &str, findings: &mut Findings) -> Option<Unshown<Url>> {
    let url = node.as_text().and_then(|text| Url::parse(text).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if url.is_none() {
        let sentence = format!("the `{key}` of publish-metrics is no address of http or https");
        findings.error_unshown(node.span, sentence, "such as http://127.0.0.1:9091");
    }
    url.map(Unshown)
}

/// `includeOnly` and `excluded`, which one of Artillery's reporters calls `exclude`.
fn selection(section: &mut Section<'_>, by: By, findings: &mut Findings) -> Selection {
    let mut list = |key| section.take(key).map(|node| texts(node, key, findings)).unwrap_or_default();
    let (only, mut except) = (list("includeOnly"), list("excluded"));
    if by == By::Name {
        except.extend(list("exclude"));
    }
    Selection { only, except, by }
}

fn texts(node: &Node, what: &str, findings: &mut Findings) -> Vec<String> {
    one_or_more(node).iter().filter_map(|node| text(node, what, findings)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Severity;
    use super::super::source::{Sources, Span};
    use super::*;

    fn parsed(value: Value) -> (Vec<Publication>, Findings) {
        let mut findings = Findings::default();
        let publications = read(&Node::of_value(value, Span::default()), Path::new(""), &mut findings);
        (publications, findings)
    }

    fn told(value: Value) -> Vec<(Severity, String)> {
        parsed(value).1.sorted().iter().map(|finding| (finding.severity, finding.sentence.clone())).collect()
    }

    #[test]
    fn defaults_are_those_of_artillery() {
        let (publications, findings) = parsed(json!([
            {"type": "prometheus", "pushgateway": "http://gateway:9091"},
            {"type": "statsd"},
            {"type": "open-telemetry", "metrics": {"exporter": "otlp-proto"}},
        ]));
        assert!(findings.sorted().is_empty());
        let url = |text| Unshown(Url::parse(text).expect("a URL"));
        let prometheus = Prometheus {
            gateway: url("http://gateway:9091"),
            prefix: "artillery".into(),
            tags: vec![],
            authorities: None,
        };
        let statsd = Statsd {
            host: "127.0.0.1".into(),
            port: 8125,
            prefix: "artillery.".into(),
            tags: vec![],
            dialect: Dialect::Statsd,
            selection: Selection { by: By::Start, ..Selection::default() },
        };
        let otlp = Otlp {
            endpoint: url("http://localhost:4318/v1/metrics"),
            encoding: Encoding::Protobuf,
            headers: Unshown(vec![]),
            attributes: vec![],
            service: "Artillery-test".into(),
            meter: "Artillery.io_metrics".into(),
            selection: Selection::default(),
        };
        let expected =
            [Publication::Prometheus(prometheus), Publication::Statsd(statsd), Publication::Otlp(otlp)].to_vec();
        assert_eq!(publications, expected);
    }

    #[test]
    fn what_is_not_published_is_said_by_name() {
        let ignored = |sentence: &str| (Severity::Ignored, sentence.to_owned());
        for vendor in OTHERS {
            assert_eq!(told(json!([{"type": vendor}])), [ignored(&format!("nothing is published to `{vendor}`"))]);
        }
        let collector = |more: Value| told(json!([{"type": "open-telemetry", "metrics": more, "traces": {}}]));
        assert_eq!(collector(json!({})), [ignored("`traces` has no effect")]);
        assert_eq!(
            collector(json!({"exporter": "otlp-grpc"})),
            [ignored("`traces` has no effect"), ignored("nothing is published with the exporter `otlp-grpc`")]
        );
        assert_eq!(told(json!([{"type": "open-telemetry"}])), [ignored("nothing is published to this collector")]);
        assert_eq!(told(json!([{}])), [ignored("this destination has no `type`")]);
        assert_eq!(told(json!([{"type": "promethius"}])), [(Severity::Error, "unknown type `promethius`".to_owned())]);
        assert_eq!(told(json!([{"type": "statsd", "event": {}}])), [ignored("`event` has no effect")]);
    }

    #[test]
    fn a_tag_that_would_spoil_a_push_is_left_out() {
        let (publications, findings) = parsed(json!({
            "type": "prometheus", "pushgateway": "https://gateway/", "tags": ["team:a:b", "is-bad:1", "metric:x", "team:c"],
        }));
        let [Publication::Prometheus(prometheus)] = &publications[..] else { panic!("{publications:?}") };
        assert_eq!(prometheus.tags, [("team".to_owned(), "c".to_owned())]);
        assert_eq!(findings.count(Severity::Ignored), 2);
    }

    #[test]
    fn secrets_are_neither_in_findings_nor_in_debug_output() {
        let (publications, findings) = parsed(json!([
            {"type": "prometheus", "pushgateway": "http://me:s3cret@gateway:9091"},
            {"type": "prometheus", "pushgateway": "htp://me:s3cret@gateway"},
            {"type": "open-telemetry", "metrics": {"headers": {"good": "s3cret", "bad": "s3cret\n", "not this": "s3cret"}}},
        ]));
        assert_eq!(publications.len(), 2);
        assert_eq!(findings.count(Severity::Error), 3);
        let shown = format!("{publications:?}{}{:?}", findings.text(&Sources::default()), findings.sorted());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_selection_goes_by_names_or_by_what_they_begin_with() {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let only = Selection { only: list(&["http"]), except: list(&["http.codes"]), by: By::Start };
        let taken = ["http.requests", "http.codes.200", "vusers.created"].map(|name| only.takes(name));
        assert_eq!(taken, [true, false, false]);
        let named = Selection { by: By::Name, ..only };
        assert_eq!(["http", "http.requests"].map(|name| named.takes(name)), [true, false]);
        assert!(Selection::default().takes("anything"));
    }

    proptest::proptest! {
        #[test]
        fn no_setting_makes_it_fail(kind in 0_usize..4, key in "[a-zA-Z]{1,12}", text in ".{0,40}") {
            for key in [key.as_str(), "pushgateway", "prefix", "tags", "host", "port", "metrics", "includeOnly"] {
                parsed(json!([{"type": KNOWN[kind], key: text.clone()}]));
                parsed(json!([{"type": KNOWN[kind], "metrics": {key: text.clone(), "headers": {key: text.clone()}}}]));
            }
        }
    }
}

//! What a script says of the connection: time limit, sockets, default headers, TLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files;
use super::finding::Findings;
use super::length::{self, Given, Jitter};
use super::node::{Kind, Node};
use super::section::{Section, count, number, text, truth};
use super::template::Template;

/// How long to wait for an answer when the script does not say. Artillery 1 waits that long; Artillery 2 gives up after 10 s,
/// and so never sees the 504 of a router that waits for 30 s or a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How requests are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// How long to wait to be connected, for an answer to begin, and for it to end.
    pub timeout: Duration,
    /// Sockets of one user, for its `parallel` steps.
    pub sockets: usize,
    /// Sockets that all users share, instead.
    pub pool: Option<usize>,
    /// Report DNS, TCP and TLS times as Artillery's metrics too.
    pub extended_metrics: bool,
    /// Send a `traceparent` with each request.
    pub tracing: Option<Tracing>,
    /// Headers of every request, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Cookies that every user begins with.
    pub cookies: Vec<(String, Template)>,
    /// Whether a failed capture ends the user, unless the capture says otherwise.
    pub strict_capture: bool,
    /// How far pauses vary.
    pub jitter: Option<Jitter>,
    /// How TLS is spoken.
    pub tls: Tls,
}

/// The W3C trace context that requests carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Whether the trace is marked as sampled.
    pub sampled: bool,
    /// What trace ids begin with: up to 8 hexadecimal digits.
    pub prefix: String,
}

/// How TLS is spoken. Certificates are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Accept any certificate.
    pub insecure: bool,
    /// Authorities to trust instead of the system's.
    pub authorities: Option<String>,
    /// The client's certificate and its key.
    pub identity: Option<(String, String)>,
    /// The name to ask for in place of the target's.
    pub server_name: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            timeout: PATIENCE,
            sockets: 1,
            pool: None,
            extended_metrics: false,
            tracing: None,
            headers: Vec::new(),
            cookies: Vec::new(),
            strict_capture: true,
            jitter: None,
            tls: Tls::default(),
        }
    }
}

/// Reads `config.http`, `config.defaults`, `config.timeout` and `config.tls`; paths are relative to `folder`.
pub fn read(config: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> Http {
    let mut http = Http::default();
    let (mut timeout, mut misspelt) = (None, false);
    // The older place of the defaults first: what `http.defaults` says wins key by key.
    if let Some(node) = config.take("defaults") {
        defaults(node, &mut http, findings);
    }
    if let Some(mut section) = config.take("http").and_then(|node| Section::of(node, "`http`", findings)) {
        timeout = section.take("timeout");
        if let Some(entry) = section.entry("maxSockets").filter(|entry| entry.value.kind != Kind::Null)
            && let Some(sockets) = positive(&entry.value, "maxSockets", findings)
        {
            let beside = "Artillery does nothing with it; only `parallel` needs more than one";
            findings.changed(entry.span, format!("each user may have {sockets} sockets"), beside);
            http.sockets = sockets;
        }
        http.pool = section.take("pool").and_then(|node| positive(node, "pool", findings));
        if let Some(node) = section.take("extendedMetrics") {
            http.extended_metrics = truth(node, "extendedMetrics", findings).unwrap_or_default();
        }
        section.without_effect("cookieJarOptions", "the cookie jar has no options here", findings);
        if let Some(node) = section.take("distributedTracing") {
            http.tracing = tracing(node, findings);
        }
        if let Some(node) = section.take("defaults") {
            defaults(node, &mut http, findings);
        }
        misspelt = section.end(findings).contains(&"timeout");
    }
    let timeout = config.take("timeout").or(timeout);
    match timeout {
        Some(node) => http.timeout = seconds(node, findings).unwrap_or(PATIENCE),
        None if misspelt || config.misspells(&["timeout"]) => {}
        None => findings.changed(
            None,
            format!("no `http.timeout`: an answer may take {} s, as for Artillery 1", PATIENCE.as_secs()),
            "Artillery 2 gives up after 10 s; `http.timeout` in seconds decides it",
        ),
    }
    if let Some(node) = config.take("tls") {
        http.tls = tls(node, folder, findings);
    }
    http
}

fn positive(node: &Node, what: &str, findings: &mut Findings) -> Option<usize> {
    let number = count(node, what, findings)?;
    if number == 0 {
        findings.error(node.span, format!("`{what}` is 1 or more"), "");
    }
    usize::try_from(number).ok().filter(|number| *number > 0)
}

fn seconds(node: &Node, findings: &mut Findings) -> Option<Duration> {
    let seconds = number(node, "a timeout in seconds", findings)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(length) if !length.is_zero() => Some(length),
        _ => {
            findings.error(node.span, "a timeout is more than 0 seconds", "");
            None
        }
    }
}

fn defaults(node: &Node, http: &mut Http, findings: &mut Findings) {
    let Some(mut section) = Section::of(node, "`defaults`", findings) else { return };
    if let Some(node) = section.take("headers") {
        for (name, value) in headers(node, findings) {
            http.headers.retain(|(known, _)| *known != name);
            http.headers.push((name, value));
        }
    }
    if let Some(node) = section.take("cookie") {
        http.cookies = pairs(node, "cookie", findings);
    }
    if let Some(node) = section.take("strictCapture") {
        http.strict_capture = truth(node, "strictCapture", findings).unwrap_or(true);
    }
    if let Some(mut think) = section.take("think").and_then(|node| Section::of(node, "`think`", findings)) {
        http.jitter = think.take("jitter").and_then(|node| jitter(node, findings));
        think.end(findings);
    }
    section.end(findings);
}

/// Reads a `jitter`.
pub fn jitter(node: &Node, findings: &mut Findings) -> Option<Jitter> {
    let given = match &node.kind {
        Kind::Number(number) => Given::Number(number.as_f64().unwrap_or(f64::NAN)),
        _ => Given::Text(node.as_text().unwrap_or_default()),
    };
    length::jitter(given).map_err(|error| findings.error(node.span, error.to_string(), "")).ok()
}

/// Reads a map of headers: names in lower case, as HTTP does not tell them apart.
pub fn headers(node: &Node, findings: &mut Findings) -> Vec<(String, Template)> {
    let mut list = pairs(node, "headers", findings);
    for (name, _) in &mut list {
        name.make_ascii_lowercase();
    }
    if let Some((name, _)) = list.iter().find(|(name, _)| http::HeaderName::try_from(name.as_str()).is_err()) {
        findings.error(node.span, format!("`{name}` cannot be the name of a header"), "");
    }
    list
}

/// Reads a map of templates by name.
pub fn pairs(node: &Node, what: &'static str, findings: &mut Findings) -> Vec<(String, Template)> {
    if !matches!(node.kind, Kind::Map(_) | Kind::Null) {
        findings.error(node.span, format!("`{what}` is a map"), &format!("this is {}", node.what()));
    }
    node.entries().iter().map(|entry| (entry.key.clone(), Template::of(&entry.value))).collect()
}

fn tracing(node: &Node, findings: &mut Findings) -> Option<Tracing> {
    let mut tracing = Tracing { sampled: true, prefix: "a9".to_owned() };
    if let Kind::Bool(on) = node.kind {
        return on.then_some(tracing);
    }
    let mut section = Section::of(node, "`distributedTracing`", findings)?;
    let on = section.take("enabled").is_none_or(|node| truth(node, "enabled", findings).unwrap_or_default());
    if let Some(node) = section.take("sampled") {
        tracing.sampled = truth(node, "sampled", findings).unwrap_or(true);
    }
    if let Some(node) = section.take("traceIdPrefix") {
        tracing.prefix = text(node, "traceIdPrefix", findings)?.to_lowercase();
        if tracing.prefix.len() > 8 || !tracing.prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            findings.error(node.span, "traceIdPrefix has up to 8 hexadecimal digits", "");
        }
    }
    section.end(findings);
    on.then_some(tracing)
}

fn tls(node: &Node, folder: &Path, findings: &mut Findings) -> Tls {
    let mut tls = Tls::default();
    let Some(mut section) = Section::of(node, "`tls`", findings) else { return tls };
    if let Some(node) = section.take("rejectUnauthorized") {
        tls.insecure = !truth(node, "rejectUnauthorized", findings).unwrap_or(true);
    }
    tls.authorities = section.take("ca").and_then(|node| pem(node, folder, findings));
    let certificate = section.take("cert");
    let key = section.take("key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            tls.identity = pem(certificate, folder, findings).zip(pem(key, folder, findings));
        }
        (Some(one), None) | (None, Some(one)) => {
            findings.error(one.span, "a client certificate needs both `cert` and `key`", "");
        }
        (None, None) => {}
    }
    tls.server_name = section.take("servername").and_then(|node| text(node, "servername", findings));
    for refused in ["pfx", "passphrase"] {
        if let Some(entry) = section.entry(refused) {
            let beside = "openssl pkcs12 -in FILE -nodes writes the PEM that `cert` and `key` take";
            findings.error(entry.span, format!("`{refused}` is not supported"), beside);
        }
    }
    section.end(findings);
    tls
}

/// PEM, as it is or in the file that the text names; a list is all of them together.
fn pem(node: &Node, folder: &Path, findings: &mut Findings) -> Option<String> {
    let mut all = String::new();
    for node in super::section::one_or_more(node) {
        let text = text(node, "a certificate or key", findings)?;
        if text.contains("-----BEGIN") {
            all.push_str(&text);
        } else {
            let path: PathBuf = folder.join(&text);
            match files::read_text(&path, files::LARGEST_PEM) {
                Ok(pem) => all.push_str(&pem),
                Err(why) => {
                    findings.error(node.span, format!("cannot read {}", path.display()), &why);
                    return None;
                }
            }
        }
        all.push('\n');
    }
    Some(all)
}

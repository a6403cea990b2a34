//! A step that sends an HTTP request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::capture::{self, Capture, Match};
use super::endpoint::{EndpointId, Endpoints};
use super::engine::{self, Engines};
use super::expect::{self, Expectation};
use super::expression::Expression;
use super::files;
use super::finding::Findings;
use super::hook::{self, Hook, Hooks};
use super::node::{Entry, Kind, Node};
use super::section::{Section, number, text, truth};
use super::settings::{self, Http};
use super::source::Span;
use super::template::Template;

/// The largest file that a form may carry.
const LARGEST_FILE: u64 = 64 << 20;

/// What to send, and what to make of the answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number among all requests of the script.
    pub number: usize,
    /// What its numbers are filed under.
    pub endpoint: EndpointId,
    /// The method, in capitals.
    pub method: String,
    /// The address; one that begins with `/` belongs to the target.
    pub url: Template,
    /// Headers of its own, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// The query, in place of the one in the address.
    pub query: Vec<(String, Template)>,
    /// What is sent.
    pub body: Body,
    /// Cookies that the user has from now on.
    pub cookies: Vec<(String, Template)>,
    /// User and password.
    pub auth: Option<(Template, Template)>,
    /// Whether the answer may be compressed.
    pub compressed: bool,
    /// Whether redirects are followed.
    pub follow: bool,
    /// Whether HTTP/2 is asked for.
    pub http2: bool,
    /// Send it only if this holds.
    pub only_if: Option<Condition>,
    /// Send it in so many of 100 cases.
    pub probability: Option<f64>,
    /// Values to keep.
    pub captures: Vec<Capture>,
    /// Values to compare.
    pub matches: Vec<Match>,
    /// What is expected of the answer.
    pub expectations: Vec<Expectation>,
    /// What is called around it.
    pub hooks: Hooks,
    /// The step as it is written, which is what hooks see.
    pub written: Value,
    /// How long each part may take, if a hook says so.
    pub patience: Option<Duration>,
    /// Where it is written.
    pub span: Span,
}

/// When a request is sent.
#[derive(Clone, Debug)]
pub enum Condition {
    /// If an expression holds.
    Holds(Expression),
    /// If a function says so.
    Says(Hook),
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// A document that is the same for everybody.
    Document(Bytes),
    /// A document with templates in it.
    Json(Template),
    /// Any text.
    Text(Template),
    /// A form, urlencoded.
    Form(Vec<(String, Template)>),
    /// A form in parts.
    Parts(Vec<Part>),
}

/// A part of a form.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// Its value.
    pub content: Content,
    /// Its type, if the script says so.
    pub content_type: Option<String>,
}

/// The value of a part.
#[derive(Clone, Debug)]
pub enum Content {
    /// Text.
    Value(Template),
    /// A file's name and what is in it.
    File(String, Arc<[u8]>),
}

/// What is known of the functions of a script's processor while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Functions {
    /// There is no processor.
    Missing,
    /// Nothing calls one so far.
    Unused,
    /// One is called.
    Called,
}

/// What steps are read with.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The script's defaults.
    pub http: &'a Http,
    /// What paths are relative to.
    pub folder: &'a Path,
    /// The target, to tell what belongs to it.
    pub target: &'a str,
    /// Whether the `expect` plugin is on.
    pub expect: bool,
    /// Whether a status of 200 is expected of every request.
    pub expect_200: bool,
    /// The functions of the processor.
    pub functions: Functions,
    /// What `config` says of the engines.
    pub engines: &'a Engines,
    /// The engine of the scenario that is read.
    pub engine: engine::Kind,
    /// What that scenario calls around each request.
    pub hooks: Hooks,
    /// What numbers are filed under.
    pub endpoints: &'a mut Endpoints,
    /// How many requests there are so far.
    pub requests: usize,
    /// What there is to say.
    pub findings: &'a mut Findings,
}

/// Reads the request of a step `method: {…}`.
pub fn read(entry: &Entry, reading: &mut Reading<'_>) -> Option<Request> {
    let findings = &mut *reading.findings;
    let mut section = Section::of(&entry.value, "a request", findings)?;
    let url = section.take("url");
    let url = url.or_else(|| section.take("uri"));
    let name = section.take("name").and_then(|node| text(node, "the name of a request", findings));
    let headers = section.take("headers").map(|node| settings::headers(node, findings)).unwrap_or_default();
    let query = section.take("qs").map(|node| settings::pairs(node, "qs", findings)).unwrap_or_default();
    let cookies = section.take("cookie").map(|node| settings::pairs(node, "cookie", findings)).unwrap_or_default();
    let auth = section.take("auth").and_then(|node| auth(node, findings));
    let mut flag = |key, default, findings: &mut Findings| {
        section.take(key).map_or(default, |node| truth(node, key, findings).unwrap_or(default))
    };
    let (compressed, follow) = (flag("gzip", true, findings), flag("followRedirect", true, findings));
    let http2 = flag("http2", false, findings);
    let strict = flag("strict", reading.http.strict_capture, findings);
    let body = body(&mut section, reading.folder, findings);
    if let Some(entry) = section.entry("strict") {
        let beside = "to Artillery 2 it means nothing there";
        findings.changed(entry.span, "`strict` beside `capture` holds for all captures of the request", beside);
    }
    let captures = section.take("capture").map(|node| capture::captures(node, strict, findings)).unwrap_or_default();
    let matches = section.take("match").map(|node| capture::matches(node, findings)).unwrap_or_default();
    let probability = section.take("probability").and_then(|node| probability(node, findings));
    section.without_effect("timeout", "`http.timeout` holds for all requests", findings);
    let only_if = only_if(&mut section, reading);
    let hooks = hooks(&mut section, reading);
    let expectations = expectations(&mut section, reading);
    let slips = section.end(reading.findings);
    if let Some(node) = url.filter(|node| !query.is_empty() && node.as_text().is_some_and(|url| url.contains('?'))) {
        reading.findings.ignored(
            node.span,
            "the query of this `url` has no effect",
            "`qs` replaces it, as in Artillery",
        );
    }

    let method = entry.key.to_ascii_uppercase();
    let Some(url) = url.and_then(|node| address(node, reading.findings)) else {
        if url.is_none() && !slips.contains(&"url") && !slips.contains(&"uri") {
            reading.findings.error(entry.span, "this request has no `url`", "such as /path or https://host/path");
        }
        return None;
    };
    let endpoint = reading.endpoints.add(&method, &url, name.as_deref(), reading.target);
    reading.requests += 1;
    Some(Request {
        number: reading.requests - 1,
        endpoint,
        method,
        url: Template::of_text(&url),
        headers,
        query,
        body,
        cookies,
        auth,
        compressed,
        follow,
        http2,
        only_if,
        probability,
        captures,
        matches,
        expectations,
        hooks,
        patience: None,
        written: if reading.functions == Functions::Missing { Value::Null } else { entry.value.to_value() },
        span: entry.span,
    })
}

/// The hooks of a request: those of its scenario, and then its own.
fn hooks(section: &mut Section<'_>, reading: &mut Reading<'_>) -> Hooks {
    let mut hooks = reading.hooks.clone();
    hooks.before_request.extend(hook::all(section, "beforeRequest", reading));
    hooks.after_response.extend(hook::all(section, "afterResponse", reading));
    hooks
}

fn address(node: &Node, findings: &mut Findings) -> Option<String> {
    let url = text(node, "url", findings)?;
    let fits = url.starts_with('/') || url.starts_with("http") || url.contains("{{");
    if !fits {
        findings.error(node.span, format!("`{url}` is no address"), "one begins with `/` or with `http`");
    }
    Some(url)
}

pub(super) fn auth(node: &Node, findings: &mut Findings) -> Option<(Template, Template)> {
    let mut section = Section::of(node, "`auth`", findings)?;
    let user = section.take("user").or_else(|| section.take("username")).map(Template::of);
    let password = section.take("pass").or_else(|| section.take("password")).map(Template::of);
    let span = section.span();
    section.end(findings);
    if user.is_none() || password.is_none() {
        findings.error(span, "`auth` has a `user` and a `pass`", "");
    }
    user.zip(password)
}

fn probability(node: &Node, findings: &mut Findings) -> Option<f64> {
    let probability = number(node, "probability", findings)?;
    if !(0.0..=100.0).contains(&probability) {
        findings.error(node.span, "a probability is 0 to 100", "");
    }
    Some(probability)
}

fn body(section: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> Body {
    let json = section.entry("json");
    let text = section.take("body");
    let form = section.take("form");
    let parts = section.take("formData");
    // The length is always said.
    if section.take("setContentLengthHeader").is_some_and(|node| node.kind != Kind::Bool(true)) {
        section.without_effect("setContentLengthHeader", "the length is always said", findings);
    }
    let mut written = ["json", "body", "form", "formData"].into_iter().filter_map(|key| section.entry(key));
    if let Some(sent) = written.next() {
        let beside = format!("`{}` is sent in its place", sent.key);
        written.for_each(|entry| findings.ignored(entry.span, format!("`{}` has no effect", entry.key), &beside));
    }
    if let Some(entry) = json {
        let template = Template::of(&entry.value);
        return match template {
            Template::Fixed(value) => Body::Document(Bytes::from(value.to_string())),
            template => Body::Json(template),
        };
    }
    if let Some(node) = text {
        return match &node.kind {
            Kind::List(_) | Kind::Map(_) => Body::Json(Template::of(node)),
            _ => Body::Text(Template::of(node)),
        };
    }
    if let Some(node) = form {
        return Body::Form(settings::pairs(node, "form", findings));
    }
    match parts {
        Some(node) => Body::Parts(node.entries().iter().filter_map(|entry| part(entry, folder, findings)).collect()),
        None => Body::None,
    }
}

fn part(entry: &Entry, folder: &Path, findings: &mut Findings) -> Option<Part> {
    let name = entry.key.clone();
    if !matches!(entry.value.kind, Kind::Map(_)) {
        return Some(Part { name, content: Content::Value(Template::of(&entry.value)), content_type: None });
    }
    let mut section = Section::of(&entry.value, "a part of a form", findings)?;
    let value = section.take("value").map(Template::of);
    let file = section.take("fromFile").map(|node| file(node, folder, findings));
    let content_type = section.take("contentType").and_then(|node| text(node, "contentType", findings));
    let file_name = section.take("fileName").and_then(|node| text(node, "fileName", findings));
    let span = section.span();
    section.end(findings);
    let content = match (value, file) {
        (_, Some(file)) => {
            let (name, bytes) = file?;
            Content::File(file_name.unwrap_or(name), bytes)
        }
        (Some(value), None) => Content::Value(value),
        (None, None) => {
            findings.error(span, "a part of a form has a `value` or a file `fromFile`", "");
            return None;
        }
    };
    Some(Part { name, content, content_type })
}

fn file(node: &Node, folder: &Path, findings: &mut Findings) -> Option<(String, Arc<[u8]>)> {
    let written = text(node, "fromFile", findings)?;
    let path = folder.join(&written);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match files::read(&path, LARGEST_FILE) {
        Ok(bytes) => Some((name, bytes.into())),
        Err(why) => {
            findings.error(node.span, format!("cannot read {written}"), &why);
            None
        }
    }
}

/// `ifTrue`: the name of a JavaScript function, or an expression.
fn only_if(section: &mut Section<'_>, reading: &mut Reading<'_>) -> Option<Condition> {
    let entry = section.entry("ifTrue")?;
    let written = text(&entry.value, "ifTrue", reading.findings)?;
    let is_name = written.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    if is_name && reading.functions != Functions::Missing {
        return hook::one(entry, reading).map(Condition::Says);
    }
    Expression::parse(&written)
        .map(Condition::Holds)
        .map_err(|malformed| {
            let beside = "the request is sent every time, as by Artillery";
            reading.findings.ignored(entry.value.span, format!("`{written}` is no expression: {malformed}"), beside);
        })
        .ok()
}

fn expectations(section: &mut Section<'_>, reading: &mut Reading<'_>) -> Vec<Expectation> {
    let written = section.entry("expect");
    if !reading.expect {
        if let Some(entry) = written {
            let beside = "put `expect: {}` under `config.plugins`";
            reading.findings.ignored(entry.span, "`expect` has no effect without its plugin", beside);
        }
        return Vec::new();
    }
    let mut list = written.map(|entry| expect::read(&entry.value, reading.findings)).unwrap_or_default();
    if reading.expect_200 && !list.iter().any(|one| matches!(one, Expectation::StatusCode(_))) {
        list.push(Expectation::StatusCode(vec![Template::Fixed(Value::from(200))]));
    }
    list
}

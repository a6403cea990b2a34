//! From a request of the script to one that can be sent: everything that is the same for all users made ready once.

use std::borrow::Cow;

use ::http::Method;
use ::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::headers::Headers;
use super::http::{BadUrl, COMPONENT, Keep, Target};
use crate::random::Random;
use crate::scenario::flow::{Flow, Step};
use crate::scenario::request::{Body, Content, Part, Request};
use crate::scenario::script::Script;
use crate::scenario::settings::Tracing;
use crate::scenario::template::{Scope, Template, write_text};

/// How much is kept of a body that nothing in the script looks at: enough to tell why an answer was an error.
pub(super) const EXCERPT: usize = 4096;
/// How much is kept of a body that the script looks at.
const LARGEST_BODY: usize = crate::scenario::extract::LARGEST_BODY;
/// What a server learns of who is asking.
const AGENT: &str = concat!("pyperf/", env!("CARGO_PKG_VERSION"));

/// Every request of a script, as far as it is the same for all users; by its number.
#[derive(Debug)]
pub(super) struct Composer {
    ready: Vec<Option<Ready>>,
    /// The script's target without slashes at its end.
    target: String,
    /// The same, parsed, unless it takes a parser to put a path behind it.
    base: Option<Target>,
    defaults: Vec<(HeaderName, Template)>,
    tracing: Option<Tracing>,
}

/// A request, as far as it is the same for all users.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    method: Method,
    /// The address, as it is written and parsed, when it is fixed.
    address: Option<(String, Target)>,
    /// Fixed ones, complete if `own` is empty.
    headers: HeaderMap,
    /// Those with templates in them.
    rendered: Vec<(HeaderName, Template)>,
    keep: Keep,
}

/// A request that is ready to be sent, but for cookies.
#[derive(Debug)]
pub(super) struct Composed<'a> {
    pub(super) method: Method,
    pub(super) target: Target,
    /// The address as a whole, for cookies, redirects and failures.
    pub(super) url: Cow<'a, str>,
    pub(super) headers: Headers<'a>,
    pub(super) body: Bytes,
    pub(super) keep: Keep,
}

/// Why a request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotComposed {
    /// What it is counted as.
    pub(super) code: String,
    /// More of it.
    pub(super) detail: String,
}

impl Composer {
    pub(super) fn new(script: &Script) -> Self {
        let name = |(name, value): &(String, Template)| Some((HeaderName::try_from(name).ok()?, value.clone()));
        let target = script.target.trim_end_matches('/');
        let mut composer = Self {
            ready: vec![None; script.requests],
            target: target.to_owned(),
            base: Target::parse(target).ok().filter(|_| !target.contains(['?', '#'])),
            defaults: script.http.headers.iter().filter_map(name).collect(),
            tracing: script.http.tracing.clone(),
        };
        let scenarios = script.scenarios.iter().chain(&script.before).chain(&script.after);
        scenarios.for_each(|scenario| composer.prepare_all(&scenario.flow));
        composer
    }

    fn prepare_all(&mut self, flow: &Flow) {
        for step in flow.iter() {
            match step {
                Step::Request(request) => {
                    let ready = self.prepare(request);
                    if let Some(slot) = self.ready.get_mut(request.number) {
                        *slot = Some(ready);
                    }
                }
                Step::Loop(repeated) => self.prepare_all(&repeated.steps),
                Step::Parallel(parallel) => self.prepare_all(&parallel.steps),
                Step::Think(_)
                | Step::Log(_)
                | Step::Function(_)
                | Step::Emit(_)
                | Step::Send(_)
                | Step::Receive(_) => {}
            }
        }
    }

    /// Makes ready what is the same for all users.
    pub(super) fn prepare(&self, request: &Request) -> Ready {
        let address = match &request.url {
            Template::Fixed(Value::String(url)) if request.query.is_empty() => {
                let url = self.absolute(url);
                Target::parse(&url).ok().map(|target| (url, target))
            }
            _ => None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if request.compressed {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br, zstd"));
        }
        if let Some(kind) = content_type(&request.body) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let own =
            request.headers.iter().filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, value.clone())));
        let mut rendered: Vec<(HeaderName, Template)> = Vec::new();
        for (name, template) in self.defaults.iter().cloned().chain(own) {
            rendered.retain(|(known, _)| *known != name);
            match fixed_text(&template).and_then(|text| HeaderValue::try_from(text).ok()) {
                Some(value) => drop(headers.insert(name, value)),
                None => rendered.push((name, template)),
            }
        }
        let reads_body = request.captures.iter().any(|capture| capture.from.reads_body())
            || request.matches.iter().any(|one| one.from.reads_body())
            || request.expectations.iter().any(crate::scenario::expect::Expectation::reads_body)
            || !request.hooks.after_response.is_empty();
        Ready {
            method: Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::GET),
            address,
            headers,
            rendered,
            keep: if reads_body { Keep::Whole(LARGEST_BODY) } else { Keep::Start(EXCERPT) },
        }
    }

    /// Makes a user's request.
    pub(super) fn compose(&self, request: &Request, scope: &mut Scope<'_>) -> Result<Composed<'_>, NotComposed> {
        match self.ready.get(request.number).and_then(Option::as_ref) {
            Some(ready) => self.compose_from(ready, request, scope),
            None => {
                Err(NotComposed { code: "invalid_step".into(), detail: "a request that is not of this script".into() })
            }
        }
    }

    /// The same of one that has been made ready by itself.
    pub(super) fn compose_from<'r>(
        &self,
        ready: &'r Ready,
        request: &Request,
        scope: &mut Scope<'_>,
    ) -> Result<Composed<'r>, NotComposed> {
        let (url, target) = match &ready.address {
            Some((url, target)) => (Cow::Borrowed(url.as_str()), target.clone()),
            None => {
                let url = self.url(request, scope);
                let target = self
                    .target(&url)
                    .map_err(|bad| NotComposed { code: format!("Invalid URL - {url}"), detail: bad.to_string() })?;
                (Cow::Owned(url), target)
            }
        };
        let mut headers = Headers::of(&ready.headers);
        for (name, template) in &ready.rendered {
            let text = template.text(scope);
            let value = HeaderValue::try_from(text.as_ref()).map_err(|_| NotComposed {
                code: "ERR_INVALID_CHAR".into(),
                detail: format!("the value of the header `{name}` has characters that a header may not have"),
            })?;
            headers.set(name.clone(), value);
        }
        if let Some((user, password)) = credentials(request, &target, scope)
            && !headers.has(&AUTHORIZATION)
            && let Ok(value) = HeaderValue::try_from(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
        {
            headers.set(AUTHORIZATION, value);
        }
        if let Some(tracing) = &self.tracing {
            headers.set(HeaderName::from_static("traceparent"), trace(tracing, scope.random));
        }
        let body = body(&request.body, &mut headers, scope);
        Ok(Composed { method: ready.method.clone(), target, url, headers, body, keep: ready.keep })
    }

    fn url(&self, request: &Request, scope: &mut Scope<'_>) -> String {
        let mut url = self.absolute(&request.url.text(scope));
        if !request.query.is_empty() {
            // It takes the place of the query that the address has.
            let end = url.find(['?', '#']).unwrap_or(url.len());
            url.truncate(end);
            let query = query(&request.query, scope);
            if !query.is_empty() {
                url.push('?');
                url.push_str(&query);
            }
        }
        url
    }

    /// An address of its own, or one that belongs behind the target.
    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') { [self.target.as_str(), url].concat() } else { url.to_owned() }
    }

    /// A parsed address, most of which is parsed already if it begins with the target.
    fn target(&self, url: &str) -> Result<Target, BadUrl> {
        let path = url.strip_prefix(self.target.as_str());
        match self.base.as_ref().zip(path).and_then(|(base, path)| base.below(path)) {
            Some(target) => Ok(target),
            None => Target::parse(url),
        }
    }
}

fn fixed_text(template: &Template) -> Option<String> {
    let Template::Fixed(value) = template else { return None };
    let mut text = String::new();
    write_text(Some(value), &mut text);
    Some(text)
}

fn content_type(body: &Body) -> Option<&'static str> {
    match body {
        Body::Document(_) | Body::Json(_) => Some("application/json"),
        Body::Form(_) => Some("application/x-www-form-urlencoded"),
        Body::None | Body::Text(_) | Body::Parts(_) => None,
    }
}

/// What the script says, or what the address carries.
fn credentials(request: &Request, target: &Target, scope: &mut Scope<'_>) -> Option<(String, String)> {
    match &request.auth {
        Some((user, password)) => Some((user.text(scope).into_owned(), password.text(scope).into_owned())),
        None => target.credentials().map(|(user, password)| (user.to_owned(), password.to_owned())),
    }
}

/// A W3C trace context (Trace Context level 1, 3.2).
fn trace(tracing: &Tracing, random: &mut Random) -> HeaderValue {
    let id = format!("{}{:016x}{:016x}", tracing.prefix, random.next(), random.next());
    let flags = if tracing.sampled { "01" } else { "00" };
    let text = format!("00-{}-{:016x}-{flags}", &id[..32], random.next() | 1);
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Names and values as Node's `querystring` writes them: lists repeat the name.
fn query(pairs: &[(String, Template)], scope: &mut Scope<'_>) -> String {
    let mut query = String::new();
    let mut push = |name: &str, value: &Value| {
        let mut text = String::new();
        if !value.is_object() && !value.is_null() {
            write_text(Some(value), &mut text);
        }
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, COMPONENT));
        query.push('=');
        query.extend(utf8_percent_encode(&text, COMPONENT));
    };
    for (name, template) in pairs {
        match template.render(scope) {
            Some(Value::Array(values)) => values.iter().for_each(|value| push(name, value)),
            value => push(name, &value.unwrap_or_default()),
        }
    }
    query
}

fn body(body: &Body, headers: &mut Headers<'_>, scope: &mut Scope<'_>) -> Bytes {
    match body {
        Body::None => Bytes::new(),
        Body::Document(document) => document.clone(),
        Body::Json(template) => template.render(scope).map(|value| Bytes::from(value.to_string())).unwrap_or_default(),
        Body::Text(template) => Bytes::from(template.text(scope).into_owned()),
        Body::Form(pairs) => Bytes::from(query(pairs, scope)),
        Body::Parts(parts) => {
            let boundary = format!("----pyperf{:016x}{:016x}", scope.random.next(), scope.random.next());
            if let Ok(kind) = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}")) {
                headers.set(CONTENT_TYPE, kind);
            }
            multipart(parts, &boundary, scope)
        }
    }
}

/// A form in parts (RFC 7578), names quoted as browsers do.
fn multipart(parts: &[Part], boundary: &str, scope: &mut Scope<'_>) -> Bytes {
    let quoted = |text: &str| text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut body = Vec::new();
    for part in parts {
        let (file, kind, content): (Option<&str>, Option<&str>, Cow<'_, [u8]>) = match &part.content {
            Content::Value(template) => (None, None, Cow::Owned(template.text(scope).into_owned().into_bytes())),
            Content::File(name, bytes) => (Some(name), Some("application/octet-stream"), Cow::Borrowed(bytes)),
        };
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name)).as_bytes(),
        );
        if let Some(file) = file {
            body.extend_from_slice(format!("; filename=\"{}\"", quoted(file)).as_bytes());
        }
        if let Some(kind) = part.content_type.as_deref().or(kind) {
            body.extend_from_slice(format!("\r\nContent-Type: {}", kind.replace(['\r', '\n'], " ")).as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Bytes::from(body)
}

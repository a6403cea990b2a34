//! A request that a hook sends by itself, with `fetch`: to an identity provider, say.
//!
//! It goes the way of the run's requests (the same trust, proxies and lookup of names) and is not one of them: it is counted as time
//! in the hook. Each has a connection of its own, since nothing here retries one that went stale.

use ::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use ::http::{HeaderMap as Map, Method};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::compose::Composed;
use super::super::headers::Headers;
use super::super::http::{Answer, Keep, Outgoing, Target, Transport};
use super::super::redirect;
use crate::clock::Clock;

/// The longest chain of redirects, as in browsers.
const MOST_REDIRECTS: usize = 20;

/// A request, as `fetch` of the host asks for it.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    redirect: Redirect,
    /// The most bytes of a body that are kept.
    #[serde(default)]
    most: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Redirect {
    Follow,
    Error,
    Manual,
}

/// What came of it: the head as JSON with the body, or a code and a message.
pub(super) type Fetched = Result<(String, Bytes), (String, String)>;

/// Sends a request and follows where its answer leads.
pub(super) async fn fetch(transport: &Transport, clock: Clock, wanted: &Wanted, body: Bytes) -> Fetched {
    let bad = |message: String| ("ERR_INVALID_URL".to_owned(), message);
    let method = Method::from_bytes(wanted.method.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let target = Target::parse(&wanted.url).map_err(|error| bad(format!("{}: {error}", wanted.url)))?;
    let headers = headers(wanted)?;
    let mut composed = Composed {
        method,
        target,
        url: wanted.url.as_str().into(),
        headers: Headers::of(&headers),
        body,
        keep: Keep::Whole(wanted.most),
    };
    for redirects in 0..=MOST_REDIRECTS {
        let answer = send(transport, clock, &composed).await?;
        let next = match wanted.redirect {
            Redirect::Manual => None,
            _ => redirect::behind(&composed, &answer),
        };
        match next {
            None => return told(&composed.url, redirects > 0, &answer),
            Some(_) if wanted.redirect == Redirect::Error => {
                return Err(("ERR_REDIRECT".into(), format!("{} redirects", composed.url)));
            }
            Some(next) => composed = next.map_err(|failed| (failed.code, failed.detail))?,
        }
    }
    Err(("ERR_TOO_MANY_REDIRECTS".into(), format!("{} redirects more than {MOST_REDIRECTS} times", wanted.url)))
}

async fn send(transport: &Transport, clock: Clock, composed: &Composed<'_>) -> Result<Answer, (String, String)> {
    let outgoing = Outgoing {
        method: composed.method.clone(),
        target: composed.target.clone(),
        headers: composed.headers.map(),
        body: composed.body.clone(),
        http2: false,
        keep: composed.keep,
        due: clock.now(),
    };
    let exchange = transport.exchange(&transport.connections(), outgoing).await;
    exchange.outcome.map_err(|failure| (failure.code.into_owned(), format!("{}: {}", composed.url, failure.detail)))
}

fn headers(wanted: &Wanted) -> Result<Map, (String, String)> {
    let mut headers = HeaderMap::new();
    for (name, value) in &wanted.headers {
        let bad = || ("ERR_INVALID_CHAR".to_owned(), format!("the header {name:?} cannot be sent"));
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    for (name, value) in [(ACCEPT, "*/*"), (USER_AGENT, "pyperf"), (ACCEPT_ENCODING, "gzip, deflate, br")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(headers)
}

fn told(url: &str, redirected: bool, answer: &Answer) -> Fetched {
    if let Some(missing) = &answer.body.missing
        && *missing != super::super::http::Missing::NotKept
    {
        return Err(("ERR_BODY".into(), format!("the body of {url} is not whole: {missing:?}")));
    }
    let headers: Vec<Value> = answer
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let head = json!({
        "url": url, "redirected": redirected, "status": answer.status.as_u16(),
        "statusText": answer.status.canonical_reason().unwrap_or_default(), "headers": headers,
        "type": answer.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes())),
    });
    Ok((head.to_string(), answer.body.bytes.clone()))
}

impl Wanted {
    /// The answer's body is kept up to that size, in bytes.
    pub(super) const fn keep_at_most(&mut self, most: usize) {
        self.most = most;
    }
}

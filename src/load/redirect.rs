//! Where a redirect leads: the request that follows from an answer.
//!
//! It stands alone because it is a rule of the web and not of scripts: it needs a request and its answer, and sends nothing.

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION};
use ::http::{Method, StatusCode};
use bytes::Bytes;
use url::Url;

use super::compose::Composed;
use super::http::{Answer, Target};
use super::user::Failed;
use crate::printable::printable;

/// The request that a redirect leads to; `None` when the answer is none. Methods are rewritten as browsers do.
/// What the script says of the host and of who asks stays on its origin.
pub(super) fn behind(composed: &Composed<'_>, answer: &Answer) -> Option<Result<Composed<'static>, Failed>> {
    let follows = matches!(answer.status.as_u16(), 300 | 301 | 302 | 303 | 307 | 308);
    let location = answer.headers.get(LOCATION).filter(|_| follows)?;
    let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let joined = Url::parse(&composed.url).and_then(|base| base.join(&location));
    let Some((url, target)) = joined.ok().and_then(|next| Some((next.to_string(), Target::of(&next).ok()?))) else {
        return Some(Err(Failed::new("ERR_INVALID_URL", format!("redirected to `{}`", printable(&location, 200)))));
    };
    let (mut method, mut body) = (composed.method.clone(), composed.body.clone());
    let mut left_out = Vec::new();
    let keeps = matches!(answer.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps && method != Method::GET && method != Method::HEAD {
        (method, body) = (Method::GET, Bytes::new());
        left_out.extend([CONTENT_TYPE, CONTENT_LENGTH]);
    }
    if target.origin() != composed.target.origin() {
        left_out.extend([AUTHORIZATION, COOKIE, HOST]);
    }
    let headers = composed.headers.without(&left_out);
    Some(Ok(Composed { method, target, url: url.into(), headers, body, keep: composed.keep }))
}

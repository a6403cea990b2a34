//! What the web server answers to a path, as long as it keeps to the rules. Unknown paths are 404.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Framing};
use super::decoded;
use super::faults::Fault;
use super::request::Received;
use super::{Stage, encodings, faults};

/// What is done about a request.
pub enum Reply {
    Answer(Answer),
    Fault(Fault),
    /// Nothing, for as long as the client bears it.
    Silence,
}

/// `{"name": "Zoë – 東京", …}`: lists in lists, numbers, null and letters of other alphabets.
pub const DOCUMENT: &[u8] = include_bytes!("documents/document.json");

const PAGE: &[u8] = include_bytes!("documents/page.html");

/// Waits where the path says so, and decides.
pub fn reply(request: &Received, stage: &Stage) -> Reply {
    match request.path() {
        "/no-answer" => return Reply::Silence,
        "/gate" => stage.one.pass(),
        "/wait" => {
            stage.end.pass_within(Duration::from_millis(u64::from(request.number("ms", 10))));
        }
        _ => {}
    }
    if let Some(fault) = faults::of(request.path()) {
        return Reply::Fault(fault);
    }
    let answer = content(request).or_else(|| encodings::answer(request.path())).or_else(|| conversation(request));
    Reply::Answer(answer.unwrap_or_else(|| Answer::json(&json!({"error": "no such path"})).status(404)))
}

fn content(request: &Received) -> Option<Answer> {
    let path = request.path();
    Some(match path {
        "/gate" | "/wait" | "/" => Answer::json(&json!({"ok": true})),
        "/echo" => Answer::json(&decoded::echo(request)),
        "/json" => document(),
        "/head" => document().header("X-Head", "yes"),
        "/page" => Answer::of("text/html; charset=utf-8", PAGE),
        "/items" => {
            Answer::json(&json!([{"id": 1, "name": "one"}, {"id": 2, "name": "two"}, {"id": 3, "name": "three"}]))
        }
        "/counter" => Answer::json(&json!({"n": request.order})),
        "/token" => Answer::json(&json!({"token": format!("secret-{}", request.order)})),
        "/form" => Answer::json(&decoded::form(request)),
        "/multipart" => Answer::json(&decoded::multipart(request)),
        "/cookies" => Answer::json(&decoded::cookies(request)),
        "/server-timing" => document().header("Server-Timing", "total;dur=12.5"),
        "/utf8" => Answer::of("text/plain; charset=utf-8", *b"good \xff\xfe\xc3( bad"),
        "/many-headers" => {
            let answer = |answer: Answer, n| answer.header(&format!("X-Header-{n}"), "value");
            (0..request.number("n", 500).min(10_000)).fold(document(), answer)
        }
        "/close" => document().last(),
        "/http10" => document().framing(Framing::UntilClose),
        "/chunked" => document().framing(Framing::Chunks { trailers: Vec::new() }),
        "/chunked-trailers" => {
            document().framing(Framing::Chunks { trailers: vec![("X-Trailer".to_owned(), "last".to_owned())] })
        }
        _ => return None,
    })
}

fn conversation(request: &Received) -> Option<Answer> {
    let path = request.path();
    if let Some(status) = path.strip_prefix("/status/") {
        let status = status.parse().ok().filter(|status| (200..1000).contains(status))?;
        return Some(Answer::json(&json!({"status": status})).status(status));
    }
    if let Some(hops) = path.strip_prefix("/redirect/") {
        let left = hops.parse::<u32>().ok()?.saturating_sub(1);
        return Some(redirect(302, &if left == 0 { "/echo".to_owned() } else { format!("/redirect/{left}") }));
    }
    if let Some(credentials) = path.strip_prefix("/basic-auth/") {
        return Some(guarded(request, &credentials.replacen('/', ":", 1)));
    }
    if path.starts_with("/metrics/job/") {
        return Some(Answer::of("text/plain", ""));
    }
    match path {
        "/redirect-to" => {
            let status = u16::try_from(request.number("status", 302)).ok()?;
            Some(redirect(status, &request.parameter("url")?))
        }
        "/redirect-loop" => Some(redirect(302, "/redirect-loop")),
        "/set-cookie" => Some(set_cookies(request)),
        "/etag" if request.header("if-none-match") == Some("\"v1\"") => {
            Some(Answer::of("application/json", "").status(304).header("ETag", "\"v1\""))
        }
        "/etag" => Some(document().header("ETag", "\"v1\"")),
        _ => None,
    }
}

fn document() -> Answer {
    Answer::of("application/json", DOCUMENT)
}

fn redirect(status: u16, location: &str) -> Answer {
    Answer::json(&json!({"location": location})).status(status).header("Location", location)
}

fn guarded(request: &Received, wanted: &str) -> Answer {
    if request.credentials("authorization").as_deref() == Some(wanted) {
        Answer::json(&json!({"authenticated": true}))
    } else {
        Answer::json(&json!({"authenticated": false})).status(401).header("WWW-Authenticate", "Basic realm=\"tests\"")
    }
}

/// Every pair of the query is a cookie, except the attributes, which are for each of them.
fn set_cookies(request: &Received) -> Answer {
    const ATTRIBUTES: [&str; 7] = ["Path", "Max-Age", "Domain", "Expires", "Secure", "HttpOnly", "SameSite"];
    let (attributes, cookies): (Vec<_>, Vec<_>) =
        request.query().into_iter().partition(|(name, _)| ATTRIBUTES.contains(&name.as_str()));
    let written = |(name, value): &(String, String)| match value.as_str() {
        "" => format!("; {name}"),
        value => format!("; {name}={value}"),
    };
    let attributes: String = attributes.iter().map(written).collect();
    let names: Map<String, Value> = cookies.iter().cloned().map(|(name, value)| (name, value.into())).collect();
    cookies.iter().fold(Answer::json(&names.into()), |answer, (name, value)| {
        answer.header("Set-Cookie", &format!("{name}={value}{attributes}"))
    })
}

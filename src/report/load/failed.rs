//! What failed: the most frequent kinds of failure, what each means, and one example with what is needed to find its cause.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{WIDTH, clip, counted, decimals, in_millis, short};
use crate::recording::traffic::{EndpointLabel, Failure, FailureKind, Kept, Signature, Traffic};

/// Kinds that are shown.
const MOST_KINDS: usize = 10;
/// Lines of a body that are shown.
const MOST_LINES: usize = 4;
/// Headers that are shown.
const MOST_HEADERS: usize = 4;
/// Headers that say why something failed; these first.
const TELLING: [&str; 6] = ["content-type", "location", "retry-after", "www-authenticate", "server", "via"];

/// The section; empty when nothing failed.
pub(super) fn text(traffic: &Traffic) -> String {
    let kinds = traffic.failures.sorted();
    let mut out = String::new();
    if kinds.is_empty() {
        return out;
    }
    out.push_str("What failed\n");
    for (signature, kept) in kinds.iter().take(MOST_KINDS) {
        kind(&mut out, traffic, signature, kept);
    }
    let rest: u64 = kinds.iter().skip(MOST_KINDS).map(|(_, kept)| kept.count).sum();
    if rest > 0 {
        let _ = writeln!(out, "  and {} further kinds with {}", kinds.len() - MOST_KINDS, counted(rest, "failure"));
    }
    if traffic.failures.uncounted() > 0 {
        let _ = writeln!(out, "  and {} of kinds beyond counting", counted(traffic.failures.uncounted(), "failure"));
    }
    out
}

fn kind(out: &mut String, traffic: &Traffic, signature: &Signature, kept: &Kept) {
    let mut head = format!("{} × {}", kept.count, name(&signature.kind));
    if !signature.step.is_empty() {
        let _ = write!(head, " at {}", signature.step);
    }
    let endpoint = signature.endpoint.and_then(|number| traffic.endpoints.get(usize::try_from(number).ok()?));
    if let Some(endpoint) = endpoint {
        let _ = write!(head, ", {}", EndpointLabel::label(endpoint));
    }
    if let Some(scenario) = signature.scenario.and_then(|number| traffic.scenarios.get(usize::from(number))) {
        let _ = write!(head, ", in {scenario}");
    }
    line(out, 2, &head);
    let meaning = meaning(&signature.kind);
    if !meaning.is_empty() {
        line(out, 4, meaning);
    }
    if let Some(failure) = kept.examples.first() {
        example(out, traffic, failure);
    }
}

fn name(kind: &FailureKind) -> String {
    match kind {
        FailureKind::Status(status) => status.to_string(),
        FailureKind::Transport(code) => clip(code, 60),
        FailureKind::Capture(what) => format!("capture of {}", clip(what, 50)),
        FailureKind::Match(what) => format!("match of {}", clip(what, 50)),
        FailureKind::Expect(what) => format!("expectation {}", clip(what, 50)),
        FailureKind::Request(what) => format!("no request: {}", clip(what, 50)),
        FailureKind::Function(what) => format!("function: {}", clip(what, 50)),
        FailureKind::Socket(what) => format!("not connected: {}", clip(what, 50)),
    }
}

fn meaning(kind: &FailureKind) -> &'static str {
    match kind {
        FailureKind::Status(status) => of_status(*status),
        FailureKind::Transport(code) => of_code(code),
        FailureKind::Capture(_) => "The answer does not hold the value that later steps need.",
        FailureKind::Match(_) => "The answer holds another value than the script asks for.",
        FailureKind::Expect(_) => "The answer is not what the script expects.",
        FailureKind::Request(_) => "The step could not be made into a request, and nothing was sent.",
        FailureKind::Function(_) => "A function of the script's processor failed, or there is none of that name.",
        FailureKind::Socket(code) => of_socket(code),
    }
}

fn of_socket(code: &str) -> &'static str {
    match code {
        "xhr poll error" => {
            "The server did not answer the first request as a Socket.IO server does. Is the path right?"
        }
        "timeout" => "The server did not let the user in while there was time.",
        _ => "The socket was not opened: the server refused it, or could not be reached.",
    }
}

const fn of_status(status: u16) -> &'static str {
    match status {
        400 => "The server does not accept the request as it was sent.",
        401 => "The request was not logged in: its token or cookie is missing, wrong or expired.",
        403 => "The user may not do this.",
        404 => "There is nothing at this address; an empty or wrong variable in it is a frequent cause.",
        405 => "The address is there, but not for this method.",
        408 => "The server did not get the whole request in time.",
        409 => "The request conflicts with what is there already; users may share their data.",
        413 => "The request is larger than the server takes.",
        415 => "The server does not take a body of this type.",
        422 => "The server understands the request, but not its values.",
        429 => "The server limits the rate of requests: the result is about its limit, not its speed.",
        500 => "The application failed; its log says why.",
        502 => "A proxy got no valid answer from the server behind it; it may have crashed or been restarted.",
        503 => "The server, or all servers behind a proxy, are down or take no more requests.",
        504 => "A proxy gave up waiting for the server behind it.",
        _ => "",
    }
}

fn of_code(code: &str) -> &'static str {
    match code {
        "ECONNREFUSED" => "Nothing listens at the address, or its queue of connections is full.",
        "ECONNRESET" => {
            "The connection was cut before the answer was whole: a crash, a restart, or a limit of a proxy."
        }
        "EPIPE" => "The server closed the connection while the request was being sent.",
        "ETIMEDOUT" | "ERR_SOCKET_TIMEOUT" => "No answer came within the time limit of the script.",
        "ENOTFOUND" | "EAI_AGAIN" => "The name of the host could not be looked up.",
        "ERR_TOO_MANY_REDIRECTS" => "The server redirects in a circle, or more often than is followed.",
        "ERR_INVALID_URL" => "The server redirects to an address that cannot be asked for over HTTP.",
        "EMFILE" | "ENFILE" => "This machine ran out of open files: raise its limit (ulimit -n).",
        "EADDRNOTAVAIL" => "This machine ran out of local ports: too many connections are opened and closed.",
        _ => "",
    }
}

fn example(out: &mut String, traffic: &Traffic, failure: &Failure) {
    let phase = traffic.phases.get(usize::from(failure.phase)).map(|phase| format!(" in {}", clip(&phase.name, 40)));
    let seconds = decimals(failure.moment.since(traffic.began).as_secs_f64(), 1);
    let phase = phase.unwrap_or_default();
    line(out, 4, &format!("For example user {}{phase}, {seconds} s into the run: {}", failure.user, failure.request));
    if !failure.detail.is_empty() {
        line(out, 6, &failure.detail);
    }
    if let Some(status) = failure.status {
        let headers = headers(failure).map(|(name, value)| format!("  {name}: {}", clip(value, 60)));
        line(out, 6, &format!("{status}{}", headers.collect::<String>()));
    }
    if !failure.timings.is_empty() {
        let timing = |(part, length): &(&str, Duration)| format!("{part} {} ms", short(in_millis(*length)));
        line(out, 6, &failure.timings.iter().map(timing).collect::<Vec<_>>().join(", "));
    }
    for body in failure.body.lines().filter(|line| !line.trim().is_empty()).take(MOST_LINES) {
        line(out, 6, &format!("| {body}"));
    }
}

/// A few headers, those that tell most first.
fn headers(failure: &Failure) -> impl Iterator<Item = (&str, &str)> {
    let place = |name: &str| TELLING.iter().position(|telling| telling.eq_ignore_ascii_case(name));
    let mut headers: Vec<_> = failure.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.sort_by_key(|(name, _)| place(name).unwrap_or(TELLING.len()));
    headers.into_iter().take(MOST_HEADERS)
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{}", "", clip(text, WIDTH - indent));
}

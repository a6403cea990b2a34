//! Plain sentences about what the numbers of a run most likely mean. Each is given only where its sign is clear.

use super::LoadReport;
use super::details::Row;
use super::figures::{clip, counted, decimals, float, in_millis, share, short, wrap};
use super::ours;
use crate::recording::traffic::{Latency, Outcome, Summary, Traffic};

/// Endpoints whose waiting is told.
const MOST_WAITS: usize = 5;
/// Seconds that proxies and routers are usually set to.
const USUAL_LIMITS: [f64; 9] = [5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0];
/// Shorter runs, in seconds, say nothing of how busy the driver is: to begin takes more than to go on.
pub(in crate::report) const SHORTEST_SHARED: f64 = 1.0;
/// Status codes that tell of a time limit.
const LIMITED: [u16; 4] = [408, 502, 503, 504];

/// Where requests waited long before they were sent, and for what.
pub(super) fn waits(traffic: &Traffic, rows: &[Row]) -> String {
    let mut out = String::new();
    let waited = rows.iter().filter_map(|row| Some((row, wait(row)?)));
    for (row, (quantile, due, send)) in waited.take(MOST_WAITS) {
        let sentence = format!(
            "{}: {quantile} is {} ms from when a request was due, and {} ms from when it was sent. The rest was waiting {}.",
            clip(&row.label, 60),
            short(due),
            short(send),
            causes(traffic, row)
        );
        wrap(&mut out, &sentence);
    }
    out
}

/// The highest percentile that is much larger from due than from send, and both. A stall is in a few requests from send and in
/// all that were due meanwhile; of a short run these few can be more than a hundredth.
fn wait(row: &Row) -> Option<(&'static str, f64, f64)> {
    let (due, send) = (Summary::of(&row.answered.from_due)?, Summary::of(&row.answered.from_send)?);
    let pairs = [("p99", due.p99, send.p99), ("p95", due.p95, send.p95), ("p50", due.p50, send.p50)];
    pairs.into_iter().find(|(_, due, send)| *due > send * 1.5 && due - send > 10.0)
}

fn causes(traffic: &Traffic, row: &Row) -> String {
    let sum = &row.answered;
    let p99 = |latency: &Latency| Summary::of(latency).map_or(0.0, |summary| summary.p99);
    let mut causes = [
        ("for a free socket", p99(&sum.queued)),
        ("for the name to be looked up", p99(&sum.dns)),
        ("for a connection", p99(&sum.connect)),
        ("for TLS", p99(&sum.tls)),
        ("for the driver, which let users begin late", p99(&traffic.total.lateness)),
    ];
    causes.sort_by(|one, other| other.1.total_cmp(&one.1));
    let told: Vec<String> = causes
        .iter()
        .filter(|(_, millis)| *millis > 5.0)
        .map(|(cause, millis)| format!("{cause} (p99 {} ms)", short(*millis)))
        .collect();
    if told.is_empty() { "for what was not measured".to_owned() } else { told.join(", and ") }
}

/// What the answers of the run most likely mean.
pub(super) fn answers(report: &LoadReport<'_>) -> String {
    let mut out = String::new();
    authorization(&mut out, report);
    for status in LIMITED {
        time_limit(&mut out, report.traffic, status);
    }
    let skipped = report.numbers.users.skipped;
    if skipped > 0 {
        let were = if skipped == 1 { "was" } else { "were" };
        let users = counted(skipped, "virtual user");
        let mut caps: Vec<u64> = report.traffic.phases.iter().filter_map(|phase| phase.most_users).collect();
        caps.sort_unstable();
        caps.dedup();
        let caps = if let [cap] = caps[..] { format!(" ({cap})") } else { String::new() };
        let sentence = format!(
            "Note: {users} {were} not started because as many as maxVusers allows{caps} were active. How long they \
             would have waited is in no number of this report."
        );
        wrap(&mut out, &sentence);
    }
    out
}

fn authorization(out: &mut String, report: &LoadReport<'_>) {
    let count = |status: u16| report.numbers.codes.get(&status).copied().unwrap_or(0);
    let names = match (count(401), count(403)) {
        (0, 0) => return,
        (_, 0) => "401",
        (0, _) => "403",
        _ => "401 or 403",
    };
    let sentence = format!(
        "Hint: {} of {} were {names}. Much of what was measured may be how fast requests are turned away. Check the \
         token or cookie, and that the script puts it on the request.",
        count(401) + count(403),
        counted(report.numbers.responses(), "answer"),
    );
    wrap(out, &sentence);
    for doubt in report.doubts.iter().take(MOST_WAITS) {
        wrap(out, &format!("{doubt}."));
    }
}

/// Errors that all took the same round time were made by a clock.
fn time_limit(out: &mut String, traffic: &Traffic, status: u16) {
    let sum = traffic.total.sum(|key| key.outcome == Outcome::Status(status));
    let Some(times) = Summary::of(&sum.first_byte) else { return };
    let near = |millis: f64, limit: f64| (millis / 1e3 - limit).abs() <= limit * 0.02;
    let limit = USUAL_LIMITS.iter().find(|limit| near(times.p50, **limit) && near(times.p99, **limit));
    if let Some(limit) = limit {
        let each = if times.count == 1 { "" } else { " each" };
        let sentence = format!(
            "Hint: {} with {status} took {limit} s{each}: that looks like a time limit of a proxy or router, not like the \
             time that the work takes.",
            counted(times.count, "answer")
        );
        wrap(out, &sentence);
    }
}

/// How late the driver let users begin and how much CPU it took, with a warning when it did not keep up.
pub(super) fn driver(traffic: &Traffic) -> String {
    let mut out = String::new();
    let lateness = Summary::of(&traffic.total.lateness);
    let late = traffic.total.lateness.count_above(ours::LATE);
    if let Some(lateness) = &lateness {
        let sentence = format!(
            "Virtual users began p50 {} ms, p99 {} ms and at most {} ms after they were due, {late} of {} more than 10 ms.",
            decimals(lateness.p50, 2),
            decimals(lateness.p99, 2),
            decimals(lateness.max, 2),
            lateness.count
        );
        wrap(&mut out, &sentence);
    }
    let (used, ran) = (traffic.driver_cpu.as_secs_f64(), traffic.ended.since(traffic.began).as_secs_f64());
    let busy = Some(share(used * 100.0, ran)).filter(|_| ran >= SHORTEST_SHARED);
    let (cpu, length) = (decimals(used, 1), decimals(ran, 1));
    let part = busy.map_or_else(String::new, |busy| format!(": {} % of one core", decimals(busy, 0)));
    wrap(&mut out, &format!("The driver used {cpu} s of CPU in {length} s{part}."));
    if let Some(lateness) = lateness.filter(|lateness| lateness.p99 > in_millis(ours::LATE)) {
        let percent = short(share(float(late) * 100.0, float(lateness.count)));
        let sentence = format!(
            "Warning: the driver fell behind its plan for {percent} % of the virtual users. Latency from due counts \
             this, latency from send does not. Use a machine with more free CPU, or less load."
        );
        wrap(&mut out, &sentence);
    }
    if busy.is_some_and(|busy| busy > 90.0) {
        wrap(
            &mut out,
            "Warning: the driver itself was short of CPU. What was measured may be the speed of this machine, not that of \
             the server.",
        );
    }
    out
}

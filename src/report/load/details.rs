//! What Artillery does not say, below its summary: phases, latency by endpoint, what requests waited for, what failed and
//! what it means, and whether the driver kept up.
//!
//! At most a hundred columns, no colours, a section only where there is something to say. Lengths are in milliseconds.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{clip, counted, decimals, float, share, short};
use super::{LoadReport, failed, hints, ours, sockets};
use crate::recording::traffic::{EndpointLabel, Latency, Outcome, Series, SeriesKey, Summary, Tally, Traffic, Users};
use crate::report::table::Table;

/// Endpoints that are shown.
const MOST_ENDPOINTS: usize = 40;
/// Error codes that are shown.
const MOST_CODES: usize = 8;

/// An endpoint with all that was measured of it.
pub(super) struct Row {
    pub(super) label: String,
    /// Of all requests.
    sum: Series,
    /// Of those that were answered.
    pub(super) answered: Series,
    failed: u64,
}

/// All sections.
pub(super) fn text(report: &LoadReport<'_>) -> String {
    let traffic = report.traffic;
    let rows = rows(traffic);
    let sections = [
        phases(traffic),
        endpoints(&rows),
        sockets::text(report),
        sockets::functions(report),
        hints::waits(traffic, &rows),
        failed::text(traffic),
        users(report),
        hints::answers(report),
        hints::driver(traffic),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Every endpoint that was asked, slowest 95th percentile first.
fn rows(traffic: &Traffic) -> Vec<Row> {
    let total = &traffic.total;
    let row = |number: u32, label: String| {
        let of = |key: &SeriesKey| key.endpoint == number;
        let answered = total.sum(|key| of(key) && key.outcome != Outcome::Failed);
        let mut sum = total.sum(|key| of(key) && key.outcome == Outcome::Failed);
        sum.add(&answered);
        Row { label, sum, answered, failed: ours::failed(total, of) }
    };
    let known = (0_u32..).zip(&traffic.endpoints).map(|(number, label)| row(number, EndpointLabel::label(label)));
    let others = row(SeriesKey::OTHER_ENDPOINT, "(others)".to_owned());
    let mut rows: Vec<Row> = known.chain([others]).filter(|row| row.sum.count > 0).collect();
    rows.sort_by_cached_key(|row| std::cmp::Reverse(row.sum.first_byte.quantile(0.95)));
    rows
}

fn phases(traffic: &Traffic) -> String {
    let headings =
        ["Phases (ms from send)", "planned", "created", "skipped", "req/s", "p50", "p95", "p99", "p99 due", "failed"];
    let mut table = Table::new(&headings);
    for (number, phase) in traffic.phases.iter().enumerate() {
        let users = u16::try_from(number).ok().and_then(|number| traffic.total.users.get(&number));
        let users = users.copied().unwrap_or_default();
        let length = ours::phase_length(traffic, number);
        let of = |key: &SeriesKey| usize::from(key.phase) == number;
        table.row(phase_row(&traffic.total, (&phase.name, phase.planned), users, length, of));
    }
    if traffic.phases.len() > 1 {
        let planned = traffic.phases.iter().fold(0_u64, |sum, phase| sum.saturating_add(phase.planned));
        let length = traffic.ended.since(traffic.began);
        table.row(phase_row(&traffic.total, ("all", planned), traffic.total.all_users(), length, |_| true));
    }
    let mut out = String::new();
    if !traffic.phases.is_empty() {
        table.write(&mut out);
    }
    out
}

fn phase_row(
    total: &Tally,
    (name, planned): (&str, u64),
    users: Users,
    length: Duration,
    of: impl Fn(&SeriesKey) -> bool,
) -> Vec<String> {
    let sum = total.sum(&of);
    let mut cells = vec![name.to_owned()];
    cells.extend([planned, users.created, users.skipped].map(|count| count.to_string()));
    cells.push(decimals(share(float(sum.count), length.as_secs_f64()), 1));
    cells.extend(quantiles(&sum.from_send, |send| [send.p50, send.p95, send.p99]));
    cells.extend(quantiles(&sum.from_due, |due| [due.p99]));
    cells.push(ours::failed(total, of).to_string());
    cells
}

fn endpoints(rows: &[Row]) -> String {
    let headings =
        ["Endpoints (ms), first byte", "count", "failed", "p50", "p95", "p99", "max", "p99 due", "mean body"];
    let mut table = Table::new(&headings);
    for Row { label, sum, failed, .. } in rows.iter().take(MOST_ENDPOINTS) {
        let mut cells = vec![label.clone(), sum.count.to_string(), failed.to_string()];
        cells.extend(quantiles(&sum.first_byte, |first| [first.p50, first.p95, first.p99, first.max]));
        cells.extend(quantiles(&sum.from_due, |due| [due.p99]));
        cells.extend(quantiles(&sum.body, |body| [body.mean]));
        table.row(cells);
    }
    let mut out = String::new();
    if !rows.is_empty() {
        table.write(&mut out);
    }
    if rows.len() > MOST_ENDPOINTS {
        let _ =
            writeln!(out, "  and {} that were faster", counted(rows.len() as u64 - MOST_ENDPOINTS as u64, "endpoint"));
    }
    out
}

/// Some numbers of a distribution, or as many dashes.
fn quantiles<const N: usize>(latency: &Latency, pick: impl Fn(&Summary) -> [f64; N]) -> [String; N] {
    match Summary::of(latency) {
        Some(summary) => pick(&summary).map(short),
        None => [(); N].map(|()| "-".to_owned()),
    }
}

fn users(report: &LoadReport<'_>) -> String {
    let users = report.numbers.users;
    let mut out = String::new();
    let unfinished = users.failed + report.traffic.abandoned;
    if unfinished > 0 {
        let of = counted(users.created, "virtual user");
        let _ = writeln!(out, "{unfinished} of {of} did not come to the end of their scenario.");
    }
    if report.traffic.abandoned > 0 {
        let _ = writeln!(out, "  {} still active when the run was stopped", report.traffic.abandoned);
    }
    let mut errors: Vec<(&String, &u64)> = report.numbers.errors.iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if users.failed > 0 {
        for (code, count) in errors.iter().take(MOST_CODES) {
            let _ = writeln!(out, "  {count} × {}", clip(code, 80));
        }
        if errors.len() > MOST_CODES {
            let _ = writeln!(out, "  and {} more kinds of errors", errors.len() - MOST_CODES);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::LoadReport;
    use super::super::figures::WIDTH;
    use super::super::tests::{Sample, at, exchange};
    use crate::recording::traffic::{Exchange, FailureKind, Outcome, Traffic};
    use crate::scenario::plugins::Plugins;

    fn details(traffic: &Traffic) -> String {
        let plugins = Plugins::default();
        let text = LoadReport::of(traffic, &plugins, false).details();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        text
    }

    #[test]
    fn a_run_reads_like_this() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/api/v1/citizens/").endpoint("POST", "/api/v1/appointments/");
        sample.answers(0, 200, 10, &[98]).answers(1, 201, 20, &[1]).answers(1, 504, 30_051, &[1]);
        sample.fails(1, &FailureKind::Status(504), Some(504), 1);
        sample.change(|traffic| {
            let users = traffic.total.users_of(0);
            (users.created, users.completed, users.failed) = (100, 99, 1);
            traffic.total.error("Failed capture or match", Some(1), at(5));
            (0..100).for_each(|_| traffic.total.lateness.record(Duration::from_micros(300)));
        });
        assert_eq!(
            details(&sample.done()),
            "\
\x20 Phases (ms from send)  planned  created  skipped  req/s  p50  p95  p99  p99 due  failed
  Ramp                       100      100        0    0.7   10   10   20       20       1

  Endpoints (ms), first byte  count  failed  p50    p95    p99    max  p99 due  mean body
  POST /api/v1/appointments/      2       1   20  30051  30051  30051    30051          1
  GET /api/v1/citizens/          98       0   10     10     10     10       10          1

What failed
  1 × 504 at csr.yaml:34, POST /api/v1/appointments/, in CSR – Login, load data, idle
    A proxy gave up waiting for the server behind it.
    For example user 0 in Ramp, 12.4 s into the run: POST http://h/api/v1/appointments/
      504  content-type: text/html  x-b3: 1
      connect 1.2 ms, first byte 30051 ms
      | <html>
      |   <h1>504</h1>\u{fffd}[2J
      | </html>

1 of 100 virtual users did not come to the end of their scenario.
  1 × Failed capture or match

Hint: 1 answer with 504 took 30 s: that looks like a time limit of a proxy or router, not like the
  time that the work takes.

Virtual users began p50 0.3 ms, p99 0.3 ms and at most 0.3 ms after they were due, 0 of 100 more
  than 10 ms.
The driver used 2 s of CPU in 138.8 s: 1 % of one core.
"
        );
    }

    #[test]
    fn what_requests_waited_for_is_said() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a");
        let waited = Duration::from_secs(1);
        let mut queued = exchange(12);
        queued.queued = Some(waited);
        queued.from_due = queued.from_due.map(|due| due + waited);
        for _ in 0..50 {
            sample.exchange(0, Outcome::Status(200), &queued);
        }
        let text = details(&sample.done());
        assert!(text.contains("p99 is 1012 ms from when a request was due, and 12 ms from when it was sent"), "{text}");
        assert!(text.contains("for a free socket (p99 1000 ms)"), "{text}");
    }

    #[test]
    fn requests_that_were_never_sent_are_no_waiting() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a").answers(0, 200, 10, &[50]);
        let never = Exchange { first_byte: None, from_send: None, ..exchange(10_000) };
        for _ in 0..50 {
            sample.exchange(0, Outcome::Failed, &never);
        }
        assert!(!details(&sample.done()).contains("from when a request was due"));
    }

    #[test]
    fn several_phases_have_a_line_for_all() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a").answers(0, 200, 10, &[50]);
        sample.change(|traffic| {
            let mut next = traffic.phases[0].clone();
            (next.name, next.began) = ("Sustain".into(), at(60_000));
            traffic.phases.push(next);
        });
        let text = details(&sample.done());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["Ramp", "100", "0", "0", "0.8", "10", "10", "10", "10", "0"]);
        assert_eq!(lines[2], ["Sustain", "100", "0", "0", "0", "-", "-", "-", "-", "0"]);
        assert_eq!(lines[3], ["all", "200", "0", "0", "0.4", "10", "10", "10", "10", "0"]);
    }

    #[test]
    fn hints_are_given_where_they_are_due() {
        let mut sample = Sample::new();
        sample.endpoint("GET", "/a").answers(0, 401, 5, &[10]);
        sample.change(|traffic| {
            traffic.total.users_of(0).skipped = 3;
            (0..100).for_each(|_| traffic.total.lateness.record(Duration::from_millis(50)));
            traffic.driver_cpu = Duration::from_secs(138);
        });
        let text = details(&sample.done());
        for hint in ["10 of 10 answers were 401", "3 virtual users were not started", "fell behind", "99 % of one core"]
        {
            assert!(text.contains(hint), "{hint}: {text}");
        }
    }

    #[test]
    fn an_empty_run_has_details_too() {
        let text = details(&Sample::new().change(|traffic| traffic.phases.clear()).done());
        assert_eq!(text, "The driver used 2 s of CPU in 138.8 s: 1 % of one core.\n");
    }

    #[test]
    fn a_run_below_a_second_has_no_share_of_a_core() {
        let text = details(
            &Sample::new()
                .change(|traffic| {
                    traffic.phases.clear();
                    traffic.ended = traffic.began + Duration::from_millis(900);
                })
                .done(),
        );
        assert_eq!(text, "The driver used 2 s of CPU in 0.9 s.\n");
    }

    #[test]
    fn kinds_of_failure_without_end_are_bounded() {
        let mut sample = Sample::new();
        sample.endpoint("GET", &"/long".repeat(100));
        for status in 400..450 {
            sample.fails(0, &FailureKind::Status(status), Some(status), 1);
        }
        sample.fails(0, &FailureKind::Match("x".repeat(500)), None, 2);
        let text = details(&sample.done());
        assert_eq!(text.matches("For example").count(), 10);
        assert!(text.contains("and 41 further kinds with 41 failures"), "{text}");
    }
}

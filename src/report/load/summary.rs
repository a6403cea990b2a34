//! The summary at the end of a run, in the layout of Artillery 1 that teams keep in their documents.
//!
//! `Requests completed` are answers, and messages that were sent over sockets, which have the code 0; `Mean response/sec` is requests begun over the time from the first one to the end of
//! the run, as in 1.x. Numbers are rounded as 1.x rounds them and end in no zero.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::LoadReport;
use super::figures::{clip, counted, decimals, float, share};
use crate::recording::traffic::{Numbers, Traffic};

/// The longest name of a scenario or of an error.
const LONGEST_NAME: usize = 200;
/// Kinds of errors that are listed.
const MOST_ERRORS: usize = 40;

/// The summary, `All virtual users finished` first.
pub(super) fn text(report: &LoadReport<'_>, zone: &TimeZone) -> String {
    let (traffic, numbers) = (report.traffic, &report.numbers);
    let codes = numbers.classic_codes();
    let completed: u64 = codes.values().sum();
    let mut out = String::new();
    let _ = writeln!(out, "{}", ending(traffic));
    let _ = writeln!(out, "Summary report @ {}", date(wall(traffic), zone));
    let _ = writeln!(out, "  Scenarios launched:  {}", numbers.users.created);
    let _ = writeln!(out, "  Scenarios completed: {}", numbers.users.completed);
    let _ = writeln!(out, "  Requests completed:  {completed}");
    let _ = writeln!(out, "  Mean response/sec: {}", decimals(rate(numbers, traffic), 2));
    response_times(&mut out, numbers);
    if !numbers.created_by.is_empty() {
        out.push_str("  Scenario counts:\n");
    }
    for (scenario, count) in &numbers.created_by {
        let name = clip(&report.names.scenario(*scenario), LONGEST_NAME);
        let percent = share(float(*count) * 100.0, float(numbers.users.created));
        let _ = writeln!(out, "    {name}: {count} ({}%)", decimals(percent, 3));
    }
    list(&mut out, "Codes", codes.iter().take(MOST_CODES));
    let more: u64 = codes.values().skip(MOST_CODES).sum();
    if more > 0 {
        let _ = writeln!(out, "    (others): {more}");
    }
    errors(&mut out, numbers);
    out
}

/// Different codes that are listed; a server that makes them up has hundreds.
const MOST_CODES: usize = 60;

/// The errors by name; of very many kinds, as of addresses that are all different, the most frequent.
fn errors(out: &mut String, numbers: &Numbers) {
    let mut shown: Vec<(&String, &u64)> = numbers.errors.iter().collect();
    shown.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    shown.truncate(MOST_ERRORS);
    shown.sort();
    list(out, "Errors", shown.into_iter());
    if numbers.errors.len() > MOST_ERRORS {
        let _ = writeln!(out, "    and {} more kinds of errors", numbers.errors.len() - MOST_ERRORS);
    }
}

fn ending(traffic: &Traffic) -> String {
    match (traffic.abandoned, traffic.cut_short) {
        (0, false) => "All virtual users finished".to_owned(),
        (0, true) => "Stopped early; all virtual users that had arrived finished".to_owned(),
        (active, _) => format!("Stopped while {} still active", were(active)),
    }
}

fn were(active: u64) -> String {
    format!("{} {}", counted(active, "virtual user"), if active == 1 { "was" } else { "were" })
}

fn response_times(out: &mut String, numbers: &Numbers) {
    let Some(times) = &numbers.first_byte else { return };
    out.push_str("  Response time (msec):\n");
    let lines = [("min", times.min), ("max", times.max), ("median", times.p50), ("p95", times.p95), ("p99", times.p99)];
    for (name, millis) in lines {
        let _ = writeln!(out, "    {name}: {}", decimals(millis, 1));
    }
}

fn list<'a>(out: &mut String, heading: &str, counts: impl ExactSizeIterator<Item = (impl ToString, &'a u64)>) {
    if counts.len() > 0 {
        let _ = writeln!(out, "  {heading}:");
    }
    for (name, count) in counts {
        let _ = writeln!(out, "    {}: {count}", clip(&name.to_string(), LONGEST_NAME));
    }
}

fn rate(numbers: &Numbers, traffic: &Traffic) -> f64 {
    let (requests, requested) = numbers.classic_requests();
    let length = requested.map_or(Duration::ZERO, |(first, _)| traffic.ended.since(first));
    share(float(requests), length.as_secs_f64())
}

fn wall(traffic: &Traffic) -> SystemTime {
    let length = Duration::from_nanos(traffic.ended.as_nanos());
    traffic.anchor.checked_add(length).unwrap_or(traffic.anchor)
}

fn date(time: SystemTime, zone: &TimeZone) -> String {
    let stamp = Timestamp::try_from(time).unwrap_or_default();
    stamp.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S(%z) %Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};

    use super::super::LoadReport;
    use super::super::tests::{Sample, readme};
    use crate::scenario::plugins::Plugins;

    const README: &str = "\
All virtual users finished
Summary report @ 12:02:42(-0800) 2020-11-09
  Scenarios launched:  619
  Scenarios completed: 618
  Requests completed:  3953
  Mean response/sec: 28.49
  Response time (msec):
    min: 0
    max: 30051.4
    median: 3412
    p95: 11993.4
    p99: 17865.3
  Scenario counts:
    CSR – Login, load data, idle: 200 (32.31%)
    CSR – Sockets: 206 (33.279%)
    CSR – Login, create and delete appointments: 213 (34.41%)
  Codes:
    0: 412
    200: 2690
    201: 425
    204: 425
    504: 1
  Errors:
    ECONNRESET: 1
";

    fn vancouver() -> TimeZone {
        TimeZone::fixed(Offset::constant(-8))
    }

    #[test]
    fn the_run_of_the_readme_reads_as_it_did() {
        let (traffic, plugins) = (Sample::new().done(), Plugins::default());
        assert_eq!(LoadReport::with(&traffic, readme(), &plugins, false).summary(&vancouver()), README);
    }

    #[test]
    fn a_run_without_anything_has_a_summary_too() {
        let (traffic, plugins) = (Sample::new().done(), Plugins::default());
        let summary = LoadReport::of(&traffic, &plugins, false).summary(&vancouver());
        assert!(summary.ends_with("  Requests completed:  0\n  Mean response/sec: 0\n"), "{summary}");
    }

    #[test]
    fn a_run_that_was_stopped_does_not_say_that_all_finished() {
        let plugins = Plugins::default();
        let first = |abandoned| {
            let traffic =
                Sample::new().change(|traffic| (traffic.abandoned, traffic.cut_short) = (abandoned, true)).done();
            let summary = LoadReport::of(&traffic, &plugins, false).summary(&vancouver());
            summary.lines().next().map(str::to_owned)
        };
        assert_eq!(first(2).as_deref(), Some("Stopped while 2 virtual users were still active"));
        assert_eq!(first(0).as_deref(), Some("Stopped early; all virtual users that had arrived finished"));
    }

    #[test]
    fn foreign_names_cannot_paint_the_terminal() {
        let mut sample = Sample::new();
        sample.change(|traffic| {
            traffic.scenarios = vec!["a\u{1b}[2J\nb".into()];
            traffic.total.error("E\u{7}", None, traffic.began);
            traffic.total.created_by.insert(0, 1);
        });
        let (traffic, plugins) = (sample.done(), Plugins::default());
        let summary = LoadReport::of(&traffic, &plugins, false).summary(&vancouver());
        assert!(!summary.contains(['\u{1b}', '\u{7}']), "{summary}");
        assert!(summary.contains("    a\u{fffd}[2J\u{fffd}b: 1 (0%)"), "{summary}");
    }
}

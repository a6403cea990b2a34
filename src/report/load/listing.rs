//! Every metric by the name that Artillery 2 has for it, in the layout of Artillery 2's console: one alphabetical list, dots
//! between name and value.

use std::fmt::Write;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::LoadReport;
use super::figures::{clip, decimals};
use super::metrics::{Metrics, Names};
use crate::recording::traffic::{Summary, Window};
use crate::scenario::plugins::ByEndpoint;

/// Artillery's width where there is no terminal.
const WIDTH: usize = 79;
const DASHES: &str = "--------------------------------------";

/// The whole run.
pub(super) fn run(report: &LoadReport<'_>, zone: &TimeZone) -> String {
    let traffic = report.traffic;
    let time = clock(traffic.anchor, traffic.ended.as_nanos(), zone);
    let mut text = format!("{DASHES}\nSummary report @ {time}\n{DASHES}\n\n");
    list(&report.metrics, report.by_endpoint, &mut text);
    text.push('\n');
    text
}

/// Ten seconds of a run that goes on.
#[must_use]
pub fn window(window: &Window, names: &Names<'_>, shown: &ByEndpoint, anchor: SystemTime, zone: &TimeZone) -> String {
    let time = clock(anchor, window.ended.as_nanos(), zone);
    let width = window.numbers.span.map_or(0.0, |(first, last)| last.since(first).as_secs_f64());
    let mut text = format!("{DASHES}\nMetrics for period to: {time} (width: {width:.3}s)\n{DASHES}\n\n");
    list(&Metrics::of(&window.numbers, names), shown, &mut text);
    text.push_str("\n\n");
    text
}

fn clock(anchor: SystemTime, nanos: u64, zone: &TimeZone) -> String {
    let time = anchor.checked_add(std::time::Duration::from_nanos(nanos)).unwrap_or(anchor);
    let stamp = Timestamp::try_from(time).unwrap_or_default();
    stamp.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S(%z)").to_string()
}

fn list(metrics: &Metrics, by_endpoint: &ByEndpoint, text: &mut String) {
    let counters = metrics.counters.iter().map(|(name, count)| (name, count.to_string(), None));
    let rates = metrics.rates.iter().map(|(name, rate)| (name, format!("{rate}/sec"), None));
    let summaries = metrics.summaries.iter().map(|(name, summary)| (name, String::new(), Some(summary)));
    let mut lines: Vec<(&String, String, Option<&Summary>)> = counters.chain(rates).chain(summaries).collect();
    lines.retain(|(name, ..)| by_endpoint.shown || !name.starts_with(&by_endpoint.namespace));
    lines.sort_by(|one, other| one.0.cmp(other.0));
    for (name, value, summary) in lines {
        match summary {
            Some(summary) => {
                let _ = writeln!(text, "{}:", clip(name, WIDTH - 1));
                let fields = [
                    ("min", summary.min),
                    ("max", summary.max),
                    ("mean", summary.mean),
                    ("median", summary.p50),
                    ("p95", summary.p95),
                    ("p99", summary.p99),
                ];
                for (field, millis) in fields {
                    line(&format!("  {field}"), &decimals(millis, 1), text);
                }
            }
            None => line(name, &value, text),
        }
    }
}

fn line(name: &str, value: &str, text: &mut String) {
    let label = format!("{}:", clip(name, WIDTH - 1));
    let dots = ".".repeat(WIDTH.saturating_sub(label.chars().count()));
    let _ = writeln!(text, "{label} {dots} {value}");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Sample, readme};
    use super::*;
    use crate::scenario::plugins::Plugins;

    #[test]
    fn metrics_are_one_list_with_dots_up_to_the_same_column() {
        let traffic = Sample::new().done();
        let plugins = Plugins::default();
        let report = LoadReport::with(&traffic, readme(), &plugins, false);
        let text = run(&report, &TimeZone::UTC);
        assert!(text.starts_with(&format!("{DASHES}\nSummary report @ ")), "{text}");
        let count = format!("http.codes.200: {} 2690\n", ".".repeat(79 - 15));
        let rate = format!("http.request_rate: {} 30/sec\n", ".".repeat(79 - 18));
        let times = format!("http.response_time:\n  min: {} 0\n", ".".repeat(79 - 6));
        for part in [count, rate, times] {
            assert!(text.contains(&part), "{part} is missing in {text}");
        }
    }
}

//! How far a running load is, in words: a small block for a terminal, a line for a log.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{clip, counted, decimals, in_millis, short};
use crate::recording::traffic::Progress;

/// The longest name of a phase in a line that has no width to fit.
const LONGEST_NAME: usize = 40;

/// Two lines that fit a width. Where it is narrow, what matters least is left out.
#[must_use]
pub fn block(progress: &Progress, width: usize) -> Vec<String> {
    vec![fit(&arrivals(progress, width), width), fit(&numbers(progress), width)]
}

/// All of it in one line.
#[must_use]
pub fn line(progress: &Progress) -> String {
    let mut parts = arrivals(progress, LONGEST_NAME + 15);
    parts.extend(numbers(progress));
    parts.join(" · ")
}

fn arrivals(progress: &Progress, width: usize) -> Vec<String> {
    // What goes before the load and what comes after it have no arrivals.
    if progress.of == 0 {
        return vec![clip(&progress.phase, LONGEST_NAME)];
    }
    let left = progress.left.map(|left| format!("{} left", clock(left)));
    let active = format!("{} active", progress.active);
    if progress.draining {
        let waiting = format!("waiting for {} to finish", counted(progress.active, "virtual user"));
        return [Some(waiting), left].into_iter().flatten().collect();
    }
    let place = if progress.of > 1 { format!(" ({} of {})", progress.number, progress.of) } else { String::new() };
    let room = width.saturating_sub(place.chars().count()).clamp(1, LONGEST_NAME);
    let mut arrivals = format!("{} of {} users", progress.created, progress.planned);
    if progress.skipped > 0 {
        let _ = write!(arrivals, ", {} skipped", progress.skipped);
    }
    let name = format!("{}{place}", clip(&progress.phase, room));
    [Some(name), left, Some(arrivals), Some(active)].into_iter().flatten().collect()
}

fn numbers(progress: &Progress) -> Vec<String> {
    let mut parts = vec![format!("{} req/s", decimals(progress.rate, usize::from(progress.rate < 100.0)))];
    if let (Some(p50), Some(p95)) = (progress.p50, progress.p95) {
        parts.push(format!("p50 {} ms, p95 {} ms", short(in_millis(p50)), short(in_millis(p95))));
    }
    parts.push(counted(progress.errors, "error"));
    if let Some(lateness) = progress.lateness {
        parts.push(format!("users up to {} ms late", short(in_millis(lateness))));
    }
    parts
}

/// As many of the parts as fit; the first one in any case, cut.
fn fit(parts: &[String], width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let next = if line.is_empty() { part.clone() } else { format!("{line} · {part}") };
        if next.chars().count() > width {
            return if line.is_empty() { clip(part, width) } else { line };
        }
        line = next;
    }
    line
}

/// `42 s`, `3 min 5 s`; a begun second counts.
fn clock(length: Duration) -> String {
    let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn progress() -> Progress {
        Progress {
            phase: "Ramp – up".into(),
            number: 2,
            of: 3,
            left: Some(Duration::from_millis(184_200)),
            planned: 300,
            created: 120,
            skipped: 3,
            active: 45,
            rate: 48.16,
            p50: Some(Duration::from_micros(12_340)),
            p95: Some(Duration::from_millis(850)),
            errors: 1,
            lateness: Some(Duration::from_micros(320)),
            draining: false,
        }
    }

    #[test]
    fn a_block_says_where_the_load_stands() {
        assert_eq!(
            block(&progress(), 100),
            [
                "Ramp – up (2 of 3) · 3 min 5 s left · 120 of 300 users, 3 skipped · 45 active",
                "48.2 req/s · p50 12.3 ms, p95 850 ms · 1 error · users up to 0.3 ms late",
            ]
        );
        assert_eq!(
            block(&progress(), 40),
            ["Ramp – up (2 of 3) · 3 min 5 s left", "48.2 req/s · p50 12.3 ms, p95 850 ms"]
        );
        let draining = Progress { draining: true, active: 1, left: Some(Duration::from_secs(4)), ..progress() };
        assert_eq!(block(&draining, 100)[0], "waiting for 1 virtual user to finish · 4 s left");
    }

    #[test]
    fn a_line_says_the_same() {
        assert_eq!(
            line(&progress()),
            "Ramp – up (2 of 3) · 3 min 5 s left · 120 of 300 users, 3 skipped · 45 active · 48.2 req/s · \
             p50 12.3 ms, p95 850 ms · 1 error · users up to 0.3 ms late"
        );
        let only = Progress { phase: "load".into(), of: 1, planned: 1, ..Progress::default() };
        assert_eq!(line(&only), "load · 0 of 1 users · 0 active · 0 req/s · 0 errors");
    }

    #[test]
    fn before_and_after_have_no_arrivals() {
        let after = Progress { phase: "after".into(), errors: 3, ..Progress::default() };
        assert_eq!(line(&after), "after · 0 req/s · 3 errors");
    }

    proptest! {
        #[test]
        fn a_block_fits(width in 1_usize..200, name in ".{0,100}", rate: f64, planned: u64, draining: bool) {
            let progress = Progress { phase: name, rate, planned, draining, ..progress() };
            for line in block(&progress, width) {
                prop_assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}

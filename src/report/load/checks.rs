//! Whether what had to hold at the end of a run does: the plugin `ensure`.
//!
//! A name that is no metric of the run fails its check, as in Artillery, and the check says which names come close. An
//! expression that asks `exists` looks after itself.

use std::fmt::Write;

use serde_json::Value;

use super::figures::{clip, decimals, float, share};
use super::metrics::Metrics;
use crate::scenario::expression::Expression;
use crate::scenario::plugins::{Check, Rule};

/// Names that are shown of those that come close.
const MOST_CLOSE: usize = 3;
/// How much alike two names must be to come close: 1 is equal.
const CLOSE: f64 = 0.75;
/// Checks of one run that are told close names: comparing names takes time, and a script may hold any number of checks.
const MOST_HINTS: usize = 10;
/// The longest name that is compared.
const LONGEST_NAME: usize = 120;
/// The longest words of a check that are shown.
const LONGEST: usize = 300;

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it says.
    pub words: String,
    /// Whether the run fails when it does not hold.
    pub strict: bool,
    /// Whether it holds.
    pub held: bool,
    /// Why it does not: the value that was measured, or what is unknown.
    pub note: Option<String>,
}

/// Looks at every check.
#[must_use]
pub fn check(checks: &[Check], metrics: &Metrics) -> Vec<Checked> {
    let mut hints = MOST_HINTS;
    let look = |check: &Check| {
        let found = match &check.rule {
            Rule::Below(metric, bound) => below(metric, *bound, metrics),
            Rule::Holds(expression) => holds(expression, &check.words, metrics),
            Rule::ErrorRate(most) => error_rate(*most, metrics),
        };
        let note = found.err().map(|why| match why {
            Why::Measured(note) => note,
            Why::Unknown(name) => {
                let close = if hints > 0 { close(&name, metrics) } else { String::new() };
                hints = hints.saturating_sub(1);
                format!("this run has no metric {name}{close}")
            }
        });
        Checked { words: check.words.clone(), strict: check.strict, held: note.is_none(), note }
    };
    checks.iter().map(look).collect()
}

/// Whether all hold that are not optional.
#[must_use]
pub fn held(checked: &[Checked]) -> bool {
    checked.iter().all(|checked| checked.held || !checked.strict)
}

/// `Checks:` and a line for each; empty when there are none.
#[must_use]
pub fn text(checked: &[Checked]) -> String {
    let mut out = String::new();
    if !checked.is_empty() {
        out.push_str("Checks:\n");
    }
    for Checked { words, strict, held, note } in checked {
        let verdict = if *held { "ok" } else { "fail" };
        let optional = if *strict { "" } else { " (optional)" };
        let note = note.as_ref().map(|note| format!(" – {}", clip(note, LONGEST))).unwrap_or_default();
        let _ = writeln!(out, "{verdict}: {}{optional}{note}", clip(words, LONGEST));
    }
    out
}

type Found = Result<(), Why>;

/// Why a check does not hold.
enum Why {
    /// By what was measured, in words.
    Measured(String),
    /// A name is no metric.
    Unknown(String),
}

fn below(metric: &str, bound: f64, metrics: &Metrics) -> Found {
    match metrics.value(metric) {
        None => Err(Why::Unknown(metric.to_owned())),
        Some(value) if value < bound => Ok(()),
        Some(value) => Err(Why::Measured(format!("it is {}", decimals(value, 3)))),
    }
}

fn holds(expression: &Expression, words: &str, metrics: &Metrics) -> Found {
    let names = expression.names();
    let missing = names.iter().find(|name| metrics.value(name).is_none());
    if let Some(missing) = missing.filter(|_| !words.contains("exists")) {
        return Err(Why::Unknown((*missing).to_owned()));
    }
    match expression.holds(&|name| metrics.value(name).map(Value::from)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Why::Measured(values(&names, metrics))),
        Err(unusable) => Err(Why::Measured(unusable.to_string())),
    }
}

/// `vusers.failed is 3, http.requests is 10`.
fn values(names: &[&str], metrics: &Metrics) -> String {
    let said = |name: &&str| match metrics.value(name) {
        Some(value) => format!("{name} is {}", decimals(value, 3)),
        None => format!("{name} is not there"),
    };
    names.iter().map(said).collect::<Vec<_>>().join(", ")
}

fn error_rate(most: f64, metrics: &Metrics) -> Found {
    let users = |name: &str| metrics.counters.get(name).map_or(0.0, |count| float(*count));
    let (created, completed) = (users("vusers.created"), users("vusers.completed"));
    let rate = share((created - completed) * 100.0, created);
    match rate {
        _ if created == 0.0 => Err(Why::Measured("no virtual user was created".to_owned())),
        _ if rate <= most => Ok(()),
        _ => {
            let (failed, percent) = (created - completed, decimals(rate, 3));
            Err(Why::Measured(format!("{failed} of {created} virtual users did not complete: {percent} %")))
        }
    }
}

/// `; close to it: a, b`
fn close(name: &str, metrics: &Metrics) -> String {
    if name.len() > LONGEST_NAME {
        return String::new();
    }
    let mut close: Vec<(f64, String)> = metrics
        .names()
        .filter(|known| known.len() <= LONGEST_NAME)
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(likeness, _)| *likeness >= CLOSE)
        .collect();
    close.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let close: Vec<String> = close.into_iter().take(MOST_CLOSE).map(|(_, known)| known).collect();
    if close.is_empty() { String::new() } else { format!("; close to it: {}", close.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Names;
    use super::super::tests::readme;
    use super::*;
    use crate::scenario::source::Span;

    fn metrics() -> Metrics {
        Metrics::of(&readme(), &Names { scenarios: &[], namespace: "ns", extended: false })
    }

    fn one(words: &str, rule: Rule, strict: bool) -> Checked {
        let one = Check { words: words.to_owned(), rule, strict, span: Span::default() };
        check(&[one], &metrics()).remove(0)
    }

    fn condition(words: &str) -> Checked {
        one(words, Rule::Holds(Expression::parse(words).expect("an expression")), true)
    }

    fn threshold(metric: &str, bound: f64) -> Checked {
        one(&format!("{metric} < {bound}"), Rule::Below(metric.to_owned(), bound), true)
    }

    #[test]
    fn bounds_are_compared_with_what_was_measured() {
        assert!(threshold("http.response_time.p95", 12_000.0).held);
        let failed = threshold("http.response_time.p95", 11_993.4);
        assert_eq!((failed.held, failed.note.as_deref()), (false, Some("it is 11993.4")));
    }

    #[test]
    fn conditions_are_about_metrics() {
        assert!(condition("http.response_time.p99 < 20000 and vusers.failed <= 1").held);
        let failed = condition("vusers.failed == 0");
        assert_eq!(failed.note.as_deref(), Some("vusers.failed is 1"));
        assert!(condition("not exists(vusers.skipped) or vusers.skipped == 0").held);
    }

    #[test]
    fn an_unknown_metric_fails_and_says_what_is_close() {
        let failed = threshold("http.reponse_time.p95", 1e9);
        assert!(!failed.held);
        assert!(
            failed.note.as_deref().is_some_and(|note| note.contains("close to it: http.response_time.p95")),
            "{failed:?}"
        );
        assert!(!condition("not nothing.like.this > 5").held);
        assert_eq!(threshold("zzz", 1.0).note.as_deref(), Some("this run has no metric zzz"));
    }

    #[test]
    fn users_that_did_not_complete_are_counted() {
        let rate = |most| one("maxErrorRate", Rule::ErrorRate(most), true);
        assert!(rate(0.2).held);
        let failed = rate(0.1);
        assert_eq!(failed.note.as_deref(), Some("1 of 619 virtual users did not complete: 0.162 %"));
        let none = Check { words: String::new(), rule: Rule::ErrorRate(5.0), strict: true, span: Span::default() };
        assert!(!check(&[none], &Metrics::default())[0].held);
    }

    #[test]
    fn the_block_reads_as_artillery_s() {
        let optional = one("vusers.failed < 1", Rule::Below("vusers.failed".into(), 1.0), false);
        let checked = [threshold("http.requests", 4000.0), optional];
        assert!(held(&checked));
        assert_eq!(text(&checked), "Checks:\nok: http.requests < 4000\nfail: vusers.failed < 1 (optional) – it is 1\n");
        assert_eq!(text(&[]), "");
    }
}

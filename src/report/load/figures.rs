//! How numbers and foreign texts are written in reports of load: the same way everywhere, and never as `NaN`.
//!
//! Kept apart so that summary, details, JSON and progress agree on rounding. Knows no metric and no traffic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub(super) use crate::report::columns::{WIDTH, clip, float, wrap};

/// A length of time in milliseconds.
pub(super) fn in_millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

/// `part` of `whole`, zero when there is no whole.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 && part.is_finite() { part / whole } else { 0.0 }
}

/// Rounded to tenths, as Artillery rounds what comes from its histograms. What is not finite is zero.
pub(super) fn tenths(value: f64) -> f64 {
    if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 }
}

/// At most so many decimals, none of them a zero at the end: `3412`, `30051.4`.
pub(in crate::report) fn decimals(value: f64, places: usize) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Milliseconds for a table: tenths below a hundred, whole ones above.
pub(in crate::report) fn short(millis: f64) -> String {
    decimals(millis, usize::from(millis < 99.95))
}

/// A number for JSON: whole ones without a decimal point, as JavaScript writes them.
pub(super) fn json_number(value: f64) -> Value {
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        return Value::from(0);
    }
    if value.fract() == 0.0 && value.abs() < WHOLE {
        // Written and read again: a cast could not be told from a mistake.
        if let Ok(whole) = format!("{value:.0}").parse::<i64>() {
            return Value::from(whole);
        }
    }
    Value::from(value)
}

/// Milliseconds since 1970.
pub(super) fn epoch_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `1 user`, `2 users`.
pub(in crate::report) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_end_in_no_zero() {
        let written = [decimals(30_051.4, 1), decimals(3412.0, 1), decimals(28.486, 2), decimals(-0.01, 1)];
        assert_eq!(written, ["30051.4", "3412", "28.49", "0"]);
        assert_eq!([short(99.96), short(99.94), short(0.04)], ["100", "99.9", "0"]);
        assert_eq!([json_number(3.0).to_string(), json_number(3.1).to_string()], ["3", "3.1"]);
        assert_eq!(share(1.0, 0.0).to_string(), "0");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!([clip("abc", 3), clip("abcd", 3), clip("–––––", 4)], ["abc", "ab…", "–––…"]);
    }

    proptest! {
        #[test]
        fn every_number_can_be_written(value: f64, places in 0_usize..4) {
            prop_assert!(decimals(value, places).parse::<f64>().is_ok());
            prop_assert!(!json_number(value).is_null());
            short(value);
        }

        #[test]
        fn a_clipped_text_fits(text in ".{0,60}", width in 1_usize..40) {
            prop_assert!(clip(&text, width).chars().count() <= width);
        }

        #[test]
        fn a_wrapped_text_fits_and_keeps_its_words(words in proptest::collection::vec("[a-z]{1,40}", 1..60)) {
            let mut text = String::new();
            wrap(&mut text, &words.join(" "));
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
            prop_assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words);
        }
    }
}

//! Lengths of time, as scripts write them: `60`, `"1.5"`, `5m`, `2 hours`, `500ms`, and the jitter of a pause.
//!
//! The units are those of npm's `ms`, which Artillery hands every length to. One thing is read otherwise, as its authors
//! meant it: a number without a unit is in seconds, whole or not (Artillery takes `1.5` for a millisecond and a half).
//! Nothing here knows which phase or step a length belongs to; the caller says that.

use std::time::Duration;

/// Ten years: a longer length is a slip of the pen.
const LONGEST: f64 = 10.0 * YEAR;
/// The year of npm's `ms`, in seconds.
const YEAR: f64 = 365.25 * 86_400.0;
/// npm's `ms` reads no further than this.
const LONGEST_TEXT: usize = 100;

/// A length as it stands in a script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given<'a> {
    /// A YAML number.
    Number(f64),
    /// Any other scalar, or a number in quotes.
    Text(&'a str),
}

/// Why a length of time cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLength {
    /// It is no length at all.
    #[error(
        "`{0}` is not a length of time: write seconds (60, 1.5) or a number with a unit (500ms, 5s, 5m, 2h, 1d, 1w)"
    )]
    Unreadable(String),
    /// A phase that takes no time, or less.
    #[error("`{0}` is not a length of time: it must be more than zero")]
    NotPositive(String),
    /// A pause of less than no time.
    #[error("`{0}` is not a length of time: it must not be negative")]
    Negative(String),
    /// More than ten years.
    #[error("`{0}` is too long: the limit is ten years")]
    TooLong(String),
    /// It is no jitter.
    #[error("`{0}` is not a jitter: write milliseconds (200), a number with a unit (1s) or a share (10%)")]
    NoJitter(String),
}

/// How far a pause may be from its written length, either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// By a fixed length.
    Length(Duration),
    /// By a share of the pause: 0.1 is a tenth.
    Share(f64),
}

impl Jitter {
    /// The pause that a draw means: `draw` runs from 0 (shortest) to 1 (longest). Never less than zero.
    #[must_use]
    pub fn applied(self, pause: Duration, draw: f64) -> Duration {
        let written = pause.as_secs_f64();
        let reach = match self {
            Self::Length(length) => length.as_secs_f64(),
            Self::Share(share) => written * share,
        };
        let drawn = written + reach * (2.0 * draw.clamp(0.0, 1.0) - 1.0);
        Duration::try_from_secs_f64(drawn.max(0.0)).unwrap_or(pause)
    }
}

/// The length of a phase or of its pause: more than zero.
///
/// # Errors
/// When it is unreadable, not more than zero, or longer than ten years.
pub fn phase_length(given: Given<'_>) -> Result<Duration, BadLength> {
    let seconds = seconds(given)?;
    let length = duration(given, seconds)?;
    if length.is_zero() { Err(BadLength::NotPositive(shown(given))) } else { Ok(length) }
}

/// The length of a `think` step: zero or more.
///
/// # Errors
/// When it is unreadable, negative, or longer than ten years.
pub fn think_length(given: Given<'_>) -> Result<Duration, BadLength> {
    let seconds = seconds(given)?;
    if seconds < 0.0 {
        return Err(BadLength::Negative(shown(given)));
    }
    duration(given, seconds)
}

/// A jitter: a number is in milliseconds, `10%` is a share of the pause.
///
/// # Errors
/// When it is unreadable, negative, or longer than ten years.
pub fn jitter(given: Given<'_>) -> Result<Jitter, BadLength> {
    let bad = || BadLength::NoJitter(shown(given));
    if let Given::Text(text) = given
        && let Some(percent) = text.trim().strip_suffix('%')
    {
        let (percent, unit) = split(percent.trim()).ok_or_else(bad)?;
        let share = percent / 100.0;
        return if unit.is_empty() && (0.0..=1_000.0).contains(&share) { Ok(Jitter::Share(share)) } else { Err(bad()) };
    }
    let seconds = match given {
        Given::Number(number) => number / 1_000.0,
        Given::Text(text) => {
            split(text.trim()).and_then(|(number, unit)| in_seconds(number, unit, 0.001)).ok_or_else(bad)?
        }
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(bad());
    }
    duration(given, seconds).map(Jitter::Length)
}

/// Seconds, of any sign and size.
fn seconds(given: Given<'_>) -> Result<f64, BadLength> {
    let seconds = match given {
        Given::Number(number) => Some(number),
        Given::Text(text) => split(text.trim()).and_then(|(number, unit)| in_seconds(number, unit, 1.0)),
    };
    seconds.filter(|seconds| !seconds.is_nan()).ok_or_else(|| BadLength::Unreadable(shown(given)))
}

/// A number and what follows it, blanks in between removed: the grammar of `ms` (`-`, digits, a point, digits).
fn split(text: &str) -> Option<(f64, &str)> {
    if text.len() > LONGEST_TEXT {
        return None;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, unit) = unsigned.split_at(end);
    if digits.ends_with('.') {
        return None;
    }
    let number: f64 = digits.parse().ok()?;
    Some((if unsigned.len() < text.len() { -number } else { number }, unit.trim_start_matches(' ')))
}

/// Seconds in that many of a unit; `bare` is what a number without a unit counts.
fn in_seconds(number: f64, unit: &str, bare: f64) -> Option<f64> {
    let one = match unit.to_ascii_lowercase().as_str() {
        "" => bare,
        "milliseconds" | "millisecond" | "msecs" | "msec" | "ms" => 0.001,
        "seconds" | "second" | "secs" | "sec" | "s" => 1.0,
        "minutes" | "minute" | "mins" | "min" | "m" => 60.0,
        "hours" | "hour" | "hrs" | "hr" | "h" => 3_600.0,
        "days" | "day" | "d" => 86_400.0,
        "weeks" | "week" | "w" => 7.0 * 86_400.0,
        "years" | "year" | "yrs" | "yr" | "y" => YEAR,
        _ => return None,
    };
    Some(number * one)
}

fn duration(given: Given<'_>, seconds: f64) -> Result<Duration, BadLength> {
    if seconds > LONGEST {
        return Err(BadLength::TooLong(shown(given)));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| BadLength::NotPositive(shown(given)))
}

fn shown(given: Given<'_>) -> String {
    match given {
        Given::Number(number) => number.to_string(),
        Given::Text(text) => text.chars().take(LONGEST_TEXT).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phase(text: &str) -> Option<f64> {
        phase_length(Given::Text(text)).ok().map(|length| length.as_secs_f64())
    }

    #[test]
    fn a_bare_number_is_in_seconds() {
        assert_eq!(phase_length(Given::Number(60.0)), Ok(Duration::from_secs(60)));
        assert_eq!(phase_length(Given::Number(1.5)), Ok(Duration::from_millis(1_500)));
        assert_eq!(phase("60"), Some(60.0));
        assert_eq!(phase("1.5"), Some(1.5));
        assert_eq!(phase(".5"), Some(0.5));
    }

    #[test]
    fn the_units_of_ms() {
        for (text, seconds) in [
            ("500ms", 0.5),
            ("5s", 5.0),
            ("5 sec", 5.0),
            ("1.5s", 1.5),
            ("5m", 300.0),
            ("5min", 300.0),
            ("5 Minutes", 300.0),
            ("2h", 7_200.0),
            ("2 HRS", 7_200.0),
            ("1d", 86_400.0),
            ("1w", 604_800.0),
            ("1y", 31_557_600.0),
        ] {
            assert_eq!(phase(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_named() {
        for text in ["", "five", "5 parsecs", "5.", "1.2.3", "1e3", "--5", "5\ns", "Infinity", "NaN"] {
            assert_eq!(phase_length(Given::Text(text)), Err(BadLength::Unreadable(text.into())), "{text}");
        }
        assert!(matches!(phase_length(Given::Number(f64::NAN)), Err(BadLength::Unreadable(_))));
        assert!(matches!(phase_length(Given::Number(0.0)), Err(BadLength::NotPositive(_))));
        assert!(matches!(phase_length(Given::Text("-5s")), Err(BadLength::NotPositive(_))));
        assert!(matches!(phase_length(Given::Text("11y")), Err(BadLength::TooLong(_))));
        assert!(matches!(phase_length(Given::Number(f64::INFINITY)), Err(BadLength::TooLong(_))));
    }

    #[test]
    fn a_pause_may_be_zero_but_not_less() {
        assert_eq!(think_length(Given::Number(0.0)), Ok(Duration::ZERO));
        assert_eq!(think_length(Given::Text("500ms")), Ok(Duration::from_millis(500)));
        assert!(matches!(think_length(Given::Text("-1")), Err(BadLength::Negative(_))));
    }

    #[test]
    fn jitter_is_milliseconds_or_a_share() {
        assert_eq!(jitter(Given::Text("200")), Ok(Jitter::Length(Duration::from_millis(200))));
        assert_eq!(jitter(Given::Number(200.0)), Ok(Jitter::Length(Duration::from_millis(200))));
        assert_eq!(jitter(Given::Text("1s")), Ok(Jitter::Length(Duration::from_secs(1))));
        assert_eq!(jitter(Given::Text("20 %")), Ok(Jitter::Share(0.2)));
        for text in ["", "%", "-5%", "5s%", "much", "-3"] {
            assert_eq!(jitter(Given::Text(text)), Err(BadLength::NoJitter(text.into())), "{text}");
        }
        let pause = Duration::from_secs(10);
        assert_eq!(Jitter::Share(0.2).applied(pause, 0.0), Duration::from_secs(8));
        assert_eq!(Jitter::Share(0.2).applied(pause, 1.0), Duration::from_secs(12));
        assert_eq!(Jitter::Length(Duration::from_secs(60)).applied(pause, 0.0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text: String, number: f64) {
            let _ = (phase_length(Given::Text(&text)), think_length(Given::Text(&text)), jitter(Given::Text(&text)));
            let _ = (phase_length(Given::Number(number)), think_length(Given::Number(number)), jitter(Given::Number(number)));
        }

        #[test]
        fn milliseconds_come_back(millis in 1u64..300_000_000_000) {
            let length = phase_length(Given::Text(&format!("{millis}ms"))).expect("a length");
            prop_assert_eq!(length.as_nanos().div_ceil(1_000_000).abs_diff(u128::from(millis)) <= 1, true);
        }
    }
}

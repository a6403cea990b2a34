//! Regular expressions, written for JavaScript and run by a Rust engine.
//!
//! The two languages differ in small things that scripts do contain: `\d` means ten digits, a brace that counts nothing
//! is a brace, `\/` is a slash, a dot stops at every line end. The expression is translated piece by piece, so that what is
//! told about it names a place in what was written. Matching is bounded: it gives up instead of taking for ever.

mod translate;

use fancy_regex::{Captures, Regex, RegexBuilder};

/// Steps of backtracking before a match is given up: about a tenth of a second. An expression that looks around takes a
/// step a byte, so that bodies of some megabytes are within it.
const MOST_STEPS: usize = 5_000_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a text is no regular expression that we can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at column {column} of the regular expression: {why}")]
pub struct BadPattern {
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub why: String,
}

/// The match took too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression took more than {MOST_STEPS} steps on this text")]
pub struct GaveUp;

impl Pattern {
    /// Compiles an expression. Flags are JavaScript's; `i`, `m` and `s` change what matches.
    ///
    /// # Errors
    /// When it is no expression, or has what the engine cannot do.
    pub fn new(source: &str, flags: &str) -> Result<Self, BadPattern> {
        if let Some(flag) = flags.chars().find(|flag| !"dgimsuvy".contains(*flag)) {
            return Err(BadPattern { column: 1, why: format!("there is no flag `{flag}`") });
        }
        let rust = translate::translate(source, flags.contains('s'))?;
        RegexBuilder::new(&rust)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .crlf(true)
            .backtrack_limit(MOST_STEPS)
            .build()
            .map(Self)
            .map_err(|error| BadPattern { column: 1, why: error.to_string() })
    }

    /// Whether the text has a match.
    ///
    /// # Errors
    /// When the match takes too many steps.
    pub fn is_in(&self, text: &str) -> Result<bool, GaveUp> {
        self.0.is_match(text).map_err(|_| GaveUp)
    }

    /// The groups of the first match.
    ///
    /// # Errors
    /// When the match takes too many steps.
    pub fn first<'t>(&self, text: &'t str) -> Result<Option<Captures<'t, str>>, GaveUp> {
        self.0.captures(text).map_err(|_| GaveUp)
    }

    /// How many groups it has; the whole match is one.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.0.captures_len()
    }

    /// Whether it has a group of that name.
    #[must_use]
    pub fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|known| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(source: &str, flags: &str, text: &str) -> Option<String> {
        let pattern = Pattern::new(source, flags).unwrap_or_else(|bad| panic!("{source}: {bad}"));
        pattern.first(text).expect("in time").map(|groups| groups[0].to_owned())
    }

    #[test]
    fn what_javascript_matches() {
        for (source, flags, text, expected) in [
            (r"\d+", "", "٣ 42", Some("42")),
            (r"\w+", "", "é_x1", Some("_x1")),
            (r"[\w-.]+", "", "é a-b.c", Some("a-b.c")),
            (r"[^\d]+", "", "12ab", Some("ab")),
            (r"[\D]+", "", "12ab", Some("ab")),
            (r"[^\W]+", "", "-ab-", Some("ab")),
            (r#"{"id":(\d+)}"#, "", r#"{"id":7}"#, Some(r#"{"id":7}"#)),
            (r"a{2}", "", "aaa", Some("aa")),
            (r"a{,2}", "", "a{,2}", Some("a{,2}")),
            (r"http:\/\/x", "", "http://x", Some("http://x")),
            ("a.c", "", "a\nc", None),
            ("a.c", "", "a\rc", None),
            ("a.c", "s", "a\nc", Some("a\nc")),
            ("a[^]c", "", "a\nc", Some("a\nc")),
            ("a[]c", "", "ac", None),
            ("b$", "", "b\n", None),
            ("^b$", "m", "a\nb\n", Some("b")),
            ("b$", "m", "a\nb\r\nc", Some("b")),
            ("^b", "m", "a\rb", Some("b")),
            ("ABC", "gi", "xabc", Some("abc")),
            (r"(?<year>\d{4})-\k<year>", "", "2020-2020", Some("2020-2020")),
            (r"(a)\1", "", "aa", Some("aa")),
            ("(?<=#)x(?!y)", "", "#xy #xz", Some("x")),
            (r"\u0041\x42", "", "AB", Some("AB")),
            (r"\u{41}", "u", "A", Some("A")),
            (r"[a-c[]+", "", "[ab", Some("[ab")),
            (r"[a&&b]+", "", "&&", Some("&&")),
            (r"\-\:\'\A", "", "-:'A", Some("-:'A")),
            (r"x\sy", "", "x\u{feff}y", Some("x\u{feff}y")),
            (r"]", "", "]", Some("]")),
            (r"[\]\\]+", "", r"]\", Some(r"]\")),
            (r"[\b]", "", "\u{8}", Some("\u{8}")),
            ("a # b", "", "a # b", Some("a # b")),
            (r"é+?", "", "éé", Some("é")),
        ] {
            assert_eq!(found(source, flags, text).as_deref(), expected, "/{source}/{flags} on {text:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        for (source, column) in [
            ("a)", 2),
            ("(a", 1),
            ("é[a", 2),
            ("a**", 3),
            ("*", 1),
            (r"a\", 2),
            ("(?>a)", 1),
            ("(?i)a", 1),
            ("[z-a]", 2),
            ("(?=a)+", 6),
            (r"\b+", 3),
            ("$*", 2),
        ] {
            let bad = Pattern::new(source, "").map(|_| ()).expect_err(source);
            assert_eq!(bad.column, column, "{source}: {bad}");
        }
        assert!(Pattern::new("a", "x").is_err());
        assert!(Pattern::new(&"(".repeat(1_000), "").is_err());
        assert!(Pattern::new(&"a".repeat(5_000), "").is_err());
        assert!(Pattern::new(r"(\w{1000}){1000}", "").is_err());
    }

    #[test]
    fn a_match_that_explodes_is_given_up() {
        let pattern = Pattern::new(r"(a|b|ab)*\1c(?=x)", "").expect("an expression");
        assert_eq!(pattern.is_in(&"ab".repeat(5_000)), Err(GaveUp));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(source: String, odd in r"[a\\\[\](){}*+?|^$.0-9,:=!<>k&~-]{0,24}", text in "[a0(){}]{0,12}") {
            for source in [source, odd] {
                if let Ok(pattern) = Pattern::new(&source, "") {
                    let _ = pattern.first(&text);
                }
            }
        }
    }
}

//! What there is to say of a script before it runs: what is wrong in it, what is ignored, what is read in another way.
//!
//! Findings are data. They are collected while a script is interpreted, so that all of them can be told at once; how they look
//! on a terminal is the last function here, and who prints it is somebody else.

use std::fmt::Write;

use super::excerpt::{excerpt, without_users};
use super::source::{Sources, Span};
use crate::printable::printable;

/// Findings beyond this many are counted, not kept.
const MOST: usize = 200;

/// Longest excerpt of a line, in characters.
const WIDEST: usize = 160;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The script cannot run.
    Error,
    /// It runs, and this part of it has no effect.
    Ignored,
    /// It runs, and this part means something else than to one of the Artilleries.
    Changed,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Ignored => "ignored",
            Self::Changed => "note",
        }
    }
}

/// One thing to say, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A sentence that names the thing.
    pub sentence: String,
    /// Where it is.
    pub span: Option<Span>,
    /// What to write beside the mark below the line.
    pub beside: Option<String>,
    /// Whether the line is not to be shown, only named: it may hold a secret.
    pub unshown: bool,
}

/// Everything there is to say of one script.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    more: usize,
}

impl Findings {
    /// The script cannot run because of this.
    pub fn error(&mut self, span: impl Into<Option<Span>>, sentence: impl Into<String>, beside: &str) {
        self.push(Self::finding(Severity::Error, span.into(), sentence.into(), beside));
    }

    /// The script cannot run because of this, which stands in a line that may hold a secret.
    pub fn error_unshown(&mut self, span: impl Into<Option<Span>>, sentence: impl Into<String>, beside: &str) {
        let finding = Self::finding(Severity::Error, span.into(), sentence.into(), beside);
        self.push(Finding { unshown: true, ..finding });
    }

    /// This has no effect.
    pub fn ignored(&mut self, span: impl Into<Option<Span>>, sentence: impl Into<String>, beside: &str) {
        self.push(Self::finding(Severity::Ignored, span.into(), sentence.into(), beside));
    }

    /// This is read in another way than by one of the Artilleries.
    pub fn changed(&mut self, span: impl Into<Option<Span>>, sentence: impl Into<String>, beside: &str) {
        self.push(Self::finding(Severity::Changed, span.into(), sentence.into(), beside));
    }

    fn finding(severity: Severity, span: Option<Span>, sentence: String, beside: &str) -> Finding {
        let beside = Some(beside.to_owned()).filter(|text| !text.is_empty());
        Finding { severity, sentence, span, beside, unshown: false }
    }

    fn push(&mut self, finding: Finding) {
        if self.list.contains(&finding) {
            // The same place read twice, through an alias.
        } else if self.list.len() < MOST {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Whether the script cannot run.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings, the heaviest first, and in the order of the script.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Finding> {
        let mut sorted: Vec<&Finding> = self.list.iter().collect();
        sorted.sort_by_key(|finding| (finding.severity, finding.span));
        sorted
    }

    /// How many findings weigh that much; the same in several places is one.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.grouped().iter().filter(|group| group[0].severity == severity).count()
    }

    /// The findings in the order of [`Findings::sorted`], those together that say the same.
    fn grouped(&self) -> Vec<Vec<&Finding>> {
        let mut groups: Vec<Vec<&Finding>> = Vec::new();
        for finding in self.sorted() {
            match groups.iter_mut().find(|group| group[0].says_the_same(finding)) {
                Some(group) => group.push(finding),
                None => groups.push(vec![finding]),
            }
        }
        groups
    }

    /// All findings as text, with the lines that they speak of.
    #[must_use]
    pub fn text(&self, sources: &Sources) -> String {
        let mut text = String::new();
        for group in self.grouped() {
            group[0].write(sources, &mut text);
            let further = group.iter().skip(1).filter_map(|finding| finding.span);
            let further: Vec<String> = further.map(|span| sources.place(span)).collect();
            if !further.is_empty() {
                let _ = writeln!(text, "  and at {}", further.join(", "));
            }
        }
        if self.more > 0 {
            let _ = writeln!(text, "… and {} more", self.more);
        }
        text
    }
}

impl Finding {
    /// Whether another one is the same at another place.
    fn says_the_same(&self, other: &Self) -> bool {
        (self.severity, &self.sentence, &self.beside) == (other.severity, &other.sentence, &other.beside)
    }

    /// As compilers write it: the sentence, the place, the line, and a mark below it.
    fn write(&self, sources: &Sources, text: &mut String) {
        let _ = writeln!(text, "{}: {}", self.severity.word(), printable(&without_users(&self.sentence), 400));
        let beside = self.beside.as_ref().map(|beside| printable(&without_users(beside), 400)).unwrap_or_default();
        if let Some(span) = self.span {
            let _ = writeln!(text, "  --> {}", sources.place(span));
        }
        let Some(span) = self.span.filter(|_| !self.unshown) else {
            if !beside.is_empty() {
                let _ = writeln!(text, "  {beside}");
            }
            return;
        };
        let number = span.line.to_string();
        let column = span.column.saturating_sub(1) as usize;
        // A line of a megabyte is shown around the mark only.
        let skipped = if column + 20 > WIDEST { column.saturating_sub(40) } else { 0 };
        // A tab is as wide as the mark takes it to be.
        let shown = |letter| if letter == '\t' { ' ' } else { letter };
        let line: String = excerpt(sources, span).chars().skip(skipped).take(WIDEST + 1).map(shown).collect();
        let _ = writeln!(text, "{number} | {}", printable(&line, WIDEST).trim_end());
        let mark = "^".repeat((span.length.max(1) as usize).min(WIDEST));
        let margin = " ".repeat(number.len());
        let _ = writeln!(text, "{margin} | {}{mark} {beside}", " ".repeat(column - skipped));
        while text.ends_with(" \n") {
            text.truncate(text.len() - 2);
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_its_line_and_marks_the_place() {
        let mut sources = Sources::default();
        let source = sources.add("csr-http.yaml", "config:\n  phases:\n    - arivalRate: 10\n");
        let mut findings = Findings::default();
        findings.ignored(None, "nothing else", "at all");
        let span = Span { source, line: 3, column: 7, length: 10 };
        findings.error(span, "unknown key `arivalRate`", "did you mean `arrivalRate`?");
        findings.error(span, "unknown key `arivalRate`", "did you mean `arrivalRate`?");
        let expected = "\
error: unknown key `arivalRate`
  --> csr-http.yaml:3:7
3 |     - arivalRate: 10
  |       ^^^^^^^^^^ did you mean `arrivalRate`?
ignored: nothing else
  at all
";
        assert_eq!(findings.text(&sources), expected);
        assert!(findings.has_errors());
    }

    #[test]
    fn the_same_in_several_places_is_told_once() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "x: 1\nx: 2\nx: 3\n");
        let mut findings = Findings::default();
        for line in [3, 1, 2] {
            findings.changed(Span { source, line, column: 1, length: 1 }, "read so", "");
        }
        let expected = "note: read so\n  --> a.yaml:1:1\n1 | x: 1\n  | ^\n  and at a.yaml:2:1, a.yaml:3:1\n";
        assert_eq!((findings.text(&sources).as_str(), findings.count(Severity::Changed)), (expected, 1));
    }

    #[test]
    fn no_secret_is_shown() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "auth: { pass: hunter2hunter2, usr: \"{{ user }}\" }");
        let mut findings = Findings::default();
        findings.error(Span { source, line: 1, column: 31, length: 3 }, "no address: http://me:hunter2@host", "");
        let expected = "error: no address: http://••••••••••@host\n  --> a.yaml:1:31\n\
                        1 | auth: { pass: ••••••••••••••, usr: \"{{ user }}\" }\n\
                        \u{20} |                               ^^^\n";
        assert_eq!(findings.text(&sources), expected);
    }

    #[test]
    fn a_long_line_is_shown_around_the_mark() {
        let mut sources = Sources::default();
        let source = sources.add("a", "x".repeat(10_000));
        let mut findings = Findings::default();
        findings.error(Span { source, line: 1, column: 5_000, length: 3 }, "here", "");
        assert!(findings.text(&sources).len() < 600);
    }
}

//! A line of a script, fit to be shown beside a finding: what sounds like a secret is masked.
//!
//! Every hidden character is replaced by one other, so that a mark below the line stays where it belongs. Templates stay as
//! they are: they name a secret and do not hold it. Works on text, since a script that cannot be parsed has findings, too;
//! where it is in doubt, it hides more.

use std::ops::Range;

use super::source::{Sources, Span};
use crate::redact;

/// What stands in place of a character.
const MASK: char = '•';

/// How far up the keys are looked for that a line is below.
const FARTHEST: u32 = 2000;

/// The line that a span is on, without secrets.
#[must_use]
pub fn excerpt(sources: &Sources, span: Span) -> String {
    let line = sources.line(span);
    if is_below_secret(sources, span) { hide_values(line) } else { masked(line) }
}

/// A line without secrets: values behind keys that announce them, `Bearer` and `Basic` words, the user part of addresses.
#[must_use]
pub fn masked(line: &str) -> String {
    Line::of(line, true).masked()
}

/// A text without the user part of addresses.
#[must_use]
pub fn without_users(text: &str) -> String {
    Line::of(text, false).masked()
}

/// Hides all of a line but its own key.
fn hide_values(line: &str) -> String {
    let mut shown = Line::of(line, true);
    let start = key(line).and_then(|(_, name)| name).map_or(0, |name| {
        let end = line.find(name).unwrap_or_default() + name.len();
        let colon = line[end..].find(':').map_or(end, |colon| end + colon + 1);
        line[..colon].chars().count()
    });
    shown.hide(start..shown.letters.len());
    shown.letters.into_iter().collect()
}

/// Whether one of the keys that a line is below announces a secret, going by how far they are indented.
fn is_below_secret(sources: &Sources, span: Span) -> bool {
    let Some((mut inside, _)) = key(sources.line(span)) else { return false };
    for line in (span.line.saturating_sub(FARTHEST).max(1)..span.line).rev() {
        let above = sources.line(Span { line, ..span });
        if inside == 0 {
            return false;
        }
        let Some((outside, name)) = key(above) else { continue };
        let indent = above.len() - above.trim_start_matches([' ', '\t', '-']).len();
        if indent < inside {
            if name.is_some_and(is_secret) {
                return true;
            }
            inside = outside;
        }
    }
    false
}

/// What has to be indented less than this to be above the line, and the key that the line begins with; `None` for a line of
/// nothing or of a comment. A list may stand as far left as its key.
fn key(line: &str) -> Option<(usize, Option<&str>)> {
    let bare = line.trim_start();
    if bare.is_empty() || bare.starts_with('#') {
        return None;
    }
    let indent = line.len() - bare.len();
    let name =
        bare.trim_start_matches([' ', '\t', '-']).split_once(':').map(|(name, _)| name.trim_matches(['"', '\'', ' ']));
    Some((indent + usize::from(bare.starts_with("- ")), name))
}

struct Line {
    letters: Vec<char>,
    /// Which of them are part of a template.
    kept: Vec<bool>,
    /// Whether keys count.
    keys: bool,
}

impl Line {
    fn of(line: &str, keys: bool) -> Self {
        let letters: Vec<char> = line.chars().collect();
        let mut kept = vec![false; letters.len()];
        let (mut at, mut last) = (0, true);
        while at < letters.len() {
            let end = if last && letters[at..].starts_with(&['{', '{']) {
                letters[at..].windows(2).position(|pair| pair == ['}', '}']).map(|length| at + length + 2)
            } else {
                None
            };
            match end {
                Some(end) => {
                    kept[at..end].fill(true);
                    at = end;
                }
                None => {
                    // Where one is not closed, no later one is.
                    last &= !letters[at..].starts_with(&['{', '{']);
                    at += 1;
                }
            }
        }
        Self { letters, kept, keys }
    }

    fn hide(&mut self, range: Range<usize>) {
        for at in range {
            if !self.kept[at] && !self.letters[at].is_whitespace() {
                self.letters[at] = MASK;
            }
        }
    }

    fn masked(mut self) -> String {
        let (mut at, mut depth) = (0, 0_usize);
        while at < self.letters.len() {
            let letter = self.letters[at];
            if self.kept[at] {
                at += 1;
            } else if is_of_word(letter) {
                let end = self.end(at, |letter| !is_of_word(letter));
                at = self.word(at..end, depth > 0);
            } else {
                match letter {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
            }
        }
        self.letters.into_iter().collect()
    }

    /// Hides what a word announces; returns where to go on.
    fn word(&mut self, word: Range<usize>, in_brackets: bool) -> usize {
        let name: String = self.letters[word.clone()].iter().collect();
        let rest = &self.letters[word.end..];
        if rest.starts_with(&[':', '/', '/']) {
            let start = word.end + 3;
            let end = self.end(start, |letter| letter.is_whitespace() || "/'\"?#`".contains(letter));
            let at = (start..end).rev().find(|at| self.letters[*at] == '@');
            self.hide(start..at.unwrap_or(start));
            at.unwrap_or(start)
        } else if self.keys && matches!(name.as_str(), "Bearer" | "Basic") && rest.starts_with(&[' ']) {
            let end = self.end(word.end + 1, |letter| letter.is_whitespace() || "'\",;)}]".contains(letter));
            self.hide(word.end..end);
            end
        } else if self.keys && is_secret(&name) {
            self.assigned(word.end, in_brackets)
        } else {
            word.end
        }
    }

    /// Hides the value behind a key that ends here.
    fn assigned(&mut self, key: usize, in_brackets: bool) -> usize {
        let sign = self.end(key, |letter| !letter.is_whitespace() && !"'\"\\".contains(letter));
        let is_colon = match self.letters[sign..] {
            [':', ..] => true,
            ['=', next, ..] if !"=~".contains(next) => false,
            _ => return key,
        };
        // An anchor or a tag may come first; hidden with the value it does no harm.
        let start = self.end(sign + 1, |letter| !letter.is_whitespace());
        let (shown, end) = match self.letters.get(start) {
            Some(quote @ ('"' | '\'')) => (start + 1, self.end_of_quote(start + 1, *quote)),
            Some('{' | '[') if !self.kept[start] => (start + 1, self.end_of_bracket(start)),
            _ if !is_colon => (start, self.end(start, |letter| ",;&)}] '\"".contains(letter))),
            _ if in_brackets => (start, self.end(start, |letter| ",}]".contains(letter))),
            _ => (start, self.letters.len()),
        };
        // The words of the scheme are no secret.
        let scheme = ["Bearer ", "Basic "]
            .into_iter()
            .find(|word| word.chars().eq(self.letters[shown..end].iter().copied().take(word.len())));
        self.hide(shown + scheme.map_or(0, str::len)..end);
        end
    }

    /// The next letter outside of templates that is an end, or the end of the line.
    fn end(&self, from: usize, ends: impl Fn(char) -> bool) -> usize {
        (from..self.letters.len()).find(|at| !self.kept[*at] && ends(self.letters[*at])).unwrap_or(self.letters.len())
    }

    fn end_of_quote(&self, from: usize, quote: char) -> usize {
        let mut at = from;
        while at < self.letters.len() {
            match (self.letters[at], self.letters.get(at + 1)) {
                ('\\', Some(_)) if quote == '"' => at += 2,
                ('\'', Some('\'')) if quote == '\'' => at += 2,
                (letter, _) if letter == quote && !self.kept[at] => return at,
                _ => at += 1,
            }
        }
        self.letters.len()
    }

    /// Where the bracket that opens here is closed.
    fn end_of_bracket(&self, from: usize) -> usize {
        let (mut at, mut depth) = (from, 0_usize);
        while at < self.letters.len() {
            match self.letters[at] {
                _ if self.kept[at] => {}
                '{' | '[' => depth += 1,
                '}' | ']' if depth == 1 => return at,
                '}' | ']' => depth -= 1,
                quote @ ('"' | '\'') => at = self.end_of_quote(at + 1, quote),
                _ => {}
            }
            at += 1;
        }
        self.letters.len()
    }
}

/// Whether a key announces a secret. One of Artillery's own only sounds so.
fn is_secret(key: &str) -> bool {
    key != "cookieJarOptions" && redact::is_secret(key)
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_like_a_secret_is_masked_and_templates_are_not() {
        let cases = [
            (
                "- get: { auth: { user: u, pass: hunter2 }, url: /a }",
                "- get: { auth: { user: u, pass: ••••••• }, url: /a }",
            ),
            ("  password: a, b # c", "  password: •• • • •"),
            ("\"token\": \"a\\\"b\", \"n\": 1", "\"token\": \"••••\", \"n\": 1"),
            ("'X-Api-Key': 'it''s', n: 1", "'X-Api-Key': '•••••', n: 1"),
            ("Authorization: \"Bearer {{ token }}x\"", "Authorization: \"Bearer {{ token }}•\""),
            ("target: http://me:pw@host/a@b", "target: http://•••••@host/a@b"),
            ("cookie: { sid: \"}\", b: [1] }, url: /", "cookie: { •••• •••• •• ••• }, url: /"),
            ("{ json: $.token, as: token }", "{ json: $.token, as: token }"),
            ("log: \"{{ token }} x Basic abc=\"", "log: \"{{ token }} x Basic ••••\""),
            ("url: \"/a?api_key=1&b=2&pass={{ p }}\"", "url: \"/a?api_key=•&b=2&pass={{ p }}\""),
            ("- expression: token == 5", "- expression: token == 5"),
            ("password:", "password:"),
        ];
        for (line, shown) in cases {
            assert_eq!(masked(line), shown);
        }
        assert_eq!(without_users("`htp://u:p@h` pass: x"), "`htp://•••@h` pass: x");
    }

    #[test]
    fn a_line_below_a_secret_s_key_is_hidden() {
        let mut sources = Sources::default();
        let text = "cookie:\n\n  # said\n  sid: abc\nauth_token: >-\n  abc {{ x }}\n  - abc\npasswords:\n- abc\nother: abc\n  - a:\n    b: c\n";
        let source = sources.add("a", text);
        let shown = |line| excerpt(&sources, Span { source, line, column: 1, length: 1 });
        assert_eq!([4, 6, 7].map(shown), ["  sid: •••", "  ••• {{ x }}", "  • •••"]);
        assert_eq!([9, 10, 12].map(shown), ["• •••", "other: abc", "    b: c"]);
    }

    proptest::proptest! {
        #[test]
        fn columns_stay(line in "[a-z:{}'\"\\[\\]@/ ,=\\\\•é-]{0,20}(pass|token|Bearer|http://)?[a-z:{}'\"\\[\\]@/ ,=\\\\é-]{0,30}") {
            let widths = [masked(&line), without_users(&line), hide_values(&line)].map(|shown| shown.chars().count());
            assert_eq!(widths, [line.chars().count(); 3]);
        }
    }
}

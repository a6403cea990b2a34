//! From a regular expression in JavaScript's grammar (ECMA-262, 22.2.1 and annex B) to one in the grammar of `fancy_regex`.
//!
//! It reads the expression once, from left to right, and writes the same meaning piece by piece. It knows no text to match.

use std::fmt::Write as _;

use super::BadPattern;

/// Bytes of an expression.
const LONGEST: usize = 4 * 1024;
/// Groups inside groups.
const DEEPEST: usize = 40;
const DIGIT: &str = "0-9";
const WORD: &str = "A-Za-z0-9_";
/// White space, line ends and the byte order mark (ECMA-262, 12.2 and 12.3).
const SPACE: &str = r"\t\n\x0b\x0c\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}";

/// A character that ends no line (ECMA-262, 12.3).
const IN_LINE: &str = r"[^\n\r\x{2028}\x{2029}]";
/// Word edges are those of ASCII words.
const WORD_EDGE: &str = "(?:(?<=[A-Za-z0-9_])(?![A-Za-z0-9_])|(?<![A-Za-z0-9_])(?=[A-Za-z0-9_]))";
const NO_WORD_EDGE: &str = "(?:(?<=[A-Za-z0-9_])(?=[A-Za-z0-9_])|(?<![A-Za-z0-9_])(?![A-Za-z0-9_]))";

/// Translates an expression. `dot_all` is the flag `s`.
pub(super) fn translate(source: &str, dot_all: bool) -> Result<String, BadPattern> {
    if source.len() > LONGEST {
        return Err(BadPattern { column: 1, why: format!("it is longer than {LONGEST} bytes") });
    }
    let dot = if dot_all { "(?s:.)" } else { IN_LINE };
    let chars = source.chars().collect();
    let mut reader = Reader { chars, at: 0, rust: String::new(), open: Vec::new(), dot };
    while reader.at < reader.chars.len() {
        reader.piece()?;
    }
    match reader.open.last() {
        Some((group, _)) => Err(bad(*group, "this group is not closed")),
        None => Ok(reader.rust),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    rust: String,
    /// Where the groups that are not closed yet begin, and whether each looks around.
    open: Vec<(usize, bool)>,
    /// What `.` means.
    dot: &'static str,
}

/// A member of a class in brackets.
enum Member {
    One(char),
    Many(String),
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    /// One piece and the quantifier behind it.
    fn piece(&mut self) -> Result<(), BadPattern> {
        let start = self.at;
        let Some(c) = self.peek(0) else { return Ok(()) };
        if self.quantifier().is_some() {
            return Err(bad(start, "there is nothing to repeat"));
        }
        self.at += 1;
        match c {
            '(' => return self.group(start),
            '|' | '^' | '$' => {
                self.rust.push(c);
                return Ok(());
            }
            '\\' if matches!(self.peek(0), Some('b' | 'B')) => {
                self.rust.push_str(if self.peek(0) == Some('b') { WORD_EDGE } else { NO_WORD_EDGE });
                self.at += 1;
                return Ok(());
            }
            ')' => {
                let (_, looks) = self.open.pop().ok_or_else(|| bad(start, "there is no group to close"))?;
                self.rust.push(')');
                if looks && self.quantifier().is_some() {
                    return Err(bad(self.at, "what looks ahead or behind cannot be repeated"));
                }
            }
            '.' => self.rust.push_str(self.dot),
            '[' => self.class(start)?,
            '\\' => self.escape(start)?,
            c => literal(&mut self.rust, c),
        }
        if let Some((quantifier, length)) = self.quantifier() {
            self.rust.push_str(&quantifier);
            self.at += length;
            if self.peek(0) == Some('?') {
                self.rust.push('?');
                self.at += 1;
            }
        }
        Ok(())
    }

    /// The quantifier that stands here, and how many characters it has. A brace that counts nothing is none.
    fn quantifier(&self) -> Option<(String, usize)> {
        match self.peek(0)? {
            c @ ('*' | '+' | '?') => Some((c.to_string(), 1)),
            '{' => {
                let end = self.chars[self.at..].iter().take(16).position(|c| *c == '}')?;
                let inside: String = self.chars[self.at + 1..self.at + end].iter().collect();
                let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
                let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
                (!least.is_empty() && digits(least) && digits(most)).then(|| (format!("{{{inside}}}"), end + 1))
            }
            _ => None,
        }
    }

    fn group(&mut self, start: usize) -> Result<(), BadPattern> {
        let looks = ["?=", "?!", "?<=", "?<!"].into_iter().any(|opening| self.starts(opening));
        self.open.push((start, looks));
        if self.open.len() > DEEPEST {
            return Err(bad(start, "groups are nested too deeply"));
        }
        self.rust.push('(');
        if self.peek(0) != Some('?') {
            return Ok(());
        }
        let known = ["?:", "?=", "?!", "?<=", "?<!"].into_iter().find(|opening| self.starts(opening));
        if let Some(opening) = known {
            self.rust.push_str(opening);
            self.at += opening.len();
            return Ok(());
        }
        if !self.starts("?<") {
            return Err(bad(start, "JavaScript has no group that opens like this"));
        }
        self.at += 2;
        let name = self.name(start)?;
        let _ = write!(self.rust, "?<{name}>");
        Ok(())
    }

    /// The name of a group up to `>`, which is taken too.
    fn name(&mut self, start: usize) -> Result<String, BadPattern> {
        let rest = &self.chars[self.at..];
        let end = rest.iter().position(|c| *c == '>').unwrap_or(0);
        let name: String = rest[..end].iter().collect();
        let fine =
            name.chars().all(|c| c == '_' || c.is_alphanumeric()) && !name.starts_with(|c: char| c.is_ascii_digit());
        if name.is_empty() || !fine {
            return Err(bad(start, "a group needs a name of letters, digits and `_`"));
        }
        self.at += end + 1;
        Ok(name)
    }

    /// What a backslash means outside brackets; the backslash is behind us.
    fn escape(&mut self, start: usize) -> Result<(), BadPattern> {
        match self.peek(0) {
            Some('1'..='9') => {
                let digits: String = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).take(3).collect();
                self.at += digits.len();
                let _ = write!(self.rust, r"(?:\{digits})");
            }
            Some('k') if self.peek(1) == Some('<') => {
                self.at += 2;
                let name = self.name(start)?;
                let _ = write!(self.rust, r"\k<{name}>");
            }
            _ => match self.escaped(start)? {
                Member::One(c) => literal(&mut self.rust, c),
                Member::Many(set) => self.rust.push_str(&set),
            },
        }
        Ok(())
    }

    /// What a backslash means everywhere: a character, or a set of them as a class of its own.
    fn escaped(&mut self, start: usize) -> Result<Member, BadPattern> {
        let c = self.peek(0).ok_or_else(|| bad(start, "a backslash needs something behind it"))?;
        self.at += 1;
        Ok(match c {
            'd' => Member::Many(format!("[{DIGIT}]")),
            'D' => Member::Many(format!("[^{DIGIT}]")),
            'w' => Member::Many(format!("[{WORD}]")),
            'W' => Member::Many(format!("[^{WORD}]")),
            's' => Member::Many(format!("[{SPACE}]")),
            'S' => Member::Many(format!("[^{SPACE}]")),
            'p' | 'P' if self.peek(0) == Some('{') => {
                let rest = &self.chars[self.at..];
                let end = rest.iter().position(|c| *c == '}').ok_or_else(|| bad(start, "`}` is missing"))?;
                let property: String = rest[..=end].iter().collect();
                self.at += end + 1;
                Member::Many(format!(r"\{c}{property}"))
            }
            'n' => Member::One('\n'),
            'r' => Member::One('\r'),
            't' => Member::One('\t'),
            'v' => Member::One('\u{b}'),
            'f' => Member::One('\u{c}'),
            '0' => Member::One('\0'),
            'x' => Member::One(self.code(2).unwrap_or('x')),
            'u' => Member::One(self.braced().or_else(|| self.code(4)).unwrap_or('u')),
            other => Member::One(other),
        })
    }

    /// The character of so many hexadecimal digits.
    fn code(&mut self, digits: usize) -> Option<char> {
        let code = self.chars.get(self.at..self.at + digits)?.iter().copied().try_fold(0, hexadecimal)?;
        let c = char::from_u32(code)?;
        self.at += digits;
        Some(c)
    }

    /// The character of `{1F600}`.
    fn braced(&mut self) -> Option<char> {
        let rest = self.chars[self.at..].strip_prefix(&['{'])?;
        let end = rest.iter().take(8).position(|c| *c == '}').filter(|end| *end > 0)?;
        let c = char::from_u32(rest[..end].iter().copied().try_fold(0, hexadecimal)?)?;
        self.at += end + 2;
        Some(c)
    }

    /// A class; its opening bracket is behind us.
    fn class(&mut self, start: usize) -> Result<(), BadPattern> {
        let negated = self.peek(0) == Some('^');
        self.at += usize::from(negated);
        if self.peek(0) == Some(']') {
            self.at += 1;
            self.rust.push_str(if negated { "(?s:.)" } else { "(?!)" });
            return Ok(());
        }
        self.rust.push_str(if negated { "[^" } else { "[" });
        while self.peek(0) != Some(']') {
            let place = self.at;
            let first = self.member(start)?;
            let range = self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']');
            let Member::One(low) = first else {
                self.add(first);
                continue;
            };
            if !range {
                literal(&mut self.rust, low);
                continue;
            }
            self.at += 1;
            match self.member(start)? {
                Member::One(high) if low > high => return Err(bad(place, "this range runs backwards")),
                Member::One(high) => {
                    literal(&mut self.rust, low);
                    self.rust.push('-');
                    literal(&mut self.rust, high);
                }
                // Annex B: beside a set the hyphen is a hyphen.
                set @ Member::Many(_) => {
                    literal(&mut self.rust, low);
                    literal(&mut self.rust, '-');
                    self.add(set);
                }
            }
        }
        self.at += 1;
        self.rust.push(']');
        Ok(())
    }

    fn member(&mut self, class: usize) -> Result<Member, BadPattern> {
        let start = self.at;
        let c = self.peek(0).ok_or_else(|| bad(class, "this class is not closed"))?;
        self.at += 1;
        match c {
            '\\' if self.peek(0) == Some('b') => {
                self.at += 1;
                Ok(Member::One('\u{8}'))
            }
            '\\' => self.escaped(start),
            c => Ok(Member::One(c)),
        }
    }

    fn add(&mut self, member: Member) {
        match member {
            Member::One(c) => literal(&mut self.rust, c),
            Member::Many(set) => self.rust.push_str(&set),
        }
    }
}

fn bad(at: usize, why: &str) -> BadPattern {
    BadPattern { column: at + 1, why: why.into() }
}

fn hexadecimal(code: u32, digit: char) -> Option<u32> {
    digit.to_digit(16).map(|digit| code * 16 + digit)
}

fn literal(rust: &mut String, c: char) {
    if c.is_alphanumeric() || c == '_' {
        rust.push(c);
    } else {
        let _ = write!(rust, r"\x{{{:x}}}", u32::from(c));
    }
}

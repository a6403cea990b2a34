//! From text to steps.

use super::filter::{Filter, filter};
use super::{BadJsonPath, Selector, Step};

/// Bytes of a path.
const LONGEST: usize = 2 * 1024;

/// The characters of a path, and how far they are read.
pub(super) struct Reader {
    chars: Vec<char>,
    at: usize,
}

pub(super) fn parse(text: &str) -> Result<Vec<Step>, BadJsonPath> {
    if text.len() > LONGEST {
        return Err(BadJsonPath { column: 1, why: format!("it is longer than {LONGEST} bytes") });
    }
    let mut reader = Reader { chars: text.trim_end().chars().collect(), at: 0 };
    reader.blanks();
    let mut steps = Vec::new();
    if reader.peek(0) == Some('$') && matches!(reader.peek(1), None | Some('.' | '[')) {
        reader.at += 1;
        // `$.` alone is the document.
        if reader.peek(0) == Some('.') && reader.peek(1).is_none() {
            return Ok(steps);
        }
    } else if !matches!(reader.peek(0), Some('.' | '[')) {
        steps.push(Step { below: false, selectors: vec![reader.name()?] });
    }
    while reader.peek(0).is_some() {
        steps.push(reader.step()?);
    }
    Ok(steps)
}

impl Reader {
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    pub(super) fn advance(&mut self, by: usize) {
        self.at += by;
    }

    pub(super) fn blanks(&mut self) {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn wrong<T>(&self, why: impl Into<String>) -> Result<T, BadJsonPath> {
        Err(BadJsonPath { column: self.at + 1, why: why.into() })
    }

    /// Takes a text if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let there = text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c));
        if there {
            self.at += text.chars().count();
        }
        there
    }

    /// The characters from here on for which that holds; they are taken.
    pub(super) fn run(&mut self, part: impl Fn(char) -> bool) -> String {
        let run: String = self.chars[self.at..].iter().take_while(|c| part(**c)).collect();
        self.at += run.chars().count();
        run
    }

    fn step(&mut self) -> Result<Step, BadJsonPath> {
        let below = self.take("..");
        let dotted = below || self.take(".");
        if self.take("[") {
            return Ok(Step { below, selectors: self.bracket()? });
        }
        if !dotted {
            return self.refuse("`.` or `[` was expected");
        }
        Ok(Step { below, selectors: vec![self.name()?] })
    }

    /// Names what stands here if it is an operator that is known and not supported.
    fn refuse<T>(&self, otherwise: &str) -> Result<T, BadJsonPath> {
        match self.peek(0) {
            Some('^') => self.wrong("`^` (the parent) is not supported"),
            Some('~') => self.wrong("`~` (the name of a property) is not supported"),
            Some('`') => self.wrong("the escape ` is not supported: write the name in brackets and quotes"),
            Some('@') => self.wrong("`@` is supported in filters alone"),
            _ => self.wrong(otherwise),
        }
    }

    /// `name`, `*`: anything up to a dot or a bracket.
    fn name(&mut self) -> Result<Selector, BadJsonPath> {
        if self.peek(0) == Some('@') {
            return self.refuse("");
        }
        let name = self.run(|c| !matches!(c, '.' | '[' | '^' | '~' | '`'));
        if matches!(self.peek(0), Some('^' | '~' | '`')) || name.is_empty() {
            return self.refuse("a name was expected");
        }
        Ok(if name == "*" { Selector::Any } else { Selector::Name(name) })
    }

    /// What stands in brackets; the opening one is behind us.
    fn bracket(&mut self) -> Result<Vec<Selector>, BadJsonPath> {
        let mut selectors = Vec::new();
        loop {
            self.blanks();
            selectors.push(self.selector()?);
            self.blanks();
            if self.take("]") {
                return Ok(selectors);
            }
            if !self.take(",") {
                return self.wrong("`]` or `,` was expected");
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, BadJsonPath> {
        match self.peek(0) {
            Some('?') => {
                self.at += 1;
                self.expression().map(Selector::Where)
            }
            Some('(') => self.expression().map(Selector::Computed),
            Some('\'' | '"') => self.quoted().map(Selector::Name),
            _ => self.bare(),
        }
    }

    fn expression(&mut self) -> Result<Filter, BadJsonPath> {
        filter(self)
    }

    /// A text in quotes, with the escapes of JavaScript.
    pub(super) fn quoted(&mut self) -> Result<String, BadJsonPath> {
        let quote = self.peek(0);
        let mut at = self.at + 1;
        let mut text = String::new();
        while let Some(c) = self.chars.get(at).copied() {
            at += 1;
            if Some(c) == quote {
                self.at = at;
                return Ok(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            match self.chars.get(at).copied() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                other => text.extend(other),
            }
            at += 1;
        }
        self.wrong("the closing quote is missing")
    }

    /// `*`, a place, a slice, or a name without quotes.
    fn bare(&mut self) -> Result<Selector, BadJsonPath> {
        let start = self.at;
        let text = self.run(|c| !matches!(c, ']' | ',' | '[' | '^' | '~' | '`'));
        let text = text.trim_end();
        if matches!(self.peek(0), Some('^' | '~' | '`')) || text.is_empty() {
            return self.refuse("a name, a place or `*` was expected");
        }
        if text == "*" {
            return Ok(Selector::Any);
        }
        if let Ok(place) = text.parse() {
            return Ok(Selector::Place(place));
        }
        if text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '-' | ' ')) {
            let slice = slice(text).ok_or(BadJsonPath { column: start + 1, why: "this is no slice".into() });
            return slice;
        }
        if text.starts_with('@') {
            self.at = start;
            return self.refuse("");
        }
        Ok(Selector::Name(text.to_owned()))
    }
}

/// `from:to:step`, each of them optional.
fn slice(text: &str) -> Option<Selector> {
    let mut parts = text.split(':').map(|part| match part.trim() {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    });
    let (from, to) = (parts.next()??, parts.next()??);
    let step = parts.next().unwrap_or(Some(None))?.unwrap_or(1);
    if parts.next().is_some() || step == 0 { None } else { Some(Selector::Slice(from, to, step)) }
}

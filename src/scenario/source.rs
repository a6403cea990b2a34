//! The texts that a script was read from, and places in them.
//!
//! Every node of a script keeps the [`Span`] it came from, so that whatever is said of it later, before or after the run, can
//! show the line. Knows nothing of YAML: JSON from the command line is a source like any other.

/// The number of a source in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u16);

/// A piece of one line of a source. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which source.
    pub source: SourceId,
    /// The line.
    pub line: u32,
    /// The first character.
    pub column: u32,
    /// How many characters.
    pub length: u32,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// The byte that each line begins with.
    starts: Vec<usize>,
}

/// All texts that one script was read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Keeps a text under the name that the user knows it by.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let id = SourceId(u16::try_from(self.list.len()).unwrap_or(u16::MAX));
        let text = text.into();
        let starts = lines(&text).map(|line| line.as_ptr().addr() - text.as_ptr().addr()).collect();
        self.list.push(Source { name: name.into(), text, starts });
        id
    }

    /// The whole text of a source.
    #[must_use]
    pub fn text(&self, id: SourceId) -> &str {
        self.list.get(usize::from(id.0)).map_or("", |source| source.text.as_str())
    }

    /// The name of a source.
    #[must_use]
    pub fn name(&self, id: SourceId) -> &str {
        self.list.get(usize::from(id.0)).map_or("", |source| source.name.as_str())
    }

    /// The line that a span is on, without its end.
    #[must_use]
    pub fn line(&self, span: Span) -> &str {
        let Some(Source { text, starts, .. }) = self.list.get(usize::from(span.source.0)) else { return "" };
        let line = (span.line as usize).saturating_sub(1);
        let Some(start) = starts.get(line) else { return "" };
        let end = starts.get(line + 1).copied().unwrap_or(text.len());
        text[*start..end].trim_end_matches(['\r', '\n'])
    }

    /// A place as compilers write it: `csr-http.yaml:12:9`.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}:{}", self.name(span.source), span.line, span.column)
    }
}

/// The lines of a text as YAML counts them: a carriage return alone ends one, too.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_those_of_yaml() {
        let cut = |text| lines(text).collect::<Vec<_>>();
        let text = "a\nb\r\nc\rd\r\r\né";
        assert_eq!(cut(text), ["a", "b", "c", "d", "", "é"]);
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", text);
        let line = |line| sources.line(Span { source, line, column: 1, length: 1 });
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(line), ["a", "b", "c", "d", "", "é", ""]);
    }

    #[test]
    fn a_span_leads_back_to_its_line() {
        let mut sources = Sources::default();
        sources.add("other.yaml", "x");
        let source = sources.add("a.yaml", "config:\n  target: http://h\n");
        let span = Span { source, line: 2, column: 3, length: 6 };
        assert_eq!(sources.line(span), "  target: http://h");
        assert_eq!(sources.place(span), "a.yaml:2:3");
    }

    #[test]
    fn a_span_of_nowhere_is_an_empty_line() {
        assert_eq!(Sources::default().line(Span::default()), "");
    }
}

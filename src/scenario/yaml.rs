//! From YAML (and JSON, which it contains) to [`Node`]s.
//!
//! Scripts were written for js-yaml 3, so scalars mean what they mean there: `0777` is octal, `1_000` a thousand, `yes` a text. Two
//! things are read that js-yaml loses: every place, and the unquoted `{{ x }}`, to YAML a map whose key is a map, which its author
//! meant as a template.
//!
//! A script is not trusted. Its size, depth, number of nodes and the text that aliases copy are bounded before they cost
//! anything, so a bomb of aliases is an error like any other.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as Range, StrInput, Tag};
use serde_json::Number;

use super::finding::Findings;
use super::node::{Entry, Kind, Node};
use super::source::{SourceId, Sources, Span, lines};

/// The largest script.
pub const LARGEST: usize = 1 << 20;
/// The deepest nesting.
const DEEPEST: usize = 64;
const TOO_DEEP: &str = "nested deeper than 64 levels";
const SPACES: &str = "YAML is indented by spaces";
/// Nodes of one script, those that anchors keep and aliases repeat among them.
const MOST_NODES: usize = 100_000;
/// Bytes of text in all nodes together, those that aliases repeat among them.
const MOST_TEXT: usize = 8 << 20;

/// Reads one source. What is wrong with it goes to `findings`; `None` when there is nothing left to interpret.
#[must_use]
pub fn read(sources: &Sources, source: SourceId, findings: &mut Findings) -> Option<Node> {
    let text = sources.text(source);
    if text.len() > LARGEST {
        let name = sources.name(source);
        findings.error(None, format!("{name} has more than {} KiB", LARGEST >> 10), "a script is never that large");
        return None;
    }
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        text,
        reached: (0, 0),
        source,
        anchors: HashMap::new(),
        spent: Weight::default(),
        findings,
    };
    match composer.document() {
        Ok(node) => Some(node),
        Err(Broken { sentence, beside, span }) => {
            findings.error(span, sentence, &beside);
            None
        }
    }
}

/// Why reading cannot go on.
struct Broken {
    sentence: String,
    beside: String,
    span: Span,
}

/// What a node costs with all below it.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    text: usize,
}

impl Weight {
    const fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), text: self.text.saturating_add(other.text) }
    }

    const fn too_much(self) -> bool {
        self.nodes > MOST_NODES || self.text > MOST_TEXT
    }
}

/// The entries of a map, of equal keys the first one.
#[derive(Default)]
struct Unique {
    entries: Vec<Entry>,
    lines: HashMap<String, u32>,
}

impl Unique {
    /// The line of the first one, where there is one already.
    fn add(&mut self, entry: Entry) -> Option<u32> {
        if let Some(line) = self.lines.get(&entry.key) {
            return Some(*line);
        }
        self.lines.insert(entry.key.clone(), entry.span.line);
        self.entries.push(entry);
        None
    }
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    /// A character and its byte, near the last place that was looked up.
    reached: (usize, usize),
    source: SourceId,
    anchors: HashMap<usize, (Node, Weight)>,
    spent: Weight,
    findings: &'a mut Findings,
}

type Composed = Result<(Node, Weight), Broken>;

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Broken> {
        let mut root = None;
        loop {
            let (event, range) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                _ if root.is_some() => {
                    return Err(self.broken(range, "a script is one YAML document", "a second one begins here"));
                }
                event => root = Some(self.node(event, range, 0)?.0),
            }
        }
        Ok(root.unwrap_or(Node { kind: Kind::Null, span: Span { source: self.source, line: 1, column: 1, length: 1 } }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Range), Broken> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.malformed(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Range::default())),
        }
    }

    /// What the parser says, and what its author has probably done.
    fn malformed(&self, at: Marker, said: &str) -> Broken {
        let mut span = self.span(Range { start: at, end: at });
        let line = lines(self.text).nth(at.line().saturating_sub(1)).unwrap_or_default();
        let indentation = line.chars().take_while(|letter| letter.is_whitespace());
        let beside = if said.contains("recursion limit") {
            return Broken { sentence: TOO_DEEP.to_owned(), beside: String::new(), span };
        } else if let ("while parsing node, found unknown anchor", Some(name)) = (said, alias_at(line, at.col())) {
            span.length = u32::try_from(name.chars().count()).unwrap_or(1).saturating_add(1);
            let beside = format!("`&{name}` has to stand above it");
            return Broken { sentence: format!("the alias `*{name}` stands for nothing"), beside, span };
        } else if let Some(tab) = indentation.clone().position(|letter| letter == '\t') {
            span.column = u32::try_from(tab).unwrap_or(u32::MAX).saturating_add(1);
            return Broken { sentence: "this line begins with a tab".to_owned(), beside: SPACES.to_owned(), span };
        } else if line.contains(": {{") || line.trim_start().starts_with("- {{") {
            // `target: {{ x }}/path` is no YAML, and what the parser says of it helps nobody.
            "a value that begins with {{ and goes on behind }} needs quotes"
        } else if said.contains("quoted scalar") {
            "is this quote closed?"
        } else if said.contains("did not find expected key") {
            "keys of one map stand below each other"
        } else {
            ""
        };
        Broken { sentence: format!("this is not YAML: {said}"), beside: beside.to_owned(), span }
    }

    fn node(&mut self, event: Event<'a>, range: Range, depth: usize) -> Composed {
        if depth > DEEPEST {
            return Err(self.broken(range, TOO_DEEP, ""));
        }
        let composed = match event {
            Event::Alias(anchor) => return self.alias(anchor, range),
            Event::Scalar(text, style, anchor, tag) => {
                let kind = self.scalar(&text, style, tag.as_deref(), range)?;
                let weight = Weight { nodes: 1, text: text.len() };
                let node = Node { kind, span: self.span(range) };
                self.anchored(anchor, (node, weight), range)?
            }
            Event::SequenceStart(anchor, _) => {
                let list = self.list(range, depth)?;
                self.anchored(anchor, list, range)?
            }
            Event::MappingStart(anchor, _) => {
                let map = self.map(range, depth)?;
                self.anchored(anchor, map, range)?
            }
            _ => return Err(self.broken(range, "this is not YAML", "")),
        };
        self.spend(Weight { nodes: 1, text: own_text(&composed.0) }, range)?;
        Ok(composed)
    }

    /// Keeps a copy for the aliases to come. It is paid for: anchors within anchors are copies of copies.
    fn anchored(&mut self, anchor: usize, composed: (Node, Weight), range: Range) -> Composed {
        if anchor > 0 {
            self.spend(composed.1, range)?;
            self.anchors.insert(anchor, composed.clone());
        }
        Ok(composed)
    }

    fn alias(&mut self, anchor: usize, range: Range) -> Composed {
        let Some((_, weight)) = self.anchors.get(&anchor) else {
            return Err(self.broken(range, "this alias stands for something that contains it", "it would never end"));
        };
        // Paid for before it is copied.
        let weight = *weight;
        self.spend(weight, range)?;
        let copy = self.anchors.get(&anchor).cloned();
        let (mut node, weight) = copy.ok_or_else(|| {
            self.broken(range, "this alias stands for something that contains it", "it would never end")
        })?;
        node.span = self.span(range);
        Ok((node, weight))
    }

    fn spend(&mut self, weight: Weight, range: Range) -> Result<(), Broken> {
        self.spent = self.spent.plus(weight);
        if self.spent.too_much() {
            return Err(self.broken(
                range,
                "anchors and aliases make this script too large",
                "it is not read any further",
            ));
        }
        Ok(())
    }

    fn list(&mut self, start: Range, depth: usize) -> Composed {
        let mut nodes = Vec::new();
        let mut weight = Weight { nodes: 1, text: 0 };
        loop {
            let (event, range) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let (node, cost) = self.node(event, range, depth + 1)?;
            weight = weight.plus(cost);
            nodes.push(node);
        }
        Ok((Node { kind: Kind::List(nodes), span: self.span(start) }, weight))
    }

    fn map(&mut self, start: Range, depth: usize) -> Composed {
        let mut own = Unique::default();
        let mut merged = Unique::default();
        let mut weight = Weight { nodes: 1, text: 0 };
        let mut template = false;
        loop {
            let (event, range) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                if template {
                    return self.unquoted(start, range);
                }
                break;
            }
            let (key, cost) = self.node(event, range, depth + 1)?;
            weight = weight.plus(cost);
            let (event, value_range) = self.next()?;
            let anchors = self.anchors.len();
            let (value, cost) = self.node(event, value_range, depth + 1)?;
            let holds_anchor = self.anchors.len() > anchors;
            weight = weight.plus(cost);
            match name_of(&key) {
                Some(name) if name == "<<" => self.merge(value, value_range, &mut merged)?,
                Some(name) => self.insert(Entry { key: name, span: key.span, value, holds_anchor }, &mut own),
                None if self.is_template(start) => template = true,
                None => return Err(self.broken(range, "a key is a text", "this one is not")),
            }
        }
        // What was written in the map itself wins over what was merged into it.
        for entry in merged.entries {
            own.add(entry);
        }
        Ok((Node::map(own.entries, self.span(start)), weight))
    }

    fn insert(&mut self, entry: Entry, own: &mut Unique) {
        let (span, sentence) = (entry.span, format!("the key `{}` stands here twice", entry.key));
        if let Some(line) = own.add(entry) {
            self.findings.error(span, sentence, &format!("the first one is on line {line}"));
        }
    }

    /// `<<: *a` and `<<: [*a, *b]`: of equal keys the first counts.
    fn merge(&mut self, value: Node, range: Range, merged: &mut Unique) -> Result<(), Broken> {
        let maps = match value.kind {
            Kind::List(nodes) => nodes,
            _ => vec![value],
        };
        for map in maps {
            let Kind::Map(entries) = map.kind else {
                return Err(self.broken(range, "`<<` merges maps", &format!("this is {}", map.what())));
            };
            for entry in entries {
                merged.add(entry);
            }
        }
        Ok(())
    }

    fn is_template(&mut self, start: Range) -> bool {
        let at = self.byte(start.start);
        self.text[at..].starts_with("{{")
    }

    /// The map of a map that `{{ x }}` is to YAML, taken for the text that it is to its author.
    fn unquoted(&mut self, start: Range, end: Range) -> Composed {
        let from = self.byte(start.start);
        let to = self.byte(end.end).max(from);
        // Inside another map in braces the parser takes the blank behind it as a part of it.
        let text = self.text[from..to].trim_end().to_owned();
        let length = u32::try_from(text.chars().count()).unwrap_or(1);
        let span = Span { length, ..self.span(start) };
        if !text.ends_with("}}") || text.contains('\n') {
            return Err(self.broken(start, "a key is a text", "this one is a map; a template needs quotes"));
        }
        self.findings.changed(
            span,
            format!("`{text}` without quotes is read as a template"),
            "to Artillery this is an object, and the value is lost",
        );
        let weight = Weight { nodes: 1, text: text.len() };
        Ok((Node::text(text, span), weight))
    }

    /// The byte that a place is at. Looked up from the last one, since a text can be one long line.
    fn byte(&mut self, place: Marker) -> usize {
        let (mut character, mut byte) = self.reached;
        while character < place.index() {
            let Some(letter) = self.text[byte..].chars().next() else { break };
            byte += letter.len_utf8();
            character += 1;
        }
        while character > place.index() {
            let Some(letter) = self.text[..byte].chars().next_back() else { break };
            byte -= letter.len_utf8();
            character -= 1;
        }
        self.reached = (character, byte);
        byte
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, range: Range) -> Result<Kind, Broken> {
        let tagged = tag.map(|tag| (tag.is_yaml_core_schema(), tag.suffix.as_str()));
        match tagged {
            None if style == ScalarStyle::Plain => Ok(plain(text)),
            None | Some((true, "str")) => Ok(Kind::Text(text.to_owned())),
            Some((true, "int" | "float" | "bool" | "null")) => Ok(plain(text)),
            Some((_, suffix)) => Err(self.broken(range, &format!("the tag `!{suffix}` has no meaning here"), "")),
        }
    }

    fn span(&self, range: Range) -> Span {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let one_line = range.start.line() == range.end.line();
        Span {
            source: self.source,
            line: small(range.start.line()),
            column: small(range.start.col()).saturating_add(1),
            length: if one_line { small(range.end.col().saturating_sub(range.start.col())).max(1) } else { 1 },
        }
    }

    fn broken(&self, range: Range, sentence: &str, beside: &str) -> Broken {
        Broken { sentence: sentence.to_owned(), beside: beside.to_owned(), span: self.span(range) }
    }
}

/// The name of the alias at a column of a line, counted from 0.
fn alias_at(line: &str, column: usize) -> Option<String> {
    let name = line.chars().skip(column).skip_while(|letter| *letter == '*');
    let name: String = name.take_while(|letter| !letter.is_whitespace() && !",[]{}".contains(*letter)).collect();
    Some(name).filter(|name| !name.is_empty())
}

fn own_text(node: &Node) -> usize {
    node.as_text().map_or(0, str::len)
}

/// The name that a key is known by.
fn name_of(key: &Node) -> Option<String> {
    match &key.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::Bool(truth) => Some(truth.to_string()),
        Kind::Null => Some("null".to_owned()),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// What an unquoted scalar means to js-yaml 3.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => number(text).map_or_else(|| Kind::Text(text.to_owned()), Kind::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.replace('_', "");
    let (sign, bare) = match digits.strip_prefix(['-', '+']) {
        Some(bare) => (if digits.starts_with('-') { -1 } else { 1 }, bare),
        None => (1, digits.as_str()),
    };
    if !bare.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') || text.starts_with('_') {
        return None;
    }
    let whole = |text: &str, radix| i64::from_str_radix(text, radix).ok().map(|value| Number::from(sign * value));
    if let Some(binary) = bare.strip_prefix("0b") {
        return whole(binary, 2);
    }
    if let Some(hexadecimal) = bare.strip_prefix("0x") {
        return whole(hexadecimal, 16);
    }
    if bare.len() > 1 && bare.starts_with('0') && bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole(bare, 8);
    }
    if bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole(bare, 10).or_else(|| bare.parse::<f64>().ok().and_then(float));
    }
    if bare.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return digits.parse::<f64>().ok().and_then(float);
    }
    None
}

/// A number as JavaScript would write it: `2.0` is `2`.
#[must_use]
pub fn float(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2⁵³")]
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::finding::Severity;
    use super::*;

    fn read_all(text: &str) -> (Option<Node>, Findings, Sources) {
        let mut sources = Sources::default();
        let source = sources.add("s.yaml", text);
        let mut findings = Findings::default();
        let node = read(&sources, source, &mut findings);
        (node, findings, sources)
    }

    fn value(text: &str) -> Value {
        let (node, findings, sources) = read_all(text);
        node.unwrap_or_else(|| panic!("{}", findings.text(&sources))).to_value()
    }

    fn error(text: &str) -> String {
        let (_, findings, sources) = read_all(text);
        assert!(findings.has_errors(), "no error in {text}");
        findings.text(&sources)
    }

    #[test]
    fn scalars_mean_what_they_mean_to_js_yaml() {
        let text = "[1, 1.5, 2.0, 0777, 0x1f, 1_000, ~, yes, True, -3, 1e3, .5, 1.2.3, 12:30, '5', 5m, 08]";
        let meant =
            json!([1, 1.5, 2, 511, 31, 1000, null, "yes", true, -3, 1000, 0.5, "1.2.3", "12:30", "5", "5m", "08"]);
        assert_eq!(value(text), meant);
    }

    #[test]
    fn anchors_aliases_and_merge_keys() {
        let text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: [*a, *a]\nd: {<<: [*a, {z: 9, x: 7}]}";
        let meant = json!({
            "a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}, "c": [{"x": 1, "y": 2}, {"x": 1, "y": 2}],
            "d": {"x": 1, "y": 2, "z": 9}
        });
        assert_eq!(value(text), meant);
    }

    #[test]
    fn an_unquoted_template_is_the_text_that_it_looks_like() {
        let (node, findings, _) = read_all(
            "a: {{ $processEnvironment.MAX }}\nb: [{{x}}, 2]\nc: {{ $randomNumber(1, 9) }}\nd: [{ e: {{ y }}, f: {{ z }} }]",
        );
        let meant = json!({"a": "{{ $processEnvironment.MAX }}", "b": ["{{x}}", 2], "c": "{{ $randomNumber(1, 9) }}",
            "d": [{"e": "{{ y }}", "f": "{{ z }}"}]});
        assert_eq!(node.map(|node| node.to_value()), Some(meant));
        assert_eq!(findings.count(Severity::Changed), 5);
        assert!(!findings.has_errors());
    }

    #[test]
    fn places_are_kept() {
        let (node, _, sources) = read_all("config:\n  phases:\n    - duration: 5\n");
        let node = node.expect("a map");
        let phases = node.get("config").and_then(|config| config.get("phases")).expect("phases");
        let Kind::List(items) = &phases.kind else { panic!("a list") };
        let entry = &items[0].entries()[0];
        assert_eq!(sources.place(entry.span), "s.yaml:3:7");
        assert_eq!(entry.span.length, 8);
        assert_eq!(sources.place(entry.value.span), "s.yaml:3:17");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        assert!(error("a: 1\na: 2").contains("the key `a` stands here twice\n  --> s.yaml:2:1"));
        assert!(error("target: {{ x }}/path").contains("needs quotes"));
        assert!(error("a: \"open").contains("this is not YAML"));
        assert!(error("a:\n\t- b").contains("s.yaml:2"));
        assert!(error("a: &a [*a]").contains("contains it"));
        assert!(error("? [1, 2]\n: 3").contains("a key is a text"));
        assert!(error("--- 1\n--- 2").contains("one YAML document"));
        assert!(error(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).contains("deeper than 64"));
    }

    #[test]
    fn a_bomb_of_aliases_is_an_error() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.extend([format!("a{level}: &a{level} [{below}]\n")]);
        }
        assert!(error(&text).contains("too large"));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(1000));
        assert!(error(&long).contains("too large"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[a-c:\\-{}\\[\\]&*<\"' \n#|>!?,%@`~0-9.]{0,80}") {
            let _ = read_all(&text);
        }

        #[test]
        fn json_is_read_as_it_is(number in any::<i32>(), text in "[a-zäöü {}:\"\\\\#]{0,12}", truth in any::<bool>()) {
            let json = json!({"a": [number, text, truth, null], "b": {"c": text}});
            prop_assert_eq!(value(&json.to_string()), json);
        }
    }
}

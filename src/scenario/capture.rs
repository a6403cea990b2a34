//! What a script takes out of an answer: values to keep (`capture`) and values to compare (`match`).

use super::extract::{BadExtractor, Extractor, Group, Index, Kind as Language, Several};
use super::finding::Findings;
use super::node::{Kind, Node};
use super::section::{Section, one_or_more, text, truth};
use super::source::Span;
use super::template::{Scope, Template};

/// A value to keep.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Where it is in the answer.
    pub from: From,
    /// The variable that it goes to; a path.
    pub into: String,
    /// Whether the user ends when there is no such value.
    pub strict: bool,
    /// Where the capture is written.
    pub span: Span,
}

/// A value to compare.
#[derive(Clone, Debug)]
pub struct Match {
    /// Where it is in the answer.
    pub from: From,
    /// What it has to be.
    pub value: Template,
    /// Whether the user ends when it is something else.
    pub strict: bool,
    /// Where the match is written.
    pub span: Span,
}

/// A place in an answer.
#[derive(Clone, Debug)]
pub struct From {
    /// As it is written: `json $.id`.
    pub words: String,
    kind: Expression,
}

#[derive(Clone, Debug)]
enum Expression {
    Fixed(Extractor),
    Rendered(Recipe),
}

/// What an extractor is made of, as far as it is not rendered.
#[derive(Clone, Debug)]
struct Recipe {
    language: Language,
    expression: Template,
    several: Several,
    flags: String,
    group: Option<Group>,
    attribute: Option<String>,
    index: Index,
}

const LANGUAGES: [(&str, Language); 4] = [
    ("json", Language::Json),
    ("regexp", Language::Regexp),
    ("header", Language::Header),
    ("selector", Language::Selector),
];

impl From {
    /// The extractor for a user.
    ///
    /// # Errors
    ///
    /// When an expression makes no sense once its variables are filled in.
    pub fn extractor(&self, scope: &mut Scope<'_>) -> Result<std::borrow::Cow<'_, Extractor>, BadExtractor> {
        match &self.kind {
            Expression::Fixed(extractor) => Ok(std::borrow::Cow::Borrowed(extractor)),
            Expression::Rendered(recipe) => {
                let expression = recipe.expression.text(scope).into_owned();
                recipe.compile(&expression).map(std::borrow::Cow::Owned)
            }
        }
    }

    /// The template that its expression is, where it is one.
    #[must_use]
    pub const fn template(&self) -> Option<&Template> {
        match &self.kind {
            Expression::Fixed(_) => None,
            Expression::Rendered(recipe) => Some(&recipe.expression),
        }
    }

    /// Whether it looks at the body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        match &self.kind {
            Expression::Fixed(extractor) => !matches!(extractor.kind(), Language::Header),
            Expression::Rendered(recipe) => !matches!(recipe.language, Language::Header),
        }
    }
}

impl Recipe {
    fn compile(&self, expression: &str) -> Result<Extractor, BadExtractor> {
        match self.language {
            Language::Json => Extractor::json(expression, self.several),
            Language::Regexp => Extractor::regexp(expression, &self.flags, self.group.clone()),
            Language::Header => Extractor::header(expression),
            Language::Selector => Extractor::selector(expression, self.attribute.clone(), self.index),
        }
    }
}

/// Reads `capture`: one or a list. `strict` is what holds unless an entry says otherwise.
pub fn captures(node: &Node, strict: bool, findings: &mut Findings) -> Vec<Capture> {
    one_or_more(node).iter().filter_map(|node| capture(node, strict, findings)).collect()
}

fn capture(node: &Node, strict: bool, findings: &mut Findings) -> Option<Capture> {
    let mut section = Section::of(node, "a capture", findings)?;
    let from = from(&mut section, findings);
    let into = section.take("as").and_then(|node| text(node, "as", findings));
    let strict = section.take("strict").map_or(strict, |node| truth(node, "strict", findings).unwrap_or(strict));
    let span = section.span();
    let slips = section.end(findings);
    if into.is_none() && !slips.contains(&"as") {
        findings.error(span, "this capture has no `as`", "the name of the variable that it goes to");
    }
    Some(Capture { from: from?, into: into?, strict, span })
}

/// Reads `match`: one or a list.
pub fn matches(node: &Node, findings: &mut Findings) -> Vec<Match> {
    one_or_more(node).iter().filter_map(|node| one_match(node, findings)).collect()
}

fn one_match(node: &Node, findings: &mut Findings) -> Option<Match> {
    let mut section = Section::of(node, "a match", findings)?;
    let from = from(&mut section, findings);
    let value = section.take("value").map(Template::of);
    let strict = section.take("strict").is_none_or(|node| truth(node, "strict", findings).unwrap_or(true));
    let span = section.span();
    let slips = section.end(findings);
    if value.is_none() && !slips.contains(&"value") {
        findings.error(span, "this match has no `value`", "what the answer has to hold");
    }
    Some(Match { from: from?, value: value?, strict, span })
}

fn from(section: &mut Section<'_>, findings: &mut Findings) -> Option<From> {
    let mut written = LANGUAGES.iter().filter_map(|(key, language)| Some((*key, *language, section.take(key)?)));
    let first = written.next();
    let second = written.next();
    drop(written);
    if let Some(entry) = section.entry("xpath") {
        findings.error(entry.span, "`xpath` is not supported", "take `selector` for HTML, `regexp` for anything");
        return None;
    }
    if let Some(entry) = section.entry("transform") {
        findings.ignored(entry.span, "`transform` has no effect", "nor has it in Artillery 2");
    }
    let Some((key, language, node)) = first else {
        if section.misspells(&LANGUAGES.map(|(key, _)| key)) {
            return None;
        }
        findings.error(
            section.span(),
            "this does not say what to look for",
            "json, regexp, header or selector is missing",
        );
        return None;
    };
    if let Some((other, _, node)) = second {
        findings.error(node.span, format!("`{key}` or `{other}`, not both"), "");
    }
    let expression = text(node, key, findings)?;
    let recipe = Recipe {
        language,
        expression: Template::of_text(&expression),
        several: match option(section, language, Language::Json, "multiple", findings) {
            Some(node) if truth(node, "multiple", findings) == Some(false) => Several::All,
            _ => Several::One,
        },
        flags: option(section, language, Language::Regexp, "flags", findings)
            .and_then(|node| text(node, "flags", findings))
            .unwrap_or_default(),
        group: option(section, language, Language::Regexp, "group", findings).and_then(|node| group(node, findings)),
        attribute: option(section, language, Language::Selector, "attr", findings)
            .and_then(|node| text(node, "attr", findings)),
        index: option(section, language, Language::Selector, "index", findings)
            .map_or(Some(Index::At(0)), |node| index(node, findings))?,
    };
    let words = format!("{key} {expression}");
    if !recipe.expression.is_fixed() {
        return Some(From { words, kind: Expression::Rendered(recipe) });
    }
    match recipe.compile(&expression) {
        Ok(extractor) => Some(From { words, kind: Expression::Fixed(extractor) }),
        Err(bad) => {
            findings.error(node.span, format!("`{expression}` cannot be used: {}", bad.why), "");
            None
        }
    }
}

/// An option that belongs to one of the languages.
fn option<'a>(
    section: &mut Section<'a>,
    language: Language,
    wanted: Language,
    key: &'static str,
    findings: &mut Findings,
) -> Option<&'a Node> {
    if language == wanted {
        section.take(key)
    } else {
        section.without_effect(key, "it belongs to another kind of capture", findings);
        None
    }
}

fn group(node: &Node, findings: &mut Findings) -> Option<Group> {
    match &node.kind {
        Kind::Number(number) => match number.as_u64().and_then(|number| usize::try_from(number).ok()) {
            Some(number) => Some(Group::Number(number)),
            None => {
                findings.error(node.span, "a group is its number or its name", "");
                None
            }
        },
        _ => text(node, "group", findings).map(Group::Name),
    }
}

fn index(node: &Node, findings: &mut Findings) -> Option<Index> {
    match (&node.kind, node.as_text()) {
        (_, Some("random")) => Some(Index::Random),
        (_, Some("last")) => Some(Index::Last),
        (Kind::Number(number), _) if number.as_u64().is_some() => {
            number.as_u64().and_then(|at| usize::try_from(at).ok()).map(Index::At)
        }
        _ => {
            findings.error(node.span, "`index` is a number, `random` or `last`", "");
            None
        }
    }
}

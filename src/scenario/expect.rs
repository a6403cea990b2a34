//! What a script expects of an answer: the `expect` plugin's rules, as they are written.

use super::finding::Findings;
use super::node::Node;
use super::section::{Section, one_or_more, truth};
use super::template::Template;

/// One thing that is expected of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// The status is one of these.
    StatusCode(Vec<Template>),
    /// The status is none of these.
    NotStatusCode(Vec<Template>),
    /// The content is of this type; `json` is also a body that can be parsed.
    ContentType(Template),
    /// The body has something at this path.
    HasProperty(Template),
    /// The body has nothing at this path.
    NotHasProperty(Template),
    /// All of these are equal.
    Equals(Vec<Template>),
    /// There is a header of this name.
    HasHeader(Template),
    /// A header of this name has this value.
    HeaderEquals(Template, Template),
    /// The body fits this regular expression.
    MatchesRegexp(Template),
    /// The answer came from a cache, or did not.
    CdnHit(bool),
}

impl Expectation {
    /// The name of the rule, which is also the end of its counters' names.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StatusCode(_) => "statusCode",
            Self::NotStatusCode(_) => "notStatusCode",
            Self::ContentType(_) => "contentType",
            Self::HasProperty(_) => "hasProperty",
            Self::NotHasProperty(_) => "notHasProperty",
            Self::Equals(_) => "equals",
            Self::HasHeader(_) => "hasHeader",
            Self::HeaderEquals(..) => "headerEquals",
            Self::MatchesRegexp(_) => "matchesRegexp",
            Self::CdnHit(_) => "cdnHit",
        }
    }

    /// Whether the body is looked at.
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        matches!(self, Self::ContentType(_) | Self::HasProperty(_) | Self::NotHasProperty(_) | Self::MatchesRegexp(_))
    }

    /// The templates in it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let (list, one, two): (&[Template], Option<&Template>, Option<&Template>) = match self {
            Self::StatusCode(list) | Self::NotStatusCode(list) | Self::Equals(list) => (list, None, None),
            Self::HeaderEquals(name, value) => (&[], Some(name), Some(value)),
            Self::ContentType(one)
            | Self::HasProperty(one)
            | Self::NotHasProperty(one)
            | Self::HasHeader(one)
            | Self::MatchesRegexp(one) => (&[], Some(one), None),
            Self::CdnHit(_) => (&[], None, None),
        };
        list.iter().chain(one).chain(two)
    }
}

/// What makes an expectation of what is written.
type Make<Written> = fn(Written) -> Expectation;

/// Reads `expect`: a map, or a list of maps.
pub fn read(node: &Node, findings: &mut Findings) -> Vec<Expectation> {
    let mut list = Vec::new();
    for node in one_or_more(node) {
        let Some(mut section) = Section::of(node, "`expect`", findings) else { continue };
        read_one(&mut section, &mut list, findings);
        section.end(findings);
    }
    list
}

fn read_one(section: &mut Section<'_>, list: &mut Vec<Expectation>, findings: &mut Findings) {
    let many = |node: &Node| one_or_more(node).iter().map(Template::of).collect::<Vec<_>>();
    let lists: [(_, Make<Vec<Template>>); 3] = [
        ("statusCode", Expectation::StatusCode),
        ("notStatusCode", Expectation::NotStatusCode),
        ("equals", Expectation::Equals),
    ];
    for (key, expectation) in lists {
        list.extend(section.take(key).map(|node| expectation(many(node))));
    }
    let ones: [(_, Make<Template>); 5] = [
        ("contentType", Expectation::ContentType),
        ("hasProperty", Expectation::HasProperty),
        ("notHasProperty", Expectation::NotHasProperty),
        ("hasHeader", Expectation::HasHeader),
        ("matchesRegexp", Expectation::MatchesRegexp),
    ];
    for (key, expectation) in ones {
        list.extend(section.take(key).map(|node| expectation(Template::of(node))));
    }
    if let Some(node) = section.take("headerEquals") {
        match many(node).as_slice() {
            [name, value] => list.push(Expectation::HeaderEquals(name.clone(), value.clone())),
            _ => findings.error(node.span, "`headerEquals` is a list of a name and a value", ""),
        }
    }
    if let Some(node) = section.take("cdnHit") {
        list.extend(truth(node, "cdnHit", findings).map(Expectation::CdnHit));
    }
    for key in ["jmespath", "jpath"] {
        if let Some(entry) = section.entry(key) {
            findings.error(entry.span, format!("`{key}` is not supported"), "take `capture` with `json`, and `equals`");
        }
    }
}

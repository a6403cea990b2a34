//! CSS selectors over HTML: the only file that names `scraper`.
//!
//! The text of an element is what cheerio's `.text()` gives: every text below it, joined as it stands.

use scraper::{Html, Selector};

use super::{BadExtractor, NotExtracted};

/// Bytes of a selector.
const LONGEST: usize = 1024;
/// Brackets inside brackets, as in `:not(:is(…))`.
const DEEPEST: usize = 8;

/// Tags of a document. A parser of HTML takes time in the square of how deep they nest.
pub(super) const MOST_TAGS: usize = 30_000;

/// Which of the elements that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// The one at that place, from 0, which Artillery takes when nothing is said.
    At(usize),
    /// Any, at random.
    Random,
    /// The last.
    Last,
}

impl Default for Index {
    fn default() -> Self {
        Self::At(0)
    }
}

/// A selector and what it takes from the element.
#[derive(Clone, Debug)]
pub struct Css {
    selector: Selector,
    attribute: Option<String>,
    index: Index,
}

impl Css {
    pub(super) fn parse(css: &str, attribute: Option<String>, index: Index) -> Result<Self, BadExtractor> {
        if css.len() > LONGEST {
            return Err(BadExtractor { column: 1, why: format!("the selector is longer than {LONGEST} bytes") });
        }
        if css.chars().filter(|c| matches!(c, '(' | '[' | '{')).count() > 4 * DEEPEST || depth(css) > DEEPEST {
            return Err(BadExtractor { column: 1, why: "the selector has too many brackets".into() });
        }
        let selector = Selector::parse(css)
            .map_err(|error| BadExtractor { column: 1, why: format!("this is no CSS selector: {error}") })?;
        Ok(Self { selector, attribute: attribute.map(|name| name.to_ascii_lowercase()), index })
    }

    /// What it takes from a document; `None` when no element matches, or the one that does lacks the attribute.
    pub(super) fn find(
        &self,
        html: &str,
        pick: &mut dyn FnMut(usize) -> usize,
    ) -> Result<Option<String>, NotExtracted> {
        let tags = html.as_bytes().windows(2).filter(|pair| pair[0] == b'<' && pair[1].is_ascii_alphabetic()).count();
        if tags > MOST_TAGS { Err(NotExtracted::TooManyTags(tags)) } else { Ok(self.select(html, pick)) }
    }

    fn select(&self, html: &str, pick: &mut dyn FnMut(usize) -> usize) -> Option<String> {
        let document = Html::parse_document(html);
        let mut elements = document.select(&self.selector);
        let element = match self.index {
            Index::At(place) => elements.nth(place),
            Index::Last => elements.next_back(),
            Index::Random => {
                let mut elements: Vec<_> = elements.collect();
                let place = pick(elements.len().max(1)).min(elements.len().saturating_sub(1));
                (place < elements.len()).then(|| elements.swap_remove(place))
            }
        }?;
        match &self.attribute {
            Some(name) => element.value().attr(name).map(str::to_owned),
            None => Some(element.text().collect()),
        }
    }
}

/// How deep brackets are nested.
fn depth(css: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for c in css.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

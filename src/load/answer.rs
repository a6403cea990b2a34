//! What a step makes of an answer: values kept, values compared.

use std::collections::HashMap;

use ::http::HeaderMap;
use serde_json::Value;

use super::http::{Body, Missing};
use crate::printable::printable;
use crate::random::Random;
use crate::redact;
use crate::scenario::capture::{Capture, From, Match};
use crate::scenario::extract::Answered;
use crate::scenario::path::Path;
use crate::scenario::request::Request;
use crate::scenario::template::Scope;
use crate::scenario::variables::Variables;

/// What a step found in an answer that it did not like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dislike {
    /// A value that was to be kept is not there.
    Capture {
        /// Which one, as it is written.
        what: String,
        /// Why it is not there.
        why: String,
    },
    /// A value is not what it has to be.
    Match {
        /// Which one, as it is written.
        what: String,
        /// What it is instead.
        why: String,
    },
}

/// What a step wants of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) captures: &'a [Capture],
    pub(super) matches: &'a [Match],
}

/// Takes out of an answer what the step wants. What is wrong comes back; if that ends the user, nothing is kept.
pub(super) fn take(
    request: &Request,
    headers: &HeaderMap,
    body: &Body,
    variables: &mut Variables,
    random: &mut Random,
) -> Result<Vec<Dislike>, Vec<Dislike>> {
    let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let answered = Answered::new(&body.bytes, &header);
    let wanted = Wanted { captures: &request.captures, matches: &request.matches };
    take_from(wanted, &answered, body.missing.as_ref(), variables, random)
}

/// The same of an answer of any kind, of which something may be missing.
pub(super) fn take_from(
    wanted: Wanted<'_>,
    answered: &Answered<'_>,
    missing: Option<&Missing>,
    variables: &mut Variables,
    random: &mut Random,
) -> Result<Vec<Dislike>, Vec<Dislike>> {
    let mut dislikes = Vec::new();
    let mut fatal = false;
    let mut found: Vec<(&str, Option<Value>)> = Vec::new();
    for capture in wanted.captures {
        let value = find(&capture.from, answered, missing, variables, random);
        match value {
            Ok(value) => found.push((&capture.into, Some(value))),
            Err(why) => {
                found.push((&capture.into, None));
                if capture.strict {
                    fatal = true;
                    dislikes
                        .push(Dislike::Capture { what: format!("{} as {}", capture.from.words, capture.into), why });
                }
            }
        }
    }
    for one in wanted.matches {
        let value = find(&one.from, answered, missing, variables, random);
        let wanted = one.value.render(&mut Scope { variables, random });
        let shown = |value: &Value| {
            if redact::is_secret(&one.from.words) { redact::HIDDEN.to_owned() } else { shown(value) }
        };
        let why = match value {
            Ok(value) if Some(&value) == wanted.as_ref() => continue,
            Ok(value) => format!("it is {}, not {}", shown(&value), wanted.as_ref().map_or("undefined".into(), &shown)),
            Err(why) => why,
        };
        fatal |= one.strict;
        dislikes.push(Dislike::Match { what: one.from.words.clone(), why });
    }
    if fatal {
        return Err(dislikes);
    }
    keep(found, variables);
    Ok(dislikes)
}

/// What is found at a place, or why nothing is.
fn find(
    from: &From,
    answered: &Answered<'_>,
    missing: Option<&Missing>,
    variables: &Variables,
    random: &mut Random,
) -> Result<Value, String> {
    let extractor = from.extractor(&mut Scope { variables, random }).map_err(|bad| bad.to_string())?;
    let found = extractor.find(answered, &mut |count| random.index(count));
    let missing = || match (missing, from.reads_body()) {
        (Some(missing), true) => format!("; {}", words(missing)),
        _ => String::new(),
    };
    match found {
        Ok(Some(Value::String(text))) if text.is_empty() => Err("it is empty".to_owned()),
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("there is no such value in the answer{}", missing())),
        Err(why) => Err(format!("{why}{}", missing())),
    }
}

/// Why a body is not whole, in words.
pub(super) fn words(missing: &Missing) -> String {
    match missing {
        Missing::NotKept => "the body was not kept".into(),
        Missing::Cut => "the body is too long to be kept whole".into(),
        Missing::Bomb => "the body unfolds to far more than was sent".into(),
        Missing::Undecodable(why) => format!("the body is not encoded as its headers say: {why}"),
        Missing::Broken => "the body broke off".into(),
    }
}

fn shown(value: &Value) -> String {
    printable(&value.to_string(), 200)
}

/// Gives the variables their values; one that was not found is not defined any more.
fn keep(found: Vec<(&str, Option<Value>)>, variables: &mut Variables) {
    let mut roots: HashMap<String, Value> = HashMap::new();
    for (into, value) in found {
        let path = Path::parse(into);
        if path.rest().is_empty() {
            match value {
                Some(value) => variables.set(path.first(), value),
                None => variables.forget(path.first()),
            }
            continue;
        }
        let root = roots
            .entry(path.first().to_owned())
            .or_insert_with(|| variables.named(path.first()).cloned().unwrap_or_default());
        // A place that cannot be set stays as it is: an index beyond all bounds.
        let _ = path.set(root, value.unwrap_or_default());
    }
    for (name, value) in roots {
        variables.set(&name, value);
    }
}

//! Reading no more of a document than a path leads through.
//!
//! Most captures take one member of a large answer, and most of the work is to build the rest of it. A path that begins with
//! names needs of each object only the member of that name: all others are read over. What is read over is not judged either:
//! a number that is too large for us, which JavaScript takes, does no harm there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{JsonPath, Selector};

impl JsonPath {
    /// A document as far as this path looks at it: following the path in it finds the same. `None` when the path may look
    /// anywhere, or the text is not JSON.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Value> {
        let looks_down = |selector: &Selector| !matches!(selector, Selector::Where(_) | Selector::Computed(_));
        if !self.steps.iter().all(|step| step.selectors.iter().all(looks_down)) {
            return None;
        }
        let name = |selectors: &'_ [Selector]| matches!(selectors, [Selector::Name(_)]);
        let names = self.steps.iter().take_while(|step| !step.below && name(&step.selectors)).count();
        if names == 0 {
            return None;
        }
        let names: Vec<&str> =
            self.steps[..names].iter().filter_map(|step| step.selectors.first()?.as_name()).collect();
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Lean { names: &names }.deserialize(&mut reader).ok()?;
        reader.end().ok().map(|()| value)
    }
}

impl Selector {
    const fn as_name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name.as_str()),
            _ => None,
        }
    }
}

/// Reads a value of which only the end of these names matters.
struct Lean<'n> {
    names: &'n [&'n str],
}

impl<'de> DeserializeSeed<'de> for Lean<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if self.names.is_empty() { serde::Deserialize::deserialize(from) } else { from.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Lean<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        if let [name, names @ ..] = self.names {
            while let Some(is_it) = map.next_key_seed(Is(name))? {
                if is_it {
                    found.insert((*name).to_owned(), map.next_value_seed(Lean { names })?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(found))
    }

    // Of lists and texts a name means a place or the length.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Whether a key is this one.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-1.5".to_owned()),
            Just("7".to_owned()),
            Just("true".to_owned()),
            Just("\"t\\u00e9xt\"".to_owned()),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let member = ("[ab1]|length", inner.clone()).prop_map(|(key, value)| format!("\"{key}\": {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(", "))),
                prop::collection::vec(member, 0..4).prop_map(|map| format!("{{{}}}", map.join(", "))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_path_finds_the_same_in_what_it_reads(
            text in json(),
            path in r"\$?(\.a|\.b|\.length|\.1|\[0\]|\[-1\]|\.\*|\.\.a|\[0:2\]|\[a,b\]){0,4}",
        ) {
            let whole: Value = serde_json::from_str(&text).expect("JSON");
            if let Ok(path) = JsonPath::parse(&path)
                && let Some(lean) = path.read(&text)
            {
                prop_assert_eq!(path.find(&lean), path.find(&whole));
            }
        }

        #[test]
        fn what_is_not_json_is_not_read(text in "[{}\\[\\]:,\"a1 ]{0,20}") {
            let path = JsonPath::parse("$.a").expect("a path");
            if path.read(&text).is_some() {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            }
        }
    }
}

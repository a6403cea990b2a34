//! The arguments of an event or of an acknowledgement: JSON, with bytes in it where there are any.
//!
//! It stands alone because JSON has no bytes: on the wire a placeholder stands for each piece, and the pieces follow. To a
//! script bytes look as Node shows them: `{"type": "Buffer", "data": [1, 2, 3]}`.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Arguments. The name of an event is the first of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    values: Vec<Value>,
    /// What the placeholders in the values stand for; without any, a placeholder is an object like others.
    attachments: Vec<Bytes>,
}

impl From<Vec<Value>> for Arguments {
    fn from(values: Vec<Value>) -> Self {
        Self::new(values)
    }
}

/// A placeholder stands for a piece that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchPiece;

impl Arguments {
    /// Arguments without bytes.
    #[must_use]
    pub const fn new(values: Vec<Value>) -> Self {
        Self { values, attachments: Vec::new() }
    }

    /// Arguments in which each `{"type": "Buffer", "data": […]}`, which is what Node makes of a buffer, is bytes.
    #[must_use]
    pub fn with_buffers(values: Vec<Value>) -> Self {
        let mut arguments = Self::new(values);
        let attachments = &mut arguments.attachments;
        replace(&mut arguments.values, &mut |value| {
            let bytes = buffer(value)?;
            attachments.push(bytes);
            Some(placeholder(attachments.len() - 1))
        });
        arguments
    }

    /// Adds bytes as the last argument.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        if self.attachments.is_empty() {
            // What looked like a placeholder was none.
            replace(&mut self.values, &mut |value| placed(value).map(|_| Value::Null));
        }
        self.values.push(placeholder(self.attachments.len()));
        self.attachments.push(bytes);
    }

    /// The values, with placeholders for bytes.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The bytes.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// The values as scripts see them: bytes are as Node shows them.
    #[must_use]
    pub fn shown(self) -> Vec<Value> {
        let Self { mut values, attachments } = self;
        if !attachments.is_empty() {
            replace(&mut values, &mut |value| {
                let bytes = attachments.get(placed(value)?)?;
                Some(json!({"type": "Buffer", "data": bytes.to_vec()}))
            });
        }
        values
    }

    /// How much they weigh, about, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.attachments.iter().map(Bytes::len).sum::<usize>() + self.values.iter().map(weight).sum::<usize>()
    }

    pub(super) fn into_parts(self) -> (Vec<Value>, Vec<Bytes>) {
        (self.values, self.attachments)
    }

    /// Gives the placeholders their bytes.
    pub(super) fn attach(&mut self, attachments: Vec<Bytes>) -> Result<(), NoSuchPiece> {
        let mut whole = true;
        replace(&mut self.values, &mut |value| {
            whole = whole && placed(value).is_none_or(|number| number < attachments.len());
            None
        });
        self.attachments = attachments;
        if whole { Ok(()) } else { Err(NoSuchPiece) }
    }

    /// The same behind the name of an event.
    pub(super) fn named(mut self, event: &str) -> Self {
        self.values.insert(0, Value::from(event));
        self
    }

    /// Takes the first value away: the name of an event.
    pub(super) fn take_name(&mut self) -> String {
        if self.values.is_empty() {
            return String::new();
        }
        match self.values.remove(0) {
            Value::String(name) => name,
            other => other.to_string(),
        }
    }
}

fn placeholder(number: usize) -> Value {
    json!({"_placeholder": true, "num": number})
}

/// The number of the piece that a value stands for.
fn placed(value: &Value) -> Option<usize> {
    let Value::Object(members) = value else { return None };
    if members.get("_placeholder") != Some(&Value::Bool(true)) {
        return None;
    }
    usize::try_from(members.get("num")?.as_u64()?).ok()
}

/// The bytes that Node shows as this.
fn buffer(value: &Value) -> Option<Bytes> {
    let Value::Object(members) = value else { return None };
    if members.len() != 2 || members.get("type")?.as_str()? != "Buffer" {
        return None;
    }
    let data = members.get("data")?.as_array()?;
    data.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// Replaces values from the outside in. They are nested at most as deeply as the parser of JSON takes.
fn replace(values: &mut [Value], other: &mut impl FnMut(&Value) -> Option<Value>) {
    let mut left: Vec<&mut Value> = values.iter_mut().rev().collect();
    while let Some(value) = left.pop() {
        if let Some(replaced) = other(value) {
            *value = replaced;
            continue;
        }
        match value {
            Value::Array(values) => left.extend(values.iter_mut().rev()),
            Value::Object(members) => left.extend(members.values_mut().rev()),
            _ => (),
        }
    }
}

fn weight(value: &Value) -> usize {
    let mut left = vec![value];
    let mut weight = 0;
    while let Some(value) = left.pop() {
        weight += size_of::<Value>();
        match value {
            Value::String(text) => weight += text.len(),
            Value::Array(values) => left.extend(values),
            Value::Object(members) => {
                weight += members.keys().map(|key| key.len() + size_of::<Map<String, Value>>()).sum::<usize>();
                left.extend(members.values());
            }
            _ => (),
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_and_go_as_node_shows_them() {
        let shown = vec![
            json!("file"),
            json!({"a": [{"type": "Buffer", "data": [1, 255]}]}),
            json!({"type": "Buffer", "data": [256]}),
        ];
        let arguments = Arguments::with_buffers(shown.clone());
        assert_eq!(arguments.attachments(), [Bytes::from_static(&[1, 255])]);
        assert_eq!(arguments.values()[1], json!({"a": [{"_placeholder": true, "num": 0}]}));
        assert_eq!(arguments.shown(), shown);
    }

    #[test]
    fn without_bytes_a_placeholder_is_an_object_like_others() {
        let values = vec![json!({"_placeholder": true, "num": 0})];
        assert_eq!(Arguments::new(values.clone()).shown(), values);
    }

    #[test]
    fn what_is_nested_deeply_is_no_danger() {
        let deep = (0..100_000).fold(json!(1), |value, _| Value::Array(vec![value]));
        let arguments = Arguments::with_buffers(vec![deep]);
        assert!(arguments.weight() > 100_000);
        // The drop of so deep a value is serde_json's own, and not what is tested here.
        std::mem::forget(arguments);
    }
}

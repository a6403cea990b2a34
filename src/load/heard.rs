//! What comes for an event over Socket.IO, and whether it is what the script waits for. The rules are Artillery's.

use std::borrow::Cow;

use serde_json::Value;

use crate::printable::printable;

/// The most that is put together of texts that come in pieces, in bytes.
const LONGEST: usize = 1 << 20;
/// Arguments of events that are looked at together.
const MOST_ARGUMENTS: usize = 10_000;

/// What has been heard of an event that is waited for.
#[derive(Default)]
pub(super) struct Heard {
    /// The arguments of all that came.
    pub(super) all: Vec<Value>,
    /// The texts of all that came, put together.
    text: String,
    concat: bool,
}

impl Heard {
    /// Nothing so far; `concat` says whether texts are put together.
    pub(super) fn new(concat: bool) -> Self {
        Self { concat, ..Self::default() }
    }

    /// Hears one more; tells whether that is what was waited for.
    ///
    /// As for Artillery: a list is all arguments that have come so far, a text is in the last one, anything else is the last one.
    pub(super) fn hear(&mut self, arguments: Vec<Value>, data: Option<&Value>) -> bool {
        let room = MOST_ARGUMENTS.saturating_sub(self.all.len());
        for argument in &arguments {
            let text = as_text(argument);
            if self.text.len() + text.len() <= LONGEST {
                self.text.push_str(&text);
            }
        }
        self.all.extend(arguments.into_iter().take(room));
        match data {
            None => true,
            Some(Value::Array(wanted)) => *wanted == self.all,
            Some(Value::String(wanted)) if self.concat => self.text.contains(wanted.as_str()),
            Some(Value::String(wanted)) => self.all.last().is_some_and(|last| as_text(last).contains(wanted.as_str())),
            Some(wanted) => self.all.last() == Some(wanted),
        }
    }
}

fn as_text(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

/// Whether an acknowledgement carries what was wanted: all of it, or its first argument.
pub(super) fn is_acknowledged(wanted: &Value, arguments: &[Value]) -> bool {
    arguments.first() == Some(wanted) || wanted.as_array().is_some_and(|wanted| wanted == arguments)
}

/// Whether two names are those of one namespace: `/chat?a=1` is `chat`.
pub(super) fn same_namespace(one: &str, other: &str) -> bool {
    let bare = |name: &str| name.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    bare(one) == bare(other)
}

/// Arguments in a line that can be shown.
pub(super) fn said(arguments: &[Value]) -> String {
    printable(&Value::from(arguments.to_vec()).to_string(), 200)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hears(concat: bool, events: &[Value], data: &Value) -> Vec<bool> {
        let mut heard = Heard { concat, ..Heard::default() };
        let arguments = |event: &Value| event.as_array().cloned().expect("a list");
        events.iter().map(|event| heard.hear(arguments(event), Some(data))).collect()
    }

    #[test]
    fn data_is_compared_as_artillery_does() {
        assert_eq!(hears(false, &[json!(["a"]), json!(["b", 1])], &json!(["a", "b", 1])), [false, true]);
        assert_eq!(
            hears(false, &[json!([{"a": 1, "b": 2}]), json!([{"b": 2, "a": 1}])], &json!({"a": 1, "b": 2})),
            [true, true]
        );
        assert_eq!(hears(false, &[json!(["hello"]), json!([" world"])], &json!("hello world")), [false, false]);
        assert_eq!(hears(true, &[json!(["hello"]), json!([" world"])], &json!("lo wo")), [false, true]);
        assert_eq!(hears(false, &[json!([7, "say hello"])], &json!("hello")), [true]);
        assert_eq!(hears(false, &[json!([]), json!([7])], &json!(7)), [false, true]);
        assert!(Heard::default().hear(Vec::new(), None));
    }

    #[test]
    fn acknowledgements_and_namespaces_are_compared() {
        assert!(is_acknowledged(&json!([1, 2]), &[json!(1), json!(2)]));
        assert!(is_acknowledged(&json!([1, 2]), &[json!([1, 2])]));
        assert!(is_acknowledged(&json!("ok"), &[json!("ok"), json!(2)]));
        assert!(!is_acknowledged(&json!("ok"), &[]));
        assert!(same_namespace("/", "") && same_namespace("/chat", "chat?a=1") && !same_namespace("/chat", "/"));
    }

    #[test]
    fn what_comes_without_end_is_heard_within_bounds() {
        let mut heard = Heard { concat: true, ..Heard::default() };
        for _ in 0..300 {
            heard.hear(vec![json!("x".repeat(10_000)); 100], Some(&json!("y")));
        }
        assert!(heard.all.len() <= MOST_ARGUMENTS && heard.text.len() <= LONGEST);
    }
}

//! Packets of Socket.IO: connections to namespaces, events, acknowledgements, with or without bytes in them.
//!
//! It stands alone because it is pure. Both versions that servers speak (4 on Engine.IO 3, 5 on Engine.IO 4) are written
//! alike: `<kind>[<attachments>-][<namespace>,][<id>][<JSON>]`, and bytes follow as packets of their own; what differs is what
//! a connection carries. It never panics, and what it holds is bounded by [`Limits`].
//! Sources: `socket.io-protocol` (versions 4 and 5), `socket.io-parser` 3 and 4, `python-socketio` 4 and 5.

use bytes::Bytes;
use serde_json::Value;

use super::arguments::Arguments;

/// The most that one packet may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attachments.
    pub attachments: usize,
    /// Bytes of all attachments together.
    pub attached: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { attachments: 64, attached: 16 << 20 }
    }
}

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The namespace; `/` is the one that everybody has. It may have a query behind it when the packet asks for a connection.
    pub namespace: String,
    /// The rest.
    pub content: Content,
}

/// What a packet says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The client asks for a namespace, or the server grants it. Version 5 carries an object: `auth`, or the session's `sid`.
    Connect(Option<Value>),
    /// Either side leaves a namespace.
    Disconnect,
    /// An event: its name first. With an id, the other side is asked for an acknowledgement.
    Event(Option<u64>, Arguments),
    /// The acknowledgement with that id.
    Ack(u64, Arguments),
    /// The server refuses a namespace, and says why.
    Refused(Value),
}

/// Why a text is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// It is of no kind that there is.
    #[error("a packet of an unknown kind")]
    Kind,
    /// The number of attachments, or an id, is none.
    #[error("a packet with a wrong number")]
    Number,
    /// What it carries is not JSON, or nested too deeply.
    #[error("a packet that is not JSON")]
    Json,
    /// What it carries is not what its kind has.
    #[error("a packet with the wrong content")]
    Content,
    /// Bytes came, or did not come, when they should not, or should, have.
    #[error("attachments that are out of place")]
    Attachments,
    /// There is more than is taken.
    #[error("more attachments than are taken")]
    TooMuch,
}

impl Packet {
    /// A packet for a namespace.
    #[must_use]
    pub fn new(namespace: impl Into<String>, content: Content) -> Self {
        Self { namespace: namespace.into(), content }
    }

    /// The text of the packet and the attachments that follow it.
    #[must_use]
    pub fn encode(self) -> (String, Vec<Bytes>) {
        let (kind, binary, id, values, attachments) = match self.content {
            Content::Connect(data) => ('0', None, None, data, Vec::new()),
            Content::Disconnect => ('1', None, None, None, Vec::new()),
            Content::Refused(data) => ('4', None, None, Some(data), Vec::new()),
            Content::Event(id, arguments) => with(arguments, '2', '5', id),
            Content::Ack(id, arguments) => with(arguments, '3', '6', Some(id)),
        };
        let mut text = String::from(kind);
        if let Some(count) = binary {
            text.extend([count.to_string().as_str(), "-"]);
        }
        if self.namespace != "/" {
            text.extend([self.namespace.as_str(), ","]);
        }
        if let Some(id) = id {
            text.push_str(&id.to_string());
        }
        if let Some(values) = values {
            text.push_str(&values.to_string());
        }
        (text, attachments)
    }
}

type Parts = (char, Option<usize>, Option<u64>, Option<Value>, Vec<Bytes>);

fn with(arguments: Arguments, plain: char, binary: char, id: Option<u64>) -> Parts {
    let (values, attachments) = arguments.into_parts();
    let values = Some(Value::Array(values));
    if attachments.is_empty() {
        (plain, None, id, values, attachments)
    } else {
        (binary, Some(attachments.len()), id, values, attachments)
    }
}

/// Puts packets together from what comes.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    waiting: Option<Waiting>,
}

/// A packet whose attachments have not all come.
#[derive(Debug)]
struct Waiting {
    packet: Packet,
    missing: usize,
    size: usize,
    attachments: Vec<Bytes>,
}

impl Decoder {
    /// A decoder that takes so much.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, waiting: None }
    }

    /// Takes a text; gives the packet when that is all of it.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn text(&mut self, text: &str) -> Result<Option<Packet>, BadPacket> {
        if self.waiting.take().is_some() {
            return Err(BadPacket::Attachments);
        }
        let (packet, missing) = parse(text)?;
        if missing > self.limits.attachments {
            return Err(BadPacket::TooMuch);
        }
        if missing == 0 {
            return Ok(Some(packet));
        }
        self.waiting = Some(Waiting { packet, missing, size: 0, attachments: Vec::new() });
        Ok(None)
    }

    /// Takes an attachment; gives the packet when it was the last.
    ///
    /// # Errors
    ///
    /// When none is waited for, or it is too large.
    pub fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, BadPacket> {
        let mut waiting = self.waiting.take().ok_or(BadPacket::Attachments)?;
        waiting.size = waiting.size.saturating_add(bytes.len());
        if waiting.size > self.limits.attached {
            return Err(BadPacket::TooMuch);
        }
        waiting.attachments.push(bytes);
        waiting.missing -= 1;
        if waiting.missing > 0 {
            self.waiting = Some(waiting);
            return Ok(None);
        }
        let mut packet = waiting.packet;
        match &mut packet.content {
            Content::Event(_, arguments) | Content::Ack(_, arguments) => {
                arguments.attach(waiting.attachments).map_err(|_| BadPacket::Attachments)?;
            }
            _ => return Err(BadPacket::Content),
        }
        Ok(Some(packet))
    }
}

/// The packet of a text, and how many attachments are to follow.
fn parse(text: &str) -> Result<(Packet, usize), BadPacket> {
    let kind = text.bytes().next().ok_or(BadPacket::Kind)?;
    if !(b'0'..=b'6').contains(&kind) {
        return Err(BadPacket::Kind);
    }
    let mut rest = &text[1..];
    let mut missing = 0;
    if kind >= b'5' {
        let (count, after) = rest.split_once('-').ok_or(BadPacket::Number)?;
        missing = number(count).and_then(|count| usize::try_from(count).ok()).ok_or(BadPacket::Number)?;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        // Servers of version 4 may repeat the query.
        namespace = namespace.split('?').next().unwrap_or(namespace);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, json) = rest.split_at(digits);
    // Only events and acknowledgements have ids; the reason of a refusal may be a number.
    let (id, json) = if b"2356".contains(&kind) { (id, json) } else { ("", rest) };
    let id = if id.is_empty() { None } else { Some(number(id).ok_or(BadPacket::Number)?) };
    let value = match json {
        "" => None,
        json => Some(serde_json::from_str::<Value>(json).map_err(|_| BadPacket::Json)?),
    };
    Ok((Packet::new(namespace, content(kind, id, value)?), missing))
}

/// Digits only, so that there is one way to write each.
fn number(digits: &str) -> Option<u64> {
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn content(kind: u8, id: Option<u64>, value: Option<Value>) -> Result<Content, BadPacket> {
    Ok(match (kind, id, value) {
        (b'0', _, value) => Content::Connect(value),
        (b'1', _, _) => Content::Disconnect,
        (b'2' | b'5', id, Some(Value::Array(values)))
            if matches!(values.first(), Some(Value::String(_) | Value::Number(_))) =>
        {
            Content::Event(id, Arguments::new(values))
        }
        (b'3' | b'6', Some(id), Some(Value::Array(values))) => Content::Ack(id, Arguments::new(values)),
        (b'3' | b'6', Some(id), None) => Content::Ack(id, Arguments::default()),
        (b'4', _, value) => Content::Refused(value.unwrap_or_default()),
        _ => return Err(BadPacket::Content),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Option<Packet>, BadPacket> {
        Decoder::new(Limits::default()).text(text)
    }

    fn event(namespace: &str, id: Option<u64>, values: Value) -> Packet {
        let Value::Array(values) = values else { panic!("a list") };
        Packet::new(namespace, Content::Event(id, Arguments::new(values)))
    }

    #[test]
    fn packets_look_like_those_of_the_protocol() {
        for (text, packet) in [
            ("0", Packet::new("/", Content::Connect(None))),
            ("0/chat,{\"token\":1}", Packet::new("/chat", Content::Connect(Some(json!({"token": 1}))))),
            ("1/chat,", Packet::new("/chat", Content::Disconnect)),
            ("2[\"joinRoom\",{\"a\":1}]", event("/", None, json!(["joinRoom", {"a": 1}]))),
            ("2/chat,12[\"hi\"]", event("/chat", Some(12), json!(["hi"]))),
            ("312[]", Packet::new("/", Content::Ack(12, Arguments::default()))),
            ("4/chat,{\"message\":\"no\"}", Packet::new("/chat", Content::Refused(json!({"message": "no"})))),
        ] {
            assert_eq!(read(text), Ok(Some(packet.clone())), "{text}");
            assert_eq!(packet.encode(), (text.to_owned(), Vec::new()));
        }
        assert_eq!(read("0/chat?a=1"), Ok(Some(Packet::new("/chat", Content::Connect(None)))));
        assert_eq!(read("4\"no\""), Ok(Some(Packet::new("/", Content::Refused(json!("no"))))));
    }

    #[test]
    fn attachments_come_after_their_packet() {
        let mut decoder = Decoder::new(Limits { attachments: 2, attached: 4 });
        let text = "52-[\"b\",{\"_placeholder\":true,\"num\":1},[{\"_placeholder\":true,\"num\":0}]]";
        assert_eq!(decoder.text(text), Ok(None));
        assert_eq!(decoder.binary(Bytes::from_static(b"ab")), Ok(None));
        let packet = decoder.binary(Bytes::from_static(b"cd")).expect("good").expect("whole");
        let (again, attachments) = packet.encode();
        assert_eq!((again.as_str(), attachments), (text, vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cd")]));
        assert_eq!(decoder.binary(Bytes::new()), Err(BadPacket::Attachments));
        assert_eq!(decoder.text("53-[\"b\"]"), Err(BadPacket::TooMuch));
        assert_eq!(decoder.text("51-[\"b\"]"), Ok(None));
        assert_eq!(decoder.text("2[\"a\"]"), Err(BadPacket::Attachments));
        assert_eq!(decoder.text("51-[\"b\"]"), Ok(None));
        assert_eq!(decoder.binary(Bytes::from_static(b"12345")), Err(BadPacket::TooMuch));
        assert_eq!(decoder.text("51-[\"b\",{\"_placeholder\":true,\"num\":7}]"), Ok(None));
        assert_eq!(decoder.binary(Bytes::new()), Err(BadPacket::Attachments), "there is no seventh");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let deep = format!("2[\"a\",{}", "[".repeat(100_000));
        for (text, bad) in [
            ("", BadPacket::Kind),
            ("7", BadPacket::Kind),
            ("é", BadPacket::Kind),
            ("2", BadPacket::Content),
            ("2{}", BadPacket::Content),
            ("2[]", BadPacket::Content),
            ("2[null]", BadPacket::Content),
            ("3[]", BadPacket::Content),
            ("299999999999999999999[\"a\"]", BadPacket::Number),
            ("5[\"a\"]", BadPacket::Number),
            ("5+1-[\"a\"]", BadPacket::Number),
            ("2[\"a\"", BadPacket::Json),
            (&deep, BadPacket::Json),
        ] {
            assert_eq!(read(text), Err(bad), "{}", &text[..text.len().min(20)]);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-z]{0,3}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn arguments() -> impl Strategy<Value = Arguments> {
        let parts = (
            ".{0,8}",
            prop::collection::vec(value(), 0..4),
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..3),
        );
        parts.prop_map(|(name, values, attachments)| {
            let mut arguments = Arguments::new([vec![Value::from(name)], values].concat());
            for bytes in attachments {
                arguments.push_bytes(bytes.into());
            }
            arguments
        })
    }

    fn packet() -> impl Strategy<Value = Packet> {
        let object = prop::option::of(
            prop::collection::vec(("[a-z]{0,3}", value()), 0..3)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        );
        let content = prop_oneof![
            object.prop_map(Content::Connect),
            Just(Content::Disconnect),
            value().prop_map(Content::Refused),
            (any::<Option<u64>>(), arguments()).prop_map(|(id, arguments)| Content::Event(id, arguments)),
            (any::<u64>(), arguments()).prop_map(|(id, arguments)| Content::Ack(id, arguments)),
        ];
        ("(/[^,?]{0,6})", content).prop_map(|(namespace, content)| Packet::new(namespace, content))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(packet in packet()) {
            let mut decoder = Decoder::new(Limits::default());
            let (text, attachments) = packet.clone().encode();
            let mut read = decoder.text(&text);
            for bytes in attachments {
                prop_assert_eq!(read, Ok(None));
                read = decoder.binary(bytes);
            }
            prop_assert_eq!(read, Ok(Some(packet)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-7]?[0-9]{0,3}-?(/[a-z?]{0,3},?)?[0-9]{0,3}.{0,12}", bytes in prop::collection::vec(any::<u8>(), 0..9)) {
            let mut decoder = Decoder::new(Limits::default());
            let _ = decoder.text(&text);
            let _ = decoder.binary(bytes.into());
        }
    }
}

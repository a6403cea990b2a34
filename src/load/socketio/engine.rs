//! Packets of Engine.IO, the layer below Socket.IO, and how several of them travel in one body.
//!
//! It stands alone because it is pure: bytes to packets and back, for both revisions that servers speak. Revision 3 counts the
//! length of each packet, in UTF-16 code units in a text and in bytes in a binary body; revision 4 separates packets by U+001E
//! and has no binary body. It never panics, whatever the bytes, and knows neither connections nor time.
//! Sources: `engine.io-protocol` (revisions 3 and 4), `engine.io-parser` 2 and 5, `python-engineio` 3 and 4.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// Which generation of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generation {
    /// Engine.IO 3: Socket.IO 1 and 2, python-socketio 4.
    Three,
    /// Engine.IO 4: Socket.IO 3 and 4, python-socketio 5.
    Four,
}

impl Generation {
    /// As the query `EIO` says it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server's first.
    Open,
    /// The end.
    Close,
    /// Are you there? Asked by clients of revision 3 and by servers of revision 4.
    Ping,
    /// I am.
    Pong,
    /// What the layer above says.
    Message,
    /// The client moves to another transport.
    Upgrade,
    /// Nothing: it ends a request that waits.
    Noop,
}

const KINDS: [Kind; 7] = [Kind::Open, Kind::Close, Kind::Ping, Kind::Pong, Kind::Message, Kind::Upgrade, Kind::Noop];

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Close => 1,
            Self::Ping => 2,
            Self::Pong => 3,
            Self::Message => 4,
            Self::Upgrade => 5,
            Self::Noop => 6,
        }
    }

    fn of(number: u8) -> Option<Self> {
        KINDS.get(usize::from(number)).copied()
    }

    const fn digit(self) -> char {
        (b'0' + self.number()) as char
    }
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is for.
    pub kind: Kind,
    /// What it carries. Revision 4 has bytes in messages only.
    pub payload: Payload,
}

/// Why bytes are no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// There is nothing where a packet should be.
    #[error("an empty packet")]
    Empty,
    /// It is of no kind that there is.
    #[error("a packet of an unknown kind")]
    Kind,
    /// The length before a packet is no number, or goes beyond what there is.
    #[error("a packet with a wrong length")]
    Length,
    /// It should be base64.
    #[error("a packet that is not base64")]
    Base64,
    /// It should be text.
    #[error("a packet that is not UTF-8")]
    Utf8,
    /// There are more of them in one body than are taken.
    #[error("more packets at once than are taken")]
    TooMany,
}

/// As lenient as Node is: padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Packets that are taken from one body: each takes more room than it takes bytes.
const MOST: usize = 1 << 16;

/// What stands between two packets in a body of revision 4.
const SEPARATOR: char = '\u{1e}';

impl Packet {
    /// A packet with text.
    #[must_use]
    pub fn text(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, payload: Payload::Text(text.into()) }
    }

    /// A message of bytes.
    #[must_use]
    pub const fn binary(bytes: Bytes) -> Self {
        Self { kind: Kind::Message, payload: Payload::Binary(bytes) }
    }

    /// Its length in bytes, about.
    #[must_use]
    pub fn len(&self) -> usize {
        1 + match &self.payload {
            Payload::Text(text) => text.len(),
            Payload::Binary(bytes) => bytes.len(),
        }
    }

    /// Never: a packet has its kind at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The packet as a message of a WebSocket has it.
    #[must_use]
    pub fn framed(self, generation: Generation) -> Payload {
        match (self.payload, generation) {
            (Payload::Text(text), _) => Payload::Text(with_digit(self.kind, &text)),
            (Payload::Binary(bytes), Generation::Four) => Payload::Binary(bytes),
            (Payload::Binary(bytes), Generation::Three) => {
                let mut framed = Vec::with_capacity(bytes.len() + 1);
                framed.push(self.kind.number());
                framed.extend_from_slice(&bytes);
                Payload::Binary(framed.into())
            }
        }
    }

    /// The packet in a text message of a WebSocket.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn of_text(text: &str) -> Result<Self, BadPacket> {
        let mut rest = text.chars();
        let first = rest.next().ok_or(BadPacket::Empty)?;
        if first == 'b' {
            // Base64 of revision 3 names the kind, that of revision 4 does not.
            return bytes_of(rest.as_str()).map(Self::binary);
        }
        let kind = first.to_digit(10).and_then(|digit| Kind::of(u8::try_from(digit).ok()?)).ok_or(BadPacket::Kind)?;
        Ok(Self::text(kind, rest.as_str()))
    }

    /// The packet in a binary message of a WebSocket.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn of_bytes(bytes: Bytes, generation: Generation) -> Result<Self, BadPacket> {
        match generation {
            Generation::Four => Ok(Self::binary(bytes)),
            Generation::Three => {
                let kind = *bytes.first().ok_or(BadPacket::Empty)?;
                let kind = Kind::of(kind).ok_or(BadPacket::Kind)?;
                Ok(Self { kind, payload: Payload::Binary(bytes.slice(1..)) })
            }
        }
    }

    /// A packet of revision 3 inside a body of text.
    fn of_old_text(text: &str) -> Result<Self, BadPacket> {
        match text.strip_prefix('b') {
            None => Self::of_text(text),
            Some(rest) => {
                let mut rest = rest.chars();
                let kind = rest.next().and_then(|digit| digit.to_digit(10)).ok_or(BadPacket::Kind)?;
                let kind = u8::try_from(kind).ok().and_then(Kind::of).ok_or(BadPacket::Kind)?;
                Ok(Self { kind, payload: Payload::Binary(bytes_of(rest.as_str())?) })
            }
        }
    }
}

fn with_digit(kind: Kind, text: &str) -> String {
    let mut framed = String::with_capacity(text.len() + 1);
    framed.push(kind.digit());
    framed.push_str(text);
    framed
}

fn bytes_of(base64: &str) -> Result<Bytes, BadPacket> {
    BASE64.decode(base64).map(Bytes::from).map_err(|_| BadPacket::Base64)
}

/// The body of a request, and whether it is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether they are text; `application/octet-stream` otherwise.
    pub text: bool,
}

/// All packets in one body. Those of revision 3 are text when they are ASCII, as servers do not agree how other text is
/// counted: Node counts UTF-16 code units, Python characters.
#[must_use]
pub fn encode(packets: &[Packet], generation: Generation) -> Body {
    match generation {
        Generation::Four => Body { bytes: encode_four(packets).into(), text: true },
        Generation::Three => {
            let plain = |packet: &Packet| matches!(&packet.payload, Payload::Text(text) if text.is_ascii());
            if packets.iter().all(plain) {
                Body { bytes: encode_three_text(packets).into(), text: true }
            } else {
                Body { bytes: encode_three(packets).into(), text: false }
            }
        }
    }
}

fn encode_four(packets: &[Packet]) -> String {
    let mut body = String::new();
    for (number, packet) in packets.iter().enumerate() {
        if number > 0 {
            body.push(SEPARATOR);
        }
        match &packet.payload {
            Payload::Text(text) => body.extend([with_digit(packet.kind, text)]),
            Payload::Binary(bytes) => {
                body.push('b');
                BASE64.encode_string(bytes, &mut body);
            }
        }
    }
    body
}

/// Revision 3 as text; binary packets are base64.
#[must_use]
pub fn encode_three_text(packets: &[Packet]) -> String {
    let mut body = String::new();
    for packet in packets {
        let text = match &packet.payload {
            Payload::Text(text) => with_digit(packet.kind, text),
            Payload::Binary(bytes) => format!("b{}{}", packet.kind.digit(), BASE64.encode(bytes)),
        };
        let length: usize = text.chars().map(char::len_utf16).sum();
        body.push_str(&length.to_string());
        body.push(':');
        body.push_str(&text);
    }
    body
}

/// Revision 3 as bytes: 0 for text or 1 for bytes, the digits of the length as bytes, 255, the packet.
#[must_use]
pub fn encode_three(packets: &[Packet]) -> Vec<u8> {
    let mut body = Vec::new();
    for packet in packets {
        let (text, first, content) = match &packet.payload {
            Payload::Text(text) => (0, packet.kind.number() + b'0', text.as_bytes()),
            Payload::Binary(bytes) => (1, packet.kind.number(), &bytes[..]),
        };
        body.push(text);
        body.extend((content.len() + 1).to_string().bytes().map(|digit| digit - b'0'));
        body.push(255);
        body.push(first);
        body.extend_from_slice(content);
    }
    body
}

/// Which generation a body is of: revision 3 begins with a length, revision 4 with a kind.
#[must_use]
pub fn generation_of(body: &[u8]) -> Generation {
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let counted = digits > 0 && body.get(digits) == Some(&b':');
    if counted || body.first().is_some_and(|&first| first <= 1) { Generation::Three } else { Generation::Four }
}

/// The packets of a body.
///
/// # Errors
///
/// When it is none.
pub fn decode(body: &[u8], generation: Generation) -> Result<Vec<Packet>, BadPacket> {
    match generation {
        Generation::Four => {
            let text = str::from_utf8(body).map_err(|_| BadPacket::Utf8)?;
            if text.is_empty() {
                return Ok(Vec::new());
            }
            let mut packets = Vec::new();
            for packet in text.split(SEPARATOR) {
                push(&mut packets, Packet::of_text(packet)?)?;
            }
            Ok(packets)
        }
        Generation::Three if body.first().is_some_and(|&first| first <= 1) => decode_three(body),
        Generation::Three => decode_three_text(str::from_utf8(body).map_err(|_| BadPacket::Utf8)?),
    }
}

fn push(packets: &mut Vec<Packet>, packet: Packet) -> Result<(), BadPacket> {
    if packets.len() == MOST {
        return Err(BadPacket::TooMany);
    }
    packets.push(packet);
    Ok(())
}

fn decode_three_text(mut text: &str) -> Result<Vec<Packet>, BadPacket> {
    let mut packets = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once(':').ok_or(BadPacket::Length)?;
        let length: usize = length.parse().map_err(|_| BadPacket::Length)?;
        let end = after_units(rest, length).ok_or(BadPacket::Length)?;
        let (packet, rest) = rest.split_at(end);
        push(&mut packets, Packet::of_old_text(packet)?)?;
        text = rest;
    }
    Ok(packets)
}

/// Where so many UTF-16 code units end.
fn after_units(text: &str, units: usize) -> Option<usize> {
    let mut left = units;
    let mut end = 0;
    for letter in text.chars() {
        if left == 0 {
            break;
        }
        left = left.checked_sub(letter.len_utf16())?;
        end += letter.len_utf8();
    }
    (left == 0).then_some(end)
}

fn decode_three(mut body: &[u8]) -> Result<Vec<Packet>, BadPacket> {
    let mut packets = Vec::new();
    while let Some((&first, rest)) = body.split_first() {
        let digits = rest.iter().position(|&byte| byte == 255).ok_or(BadPacket::Length)?;
        let length = rest[..digits].iter().try_fold(0_usize, |length, &digit| {
            (digit < 10).then(|| length.checked_mul(10)?.checked_add(usize::from(digit))).flatten()
        });
        let (packet, after) =
            rest[digits + 1..].split_at_checked(length.ok_or(BadPacket::Length)?).ok_or(BadPacket::Length)?;
        let packet = match first {
            0 => Packet::of_text(str::from_utf8(packet).map_err(|_| BadPacket::Utf8)?)?,
            1 => Packet::of_bytes(Bytes::copy_from_slice(packet), Generation::Three)?,
            _ => return Err(BadPacket::Kind),
        };
        push(&mut packets, packet)?;
        body = after;
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> Packet {
        Packet::text(Kind::Message, text)
    }

    #[test]
    fn bodies_look_like_those_of_the_protocol() {
        let packets = [message("hé€😀"), Packet::binary(Bytes::from_static(&[1, 2, 3])), Packet::text(Kind::Ping, "")];
        assert_eq!(encode_four(&packets), "4hé€😀\u{1e}bAQID\u{1e}2");
        assert_eq!(encode_three_text(&packets), "6:4hé€😀6:b4AQID1:2");
        let bytes = encode_three(&packets[1..]);
        assert_eq!(bytes, [1, 4, 255, 4, 1, 2, 3, 0, 1, 255, b'2']);
        assert!(!encode(&packets[..1], Generation::Three).text);
        assert!(encode(&packets[2..], Generation::Three).text);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let three = |body: &[u8]| decode(body, Generation::Three);
        assert_eq!(three(b"5:4ab"), Err(BadPacket::Length));
        assert_eq!(three(b"4ab"), Err(BadPacket::Length));
        assert_eq!(three("1:😀".as_bytes()), Err(BadPacket::Length));
        assert_eq!(three(&[0, 9, 9, 255, b'4']), Err(BadPacket::Length));
        assert_eq!(three(&[0, 1, 2]), Err(BadPacket::Length));
        assert_eq!(three(&[&[0; 1][..], &[9; 40], &[255, b'4']].concat()), Err(BadPacket::Length));
        assert_eq!(decode(b"4a\x1e", Generation::Four), Err(BadPacket::Empty));
        assert_eq!(decode(b"9", Generation::Four), Err(BadPacket::Kind));
        assert_eq!(decode(b"b!", Generation::Four), Err(BadPacket::Base64));
        assert_eq!(decode(b"4\xff", Generation::Four), Err(BadPacket::Utf8));
        assert_eq!(decode("6\x1e".repeat(MOST + 1).as_bytes(), Generation::Four), Err(BadPacket::TooMany));
        assert_eq!(three("1:6".repeat(MOST + 1).as_bytes()), Err(BadPacket::TooMany));
    }

    #[test]
    fn the_generation_is_seen_in_the_first_answer() {
        assert_eq!(generation_of(b"0{\"sid\":1}"), Generation::Four);
        assert_eq!(generation_of(b"97:0{\"sid\":1}"), Generation::Three);
        assert_eq!(generation_of(b"\x00\x09\x07\xff0{\"sid\":1}"), Generation::Three);
        assert_eq!(generation_of(b""), Generation::Four);
    }

    fn packets() -> impl Strategy<Value = Vec<Packet>> {
        let text = (0..KINDS.len(), "[^\u{1e}]{0,20}").prop_map(|(kind, text)| Packet::text(KINDS[kind], text));
        let binary = prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Packet::binary(bytes.into()));
        prop::collection::vec(prop_oneof![text, binary], 1..6)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(packets in packets()) {
            for generation in [Generation::Three, Generation::Four] {
                let body = encode(&packets, generation);
                prop_assert_eq!(decode(&body.bytes, generation), Ok(packets.clone()));
                for packet in &packets {
                    let read = match packet.clone().framed(generation) {
                        Payload::Text(text) => Packet::of_text(&text),
                        Payload::Binary(bytes) => Packet::of_bytes(bytes, generation),
                    };
                    prop_assert_eq!(read.as_ref(), Ok(packet));
                }
            }
            let text = encode_three_text(&packets);
            prop_assert_eq!(decode(text.as_bytes(), Generation::Three), Ok(packets));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..64), text in "[0-9:b]{0,4}.{0,8}") {
            for generation in [Generation::Three, Generation::Four, generation_of(&body)] {
                let _ = decode(&body, generation);
                let _ = decode(text.as_bytes(), generation);
                let _ = Packet::of_bytes(body.clone().into(), generation);
            }
        }
    }
}

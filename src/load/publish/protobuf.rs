//! As much of the encoding of protocol buffers as OTLP's metrics need: fields that are written one after the other.
//!
//! Twenty lines instead of a code generator. A field is its key, which is number × 8 + wire type as a varint, and its value:
//! a varint (0), eight bytes in little-endian order (1), or a length and so many bytes (2). It knows no message of OTLP.
//! Source: protobuf.dev, "Encoding".

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// The bytes of the message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A whole number, `true` or `false`, or a member of an enumeration.
    pub(super) fn number(mut self, field: u8, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// A `fixed64`.
    pub(super) fn fixed(mut self, field: u8, value: u64) -> Self {
        self.varint(u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A `double`.
    pub(super) fn double(self, field: u8, value: f64) -> Self {
        self.fixed(field, value.to_bits())
    }

    /// A text.
    pub(super) fn text(self, field: u8, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A message inside this one.
    pub(super) fn message(self, field: u8, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// One message after the other, all of the same field.
    pub(super) fn messages(self, field: u8, messages: impl IntoIterator<Item = Self>) -> Self {
        messages.into_iter().fold(self, |whole, message| whole.message(field, &message))
    }

    fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Seven bits a byte, the lowest first; the eighth bit says that there are more.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a field holds, when messages are read back.
    #[derive(Clone, Debug, PartialEq)]
    pub(in super::super) enum Field {
        Number(u64),
        Fixed(u64),
        Bytes(Vec<u8>),
    }

    /// The fields of a message.
    pub(in super::super) fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Fixed(u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight bytes"))),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("a length");
                    Field::Bytes(take(&mut bytes, length).to_vec())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        fields
    }

    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(length);
        *bytes = rest;
        taken
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = take(bytes, 1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint has no end");
    }

    #[test]
    fn the_examples_of_the_documentation_hold() {
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").into_bytes(), b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().double(4, 1.0).into_bytes(), [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_can_be_read(field in 1_u8..=255, number: u64, text in ".{0,300}") {
            let message = Message::default().number(field, number).text(field, &text).fixed(field, number);
            let key = u64::from(field);
            proptest::prop_assert_eq!(
                fields(&message.into_bytes()),
                [(key, Field::Number(number)), (key, Field::Bytes(text.into_bytes())), (key, Field::Fixed(number))]
            );
        }
    }
}

//! Bytes of strangers through the codec of Socket.IO: nothing panics, and what can be read can be written and read again.
//!
//! The codec is taken in by its files, as it needs nothing of the rest: the target is built in seconds.

#![no_main]
#![expect(dead_code, reason = "the codec has more than is fuzzed")]

#[path = "../../src/load/socketio/arguments.rs"]
mod arguments;
#[path = "../../src/load/socketio/engine.rs"]
mod engine;
#[path = "../../src/load/socketio/packet.rs"]
mod packet;

use bytes::Bytes;
use engine::{Generation, Payload};
use packet::{Decoder, Limits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { attachments: 4, attached: 1 << 16 };
    for generation in [Generation::Three, Generation::Four] {
        let Ok(packets) = engine::decode(bytes, generation) else { continue };
        let again = engine::encode(&packets, generation);
        if !packets.is_empty() {
            assert_eq!(engine::decode(&again.bytes, generation).as_ref(), Ok(&packets));
        }
        let mut decoder = Decoder::new(limits);
        for packet in packets {
            let read = match packet.payload {
                Payload::Text(text) => decoder.text(&text),
                Payload::Binary(bytes) => decoder.binary(bytes),
            };
            if let Ok(Some(packet)) = read {
                round(packet, limits);
            }
        }
    }
    let mut decoder = Decoder::new(limits);
    for piece in bytes.split(|&byte| byte == 0x1e) {
        let read = match str::from_utf8(piece) {
            Ok(text) => decoder.text(text),
            Err(_) => decoder.binary(Bytes::copy_from_slice(piece)),
        };
        if let Ok(Some(packet)) = read {
            round(packet, limits);
        }
    }
});

/// Writes and reads a packet, and turns its arguments into what scripts see and back.
fn round(packet: packet::Packet, limits: Limits) {
    let (text, attachments) = packet.clone().encode();
    let mut decoder = Decoder::new(limits);
    let mut read = decoder.text(&text);
    for bytes in attachments {
        assert_eq!(read, Ok(None));
        read = decoder.binary(bytes);
    }
    let read = read.expect("what was written can be read").expect("it is whole");
    // Numbers beyond what a double holds may come back another.
    assert_eq!(read.namespace, packet.namespace);
    assert_eq!(std::mem::discriminant(&read.content), std::mem::discriminant(&packet.content));
    if let packet::Content::Event(_, mut arguments) | packet::Content::Ack(_, mut arguments) = packet.content {
        let _ = (arguments.weight(), arguments.take_name());
        let shown = arguments.shown();
        let _ = arguments::Arguments::with_buffers(shown).named("again");
    }
}

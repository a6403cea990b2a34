//! Decoding of bodies (`Content-Encoding`), bounded: neither by size nor by ratio can a server make it unfold without end.
//!
//! It stands alone because it works on what strangers send. It is a pure function of bytes.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Cursor, Read};

use brotli_decompressor::{BrotliDecoderParameter, Decompressor};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::body::Missing;
use crate::printable::printable;

/// How many times larger than what came a body may become, at every layer.
const RATIO: u64 = 200;

/// Below this size the ratio does not matter: short repetitive texts are no attack.
const HARMLESS: u64 = 64 * 1024;

/// The most layers of encoding; nobody honest has more than two.
const MOST_LAYERS: usize = 4;

/// The largest window of zstd that a browser accepts too (RFC 8878, 7.2).
const WINDOW: u64 = 8 * 1024 * 1024;

/// The largest block of zstd: nothing comes out before the whole block is there (RFC 8878, 3.1.1.2).
const ZSTD_BLOCK: usize = 128 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The encodings of a body, in the order in which they were applied, or why they are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encodings(Result<Vec<Encoding>, String>);

impl Default for Encodings {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl Encodings {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut layers = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.as_bytes().split(|&byte| byte == b',') {
                let name = name.trim_ascii().to_ascii_lowercase();
                layers.push(match name.as_slice() {
                    b"" | b"identity" => continue,
                    b"gzip" | b"x-gzip" => Encoding::Gzip,
                    b"deflate" => Encoding::Deflate,
                    b"br" => Encoding::Brotli,
                    b"zstd" => Encoding::Zstd,
                    other => {
                        let name = printable(&String::from_utf8_lossy(other), 40);
                        return Self(Err(format!("its encoding `{name}` is not known")));
                    }
                });
                if layers.len() > MOST_LAYERS {
                    return Self(Err(format!("it is encoded more than {MOST_LAYERS} times")));
                }
            }
        }
        Self(Ok(layers))
    }

    pub(super) fn is_identity(&self) -> bool {
        self.0.as_ref().is_ok_and(Vec::is_empty)
    }

    /// How many encoded bytes may be needed for so many decoded ones.
    pub(super) fn room(&self, decoded: usize) -> usize {
        match &self.0 {
            Ok(layers) if layers.is_empty() => decoded,
            Ok(layers) if layers.contains(&Encoding::Zstd) => decoded.saturating_add(decoded / 8 + 2 * ZSTD_BLOCK),
            _ => decoded.saturating_add(decoded / 8 + 4096),
        }
    }
}

/// The decoded bytes, `limit` at most, and why these are not all, when they are not.
pub(super) fn decode(encodings: &Encodings, encoded: Vec<u8>, limit: usize) -> (Vec<u8>, Option<Missing>) {
    let layers = match &encodings.0 {
        Ok(layers) => layers,
        Err(reason) => return (first(encoded, limit), Some(Missing::Undecodable(reason.clone()))),
    };
    let most = (encoded.len() as u64).saturating_mul(RATIO).max(HARMLESS);
    let mut decoded = Vec::new();
    let missing = match unfold(layers, &encoded, most, limit, &mut decoded) {
        Ok(()) if decoded.len() > limit => Some(Missing::Cut),
        Ok(()) => None,
        Err(error) if is_bomb(&error) => Some(Missing::Bomb),
        Err(error) => Some(Missing::Undecodable(printable(&error.to_string(), 200))),
    };
    if decoded.is_empty() && matches!(missing, Some(Missing::Undecodable(_))) {
        return (first(encoded, limit), missing);
    }
    (first(decoded, limit), missing)
}

fn first(mut bytes: Vec<u8>, limit: usize) -> Vec<u8> {
    bytes.truncate(limit);
    bytes
}

/// Reads one byte more than the limit, to know whether there is more.
fn unfold(layers: &[Encoding], encoded: &[u8], most: u64, limit: usize, decoded: &mut Vec<u8>) -> io::Result<()> {
    let mut reader: Box<dyn Read + '_> = Box::new(encoded);
    for layer in layers.iter().rev() {
        reader = Box::new(Bounded { inner: opened(*layer, reader)?, left: most });
    }
    reader.take((limit as u64).saturating_add(1)).read_to_end(decoded).map(drop)
}

fn opened<'a>(layer: Encoding, mut from: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match layer {
        Encoding::Gzip => Box::new(MultiGzDecoder::new(from)),
        Encoding::Deflate => {
            let mut start = Vec::with_capacity(2);
            from.by_ref().take(2).read_to_end(&mut start)?;
            let is_zlib = is_zlib(&start);
            let from = Cursor::new(start).chain(from);
            if is_zlib { Box::new(ZlibDecoder::new(from)) } else { Box::new(DeflateDecoder::new(from)) }
        }
        Encoding::Brotli => {
            let mut decoder = Decompressor::new(from, 4096);
            decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
            Box::new(decoder)
        }
        Encoding::Zstd => {
            let decoder = StreamingDecoder::new_with_max_window_size(from, WINDOW).map_err(io::Error::other)?;
            Box::new(Frame(decoder))
        }
    })
}

/// `deflate` means zlib (RFC 9110, 8.4.1.2), but some servers send it bare. A zlib header is a multiple of 31 (RFC 1950).
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [first, second] => first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31),
        _ => false,
    }
}

/// One frame of zstd. The decoder stops after the first; that there are more must not pass for the end of the body.
struct Frame<R: Read>(StreamingDecoder<R, FrameDecoder>);

impl<R: Read> Read for Frame<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(room)?;
        if count == 0 && !room.is_empty() && self.0.get_mut().read(&mut [0])? > 0 {
            return Err(io::Error::other("something follows the first frame"));
        }
        Ok(count)
    }
}

#[derive(Debug)]
struct Bomb;

impl Display for Bomb {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "it unfolds to more than {RATIO} times its size")
    }
}

impl Error for Bomb {}

/// Whether the error is ours. Decoders above wrap it in their own ways, but all tell it.
fn is_bomb(error: &io::Error) -> bool {
    error.to_string().contains(&Bomb.to_string())
}

/// Gives out so many bytes and no more.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return if self.inner.read(&mut [0])? == 0 { Ok(0) } else { Err(io::Error::other(Bomb)) };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(room.len());
        let count = self.inner.read(room.get_mut(..most).unwrap_or_default())?;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    /// `{"brotli": "brotli brotli brotli brotli"}`, made by the reference encoder.
    const BROTLI: &[u8] = &[
        0x1b, 0x28, 0x00, 0xf8, 0x1d, 0x09, 0x76, 0xec, 0xc4, 0x1a, 0x46, 0x47, 0xe4, 0x35, 0x88, 0x08, 0xdd, 0x9e,
        0xd6, 0x11, 0x93, 0xeb, 0x93, 0x69, 0x6c, 0x6f, 0x1d, 0x88, 0x22, 0xcb, 0x14, 0x24, 0x11, 0x50, 0xc0, 0x85,
        0x5b, 0xbb, 0x08, 0x05, 0xd8, 0x01,
    ];

    fn encodings(header: &str) -> Encodings {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(header).expect("a value"));
        Encodings::of(&headers)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn bare(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    #[test]
    fn every_encoding_and_stacks_of_them_are_undone() {
        let text = b"{\"name\": \"name name name\"}".repeat(20);
        for (header, encoded) in [
            ("gzip", gzip(&text)),
            ("x-gzip", gzip(&text)),
            ("deflate", zlib(&text)),
            ("Deflate", bare(&text)),
            ("zstd", zstd(&text)),
            ("deflate, gzip", gzip(&zlib(&text))),
            ("identity, gzip , zstd", zstd(&gzip(&text))),
            ("gzip", [gzip(&text[..100]), gzip(&text[100..])].concat()),
        ] {
            assert_eq!(decode(&encodings(header), encoded, 100_000), (text.clone(), None), "{header}");
        }
        let text = b"{\"brotli\": \"brotli brotli brotli brotli\"}".to_vec();
        assert_eq!(decode(&encodings("br"), BROTLI.to_vec(), 100), (text, None));
    }

    #[test]
    fn a_limit_cuts_and_says_so() {
        let text = b"abcdefgh".repeat(1000);
        assert_eq!(decode(&encodings("gzip"), gzip(&text), 8000), (text.clone(), None));
        assert_eq!(decode(&encodings("gzip"), gzip(&text), 7999), (text[..7999].to_vec(), Some(Missing::Cut)));
    }

    #[test]
    fn a_bomb_stops_at_the_ratio_at_every_layer() {
        let zeros = vec![0; 10_000_000];
        let once = gzip(&zeros);
        let most = once.len() * 200;
        let (bytes, missing) = decode(&encodings("gzip"), once.clone(), usize::MAX);
        assert_eq!((bytes.len(), missing), (most, Some(Missing::Bomb)));
        let twice = gzip(&once);
        let (bytes, missing) = decode(&encodings("gzip, gzip"), twice.clone(), usize::MAX);
        assert_eq!(missing, Some(Missing::Bomb));
        assert!(bytes.len() as u64 <= (twice.len() as u64 * RATIO).max(HARMLESS));
        let (bytes, missing) = decode(&encodings("zstd"), zstd(&zeros), usize::MAX);
        assert_eq!(missing, Some(Missing::Bomb), "{}", bytes.len());
    }

    #[test]
    fn what_cannot_be_decoded_is_told_and_handed_over_as_it_came() {
        for header in ["gzip", "br", "zstd", "compress", "gzip, gzip, gzip, gzip, gzip"] {
            let (bytes, missing) = decode(&encodings(header), b"plain text".to_vec(), 5);
            assert_eq!(bytes, b"plain", "{header}");
            assert!(matches!(missing, Some(Missing::Undecodable(_))), "{header}");
        }
        let mut torn = gzip(b"some text");
        torn.truncate(torn.len() - 4);
        let (bytes, missing) = decode(&encodings("gzip"), torn, 100);
        assert_eq!(bytes, b"some text");
        assert!(matches!(missing, Some(Missing::Undecodable(_))));
        let two = [zstd(b"one"), zstd(b"two")].concat();
        assert!(matches!(decode(&encodings("zstd"), two, 100), (_, Some(Missing::Undecodable(_)))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in prop::collection::vec(any::<u8>(), 1..3000)) {
            prop_assert_eq!(decode(&encodings("gzip"), gzip(&text), 5000), (text.clone(), None));
            prop_assert_eq!(decode(&encodings("deflate"), zlib(&text), 5000), (text.clone(), None));
            prop_assert_eq!(decode(&encodings("zstd"), zstd(&text), 5000), (text, None));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), flip in 0usize..300, bits: u8) {
            for (header, sound) in [("gzip", gzip(&bytes)), ("deflate", bare(&bytes)), ("zstd", zstd(&bytes)), ("br", BROTLI.to_vec())] {
                decode(&encodings(header), bytes.clone(), 1000);
                let mut torn = sound;
                let place = flip % torn.len();
                torn[place] ^= bits;
                decode(&encodings(header), torn, 1000);
            }
        }
    }
}

//! What `crypto` and `Buffer` of the embedded engine are made of: digests, noise, and bytes written as text.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// Takes what Node takes: padding or none, and bits left over.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// The digest of some bytes; nothing when the algorithm is not known.
pub(super) fn digest(algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        "md5" => Md5::digest(bytes).to_vec(),
        "sha1" => Sha1::digest(bytes).to_vec(),
        "sha224" => Sha224::digest(bytes).to_vec(),
        "sha256" => Sha256::digest(bytes).to_vec(),
        "sha384" => Sha384::digest(bytes).to_vec(),
        "sha512" => Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}

/// The keyed digest (RFC 2104) of some bytes.
pub(super) fn keyed_digest(algorithm: &str, key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    fn of<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        mac.update(bytes);
        Some(mac.finalize().into_bytes().to_vec())
    }
    match algorithm {
        "md5" => of::<Hmac<Md5>>(key, bytes),
        "sha1" => of::<Hmac<Sha1>>(key, bytes),
        "sha224" => of::<Hmac<Sha224>>(key, bytes),
        "sha256" => of::<Hmac<Sha256>>(key, bytes),
        "sha384" => of::<Hmac<Sha384>>(key, bytes),
        "sha512" => of::<Hmac<Sha512>>(key, bytes),
        _ => None,
    }
}

/// Bytes that nobody can guess.
pub(super) fn noise(length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Bytes as text, in an encoding of Node's `Buffer`.
pub(super) fn encode(bytes: &[u8], encoding: &str) -> Option<String> {
    Some(match encoding {
        "utf8" => String::from_utf8_lossy(bytes).into_owned(),
        "latin1" => bytes.iter().map(|byte| char::from(*byte)).collect(),
        "ascii" => bytes.iter().map(|byte| char::from(byte & 0x7f)).collect(),
        "utf16le" => {
            let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            String::from_utf16_lossy(&units)
        }
        "hex" => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
            bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
        }
        "base64" => general_purpose::STANDARD.encode(bytes),
        "base64url" => general_purpose::URL_SAFE_NO_PAD.encode(bytes),
        _ => return None,
    })
}

/// The bytes that a text stands for; as far as it does, as in Node.
pub(super) fn decode(text: &str, encoding: &str) -> Option<Vec<u8>> {
    Some(match encoding {
        "utf8" => text.as_bytes().to_vec(),
        "latin1" | "ascii" => text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect(),
        "utf16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "hex" => {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let pair = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
            text.as_bytes().as_chunks::<2>().0.iter().map_while(pair).collect()
        }
        "base64" | "base64url" => from_base64(text),
        _ => return None,
    })
}

/// Both alphabets are taken, and what is in neither is passed over.
fn from_base64(text: &str) -> Vec<u8> {
    let text = text.split('=').next().unwrap_or_default();
    let is_url_safe = text.contains(['-', '_']);
    let symbol = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let mut symbols: Vec<u8> = text.bytes().filter(symbol).collect();
    if is_url_safe {
        for symbol in &mut symbols {
            *symbol = match *symbol {
                b'+' => b'-',
                b'/' => b'_',
                other => other,
            };
        }
    }
    if symbols.len() % 4 == 1 {
        symbols.pop();
    }
    let engine = GeneralPurpose::new(if is_url_safe { &URL_SAFE } else { &STANDARD }, LENIENT);
    engine.decode(symbols).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_well_known_ones() {
        let hex = |bytes: Option<Vec<u8>>| encode(&bytes.unwrap_or_default(), "hex").unwrap_or_default();
        assert_eq!(hex(digest("md5", b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(digest("sha1", b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let key = hex(keyed_digest("sha256", b"key", b"The quick brown fox jumps over the lazy dog"));
        assert_eq!(key, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
        assert_eq!(digest("md6", b""), None);
    }

    #[test]
    fn texts_are_read_as_node_reads_them() {
        let text = |text: &str, encoding: &str| decode(text, encoding).and_then(|bytes| encode(&bytes, "latin1"));
        for written in ["aGk/Pz4+", "aGk_Pz4-", "aGk/Pz4+==", "aGk/ Pz4+\n"] {
            assert_eq!(text(written, "base64").as_deref(), Some("hi??>>"), "{written}");
        }
        assert_eq!(text("6869zz68", "hex").as_deref(), Some("hi"));
        assert_eq!(text("aGk", "base64url").as_deref(), Some("hi"));
        assert_eq!(decode("é", "utf16le"), Some(vec![0xe9, 0]));
    }
}

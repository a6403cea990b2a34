//! The same document in every encoding that a client may have asked for, and what only looks like one.
//!
//! The encodings that no dependency can write are files beside the document, made with `brotli` and `zstd -19`.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::answer::Answer;
use super::routes::DOCUMENT;

/// How long the body of `/gzip-bomb` is once it is decoded.
pub const BOMB: u64 = 10 * 1024 * 1024;

/// The answer to one of the paths of this theme.
pub fn answer(path: &str) -> Option<Answer> {
    let (coding, body) = match path {
        "/gzip" => ("gzip", gzip(DOCUMENT)),
        // The name stands for the format of zlib; some servers send it without.
        "/deflate" => {
            ("deflate", written(ZlibEncoder::new(Vec::new(), Compression::best()), DOCUMENT, ZlibEncoder::finish))
        }
        "/raw-deflate" => {
            ("deflate", written(DeflateEncoder::new(Vec::new(), Compression::best()), DOCUMENT, DeflateEncoder::finish))
        }
        "/br" => ("br", include_bytes!("documents/document.json.br").to_vec()),
        "/zstd" => ("zstd", include_bytes!("documents/document.json.zst").to_vec()),
        "/gzip-bomb" => ("gzip", gzip(io::repeat(0).take(BOMB))),
        "/bad-gzip" => ("gzip", damaged(gzip(DOCUMENT))),
        "/unknown-coding" => ("rot13", DOCUMENT.to_vec()),
        _ => return None,
    };
    Some(Answer::of("application/json", body).header("Content-Encoding", coding).header("Vary", "Accept-Encoding"))
}

fn gzip(from: impl Read) -> Vec<u8> {
    written(GzEncoder::new(Vec::new(), Compression::best()), from, GzEncoder::finish)
}

fn written<W: Write>(mut encoder: W, mut from: impl Read, finish: fn(W) -> io::Result<Vec<u8>>) -> Vec<u8> {
    io::copy(&mut from, &mut encoder).and_then(|_| finish(encoder)).expect("memory takes it all")
}

/// Right at its beginning and wrong from its middle on.
fn damaged(mut encoded: Vec<u8>) -> Vec<u8> {
    let middle = encoded.len() / 2;
    encoded[middle..].fill(0xff);
    encoded
}

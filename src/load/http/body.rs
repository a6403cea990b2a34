//! What is kept of a response's body.
//!
//! It stands alone because most bodies are only counted: a script that captures nothing must not pay for their bytes,
//! and one that captures must not pay without bound. It reads no socket.

use bytes::Bytes;
use http::HeaderMap;

use super::decode::{self, Encodings};

/// What to keep of a body. Sizes are of the decoded body, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Count it only.
    Nothing,
    /// The first so many bytes; that there is more is expected.
    Start(usize),
    /// All of it; beyond so many bytes it is cut, and said to be.
    Whole(usize),
}

impl Keep {
    const fn limit(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Start(limit) | Self::Whole(limit) => limit,
        }
    }
}

/// What was kept of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The decoded bytes; as they came when they could not be decoded at all.
    pub bytes: Bytes,
    /// Why these are not all, when they are not.
    pub missing: Option<Missing>,
}

impl Body {
    /// Whether the bytes are the whole body.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing.is_none()
    }
}

/// Why a body is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It was not to be kept.
    NotKept,
    /// There is more than was to be kept.
    Cut,
    /// It unfolds to more than 200 times its size: a decompression bomb.
    Bomb,
    /// It is not encoded as its headers say.
    Undecodable(String),
    /// The transfer ended early.
    Broken,
}

/// Takes a body in, piece by piece.
#[derive(Debug)]
pub(super) struct Collector {
    keep: Keep,
    encodings: Encodings,
    /// How many encoded bytes can matter.
    room: usize,
    kept: Vec<u8>,
    received: u64,
}

impl Collector {
    pub(super) fn new(keep: Keep, headers: &HeaderMap) -> Self {
        let encodings = if keep == Keep::Nothing { Encodings::default() } else { Encodings::of(headers) };
        Self { keep, room: encodings.room(keep.limit()), encodings, kept: Vec::new(), received: 0 }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        self.received += piece.len() as u64;
        if let Some(piece) = piece.get(..piece.len().min(self.room - self.kept.len())) {
            self.kept.extend_from_slice(piece);
        }
    }

    /// Bytes taken in, kept or not.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// What was kept, decoded. `broken`: there should have been more.
    pub(super) fn finish(self, broken: bool) -> Body {
        if self.keep == Keep::Nothing {
            return Body { bytes: Bytes::new(), missing: (self.received > 0 || broken).then_some(Missing::NotKept) };
        }
        let all_here = !broken && self.kept.len() as u64 == self.received;
        let (bytes, missing) = if self.encodings.is_identity() || self.kept.is_empty() {
            (self.kept, None)
        } else {
            decode::decode(&self.encodings, self.kept, self.keep.limit())
        };
        let missing = match missing {
            Some(Missing::Bomb) => Some(Missing::Bomb),
            _ if broken => Some(Missing::Broken),
            // The decoder met the end of what was kept, not of the body.
            _ if !all_here => Some(Missing::Cut),
            other => other,
        };
        Body { bytes: bytes.into(), missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collected(keep: Keep, pieces: &[&[u8]], broken: bool) -> Body {
        let mut collector = Collector::new(keep, &HeaderMap::new());
        for piece in pieces {
            collector.take(piece);
        }
        collector.finish(broken)
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let body = collected(Keep::Nothing, &[b"abc"], false);
        assert_eq!((body.bytes.len(), body.missing), (0, Some(Missing::NotKept)));
        let body = collected(Keep::Start(4), &[b"abc", b"def"], false);
        assert_eq!((&body.bytes[..], body.missing), (&b"abcd"[..], Some(Missing::Cut)));
        let body = collected(Keep::Whole(6), &[b"abc", b"def"], false);
        assert_eq!((&body.bytes[..], body.missing), (&b"abcdef"[..], None));
        let body = collected(Keep::Whole(6), &[b"abc"], true);
        assert_eq!((&body.bytes[..], body.missing), (&b"abc"[..], Some(Missing::Broken)));
        assert!(collected(Keep::Nothing, &[], false).is_complete());
    }

    proptest! {
        #[test]
        fn pieces_add_up(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..9), limit in 0usize..100) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let all = pieces.concat();
            let body = collected(Keep::Whole(limit), &pieces, false);
            prop_assert_eq!(&body.bytes[..], &all[..limit.min(all.len())]);
            prop_assert_eq!(body.is_complete(), all.len() <= limit);
        }
    }
}

//! What `x-amz-content-sha256` says about the body.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The body as far as the signature covers it.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// `UNSIGNED-PAYLOAD`: the signature does not cover the body.
    Unsigned,
    /// The SHA-256 of the body in lower-case hex.
    Sha256(String),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk has its signature.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: each chunk and the trailer have signatures.
    SignedChunksTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks without signatures, then a trailer.
    UnsignedChunksTrailer,
}

impl PayloadHash {
    /// Hashes a body that is at hand.
    pub fn of(body: &[u8]) -> Self {
        Self::Sha256(HEXLOWER.encode(&Sha256::digest(body)))
    }

    /// Parses the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = |text: &str| text.len() == 64 && HEXLOWER.decode(text.as_bytes()).is_ok();
        match text {
            "UNSIGNED-PAYLOAD" => Some(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Some(Self::SignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Some(Self::SignedChunksTrailer),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::UnsignedChunksTrailer),
            hash if is_hash(hash) => Some(Self::Sha256(hash.to_owned())),
            _ => None,
        }
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unsigned => "UNSIGNED-PAYLOAD",
            Self::Sha256(hash) => hash,
            Self::SignedChunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedChunksTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedChunksTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// Whether the body is framed in `aws-chunked`.
    pub fn is_chunked(&self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedChunksTrailer | Self::UnsignedChunksTrailer)
    }

    /// Whether each chunk carries a signature.
    pub fn has_chunk_signatures(&self) -> bool {
        matches!(self, Self::SignedChunks | Self::SignedChunksTrailer)
    }

    /// Whether a trailer follows the last chunk.
    pub fn has_trailer(&self) -> bool {
        matches!(self, Self::SignedChunksTrailer | Self::UnsignedChunksTrailer)
    }
}

impl fmt::Display for PayloadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Signatures of the chunks of a streaming body, each over the one before.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::sigv4::{Scope, Signature, SigningKey, Timestamp};

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Computes the signatures of chunk after chunk, the same for both ends.
#[derive(Clone)]
pub struct ChunkSigner {
    key: SigningKey,
    timestamp: Timestamp,
    scope: Scope,
    previous: Signature,
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSigner").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ChunkSigner {
    /// Starts from the signature of the request's headers, the seed.
    pub fn new(key: SigningKey, timestamp: Timestamp, scope: Scope, seed: Signature) -> Self {
        Self { key, timestamp, scope, previous: seed }
    }

    /// The signature of the next chunk, by the SHA-256 of its data. The last chunk has no data.
    pub fn chunk(&mut self, sha256: [u8; 32]) -> Signature {
        self.advance("AWS4-HMAC-SHA256-PAYLOAD", &format!("{EMPTY}\n{}", HEXLOWER.encode(&sha256)))
    }

    /// The signature of the trailer, given as `name:value\n` for each line in the order sent, names in lower case,
    /// without spaces around the values.
    pub fn trailer(&mut self, canonical_trailer: &[u8]) -> Signature {
        self.advance("AWS4-HMAC-SHA256-TRAILER", &HEXLOWER.encode(&Sha256::digest(canonical_trailer)))
    }

    fn advance(&mut self, algorithm: &str, hashes: &str) -> Signature {
        let Self { timestamp, scope, previous, .. } = self;
        let text = format!("{algorithm}\n{timestamp}\n{scope}\n{}\n{hashes}", previous.as_str());
        self.previous = self.key.sign(&text);
        self.previous.clone()
    }
}

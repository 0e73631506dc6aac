//! The hashes a client may ask to be compared.

use std::fmt;

use http::HeaderName;
use md5::{Digest, Md5};
use sandkeep_objects::{ChecksumAlgorithm, ChecksumHasher};

/// A running hash.
#[derive(Clone)]
pub(super) enum Hasher {
    Md5(Md5),
    Checksum(ChecksumHasher),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    pub(super) fn of(algorithm: ChecksumAlgorithm) -> Self {
        Self::Checksum(algorithm.hasher())
    }

    pub(super) fn md5() -> Self {
        Self::Md5(Md5::new())
    }

    pub(super) fn sha256() -> Self {
        Self::of(ChecksumAlgorithm::Sha256)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hash) => hash.update(bytes),
            Self::Checksum(hash) => hash.update(bytes),
        }
    }

    /// The hash of everything so far, most significant byte first.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(hash) => hash.finalize().to_vec(),
            Self::Checksum(hash) => hash.finish(),
        }
    }
}

/// Whether a header is the checksum of a body rather than talk about checksums.
pub(crate) fn is_checksum(name: &HeaderName) -> bool {
    ChecksumAlgorithm::of_header(name.as_str()).is_some()
}

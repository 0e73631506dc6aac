//! The hashes a client may ask to be compared.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use http::HeaderName;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A running hash.
#[derive(Clone)]
pub(super) enum Hasher {
    Crc32(Crc),
    Crc32c(Crc),
    Crc64(Crc),
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// The algorithm of a header such as `x-amz-checksum-crc32`.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
    pub(super) fn of_header(name: &str) -> Option<Self> {
        match name.strip_prefix("x-amz-checksum-")? {
            "crc32" => Some(Self::Crc32(Crc::new(CrcAlgorithm::Crc32IsoHdlc))),
            "crc32c" => Some(Self::Crc32c(Crc::new(CrcAlgorithm::Crc32Iscsi))),
            "crc64nvme" => Some(Self::Crc64(Crc::new(CrcAlgorithm::Crc64Nvme))),
            "sha1" => Some(Self::Sha1(Sha1::new())),
            "sha256" => Some(Self::Sha256(Sha256::new())),
            _ => None,
        }
    }

    pub(super) fn md5() -> Self {
        Self::Md5(Md5::new())
    }

    pub(super) fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(crc) | Self::Crc32c(crc) | Self::Crc64(crc) => crc.update(bytes),
            Self::Md5(hash) => hash.update(bytes),
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// The hash of everything so far, most significant byte first.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(crc) | Self::Crc32c(crc) => crc.finalize().to_be_bytes()[4..].to_vec(),
            Self::Crc64(crc) => crc.finalize().to_be_bytes().to_vec(),
            Self::Md5(hash) => hash.finalize().to_vec(),
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        }
    }
}

/// As checksums stand in headers.
pub(super) fn base64(hash: &[u8]) -> String {
    STANDARD.encode(hash)
}

/// Whether a header is the checksum of a body rather than talk about checksums.
pub(crate) fn is_checksum(name: &HeaderName) -> bool {
    Hasher::of_header(name.as_str()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_check_string() {
        let check = |name: &str, expected: &str| {
            let mut hasher = Hasher::of_header(name).expect(name);
            hasher.update(b"1234");
            hasher.update(b"56789");
            assert_eq!(base64(&hasher.finish()), expected, "{name}");
        };
        check("x-amz-checksum-crc32", "y/Q5Jg==");
        check("x-amz-checksum-crc32c", "4waSgw==");
        check("x-amz-checksum-crc64nvme", "rosUhgp5mIg=");
        check("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=");
        check("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        assert!(Hasher::of_header("x-amz-checksum-algorithm").is_none());
    }
}

//! Checksums that are stored with objects: of whole contents, and of parts put together.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc, checksum_combine};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 as in zip.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// All of them.
const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

impl ChecksumAlgorithm {
    /// As S3's parameters and documents write it: `CRC32`, `CRC32C`, `CRC64NVME`, `SHA1`, `SHA256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm that a header carries, if it carries a checksum.
    pub fn of_header(name: &str) -> Option<Self> {
        ALGORITHMS.into_iter().find(|algorithm| algorithm.header() == name)
    }

    /// Bytes of a checksum.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Starts a computation.
    pub fn hasher(self) -> ChecksumHasher {
        match self {
            Self::Sha1 => ChecksumHasher::Sha1(Sha1::new()),
            Self::Sha256 => ChecksumHasher::Sha256(Sha256::new()),
            Self::Crc32 | Self::Crc32c | Self::Crc64Nvme => {
                ChecksumHasher::Crc(self, Box::new(Crc::new(self.crc())))
            }
        }
    }

    /// Only called for the three CRCs.
    fn crc(self) -> CrcAlgorithm {
        match self {
            Self::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
            Self::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Self::Crc64Nvme | Self::Sha1 | Self::Sha256 => CrcAlgorithm::Crc64Nvme,
        }
    }

    /// Whether the checksum of a whole can be computed from those of its parts.
    pub fn combines(self) -> bool {
        match self {
            Self::Crc32 | Self::Crc32c | Self::Crc64Nvme => true,
            Self::Sha1 | Self::Sha256 => false,
        }
    }
}

/// There is no such algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such checksum algorithm, or no such checksum")]
pub struct UnknownChecksum;

impl FromStr for ChecksumAlgorithm {
    type Err = UnknownChecksum;
    fn from_str(name: &str) -> Result<Self, UnknownChecksum> {
        ALGORITHMS
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownChecksum)
    }
}

/// A running computation.
#[derive(Clone)]
pub enum ChecksumHasher {
    /// One of the CRCs.
    Crc(ChecksumAlgorithm, Box<Crc>),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
}

impl fmt::Debug for ChecksumHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChecksumHasher")
    }
}

impl ChecksumHasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, crc) => crc.update(bytes),
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// The checksum of everything so far, most significant byte first.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(algorithm, crc) => crc_bytes(algorithm, crc.finalize()),
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
        }
    }

    /// As [`Self::finish`], with its algorithm.
    pub fn checksum(self) -> Checksum {
        let algorithm = match &self {
            Self::Crc(algorithm, _) => *algorithm,
            Self::Sha1(_) => ChecksumAlgorithm::Sha1,
            Self::Sha256(_) => ChecksumAlgorithm::Sha256,
        };
        Checksum::of_bytes(algorithm, &self.finish())
    }
}

fn crc_bytes(algorithm: ChecksumAlgorithm, crc: u64) -> Vec<u8> {
    crc.to_be_bytes()[8 - algorithm.length()..].to_vec()
}

/// Of what a checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumKind {
    /// Of the bytes of the object.
    FullObject,
    /// Of the checksums of its parts.
    Composite,
}

impl ChecksumKind {
    /// As S3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A checksum of an object or part. Its text is `ALGORITHM:VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: ChecksumAlgorithm,
    /// Base64, and behind it `-COUNT` if it is that of the parts' checksums.
    pub value: String,
}

impl Checksum {
    /// Of raw bytes.
    pub fn of_bytes(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Self {
        Self { algorithm, value: STANDARD.encode(bytes) }
    }

    /// Of what it is.
    pub fn kind(&self) -> ChecksumKind {
        // No digit of base64 is a hyphen.
        if self.value.contains('-') { ChecksumKind::Composite } else { ChecksumKind::FullObject }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.value).ok().filter(|bytes| bytes.len() == self.algorithm.length())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.value)
    }
}

impl FromStr for Checksum {
    type Err = UnknownChecksum;
    fn from_str(text: &str) -> Result<Self, UnknownChecksum> {
        let (algorithm, value) = text.split_once(':').ok_or(UnknownChecksum)?;
        Ok(Self { algorithm: algorithm.parse()?, value: value.to_owned() })
    }
}

impl TryFrom<String> for Checksum {
    type Error = UnknownChecksum;
    fn try_from(text: String) -> Result<Self, UnknownChecksum> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// Which checksum an object made of parts gets. Its text is `ALGORITHM:KIND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsChecksum {
    /// Of the parts, and of the whole.
    pub algorithm: ChecksumAlgorithm,
    /// How the whole is computed from them.
    pub kind: ChecksumKind,
}

impl PartsChecksum {
    /// The checksum of the object made of these parts (checksum and size, in order); none if a part lacks its own.
    pub fn combine<'p>(
        self,
        parts: impl IntoIterator<Item = (Option<&'p Checksum>, u64)>,
    ) -> Option<Checksum> {
        let of_algorithm = |(checksum, size): (Option<&Checksum>, u64)| {
            let known = checksum.filter(|checksum| checksum.algorithm == self.algorithm);
            Some((known?.bytes()?, size))
        };
        let parts: Vec<(Vec<u8>, u64)> = parts.into_iter().map(of_algorithm).collect::<Option<_>>()?;
        match self.kind {
            ChecksumKind::Composite => Some(self.composite(&parts)),
            ChecksumKind::FullObject if self.algorithm.combines() => Some(self.full(&parts)),
            ChecksumKind::FullObject => None,
        }
    }

    fn composite(self, parts: &[(Vec<u8>, u64)]) -> Checksum {
        let mut hasher = self.algorithm.hasher();
        parts.iter().for_each(|(bytes, _)| hasher.update(bytes));
        let mut checksum = hasher.checksum();
        checksum.value = format!("{}-{}", checksum.value, parts.len());
        checksum
    }

    fn full(self, parts: &[(Vec<u8>, u64)]) -> Checksum {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let crc = self.algorithm.crc();
        let (mut whole, mut parts) = (self.algorithm.hasher().finish(), parts.iter());
        if let Some((first, _)) = parts.next() {
            whole.clone_from(first);
        }
        for (bytes, size) in parts {
            whole = crc_bytes(self.algorithm, checksum_combine(crc, number(&whole), number(bytes), *size));
        }
        Checksum::of_bytes(self.algorithm, &whole)
    }
}

impl fmt::Display for PartsChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.kind.name())
    }
}

impl FromStr for PartsChecksum {
    type Err = UnknownChecksum;
    fn from_str(text: &str) -> Result<Self, UnknownChecksum> {
        let (algorithm, kind) = text.split_once(':').ok_or(UnknownChecksum)?;
        let kind = match kind {
            "FULL_OBJECT" => ChecksumKind::FullObject,
            "COMPOSITE" => ChecksumKind::Composite,
            _ => return Err(UnknownChecksum),
        };
        Ok(Self { algorithm: algorithm.parse()?, kind })
    }
}

/// A checksum that is known, and was compared with the content, once the last byte of a stream has passed.
#[derive(Clone, Debug, Default)]
pub struct LateChecksum(Arc<OnceLock<Checksum>>);

impl LateChecksum {
    /// Says what it is; only the first time counts.
    pub fn set(&self, checksum: Checksum) {
        // A second one would be a second checksum of the same bytes.
        let _ = self.0.set(checksum);
    }

    /// What it is, if the stream has ended and had one.
    pub fn get(&self) -> Option<Checksum> {
        self.0.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = algorithm.hasher();
        hasher.update(bytes);
        hasher.checksum()
    }

    #[test]
    fn checksums_are_those_of_the_check_string() {
        let check = |name: &str, expected: &str| {
            let algorithm = ChecksumAlgorithm::of_header(name).expect(name);
            assert_eq!(sum(algorithm, b"123456789").value, expected, "{name}");
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        };
        check("x-amz-checksum-crc32", "y/Q5Jg==");
        check("x-amz-checksum-crc32c", "4waSgw==");
        check("x-amz-checksum-crc64nvme", "rosUhgp5mIg=");
        check("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE=");
        check("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=");
        assert!(ChecksumAlgorithm::of_header("x-amz-checksum-algorithm").is_none());
    }

    #[test]
    fn the_checksums_of_parts_make_that_of_the_whole() {
        for algorithm in ALGORITHMS {
            let parts = [sum(algorithm, b"1234"), sum(algorithm, b""), sum(algorithm, b"56789")];
            let sized = || parts.iter().map(Some).zip([4, 0, 5]);
            let full = PartsChecksum { algorithm, kind: ChecksumKind::FullObject }.combine(sized());
            assert_eq!(full, algorithm.combines().then(|| sum(algorithm, b"123456789")));
            let composite = PartsChecksum { algorithm, kind: ChecksumKind::Composite }.combine(sized());
            let composite = composite.expect("all parts have one");
            let joined: Vec<u8> = parts.iter().filter_map(Checksum::bytes).flatten().collect();
            assert_eq!(composite.value, format!("{}-3", sum(algorithm, &joined).value));
            assert_eq!(composite.kind(), ChecksumKind::Composite);
            assert_eq!(composite.to_string().parse(), Ok(composite));
            let lacking = PartsChecksum { algorithm, kind: ChecksumKind::Composite }.combine([(None, 3)]);
            assert_eq!(lacking, None);
        }
    }
}

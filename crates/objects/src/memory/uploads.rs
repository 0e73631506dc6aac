//! A multipart upload in memory.

use std::collections::BTreeMap;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use crate::memory::objects::{Content, StoredObject};
use crate::memory::state::now;
use crate::{
    Checksum, CompletedPart, ETag, Error, ObjectKey, ObjectMetadata, ObjectPart, PartInfo, PartsChecksum,
    Result,
};

/// Part numbers of S3. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_NUMBERS: std::ops::RangeInclusive<u32> = 1..=10_000;

pub(super) struct PendingUpload {
    pub(super) key: ObjectKey,
    pub(super) started: SystemTime,
    pub(super) checksum: Option<PartsChecksum>,
    metadata: ObjectMetadata,
    parts: BTreeMap<u32, Part>,
}

struct Part {
    content: Content,
    checksum: Option<Checksum>,
    written: SystemTime,
}

pub(super) fn check_number(number: u32) -> Result<()> {
    if PART_NUMBERS.contains(&number) { Ok(()) } else { Err(Error::InvalidPart { number }) }
}

impl PendingUpload {
    pub(super) fn new(key: ObjectKey, metadata: ObjectMetadata, checksum: Option<PartsChecksum>) -> Self {
        Self { key, started: now(), checksum, metadata, parts: BTreeMap::new() }
    }

    /// Adds a part; `brought` is the checksum that it came with.
    pub(super) fn add(&mut self, number: u32, content: Content, brought: Option<Checksum>) -> ETag {
        let etag = content.etag();
        let wanted = self.checksum.map(|begun| content.checksum(begun.algorithm));
        self.parts.insert(number, Part { content, checksum: wanted.or(brought), written: now() });
        etag
    }

    pub(super) fn list(&self) -> Vec<PartInfo> {
        let info = |(&number, part): (&u32, &Part)| PartInfo {
            number,
            size: part.content.length,
            etag: part.content.etag(),
            last_modified: part.written,
            checksum: part.checksum.clone(),
        };
        self.parts.iter().map(info).collect()
    }

    /// The object made of `parts`; the upload stays as it is.
    pub(super) fn assemble(&self, parts: &[CompletedPart], minimum_part_bytes: u64) -> Result<StoredObject> {
        let chosen = self.chosen(parts)?;
        let (_, all_but_last) = chosen.split_last().ok_or(Error::InvalidPart { number: 1 })?;
        for (part, known) in parts.iter().zip(all_but_last) {
            if known.content.length < minimum_part_bytes {
                return Err(Error::PartTooSmall { number: part.number });
            }
        }
        let etag = multipart_etag(&chosen);
        let sized = || chosen.iter().map(|part| (part.checksum.as_ref(), part.content.length));
        let checksum = self.checksum.and_then(|begun| begun.combine(sized()));
        let content = Content::joined(chosen.iter().map(|part| &part.content));
        let numbered = parts.iter().zip(&chosen).map(|(wanted, part)| ObjectPart {
            number: wanted.number,
            size: part.content.length,
            checksum: part.checksum.clone(),
        });
        let made_of = numbered.collect();
        let object = StoredObject::new(content, etag, self.metadata.clone(), checksum);
        Ok(StoredObject { parts: made_of, ..object })
    }

    fn chosen(&self, parts: &[CompletedPart]) -> Result<Vec<&Part>> {
        let mut previous = 0;
        let mut chosen = Vec::with_capacity(parts.len());
        for part in parts {
            let known = self.parts.get(&part.number).filter(|known| known.content.etag() == part.etag);
            let ascends = part.number > previous;
            let found = known.filter(|_| ascends).ok_or(Error::InvalidPart { number: part.number })?;
            chosen.push(found);
            previous = part.number;
        }
        Ok(chosen)
    }
}

/// MD5 of the parts' MD5s, a dash, and their number: what S3 answers, and what clients recompute.
fn multipart_etag(parts: &[&Part]) -> ETag {
    let mut digest = Md5::new();
    parts.iter().for_each(|part| digest.update(part.content.md5()));
    ETag(format!("{}-{}", HEXLOWER.encode(&digest.finalize()), parts.len()))
}

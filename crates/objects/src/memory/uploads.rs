//! A multipart upload in memory.

use std::collections::BTreeMap;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use crate::memory::objects::{Content, StoredObject};
use crate::memory::state::now;
use crate::{CompletedPart, ETag, Error, ObjectKey, ObjectMetadata, PartInfo, Result};

/// Part numbers of S3. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_NUMBERS: std::ops::RangeInclusive<u32> = 1..=10_000;

pub(super) struct PendingUpload {
    pub(super) key: ObjectKey,
    pub(super) started: SystemTime,
    metadata: ObjectMetadata,
    parts: BTreeMap<u32, Part>,
}

struct Part {
    content: Content,
    written: SystemTime,
}

pub(super) fn check_number(number: u32) -> Result<()> {
    if PART_NUMBERS.contains(&number) { Ok(()) } else { Err(Error::InvalidPart { number }) }
}

impl PendingUpload {
    pub(super) fn new(key: ObjectKey, metadata: ObjectMetadata) -> Self {
        Self { key, started: now(), metadata, parts: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, number: u32, content: Content) -> ETag {
        let etag = content.etag();
        self.parts.insert(number, Part { content, written: now() });
        etag
    }

    pub(super) fn list(&self) -> Vec<PartInfo> {
        let info = |(&number, part): (&u32, &Part)| PartInfo {
            number,
            size: part.content.length,
            etag: part.content.etag(),
            last_modified: part.written,
            checksum: None,
        };
        self.parts.iter().map(info).collect()
    }

    /// The object made of `parts`; the upload stays as it is.
    pub(super) fn assemble(&self, parts: &[CompletedPart], minimum_part_bytes: u64) -> Result<StoredObject> {
        let contents = self.chosen(parts)?;
        let (_, all_but_last) = contents.split_last().ok_or(Error::InvalidPart { number: 1 })?;
        for (part, content) in parts.iter().zip(all_but_last) {
            if content.length < minimum_part_bytes {
                return Err(Error::PartTooSmall { number: part.number });
            }
        }
        let etag = multipart_etag(&contents);
        Ok(StoredObject::new(Content::joined(contents.into_iter()), etag, self.metadata.clone()))
    }

    fn chosen(&self, parts: &[CompletedPart]) -> Result<Vec<&Content>> {
        let mut previous = 0;
        let mut contents = Vec::with_capacity(parts.len());
        for part in parts {
            let known = self.parts.get(&part.number).filter(|known| known.content.etag() == part.etag);
            let ascends = part.number > previous;
            let found = known.filter(|_| ascends).ok_or(Error::InvalidPart { number: part.number })?;
            contents.push(&found.content);
            previous = part.number;
        }
        Ok(contents)
    }
}

/// MD5 of the parts' MD5s, a dash, and their number: what S3 answers, and what clients recompute.
fn multipart_etag(contents: &[&Content]) -> ETag {
    let mut digest = Md5::new();
    contents.iter().for_each(|content| digest.update(content.md5()));
    ETag(format!("{}-{}", HEXLOWER.encode(&digest.finalize()), contents.len()))
}

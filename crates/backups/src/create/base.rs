//! The archive that a new one begins with: what is not read from the directory again stays where that archive has it,
//! and is copied by the server.

use std::ops::Range;
use std::sync::Arc;

use futures::TryStreamExt;
use sandkeep_objects::{ByteRange, Conditions, ETag, Error, GetRequest, ObjectKey, ObjectStore};
use serde::{Deserialize, Serialize};

use super::parts::part_bytes;
use crate::integrity::Segment;
use crate::squashfs::format::{BLOCK_BYTES, Codec, Fragment, Superblock};
use crate::{BackupId, Compression, Manifest};

/// Smallest part of S3, the last one excepted.
const MIN_COPY_BYTES: u64 = 5 << 20;
/// Several copies at once are faster than one.
const MAX_COPY_BYTES: u64 = 256 << 20;

/// What a new archive needs to know of the one that it begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) id: BackupId,
    pub(super) etag: ETag,
    pub(super) codec: u16,
    pub(super) flags: u16,
    pub(super) block_bytes: u32,
    /// Where its data end.
    pub(super) data_end: u64,
    /// Hashes of its data.
    pub(super) segments: Vec<Segment>,
    /// Backups whose data its own data begin with, place by place.
    pub(super) contains: Vec<BackupId>,
    #[serde(skip)]
    pub(super) fragments: Vec<Fragment>,
}

/// How a new archive comes to the beginning that it shares.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) part_bytes: u64,
    /// The first part, or all of a beginning that is too short to be copied.
    pub(super) head: Vec<u8>,
    /// What the server copies, behind the head.
    pub(super) copies: Vec<Range<u64>>,
    /// What is sent again, behind the copies.
    pub(super) tail: Vec<u8>,
    /// Hashes of all of it.
    pub(super) segments: Vec<Segment>,
}

impl Base {
    /// Of a backup whose superblock and fragments are known; none if a new archive cannot begin with it.
    pub(super) fn of(
        manifest: &Manifest,
        superblock: &Superblock,
        etag: ETag,
        fragments: Vec<Fragment>,
    ) -> Option<Self> {
        let segments =
            &manifest.integrity.as_ref().filter(|found| found.is_sound(manifest.size_bytes))?.segments;
        let data_end = superblock.inode_table;
        let mut sum = 0;
        let data = segments.iter().take_while(|segment| {
            sum += segment.bytes;
            sum <= data_end
        });
        let data: Vec<Segment> = data.cloned().collect();
        if data.iter().map(|segment| segment.bytes).sum::<u64>() != data_end {
            return None;
        }
        Some(Self {
            id: manifest.id.clone(),
            etag,
            codec: superblock.codec,
            flags: superblock.flags,
            block_bytes: superblock.block_bytes,
            data_end,
            segments: data,
            contains: Vec::new(),
            fragments,
        })
    }

    /// How blocks of an archive are to be compressed that begins with this one; none if it cannot be as is wished.
    pub(super) fn compression(&self, wished: Option<Compression>) -> Option<Compression> {
        let codec = Codec::from_id(self.codec).filter(|_| self.block_bytes == BLOCK_BYTES as u32)?;
        let wished = wished.unwrap_or_else(|| Compression::of(codec));
        (wished.codec() == codec).then_some(wished)
    }

    /// Fetches what has to be sent again, and plans the copies of the rest. `estimated_bytes`: of the new archive.
    pub(super) async fn begin(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &ObjectKey,
        estimated_bytes: u64,
    ) -> Result<Beginning, Error> {
        // The first segment is hashed from the first part.
        let first = self.segments.first().map_or(0, |segment| segment.bytes);
        let part_bytes = (part_bytes(estimated_bytes) as u64).max(first);
        let plan = plan(self.data_end, &self.segments, store.wants_equal_parts().then_some(part_bytes));
        let fetch = |range: Range<u64>| fetch(store.as_ref(), key, &self.etag, range);
        let (head, tail) = futures::try_join!(fetch(0..plan.head), fetch(plan.tail..self.data_end))?;
        Ok(Beginning { part_bytes, head, copies: plan.copies, tail, segments: self.segments.clone() })
    }
}

/// Offsets in the base.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    head: u64,
    copies: Vec<Range<u64>>,
    tail: u64,
}

fn plan(data_end: u64, segments: &[Segment], equal_parts: Option<u64>) -> Plan {
    let all_again = Plan { head: data_end, copies: Vec::new(), tail: data_end };
    if let Some(part) = equal_parts {
        let parts = data_end / part;
        let copies = (1..parts).map(|number| number * part..(number + 1) * part).collect();
        return if parts < 2 { all_again } else { Plan { head: part, copies, tail: parts * part } };
    }
    // The first segment is hashed anew, and the smallest part has to be filled.
    let first = segments.first().map_or(0, |segment| segment.bytes);
    let head = first.max(MIN_COPY_BYTES).min(data_end);
    let rest = data_end - head;
    if rest < MIN_COPY_BYTES {
        return all_again;
    }
    let count = rest.div_ceil(MAX_COPY_BYTES);
    let cut = |number: u64| head + rest / count * number + (rest % count).min(number);
    Plan { head, copies: (0..count).map(|number| cut(number)..cut(number + 1)).collect(), tail: data_end }
}

/// Bytes of a version of an object.
pub(crate) async fn fetch(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    etag: &ETag,
    range: Range<u64>,
) -> Result<Vec<u8>, Error> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let conditions = Conditions { if_match: Some(etag.clone()), ..Conditions::default() };
    let wanted = ByteRange::Bounded { start: range.start, end: range.end };
    let response = store.get(GetRequest { key: key.clone(), range: Some(wanted), conditions }).await?;
    if response.info.etag != *etag {
        return Err(Error::PreconditionFailed);
    }
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
    let mut body = response.body;
    while let Some(piece) = body.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    if response.range != range || bytes.len() as u64 != range.end - range.start {
        return Err(Error::Corrupt { what: format!("asked for {range:?}, got {:?}", response.range) });
    }
    Ok(bytes)
}

/// Whether making an archive that begins with another one failed for a reason that making it anew does not have.
pub(super) fn is_worth_starting_over(error: &Error) -> bool {
    match error {
        Error::Unsupported { .. }
        | Error::PreconditionFailed
        | Error::NoSuchKey { .. }
        | Error::InvalidRange { .. } => true,
        Error::Server { status, .. } => matches!(status, 400 | 403 | 405 | 411 | 412 | 501),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segments(bytes: &[u64]) -> Vec<Segment> {
        bytes.iter().map(|bytes| Segment { bytes: *bytes, hash: String::new() }).collect()
    }

    #[test]
    fn what_is_too_short_to_be_copied_is_sent_again() {
        let again = |end| Plan { head: end, copies: vec![], tail: end };
        assert_eq!(plan(MIB, &segments(&[MIB]), None), again(MIB));
        assert_eq!(plan(12 * MIB, &segments(&[8 * MIB, 4 * MIB]), None), again(12 * MIB));
        assert_eq!(plan(15 * MIB, &segments(&[8 * MIB, 7 * MIB]), Some(8 * MIB)), again(15 * MIB));
    }

    #[test]
    fn copies_and_what_is_sent_again_make_up_the_beginning() {
        let short = segments(&[3 * MIB, 8 * MIB, 8 * MIB]);
        assert_eq!(
            plan(19 * MIB, &short, None),
            Plan { head: 5 * MIB, copies: std::iter::once(5 * MIB..19 * MIB).collect(), tail: 19 * MIB }
        );
        let long = plan(1000 * MIB + 7, &segments(&[8 * MIB]), None);
        assert_eq!((long.head, long.copies.len(), long.tail), (8 * MIB, 4, 1000 * MIB + 7));
        let ends: Vec<u64> = long.copies.iter().flat_map(|copy| [copy.start, copy.end]).collect();
        assert!(ends.is_sorted() && ends[0] == long.head && ends[7] == long.tail, "{ends:?}");
        let equal = plan(27 * MIB, &segments(&[8 * MIB]), Some(8 * MIB));
        let copies = vec![8 * MIB..16 * MIB, 16 * MIB..24 * MIB];
        assert_eq!(equal, Plan { head: 8 * MIB, copies, tail: 24 * MIB });
    }
}

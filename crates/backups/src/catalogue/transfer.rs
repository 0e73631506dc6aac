//! A finished archive on its way into a bucket, from wherever its bytes are.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use sandkeep_objects::{
    CompletedPart, CreateUpload, ETag, Error, ObjectKey, ObjectMetadata, ObjectStore, PutRequest, Result,
    Upload, WriteConditions,
};

use crate::Integrity;
use crate::integrity::Segmenter;

const PART_BYTES: u64 = 8 << 20;
const PLANNED_PARTS: u64 = 9_000;
const CONCURRENT_PARTS: usize = 4;
const CONTENT_TYPE: &str = "application/vnd.squashfs";

/// Gives a range of an archive.
pub(super) type Fetch<'a> = dyn Fn(Range<u64>) -> BoxFuture<'static, Result<Bytes>> + Send + Sync + 'a;

/// An archive and where it goes.
pub(super) struct Transfer<'a> {
    pub(super) store: &'a Arc<dyn ObjectStore>,
    pub(super) key: ObjectKey,
    pub(super) bytes: u64,
    /// Where its segments end, in order; the last is its end.
    pub(super) cuts: Vec<u64>,
    /// What it has to be.
    pub(super) expected: Option<&'a Integrity>,
}

/// Cuts for an archive that was not hashed yet: its data by themselves, so that a later one can begin with them.
pub(super) fn cuts(bytes: u64, data_end: u64) -> Vec<u64> {
    let data = (1..).map(|number| number * PART_BYTES).take_while(|cut| *cut < data_end);
    let rest = (1..).map(|number| data_end + number * PART_BYTES).take_while(|cut| *cut < bytes);
    data.chain([data_end]).chain(rest).chain([bytes]).filter(|cut| *cut > 0).collect()
}

impl Transfer<'_> {
    /// Sends all of it in order, and answers its ETag and hashes. On an error nothing is left.
    pub(super) async fn send(&self, fetch: &Fetch<'_>) -> Result<(ETag, Integrity)> {
        let metadata =
            ObjectMetadata { content_type: Some(CONTENT_TYPE.to_owned()), ..ObjectMetadata::default() };
        if self.bytes <= PART_BYTES {
            let bytes = fetch(0..self.bytes).await?;
            let mut hashes = Hashes::new(&self.cuts);
            hashes.write(&bytes);
            let integrity = self.checked(hashes)?;
            let request = PutRequest { key: self.key.clone(), metadata, conditions: WriteConditions::None };
            return Ok((self.store.put(request, bytes.into()).await?.etag, integrity));
        }
        let upload = self.store.create_upload(CreateUpload { key: self.key.clone(), metadata }).await?;
        let sent = self.send_parts(&upload, fetch).await;
        if sent.is_err()
            && let Err(error) = self.store.abort_upload(&upload).await
        {
            tracing::warn!(key = %self.key.display(), %error, "cannot abort an upload");
        }
        sent
    }

    fn checked(&self, hashes: Hashes<'_>) -> Result<Integrity> {
        let integrity = hashes.segmenter.finish_as_written();
        match self.expected {
            Some(expected) if *expected != integrity => Err(Error::Corrupt {
                what: "the archive does not have the hashes of its manifest".to_owned(),
            }),
            _ => Ok(integrity),
        }
    }

    async fn send_parts(&self, upload: &Upload, fetch: &Fetch<'_>) -> Result<(ETag, Integrity)> {
        let part = self.bytes.div_ceil(PLANNED_PARTS).next_multiple_of(1 << 20).max(PART_BYTES);
        let starts = (0..self.bytes).step_by(part as usize);
        let ranges: Vec<_> = starts.map(|start| start..(start + part).min(self.bytes)).collect();
        let mut fetched = stream::iter(ranges).map(fetch).buffered(CONCURRENT_PARTS).boxed();
        let mut hashes = Hashes::new(&self.cuts);
        let (mut sending, mut completed) = (FuturesUnordered::new(), Vec::new());
        let mut number = 0;
        while let Some(bytes) = fetched.try_next().await? {
            hashes.write(&bytes);
            number += 1;
            sending.push(self.send_part(upload, number, bytes));
            if sending.len() == CONCURRENT_PARTS {
                completed.extend(sending.try_next().await?);
            }
        }
        while let Some(part) = sending.try_next().await? {
            completed.push(part);
        }
        completed.sort_by_key(|part: &CompletedPart| part.number);
        let integrity = self.checked(hashes)?;
        let etag = self.store.complete_upload(upload, &completed, WriteConditions::None).await?.etag;
        Ok((etag, integrity))
    }

    async fn send_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<CompletedPart> {
        let etag = self.store.upload_part(upload, number, bytes.into()).await?;
        Ok(CompletedPart { number, etag })
    }
}

/// Hashes with cuts at given places.
struct Hashes<'a> {
    segmenter: Segmenter,
    position: u64,
    cuts: &'a [u64],
}

impl<'a> Hashes<'a> {
    fn new(cuts: &'a [u64]) -> Self {
        Self { segmenter: Segmenter::new(u64::MAX), position: 0, cuts }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while let Some(&cut) = self.cuts.first() {
            let room = (cut - self.position).min(bytes.len() as u64) as usize;
            let (before, after) = bytes.split_at(room);
            self.segmenter.write(before);
            self.position += room as u64;
            if self.position < cut {
                return;
            }
            self.segmenter.cut();
            (self.cuts, bytes) = (&self.cuts[1..], after);
        }
        self.segmenter.write(bytes);
    }
}

/// An answer that does not fit what was asked for.
pub(super) fn unexpected(range: &Range<u64>) -> Error {
    Error::Corrupt { what: format!("bytes {range:?} of the archive are not there") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_where_the_data_end_and_every_part() {
        let part = PART_BYTES;
        assert_eq!(cuts(2 * part + 5, part + 1), [part, part + 1, 2 * part + 1, 2 * part + 5]);
        assert_eq!(cuts(100, 96), [96, 100]);
        let mut hashes_of = Vec::new();
        for step in [1, 3, 100] {
            let cuts = [4, 6, 10];
            let mut hashes = Hashes::new(&cuts);
            b"0123456789".chunks(step).for_each(|chunk| hashes.write(chunk));
            hashes_of.push(hashes.segmenter.finish_as_written());
        }
        assert_eq!(hashes_of[0].segments.iter().map(|one| one.bytes).collect::<Vec<_>>(), [4, 2, 4]);
        assert!(hashes_of[0] == hashes_of[1] && hashes_of[1] == hashes_of[2]);
    }
}

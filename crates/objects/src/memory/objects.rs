//! An object in memory: the pieces as they arrived, never joined.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use crate::memory::state::now;
use crate::{
    Body, ByteStream, Checksum, ChecksumAlgorithm, ETag, ListedObject, ObjectInfo, ObjectKey, ObjectMetadata,
    ObjectPart, Result,
};

/// Bytes in pieces.
#[derive(Clone, Default)]
pub(super) struct Content {
    pieces: Arc<[Bytes]>,
    pub(super) length: u64,
    /// Computed when it is first wanted: what is joined from parts has another tag.
    md5: Arc<OnceLock<[u8; 16]>>,
}

#[derive(Clone)]
pub(super) struct StoredObject {
    pub(super) info: ObjectInfo,
    pub(super) content: Content,
    /// Of which it was made; none if it was written at once.
    pub(super) parts: Vec<ObjectPart>,
}

impl Content {
    /// The content, and the checksum that it came with.
    pub(super) async fn receive(body: Body) -> Result<(Self, Option<Checksum>)> {
        let checksum = body.checksum();
        let content = Self::of(body.into_stream().try_collect().await?);
        // Now, while no lock is held.
        content.md5();
        Ok((content, checksum.get()))
    }

    /// Another checksum than it came with.
    pub(super) fn checksum(&self, algorithm: ChecksumAlgorithm) -> Checksum {
        let mut hasher = algorithm.hasher();
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.checksum()
    }

    pub(super) fn of(pieces: Vec<Bytes>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into(), length, md5: Arc::default() }
    }

    /// A range of an object. Its digest only has to be another one than that of other content: nobody who copies on the
    /// server sees the bytes, and a large copy is not to cost the time of reading them.
    pub(super) fn cut(object: &StoredObject, range: &Range<u64>) -> Self {
        let cut = Self::of(object.content.slice(range));
        let mut digest = Md5::new();
        digest.update(object.info.etag.0.as_bytes());
        digest.update(format!(" {}-{}", range.start, range.end));
        // It is new, so nobody has asked yet.
        let _ = cut.md5.set(digest.finalize().into());
        cut
    }

    pub(super) fn md5(&self) -> [u8; 16] {
        *self.md5.get_or_init(|| {
            let mut digest = Md5::new();
            self.pieces.iter().for_each(|piece| digest.update(piece));
            digest.finalize().into()
        })
    }

    pub(super) fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        Self::of(parts.flat_map(|part| part.pieces.iter().cloned()).collect())
    }

    pub(super) fn etag(&self) -> ETag {
        ETag(HEXLOWER.encode(&self.md5()))
    }

    /// The pieces of a range that lies inside.
    pub(super) fn slice(&self, range: &Range<u64>) -> Vec<Bytes> {
        let mut offset = 0;
        let mut cut = Vec::new();
        for piece in self.pieces.iter() {
            let end = offset + piece.len() as u64;
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from < to {
                // Both lie within the piece, whose length is a usize.
                cut.push(piece.slice((from - offset) as usize..(to - offset) as usize));
            }
            offset = end;
        }
        cut
    }

    pub(super) fn stream(&self, range: &Range<u64>) -> ByteStream {
        stream::iter(self.slice(range).into_iter().map(Ok)).boxed()
    }
}

impl StoredObject {
    pub(super) fn new(
        content: Content,
        etag: ETag,
        metadata: ObjectMetadata,
        checksum: Option<Checksum>,
    ) -> Self {
        let info = ObjectInfo { size: content.length, etag, last_modified: now(), metadata, checksum };
        Self { info, content, parts: Vec::new() }
    }

    pub(super) fn listed(&self, key: &[u8], with_metadata: bool) -> Result<ListedObject> {
        Ok(ListedObject {
            key: ObjectKey::new(key)?,
            size: self.info.size,
            etag: self.info.etag.clone(),
            last_modified: self.info.last_modified,
            metadata: with_metadata.then(|| self.info.metadata.clone()),
        })
    }
}

//! The metadata of an archive: stored tables whole in memory if the budget allows it, else as chunks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use sandkeep_objects::Result;

use super::chunks::{CHUNK, Chunks, chunks_of, join};
use super::remote::CONNECTIONS;
use crate::squashfs::reader::{ReadError, Source};

/// Bytes of a request for tables.
const REQUEST: u64 = 2 * CHUNK;

/// Where metadata come from.
#[derive(Debug)]
pub(super) struct Tables {
    chunks: Arc<Chunks>,
    pinned: Option<Bytes>,
    start: u64,
}

/// Chunks that one look-up needs, kept until it is done whatever the caches drop meanwhile.
pub(super) type Held = BTreeMap<u64, Bytes>;

impl Tables {
    /// The tables in `range` as chunks.
    pub(super) fn fetched(chunks: Arc<Chunks>, range: &Range<u64>) -> Self {
        Self { chunks, pinned: None, start: range.start }
    }

    /// The tables in `range`, all of them, the end of which is in `tail` already.
    pub(super) async fn pinned(chunks: Arc<Chunks>, range: Range<u64>, tail: (u64, Bytes)) -> Result<Self> {
        let (tail_start, tail) = tail;
        let missing = range.start..tail_start.clamp(range.start, range.end);
        let requests = (missing.start..missing.end).step_by(REQUEST as usize);
        let parts: Vec<Bytes> = stream::iter(requests)
            .map(|start| chunks.remote().get(start..(start + REQUEST).min(missing.end)))
            .buffered(CONNECTIONS)
            .try_collect()
            .await?;
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        let from = (missing.end - tail_start.min(missing.end)) as usize;
        whole.extend_from_slice(
            tail.get(from..range.end.saturating_sub(tail_start) as usize).unwrap_or_default(),
        );
        Ok(Self { chunks, pinned: Some(whole.freeze()), start: range.start })
    }

    /// Fetches what a look-up misses.
    pub(super) async fn fetch(&self, range: Range<u64>, held: &mut Held) -> Result<()> {
        let flights: Vec<_> = chunks_of(&range).map(|number| (number, self.chunks.want(number))).collect();
        for (number, flight) in flights {
            held.insert(number, flight.bytes().await?);
        }
        Ok(())
    }
}

/// The tables together with what was fetched for one look-up.
pub(super) struct AtHand<'a> {
    pub(super) tables: &'a Tables,
    pub(super) held: &'a Held,
}

impl Source for AtHand<'_> {
    fn bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ReadError> {
        let range = start..start.saturating_add(length as u64);
        if range.end > self.tables.chunks.remote().size() || range.start < self.tables.start {
            return Err(ReadError::Damaged { what: "a table lies outside of the archive" });
        }
        if let Some(pinned) = &self.tables.pinned {
            let from = (start - self.tables.start) as usize;
            let outside = ReadError::Damaged { what: "a table lies behind the others" };
            return if from + length <= pinned.len() {
                Ok(pinned.slice(from..from + length))
            } else {
                Err(outside)
            };
        }
        let chunk = |number| self.held.get(&number).cloned().or_else(|| self.tables.chunks.at_hand(number));
        let chunks: Option<Vec<Bytes>> = chunks_of(&range).map(chunk).collect();
        chunks.map(|chunks| join(&range, &chunks)).ok_or(ReadError::Missing { range })
    }
}

//! The bytes of a draft, wherever they are.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sandkeep_objects::ObjectKey;
use sandkeep_vfs::Errno;

use crate::core::Core;
use crate::errno::{Result, spool_failed};
use crate::node::Node;
use crate::read::Reader;
use crate::write::draft::{Draft, Source};
use crate::write::spool::Spool;

/// Zeros are handed out in pieces of one shared buffer.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Step in which a whole file is brought into the spool.
const KEEP_STEP: u64 = 8 << 20;

/// The version in the bucket that a node is based on.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) reader: Arc<Reader>,
    pub(crate) key: ObjectKey,
}

impl Core {
    /// What a node's content is based on; none if nothing of it is in the bucket.
    pub(crate) fn base(&self, node: &Node) -> Result<Option<Base>> {
        let Some(key) = self.key(node)? else { return Ok(None) };
        let mut state = node.state();
        let Some(version) = state.file.version.clone() else { return Ok(None) };
        let reader = state.file.reader.get_or_insert_with(|| Reader::new(version));
        Ok(Some(Base { reader: Arc::clone(reader), key }))
    }

    /// The draft of a node, started from the bucket's version if there is none yet.
    pub(crate) fn draft(&self, node: &Node) -> Arc<Draft> {
        let mut state = node.state();
        let base = state.file.size();
        let draft = state.file.draft.get_or_insert_with(|| {
            let directory = self.settings.spool_directory.as_deref();
            let spool = Spool::new(directory, self.runtime.clone(), Arc::clone(&self.buffers));
            Arc::new(Draft::new(base, spool))
        });
        Arc::clone(draft)
    }

    /// Bytes of a draft; fewer only at its end.
    pub(crate) async fn draft_bytes(
        self: &Arc<Self>,
        draft: &Draft,
        base: Option<&Base>,
        range: Range<u64>,
    ) -> Result<Vec<Bytes>> {
        let mut bytes = Vec::new();
        let sources = draft.shape().sources(range);
        for (range, source) in sources {
            match source {
                Source::Spool => {
                    bytes.push(draft.spool.read(range).await.map_err(|error| spool_failed(&error))?);
                }
                Source::Base => {
                    let base = base.ok_or(Errno::ESTALE)?;
                    bytes.extend(base.reader.read(self, &base.key, range).await?);
                }
                Source::Zeros => bytes.extend(zeros(range.end - range.start)),
                Source::Gone => return Err(Errno::EIO),
            }
        }
        Ok(bytes)
    }

    /// Brings all of a node into its draft, because its object is about to go while it is open.
    pub(crate) async fn keep_content(self: &Arc<Self>, node: &Node) -> Result<()> {
        let Some(base) = self.base(node)? else { return Ok(()) };
        let draft = self.draft(node);
        let sources = draft.shape().sources(0..u64::MAX);
        for (range, _) in sources.into_iter().filter(|(_, source)| *source == Source::Base) {
            for start in (range.start..range.end).step_by(KEEP_STEP as usize) {
                let step = start..range.end.min(start + KEEP_STEP);
                let bytes = joined(base.reader.read(self, &base.key, step).await?);
                draft.keep(start, bytes).await?;
            }
        }
        Ok(())
    }
}

/// One buffer of several.
pub(crate) fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}

fn zeros(length: u64) -> impl Iterator<Item = Bytes> {
    let step = ZEROS.len();
    (0..length)
        .step_by(step)
        .map(move |start| Bytes::from_static(&ZEROS[..step.min((length - start) as usize)]))
}

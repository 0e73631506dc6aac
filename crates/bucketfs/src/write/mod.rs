//! Writing objects: what is written waits in a spool, leaves while it is written where that is possible, and is
//! published whole at close or fsync.

mod assemble;
mod buffers;
mod draft;
mod journal;
mod parts;
mod publish;
mod spool;
mod stream;

pub(crate) use buffers::Buffers;
pub(crate) use draft::Draft;
pub(crate) use journal::{UploadJournal, abort_orphans};
pub(crate) use stream::Streaming;

//! Power cuts: an ext4 filesystem on a disk that loses what was not flushed.
//!
//! ```text
//! ext4 on a directory ── loop device ── a file served over FUSE ── Medium: durable blocks, and those written since
//! ```
//! The loop device turns the filesystem's flushes into fsync of its file. On a cut, blocks that were written and not
//! flushed since are dropped, all of them or a seeded choice; then the filesystem recovers from its journal as after
//! a real cut. Whoever acknowledges before the data is flushed is found out.

mod disk;
mod file;
mod medium;

pub use disk::PowerDisk;
pub use medium::Loss;
pub(crate) use medium::mixed;

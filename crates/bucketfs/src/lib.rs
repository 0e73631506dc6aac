//! A bucket, or a prefix of one, as a directory.
//!
//! Owns the rules between keys and paths, listing, metadata as s3fs stores them, read-ahead, the write path and the
//! caches. Pure logic over [`sandkeep_objects::ObjectStore`]: knows no network, no kernel, no sandbox. What programs
//! can rely on is written down in `docs/semantics.md`.

mod ahead;
mod attributes;
mod bucket;
mod change;
mod clock;
mod content_types;
mod copies;
mod core;
mod directories;
mod errno;
mod error;
mod filesystem;
mod habits;
mod inodes;
mod listing;
mod lookup;
mod metadata;
mod names;
mod namespace;
mod node;
mod open;
mod ranges;
mod read;
mod remote;
mod rename;
mod settings;
mod walk;
mod write;
mod xattrs;

pub use bucket::BucketFs;
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use settings::{BucketFsSettings, Owner};

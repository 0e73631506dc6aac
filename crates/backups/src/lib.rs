//! Directories as squashfs archives in a bucket, and back.
//!
//! Owns the squashfs writer and reader, what is selected, the upload, the catalogue and expiry, and the lazily read
//! image as a filesystem. Pure logic over [`sandkeep_objects::ObjectStore`] and directory descriptors: mounts
//! nothing, knows no sandbox.

mod catalogue;
mod create;
mod error;
mod export;
mod extract;
mod image;
mod integrity;
mod lru;
mod manifest;
mod selection;
mod squashfs;
mod walk;

pub use catalogue::{
    ImportOptions, PrunePolicy, Pruned, Summary, Verified, copy, delete, import, inspect, list, plan_prune,
    verify,
};
pub use create::{
    Compression, CreateOptions, Freezer, Overlay, Preview, Progress, ProgressSink, Source, ZstdLevel, create,
    preview,
};
pub use error::{CreateError, ExtractError, InvalidBackupId, InvalidCompression, RestoreError};
pub use export::TarStream;
pub use extract::extract;
pub use image::{Image, ImageSettings};
pub use integrity::{Integrity, Segment};
pub use manifest::{BackupId, LeftOut, LeftOutPath, Manifest, Skipped};

//! Directories as squashfs archives in a bucket, and back.
//!
//! Owns the squashfs writer and reader, what is selected, the upload, the catalogue and expiry, and the lazily read
//! image as a filesystem. Pure logic over [`sandkeep_objects::ObjectStore`] and directory descriptors: mounts
//! nothing, knows no sandbox.

mod catalogue;
mod create;
mod error;
mod image;
mod integrity;
mod lru;
mod manifest;
mod selection;
mod squashfs;

pub use catalogue::{delete, inspect, list};
pub use create::{
    Compression, CreateOptions, Overlay, Preview, Progress, ProgressSink, Source, ZstdLevel, create, preview,
};
pub use error::{CreateError, InvalidBackupId, InvalidCompression, RestoreError};
pub use image::{Image, ImageSettings};
pub use integrity::{Integrity, Segment};
pub use manifest::{BackupId, LeftOut, LeftOutPath, Manifest, Skipped};

//! Directories as squashfs archives in a bucket, and back.
//!
//! Owns the squashfs writer and reader, what is selected, the upload, the catalogue and expiry, and the lazily read
//! image as a filesystem. Pure logic over [`sandkeep_objects::ObjectStore`] and directory descriptors: mounts
//! nothing, knows no sandbox.

mod catalogue;
mod create;
mod error;
mod image;
mod lru;
mod manifest;
mod selection;
mod squashfs;

pub use catalogue::{delete, inspect, list};
pub use create::{Compression, CreateOptions, Progress, ProgressSink, Source, create};
pub use error::{CreateError, InvalidBackupId, RestoreError};
pub use image::{Image, ImageSettings};
pub use manifest::{BackupId, Manifest, Skipped};

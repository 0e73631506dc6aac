//! What works without the service: mounting a bucket on a directory of the host, and backups of directories of the host.

mod backup;
mod location;
mod mount;
mod options;

pub use backup::{BackupRequest, create_backup, list_backups, new_backup_id};
pub use location::{Hints, Location, locate};
pub use mount::{HostMount, mount_bucket};
pub use options::{HostMountOptions, Variables};
// What callers need to fill requests in, so that they need not know the crates below.
pub use sandkeep_backups::{BackupId, Compression, CreateOptions, Manifest, Progress, ProgressSink};
pub use sandkeep_bucketfs::BucketFsSettings;

//! What works without the service: mounting a bucket on a directory of the host, and backups of directories of the host.

mod backup;
mod location;
mod mount;
mod options;

pub use backup::{
    BackupRequest, copy_backup, create_backup, delete_backup, export_tar, import_backup, list_backups,
    new_backup_id, preview_backup, restore_backup, show_backup, verify_backup,
};
pub use location::{Hints, Location, locate};
pub use mount::{HostMount, mount_bucket};
pub use options::{HostMountOptions, Variables};
// What callers need to fill requests in, so that they need not know the crates below.
pub use sandkeep_backups::{
    BackupId, Compression, CreateOptions, ImportOptions, InvalidBackupId, LeftOut, LeftOutPath, Manifest,
    Preview, Progress, ProgressSink, PrunePolicy, Pruned, Summary, Verified, plan_prune,
};
pub use sandkeep_bucketfs::BucketFsSettings;

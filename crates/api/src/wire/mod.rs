//! Bodies of requests and answers. On our routes unknown fields are an error, on the bridge's they are ignored.

mod backups;
mod bridge;
mod buckets;
mod exec;
mod files;
mod grants;
mod mounts;
mod sandboxes;
mod service;

pub use backups::{
    BackupCompression, BackupEvent, BackupInfo, BackupList, BackupMade, BackupPreview, BackupProgress,
    BackupQuery, BackupRequest, BackupVerified, CopyBackupRequest, DirectoryBackup, LeftOutName, LeftOutRule,
    PruneRequest, PruneResult, PrunedBackup, RestoreRequest, RestoreResult, SkippedName,
};
pub use bridge::{Created, ExitEvent, Running, StreamError};
pub use buckets::{BucketInfo, BucketList, CreateBucket};
pub use exec::{ExecEvent, ExecRequest, ExecResult, OutputEncoding};
pub use files::{
    DirectoryListing, FileEntry, FileExists, FileKind, FilePermissions, FileWritten, MakeDirectory,
};
pub use grants::{GrantInfo, GrantList, GrantRequest};
pub use mounts::{MountCredentials, MountInfo, MountList, MountOptions, MountRequest, Variables};
pub use sandboxes::{ResourceLimits, RestoredDirectory, SandboxInfo, SandboxList, SandboxOptions};
pub use service::{BindingInfo, Done, ServiceInfo};

//! Bodies of requests and answers. On our routes unknown fields are an error, on the bridge's they are ignored.

mod backups;
mod bridge;
mod buckets;
mod exec;
mod files;
mod grants;
mod mounts;
mod processes;
mod sandboxes;
mod service;
mod sessions;
mod terminals;

pub use backups::{
    BackupCompression, BackupEvent, BackupInfo, BackupList, BackupMade, BackupPreview, BackupProgress,
    BackupQuery, BackupRequest, BackupVerified, CopyBackupRequest, DirectoryBackup, LeftOutName, LeftOutRule,
    PruneRequest, PruneResult, PrunedBackup, RestoreRequest, RestoreResult, SkippedName,
};
pub use bridge::{Created, ExitEvent, Running, StreamError};
pub use buckets::{
    BucketInfo, BucketLifecycle, BucketList, BucketPlace, BucketRule, CreateBucket, MigrationInfo,
    MigrationPhase, MigrationRequest, MigrationResult,
};
pub use exec::{ExecEvent, ExecRequest, ExecResult, OutputEncoding};
pub use files::{
    DirectoryListing, FileEntry, FileExists, FileKind, FileMoved, FilePermissions, FileStreamEvent,
    FileWritten, MakeDirectory, MoveFile,
};
pub use grants::{GrantInfo, GrantList, GrantRequest};
pub use mounts::{MountCredentials, MountInfo, MountList, MountOptions, MountRequest, Variables};
pub use processes::{
    LogLine, PortMode, ProcessCount, ProcessExit, ProcessInfo, ProcessList, ProcessLogEvent, ProcessLogs,
    ProcessStatus, StartProcess, StatusRange, WaitForExit, WaitForLog, WaitForPort,
};
pub use sandboxes::{ResourceLimits, RestoredDirectory, SandboxInfo, SandboxList, SandboxOptions};
pub use service::{BindingInfo, Done, ServiceInfo};
pub use sessions::{
    EnvironmentChanges, SessionChoice, SessionDeleted, SessionInfo, SessionList, SessionRequest,
};
pub use terminals::{TerminalControl, TerminalNotice};

//! Paths of the routes, for the client; the daemon's router is tested against them.
//!
//! | method and path | takes | gives |
//! |---|---|---|
//! | `GET /health` | | `{ok: true}` |
//! | `GET /v1/info` | | [`crate::ServiceInfo`] |
//! | `GET /v1/sandboxes` | | [`crate::SandboxList`] |
//! | `POST /v1/sandboxes` | [`crate::SandboxOptions`] | 201 [`crate::SandboxInfo`], random id |
//! | `PUT /v1/sandboxes/{id}` | [`crate::SandboxOptions`] | [`crate::SandboxInfo`] |
//! | `GET`, `DELETE /v1/sandboxes/{id}` | | [`crate::SandboxInfo`], 204 |
//! | `POST /v1/sandboxes/{id}/exec` | [`crate::ExecRequest`] | [`crate::ExecResult`], or [`crate::ExecEvent`]s |
//! | `GET`, `POST /v1/sandboxes/{id}/sessions` | [`crate::SessionRequest`] | [`crate::SessionList`], 201 [`crate::SessionInfo`] |
//! | `GET`, `DELETE /v1/sandboxes/{id}/sessions/{name}` | | [`crate::SessionInfo`], [`crate::SessionDeleted`] |
//! | `POST /v1/sandboxes/{id}/env` | [`crate::EnvironmentChanges`] | [`crate::Done`] |
//! | `GET`, `POST`, `DELETE /v1/sandboxes/{id}/processes` | [`crate::StartProcess`] | [`crate::ProcessList`], 201 [`crate::ProcessInfo`], [`crate::ProcessCount`] |
//! | `POST /v1/sandboxes/{id}/processes/cleanup` | | [`crate::ProcessCount`] |
//! | `GET`, `DELETE /v1/sandboxes/{id}/processes/{name}?signal=` | | [`crate::ProcessInfo`] |
//! | `GET /v1/sandboxes/{id}/processes/{name}/logs` | | [`crate::ProcessLogs`] |
//! | `GET /v1/sandboxes/{id}/processes/{name}/stream` | | [`crate::ProcessLogEvent`]s |
//! | `POST /v1/sandboxes/{id}/processes/{name}/wait-for-log` | [`crate::WaitForLog`] | [`crate::LogLine`] |
//! | `POST /v1/sandboxes/{id}/processes/{name}/wait-for-port` | [`crate::WaitForPort`] | [`crate::Done`] |
//! | `POST /v1/sandboxes/{id}/processes/{name}/wait-for-exit` | [`crate::WaitForExit`] | [`crate::ProcessExit`] |
//! | `GET /v1/sandboxes/{id}/pty?cols=&rows=&session=&shell=` | WebSocket | [`crate::TerminalNotice`]s and bytes |
//! | `GET`, `PUT`, `DELETE /v1/sandboxes/{id}/files?path=` | raw bytes | raw bytes, [`crate::FileWritten`], [`crate::FileWritten`] |
//! | `GET /v1/sandboxes/{id}/files/exists?path=` | | [`crate::FileExists`] |
//! | `GET /v1/sandboxes/{id}/files/stream?path=` | | [`crate::FileStreamEvent`]s |
//! | `POST /v1/sandboxes/{id}/files/move?path=` | [`crate::MoveFile`] | [`crate::FileMoved`] |
//! | `GET`, `POST /v1/sandboxes/{id}/directories?path=&recursive=&includeHidden=` | [`crate::MakeDirectory`] | [`crate::DirectoryListing`], [`crate::FileWritten`] |
//! | `GET`, `POST /v1/sandboxes/{id}/mounts` | [`crate::MountRequest`] | [`crate::MountList`], [`crate::MountInfo`] |
//! | `DELETE /v1/sandboxes/{id}/mounts?path=` | | 204 |
//! | `GET`, `POST /v1/sandboxes/{id}/grants` | [`crate::GrantRequest`] | [`crate::GrantList`], [`crate::GrantInfo`] |
//! | `DELETE /v1/sandboxes/{id}/grants/{name}` | | 204 |
//! | `POST /v1/sandboxes/{id}/backups` | [`crate::BackupRequest`] | [`crate::BackupMade`], [`crate::BackupPreview`] (dry run), or [`crate::BackupEvent`]s |
//! | `POST /v1/sandboxes/{id}/restore` | [`crate::RestoreRequest`] | [`crate::RestoreResult`] |
//! | `GET /v1/backups?` | [`crate::BackupQuery`] | [`crate::BackupList`] |
//! | `GET`, `DELETE /v1/backups/{id}` | | [`crate::BackupInfo`], 204 |
//! | `POST /v1/backups/{id}/verify` | | [`crate::BackupVerified`] |
//! | `POST /v1/backups/{id}/copy` | [`crate::CopyBackupRequest`] | [`crate::BackupInfo`] |
//! | `GET /v1/backups/{id}/export?format=` | `sqsh` or `tar` | raw bytes |
//! | `POST /v1/backups/import?dir=` (`name=`, `ttl=`) | raw bytes of a squashfs archive | 201 [`crate::BackupInfo`] |
//! | `POST /v1/backups/prune` | [`crate::PruneRequest`] | [`crate::PruneResult`] |
//! | `GET`, `POST /v1/buckets` | [`crate::CreateBucket`] | [`crate::BucketList`], 201 [`crate::BucketInfo`] |
//! | `GET`, `DELETE /v1/buckets/{name}` | with DELETE `?force=true`: whatever is in it | [`crate::BucketInfo`], 204 |
//! | `GET`, `PUT /v1/buckets/{name}/lifecycle` | [`crate::BucketLifecycle`] | [`crate::BucketLifecycle`] |
//! | `POST`, `GET`, `DELETE /v1/buckets/{name}/migration` | [`crate::MigrationRequest`] | 202, 200 [`crate::MigrationInfo`] |
//!
//! Streams of events are asked for by `stream: true` (exec) or `Accept: text/event-stream` (backups). Errors are
//! [`crate::ErrorBody`]. The bridge's routes are those of the table in `wire/bridge.rs`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Liveness, open to everyone.
pub const HEALTH: &str = "/health";
/// About the service.
pub const INFO: &str = "/v1/info";
/// All sandboxes.
pub const SANDBOXES: &str = "/v1/sandboxes";
/// All backups.
pub const BACKUPS: &str = "/v1/backups";
/// Deletes backups by rules.
pub const PRUNE: &str = "/v1/backups/prune";
/// Takes an archive in as a backup.
pub const IMPORT: &str = "/v1/backups/import";
/// All buckets.
pub const BUCKETS: &str = "/v1/buckets";

/// What RFC 3986 calls unreserved stays as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes text as a segment of a path or a value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A sandbox.
pub fn sandbox(id: &str) -> String {
    format!("{SANDBOXES}/{}", encode(id))
}

/// Something of a sandbox: `exec`, `mounts`, `backups`, `restore`.
pub fn of_sandbox(id: &str, resource: &str) -> String {
    format!("{}/{resource}", sandbox(id))
}

/// Something of a sandbox at a path inside: `files`, `directories`, `mounts`.
pub fn at_path(id: &str, resource: &str, path: &str) -> String {
    format!("{}?path={}", of_sandbox(id, resource), encode(path))
}

/// A session of a sandbox.
pub fn session(id: &str, session: &str) -> String {
    format!("{}/{}", of_sandbox(id, "sessions"), encode(session))
}

/// A process of a sandbox.
pub fn process(id: &str, process: &str) -> String {
    format!("{}/{}", of_sandbox(id, "processes"), encode(process))
}

/// Something of a process: `logs`, `stream`, `wait-for-log`, `wait-for-port`, `wait-for-exit`.
pub fn of_process(id: &str, process: &str, resource: &str) -> String {
    format!("{}/{resource}", self::process(id, process))
}

/// A grant of a sandbox.
pub fn grant(id: &str, grant: &str) -> String {
    format!("{}/{}", of_sandbox(id, "grants"), encode(grant))
}

/// A backup.
pub fn backup(id: &str) -> String {
    format!("{BACKUPS}/{}", encode(id))
}

/// Something of a bucket: `lifecycle`, `migration`.
pub fn of_bucket(name: &str, resource: &str) -> String {
    format!("{}/{resource}", bucket(name))
}

/// Something of a backup.
pub fn of_backup(id: &str, what: &str) -> String {
    format!("{}/{what}", backup(id))
}

/// A bucket.
pub fn bucket(name: &str) -> String {
    format!("{BUCKETS}/{}", encode(name))
}

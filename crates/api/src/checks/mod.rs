//! Checks of everything that comes in, as pure functions: what `conformance/` says, in its order, with its messages.

mod backups;
mod bridge;
mod ids;
mod json;
mod mounts;
mod paths;

pub use backups::{
    BACKUP_FIELDS, BackupOptions, CompressionFormat, CompressionOptions, DEFAULT_TTL_SECONDS, HANDLE_FIELDS,
    RestoreHandle, backup_options, restore_handle,
};
pub use bridge::{BridgeExec, BridgeMount, bridge_exec, bridge_mount, bridge_unmount};
pub use ids::{bridge_sandbox_id, sdk_sandbox_id, session_id};
pub use json::{object, only_fields};
pub use mounts::{binding_name, bucket_name, endpoint, mount_path, mount_prefix};
pub use paths::{MAX_PATH_BYTES, file_path, is_usable_port, normalize, workspace_path};

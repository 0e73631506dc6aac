//! The SDK's error codes: each with its HTTP status, its class in the SDK, and whether trying again can help.

use http::StatusCode;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal $class:literal,)*) => {
        /// What went wrong, as our routes name it. `docs/errors/<CODE>.md` explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The SDK's class of such errors.
            pub fn class_name(self) -> &'static str {
                match self { $(Self::$variant => $class,)* }
            }

            fn status_number(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// The id of a sandbox is empty or longer than 63 characters.
    InvalidSandboxIdLength "INVALID_SANDBOX_ID_LENGTH" 400 "SandboxSecurityError",
    /// The id of a sandbox starts or ends with a hyphen.
    InvalidSandboxIdHyphens "INVALID_SANDBOX_ID_HYPHENS" 400 "SandboxSecurityError",
    /// The id of a sandbox is a reserved word.
    ReservedSandboxId "RESERVED_SANDBOX_ID" 400 "SandboxSecurityError",
    /// The request is not what the route takes: JSON, types, unknown fields, paths.
    ValidationFailed "VALIDATION_FAILED" 400 "ValidationFailedError",
    /// A file was expected, a directory is there.
    IsDirectory "IS_DIRECTORY" 400 "FileSystemError",
    /// A directory was expected, something else is there.
    NotDirectory "NOT_DIRECTORY" 400 "FileSystemError",
    /// A name or path is longer than the filesystem takes.
    NameTooLong "NAME_TOO_LONG" 400 "FileSystemError",
    /// The command to run is empty.
    InvalidCommand "INVALID_COMMAND" 400 "CommandError",
    /// An endpoint mount found no credentials.
    MissingCredentials "MISSING_CREDENTIALS" 400 "MissingCredentialsError",
    /// What to mount, or where, cannot be.
    InvalidMountConfig "INVALID_MOUNT_CONFIG" 400 "InvalidMountConfigError",
    /// Options of a backup, its handle, or the configuration of backups cannot be.
    InvalidBackupConfig "INVALID_BACKUP_CONFIG" 400 "InvalidBackupConfigError",
    /// The backup's time to live has elapsed.
    BackupExpired "BACKUP_EXPIRED" 400 "BackupExpiredError",
    /// No bearer key, or a wrong one.
    Unauthorized "UNAUTHORIZED" 401 "UnauthorizedError",
    /// The filesystem does not permit it.
    PermissionDenied "PERMISSION_DENIED" 403 "PermissionDeniedError",
    /// The filesystem is mounted read-only.
    ReadOnly "READ_ONLY" 403 "FileSystemError",
    /// No such file or directory in the sandbox.
    FileNotFound "FILE_NOT_FOUND" 404 "FileNotFoundError",
    /// No process of this id is remembered.
    ProcessNotFound "PROCESS_NOT_FOUND" 404 "ProcessNotFoundError",
    /// No such backup.
    BackupNotFound "BACKUP_NOT_FOUND" 404 "BackupNotFoundError",
    /// No sandbox of this id is running.
    SandboxNotFound "SANDBOX_NOT_FOUND" 404 "SandboxNotFoundError",
    /// The sandbox has no such grant.
    GrantNotFound "GRANT_NOT_FOUND" 404 "GrantNotFoundError",
    /// No such bucket in the embedded store.
    BucketNotFound "BUCKET_NOT_FOUND" 404 "BucketNotFoundError",
    /// No such route.
    RouteNotFound "ROUTE_NOT_FOUND" 404 "RouteNotFoundError",
    /// The route exists, but not with this method.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 "MethodNotAllowedError",
    /// The process did not become ready in time.
    ProcessReadyTimeout "PROCESS_READY_TIMEOUT" 408 "ProcessReadyTimeoutError",
    /// Something of this name is there already.
    FileExists "FILE_EXISTS" 409 "FileExistsError",
    /// A session of this id lives already.
    SessionAlreadyExists "SESSION_ALREADY_EXISTS" 409 "SessionAlreadyExistsError",
    /// A process of this id runs already.
    ProcessAlreadyExists "PROCESS_ALREADY_EXISTS" 409 "ProcessError",
    /// A bucket of this name is there already.
    BucketExists "BUCKET_EXISTS" 409 "BucketExistsError",
    /// Only empty buckets can be removed.
    BucketNotEmpty "BUCKET_NOT_EMPTY" 409 "BucketNotEmptyError",
    /// What is to be changed is in use.
    ResourceBusy "RESOURCE_BUSY" 409 "ResourceBusyError",
    /// The sandbox ended while the operation ran.
    OperationInterrupted "OPERATION_INTERRUPTED" 409 "OperationInterruptedError",
    /// The command ended the session's shell.
    SessionTerminated "SESSION_TERMINATED" 410 "SessionTerminatedError",
    /// The session was deleted while the command ran.
    SessionDestroyed "SESSION_DESTROYED" 410 "SessionDestroyedError",
    /// The file is larger than the limit.
    FileTooLarge "FILE_TOO_LARGE" 413 "FileTooLargeError",
    /// The request's body is larger than the limit.
    PayloadTooLarge "PAYLOAD_TOO_LARGE" 413 "PayloadTooLargeError",
    /// A bug, or a failure of the host.
    InternalError "INTERNAL_ERROR" 500 "SandboxError",
    /// A file operation failed for another reason.
    FilesystemError "FILESYSTEM_ERROR" 500 "FileSystemError",
    /// No space is left.
    NoSpace "NO_SPACE" 500 "FileSystemError",
    /// The command could not be run.
    CommandExecutionError "COMMAND_EXECUTION_ERROR" 500 "CommandError",
    /// The process ended before it was ready.
    ProcessExitedBeforeReady "PROCESS_EXITED_BEFORE_READY" 500 "ProcessExitedBeforeReadyError",
    /// The bucket could not be mounted.
    S3fsMountError "S3FS_MOUNT_ERROR" 500 "S3FSMountError",
    /// The mount could not be taken away.
    BucketUnmountError "BUCKET_UNMOUNT_ERROR" 500 "BucketUnmountError",
    /// The bucket could not be granted.
    GrantError "GRANT_ERROR" 500 "GrantError",
    /// The embedded store failed.
    BucketStoreError "BUCKET_STORE_ERROR" 500 "BucketStoreError",
    /// The backup was not made.
    BackupCreateFailed "BACKUP_CREATE_FAILED" 500 "BackupCreateError",
    /// The backup was not restored.
    BackupRestoreFailed "BACKUP_RESTORE_FAILED" 500 "BackupRestoreError",
    /// Not built yet; the message names the option.
    NotSupported "NOT_SUPPORTED" 501 "NotSupportedError",
    /// The sandbox cannot be started, or the server is stopping.
    ContainerUnavailable "CONTAINER_UNAVAILABLE" 503 "ContainerUnavailableError",
}

impl ErrorCode {
    /// Status of answers with this code.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).expect("the table holds valid statuses")
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::ContainerUnavailable | Self::ResourceBusy)
    }

    /// What the user can do, where that is the same for every error of this code.
    pub fn suggestion(self) -> Option<&'static str> {
        match self {
            Self::Unauthorized => Some("Send `Authorization: Bearer <SANDBOX_API_KEY>`."),
            Self::MissingCredentials => Some(
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the server runs, or pass credentials.",
            ),
            Self::BackupExpired => Some("Create backups with a longer ttl."),
            Self::SessionTerminated => Some("Use the session again: it begins anew."),
            Self::BucketNotFound => Some("Create the bucket first."),
            Self::BucketNotEmpty => Some("Remove what is in it first, or force it."),
            Self::ContainerUnavailable => Some("Try again; `sandkeep doctor` says what the host lacks."),
            _ => None,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

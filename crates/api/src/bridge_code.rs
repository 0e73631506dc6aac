//! The bridge's error codes: snake_case, each with its status.

use http::StatusCode;

/// What went wrong, as the bridge's routes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BridgeCode {
    /// The request is not what the route takes.
    InvalidRequest,
    /// The path leads out of `/workspace`; says `invalid_request`, too.
    OutsideWorkspace,
    /// No bearer key, or a wrong one.
    Unauthorized,
    /// No such file.
    WorkspaceReadNotFound,
    /// No such route.
    NotFound,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// The command failed to run after it was started.
    ExecError,
    /// The command could not be started, or a file not be read.
    ExecTransportError,
    /// The file could not be written.
    WorkspaceArchiveWriteError,
    /// The bucket could not be mounted.
    MountError,
    /// The mount could not be taken away.
    UnmountError,
    /// The session could not be made or used.
    SessionError,
    /// The backup was not made; `errorCode` says why, and the status is that code's.
    BackupError,
    /// The backup was not restored; `errorCode` says why, and the status is that code's.
    RestoreError,
    /// A bug.
    InternalError,
    /// Not built yet.
    NotSupported,
}

impl BridgeCode {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::OutsideWorkspace => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::WorkspaceReadNotFound => "workspace_read_not_found",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::ExecError => "exec_error",
            Self::ExecTransportError => "exec_transport_error",
            Self::WorkspaceArchiveWriteError => "workspace_archive_write_error",
            Self::MountError => "mount_error",
            Self::UnmountError => "unmount_error",
            Self::SessionError => "session_error",
            Self::BackupError => "backup_error",
            Self::RestoreError => "restore_error",
            Self::InternalError => "internal_error",
            Self::NotSupported => "not_supported",
        }
    }

    /// Status of answers with this code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::OutsideWorkspace => StatusCode::FORBIDDEN,
            Self::WorkspaceReadNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BackupError | Self::RestoreError | Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotSupported => StatusCode::NOT_IMPLEMENTED,
            Self::ExecError
            | Self::ExecTransportError
            | Self::WorkspaceArchiveWriteError
            | Self::MountError
            | Self::UnmountError
            | Self::SessionError => StatusCode::BAD_GATEWAY,
        }
    }
}

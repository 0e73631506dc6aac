//! From errors of services to answers, in both vocabularies. The only place that knows which error has which code.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sandkeep_api::{BridgeCode, BridgeErrorBody, ErrorBody, ErrorCode, InvalidInput};
use sandkeep_objects::Error as StoreError;
use serde_json::{Map, Value, json};
use tracing::error;

use super::body::BodyError;
use crate::error::ServiceError;
use crate::volumes::chain;

/// An error of our routes.
#[derive(Debug)]
pub(super) struct OurError(Box<ErrorBody>);

/// An error of the bridge's routes.
#[derive(Debug)]
pub(super) struct BridgeError {
    status: StatusCode,
    body: Box<BridgeErrorBody>,
}

impl OurError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody::new(code, message, sandkeep_api::now())))
    }

    pub(super) fn into_body(self) -> ErrorBody {
        *self.0
    }
}

impl From<ServiceError> for OurError {
    fn from(error: ServiceError) -> Self {
        let code = code(&error);
        if code.status() == StatusCode::INTERNAL_SERVER_ERROR {
            error!(%code, error = %chain(&error), "an operation failed");
        }
        let mut answer = Self::new(code, message(&error));
        answer.0.context = context(error);
        answer
    }
}

impl From<InvalidInput> for OurError {
    fn from(input: InvalidInput) -> Self {
        ServiceError::from(input).into()
    }
}

impl From<BodyError> for OurError {
    fn from(error: BodyError) -> Self {
        error.into_input().into()
    }
}

impl IntoResponse for OurError {
    fn into_response(self) -> Response {
        (self.0.code.status(), Json(self.0)).into_response()
    }
}

impl BridgeError {
    pub(super) fn new(code: BridgeCode, message: impl Into<String>) -> Self {
        Self { status: code.status(), body: Box::new(BridgeErrorBody::new(code, message)) }
    }

    /// An operation failed: `what` in front of the reason. What is not built yet says so.
    pub(super) fn failed(code: BridgeCode, what: &str, error: &ServiceError) -> Self {
        error!(code = code.as_str(), error = %chain(error), "an operation failed");
        let code = match error {
            ServiceError::NotSupported { .. } => BridgeCode::NotSupported,
            _ => code,
        };
        let text = message(error);
        let what = format!("{what}: ");
        Self::new(code, if text.starts_with(&what) { text } else { what + &text })
    }

    /// A backup or restore failed: with the SDK's code and status.
    pub(super) fn with_sdk_code(bridge: BridgeCode, error: ServiceError) -> Self {
        let OurError(body) = error.into();
        let ErrorBody { code, message, context, .. } = *body;
        let mut answer = Self::new(bridge, message);
        answer.status = code.status();
        answer.body.error_code = Some(code);
        answer.body.context = context;
        answer
    }
}

impl From<BodyError> for BridgeError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge { .. } => BridgeCode::PayloadTooLarge,
            BodyError::Broken | BodyError::Invalid(_) => BridgeCode::InvalidRequest,
        };
        Self::new(code, error.message())
    }
}

impl From<(BridgeCode, String)> for BridgeError {
    fn from((code, message): (BridgeCode, String)) -> Self {
        Self::new(code, message)
    }
}

impl IntoResponse for BridgeError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// The SDK's code of an error.
pub(super) fn code(error: &ServiceError) -> ErrorCode {
    match error {
        ServiceError::Invalid(input) => input.code,
        ServiceError::NotSupported { .. } => ErrorCode::NotSupported,
        ServiceError::Interrupted => ErrorCode::OperationInterrupted,
        ServiceError::Stopping | ServiceError::Start(_) => ErrorCode::ContainerUnavailable,
        ServiceError::SandboxNotFound { .. } => ErrorCode::SandboxNotFound,
        ServiceError::Exec(_) | ServiceError::Output { .. } => ErrorCode::CommandExecutionError,
        ServiceError::SessionExists { .. } => ErrorCode::SessionAlreadyExists,
        ServiceError::SessionTerminated { .. } => ErrorCode::SessionTerminated,
        ServiceError::SessionDestroyed { .. } => ErrorCode::SessionDestroyed,
        ServiceError::CommandTimeout { .. } | ServiceError::SessionRefused { .. } => {
            ErrorCode::CommandExecutionError
        }
        ServiceError::ProcessNotFound { .. } => ErrorCode::ProcessNotFound,
        ServiceError::ProcessExists { .. } => ErrorCode::ProcessAlreadyExists,
        ServiceError::ProcessTimeout { .. } => ErrorCode::ProcessReadyTimeout,
        ServiceError::ProcessExited { .. } => ErrorCode::ProcessExitedBeforeReady,
        ServiceError::TooMany { .. } => ErrorCode::ResourceBusy,
        ServiceError::File { source, .. } => file_code(source),
        ServiceError::Missing { .. } => ErrorCode::FileNotFound,
        ServiceError::FileTooLarge { .. } => ErrorCode::FileTooLarge,
        ServiceError::Mount { .. } => ErrorCode::S3fsMountError,
        ServiceError::Grant { .. } => ErrorCode::GrantError,
        ServiceError::GrantNotFound { .. } => ErrorCode::GrantNotFound,
        ServiceError::Unmount { .. } => ErrorCode::BucketUnmountError,
        ServiceError::BackupCreate { .. } => ErrorCode::BackupCreateFailed,
        ServiceError::BackupRestore { .. } => ErrorCode::BackupRestoreFailed,
        ServiceError::BackupNotFound { .. } => ErrorCode::BackupNotFound,
        ServiceError::BackupExpired { .. } => ErrorCode::BackupExpired,
        ServiceError::Store(error) => store_code(error),
        ServiceError::Destroy(_) | ServiceError::Agent(_) | ServiceError::State(_) | ServiceError::Task => {
            ErrorCode::InternalError
        }
    }
}

fn file_code(error: &io::Error) -> ErrorCode {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorCode::FileNotFound,
        io::ErrorKind::IsADirectory => ErrorCode::IsDirectory,
        io::ErrorKind::NotADirectory => ErrorCode::NotDirectory,
        io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem => ErrorCode::ReadOnly,
        io::ErrorKind::AlreadyExists => ErrorCode::FileExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
        io::ErrorKind::InvalidFilename => ErrorCode::NameTooLong,
        io::ErrorKind::ResourceBusy => ErrorCode::ResourceBusy,
        _ => ErrorCode::FilesystemError,
    }
}

fn store_code(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::NoSuchBucket { .. } => ErrorCode::BucketNotFound,
        StoreError::BucketExists { .. } => ErrorCode::BucketExists,
        StoreError::BucketNotEmpty { .. } => ErrorCode::BucketNotEmpty,
        StoreError::BucketBusy { .. } => ErrorCode::ResourceBusy,
        StoreError::NoSpace => ErrorCode::NoSpace,
        _ => ErrorCode::BucketStoreError,
    }
}

/// An error for people: the whole chain, and for files the words that the contract prescribes.
pub(super) fn message(error: &ServiceError) -> String {
    match error {
        ServiceError::File { path, source } => file_message(path, source),
        error => chain(error as &dyn Error),
    }
}

fn file_message(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("File not found: {path}"),
        io::ErrorKind::IsADirectory => {
            format!("{path} is a directory: deleteFile() takes files, `rm -rf` removes it")
        }
        io::ErrorKind::NotADirectory => format!("Not a directory: {path}"),
        // Both spellings are looked for: the SDK's documentation has one, the C library the other.
        io::ErrorKind::ReadOnlyFilesystem => format!("Read-only filesystem: {path} (read-only file system)"),
        _ => format!("{path}: {error}"),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn context(error: ServiceError) -> Map<String, Value> {
    let details = match error {
        ServiceError::Invalid(input) => return input.context,
        ServiceError::Interrupted => json!({ "reason": "sandbox_lifetime_changed" }),
        ServiceError::NotSupported { what } => json!({ "option": what }),
        ServiceError::SandboxNotFound { id } => json!({ "sandboxId": id }),
        ServiceError::SessionExists { id }
        | ServiceError::SessionDestroyed { id }
        | ServiceError::SessionRefused { id } => json!({ "sessionId": id }),
        ServiceError::SessionTerminated { id, code } => json!({ "sessionId": id, "exitCode": code }),
        ServiceError::CommandTimeout { after, has_begun } => {
            json!({ "timeout": milliseconds(after), "started": has_begun })
        }
        ServiceError::ProcessNotFound { id } | ServiceError::ProcessExists { id } => {
            json!({ "processId": id })
        }
        ServiceError::ProcessTimeout { id, condition, after } => {
            json!({ "processId": id, "condition": condition, "timeout": milliseconds(after) })
        }
        ServiceError::ProcessExited { id, condition, code } => {
            json!({ "processId": id, "condition": condition, "exitCode": code })
        }
        ServiceError::TooMany { what, limit } => json!({ "what": what, "limit": limit }),
        ServiceError::File { path, .. } | ServiceError::Missing { path, .. } => json!({ "path": path }),
        ServiceError::FileTooLarge { path, size, limit } => {
            json!({ "path": path, "size": size, "limit": limit })
        }
        ServiceError::GrantNotFound { id } => json!({ "grantId": id }),
        ServiceError::Unmount { path, .. } => json!({ "mountPath": path }),
        ServiceError::BackupRestore { id, .. } | ServiceError::BackupNotFound { id } => {
            json!({ "backupId": id })
        }
        ServiceError::BackupExpired { id, expired_at } => json!({ "backupId": id, "expiredAt": expired_at }),
        ServiceError::Stopping
        | ServiceError::Start(_)
        | ServiceError::Destroy(_)
        | ServiceError::Exec(_)
        | ServiceError::Output { .. }
        | ServiceError::Agent(_)
        | ServiceError::Mount { .. }
        | ServiceError::Grant { .. }
        | ServiceError::BackupCreate { .. }
        | ServiceError::Store(_)
        | ServiceError::State(_)
        | ServiceError::Task => json!({}),
    };
    match details {
        Value::Object(details) => details,
        _ => Map::new(),
    }
}

//! Files below /workspace, by their whole path without the leading slash.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use sandkeep_api::{BridgeCode, Done, checks};

use super::{App, Id, Result, Session};
use crate::error::ServiceError;
use crate::http::body;
use crate::http::errors::BridgeError;

pub(super) async fn read(
    State(services): App,
    Id(id): Id,
    _: Session,
    uri: Uri,
) -> Result<impl IntoResponse> {
    let path = path(&uri)?;
    match services.read_file(&id, &path).await {
        Ok((content, _)) => Ok(([(CONTENT_TYPE, "application/octet-stream")], content)),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn unreadable(path: &str, error: &ServiceError) -> BridgeError {
    match error {
        ServiceError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            BridgeError::new(BridgeCode::WorkspaceReadNotFound, format!("File not found: {path}"))
        }
        ServiceError::FileTooLarge { .. } => {
            BridgeError::failed(BridgeCode::PayloadTooLarge, "read failed", error)
        }
        error => BridgeError::failed(BridgeCode::ExecTransportError, "read failed", error),
    }
}

pub(super) async fn write(
    State(services): App,
    Id(id): Id,
    _: Session,
    request: Request,
) -> Result<Json<Done>> {
    let path = path(request.uri())?;
    let content = body::file(request).await?;
    let written = services.write_file(&id, &path, content).await;
    written.map_err(|error| {
        BridgeError::failed(BridgeCode::WorkspaceArchiveWriteError, "write failed", &error)
    })?;
    Ok(Json(Done { ok: true }))
}

pub(super) async fn no_path(_: Id) -> BridgeError {
    BridgeError::new(BridgeCode::InvalidRequest, "file path must not be empty")
}

/// What follows `/file/`, decoded once and completely.
fn path(uri: &Uri) -> Result<String> {
    let encoded = uri.path().split_once("/file/").map(|(_, path)| path).unwrap_or_default();
    let invalid = |message| BridgeError::new(BridgeCode::InvalidRequest, message);
    let path = percent_decode_str(encoded).decode_utf8().map_err(|_| invalid("file path must be UTF-8"))?;
    if path.contains('\0') || path.len() >= checks::MAX_PATH_BYTES {
        return Err(invalid("file path must not contain null bytes nor be longer than 4096 bytes"));
    }
    checks::workspace_path(&format!("/{path}")).ok_or_else(|| {
        let message = "path must resolve to a location within /workspace";
        BridgeError::new(BridgeCode::OutsideWorkspace, message)
    })
}

//! The bridge's routes: `/v1/sandbox/{id}/...`.

mod backups;
mod exec;
mod file;
mod mounts;
mod pending;
mod pty;
mod sandbox;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::routing::{any, delete, get, post};
use sandkeep_api::{BridgeCode, SandboxId, checks};

use super::errors::BridgeError;
use super::guard;
use crate::services::Services;

type App = State<Arc<Services>>;
type Result<T> = std::result::Result<T, BridgeError>;

pub(super) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/v1/sandbox", post(sandbox::create))
        .route("/v1/sandbox/{id}", delete(sandbox::destroy))
        .route("/v1/sandbox/{id}/running", get(sandbox::running))
        .route("/v1/sandbox/{id}/exec", post(exec::exec))
        .route("/v1/sandbox/{id}/session", post(session::create))
        .route("/v1/sandbox/{id}/session/{sid}", delete(session::delete))
        .route("/v1/sandbox/{id}/pty", get(pty::open))
        .route("/v1/sandbox/{id}/file/{*path}", get(file::read).put(file::write))
        .route("/v1/sandbox/{id}/file/", any(file::no_path))
        .route("/v1/sandbox/{id}/file", any(file::no_path))
        .route("/v1/sandbox/{id}/mount", post(mounts::mount))
        .route("/v1/sandbox/{id}/unmount", post(mounts::unmount))
        .route("/v1/sandbox/{id}/backup", post(backups::create))
        .route("/v1/sandbox/{id}/restore", post(backups::restore))
        .merge(pending::routes())
}

/// The sandbox of the path.
struct Id(SandboxId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = BridgeError;

    /// As written: the letters and digits of an id need no encoding, and a path that is not UTF-8 still has its id.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let id = guard::bridge_id(parts.uri.path()).unwrap_or_default();
        let invalid = |_| BridgeError::new(BridgeCode::InvalidRequest, "Invalid sandbox ID format");
        SandboxId::from_bridge(id).map(Self).map_err(invalid)
    }
}

/// The session of the header `Session-Id`; calls without one are stateless.
struct Session(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = BridgeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(session) = parts.headers.get("session-id").filter(|value| !value.is_empty()) else {
            return Ok(Self(None));
        };
        match session.to_str() {
            Ok(id) if checks::session_id(id).is_ok() => Ok(Self(Some(id.to_owned()))),
            _ => Err(BridgeError::new(BridgeCode::InvalidRequest, "Invalid session ID format")),
        }
    }
}

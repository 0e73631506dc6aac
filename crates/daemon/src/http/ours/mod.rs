//! Our routes: `/v1/sandboxes/{id}/...` and what is beside them.

mod backups;
mod buckets;
mod env;
mod exec;
mod files;
mod grants;
mod mounts;
mod processes;
mod pty;
mod sandboxes;
mod service;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::routing::{delete, get, post, put};
use sandkeep_api::{ErrorCode, InvalidInput, SandboxId};
use url::form_urlencoded;

use super::errors::OurError;
use crate::services::Services;

type App = State<Arc<Services>>;
type Result<T> = std::result::Result<T, OurError>;

pub(super) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/health", get(service::health))
        .route("/v1/info", get(service::info))
        .route("/v1/sandboxes", get(sandboxes::list).post(sandboxes::create))
        .route("/v1/sandboxes/{id}", put(sandboxes::put).get(sandboxes::get).delete(sandboxes::destroy))
        .route("/v1/sandboxes/{id}/exec", post(exec::exec))
        .route("/v1/sandboxes/{id}/sessions", get(sessions::list).post(sessions::create))
        .route("/v1/sandboxes/{id}/sessions/{name}", get(sessions::get).delete(sessions::delete))
        .route("/v1/sandboxes/{id}/env", post(env::change))
        .route(
            "/v1/sandboxes/{id}/processes",
            get(processes::list).post(processes::start).delete(processes::kill_all),
        )
        .route("/v1/sandboxes/{id}/processes/cleanup", post(processes::clean_up))
        .route("/v1/sandboxes/{id}/processes/{name}", get(processes::get).delete(processes::kill))
        .route("/v1/sandboxes/{id}/processes/{name}/logs", get(processes::logs))
        .route("/v1/sandboxes/{id}/processes/{name}/stream", get(processes::stream))
        .route("/v1/sandboxes/{id}/processes/{name}/wait-for-log", post(processes::wait_for_log))
        .route("/v1/sandboxes/{id}/processes/{name}/wait-for-port", post(processes::wait_for_port))
        .route("/v1/sandboxes/{id}/processes/{name}/wait-for-exit", post(processes::wait_for_exit))
        .route("/v1/sandboxes/{id}/pty", get(pty::open))
        .route("/v1/sandboxes/{id}/files", get(files::read).put(files::write).delete(files::delete))
        .route("/v1/sandboxes/{id}/files/exists", get(files::exists))
        .route("/v1/sandboxes/{id}/directories", get(files::list).post(files::make_directory))
        .route("/v1/sandboxes/{id}/mounts", get(mounts::list).post(mounts::mount).delete(mounts::unmount))
        .route("/v1/sandboxes/{id}/grants", get(grants::list).post(grants::grant))
        .route("/v1/sandboxes/{id}/grants/{name}", delete(grants::revoke))
        .route("/v1/sandboxes/{id}/backups", post(backups::create))
        .route("/v1/sandboxes/{id}/restore", post(backups::restore))
        .route("/v1/backups", get(backups::list))
        .route("/v1/backups/{name}", get(backups::inspect).delete(backups::delete))
        .route("/v1/buckets", get(buckets::list).post(buckets::create))
        .route("/v1/buckets/{name}", delete(buckets::delete))
}

/// The sandbox of the path, percent-decoded.
struct Id(SandboxId);

/// The backup, bucket, grant, session or process of the path.
struct Name(String);

/// `?path=`, and nothing else.
struct AtPath(String);

async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S, wanted: &str) -> Result<String> {
    let invalid = || OurError::new(ErrorCode::ValidationFailed, "the path is not UTF-8");
    let segments = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
    let Path(segments) = segments.map_err(|_| invalid())?;
    segments.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value).ok_or_else(invalid)
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = OurError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(Self(SandboxId::from_sdk(&segment(parts, state, "id").await?)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = OurError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(Self(segment(parts, state, "name").await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtPath {
    type Rejection = OurError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let refuse = |message: String| InvalidInput::new(ErrorCode::ValidationFailed, message);
        let mut path = None;
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if name != "path" {
                return Err(refuse(format!("unknown query parameter `{name}`, expected `path`")).into());
            }
            if path.replace(value.into_owned()).is_some() {
                return Err(refuse("query parameter `path` is given twice".to_owned()).into());
            }
        }
        path.map(Self).ok_or_else(|| refuse("missing query parameter `path`".to_owned()).into())
    }
}

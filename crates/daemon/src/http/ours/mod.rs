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
        .route("/v1/sandboxes/{id}/files/move", post(files::relocate))
        .route("/v1/sandboxes/{id}/files/stream", get(files::stream))
        .route("/v1/sandboxes/{id}/directories", get(files::list).post(files::make_directory))
        .route("/v1/sandboxes/{id}/mounts", get(mounts::list).post(mounts::mount).delete(mounts::unmount))
        .route("/v1/sandboxes/{id}/grants", get(grants::list).post(grants::grant))
        .route("/v1/sandboxes/{id}/grants/{name}", delete(grants::revoke))
        .route("/v1/sandboxes/{id}/backups", post(backups::create))
        .route("/v1/sandboxes/{id}/restore", post(backups::restore))
        .route("/v1/backups", get(backups::list))
        .route("/v1/backups/import", post(backups::import))
        .route("/v1/backups/prune", post(backups::prune))
        .route("/v1/backups/{name}", get(backups::inspect).delete(backups::delete))
        .route("/v1/backups/{name}/verify", post(backups::verify))
        .route("/v1/backups/{name}/copy", post(backups::copy))
        .route("/v1/backups/{name}/export", get(backups::export))
        .route("/v1/buckets", get(buckets::list).post(buckets::create))
        .route("/v1/buckets/{name}", get(buckets::get).delete(buckets::delete))
        .route("/v1/buckets/{name}/lifecycle", get(buckets::lifecycle).put(buckets::set_lifecycle))
        .route(
            "/v1/buckets/{name}/migration",
            post(buckets::migrate).get(buckets::migration).delete(buckets::cancel),
        )
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

/// `?path=&recursive=&includeHidden=`.
struct Listed {
    path: String,
    recursive: bool,
    include_hidden: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for AtPath {
    type Rejection = OurError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let [path] = query(parts, ["path"])?;
        Ok(Self(required(path)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Listed {
    type Rejection = OurError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let [path, recursive, include_hidden] = query(parts, ["path", "recursive", "includeHidden"])?;
        Ok(Self {
            path: required(path)?,
            recursive: flag("recursive", recursive.as_deref())?,
            include_hidden: flag("includeHidden", include_hidden.as_deref())?,
        })
    }
}

/// The parameters of these names; others are refused, and so is one that is given twice.
fn query<const N: usize>(parts: &Parts, names: [&str; N]) -> Result<[Option<String>; N]> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        let Some(at) = names.iter().position(|known| *known == name) else {
            let expected = names.map(|name| format!("`{name}`")).join(", ");
            return Err(refused(format!("unknown query parameter `{name}`, expected {expected}")));
        };
        if values[at].replace(value.into_owned()).is_some() {
            return Err(refused(format!("query parameter `{name}` is given twice")));
        }
    }
    Ok(values)
}

fn required(path: Option<String>) -> Result<String> {
    path.ok_or_else(|| refused("missing query parameter `path`".to_owned()))
}

fn flag(name: &str, value: Option<&str>) -> Result<bool> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(refused(format!("query parameter `{name}` must be true or false"))),
    }
}

fn refused(message: String) -> OurError {
    InvalidInput::new(ErrorCode::ValidationFailed, message).into()
}

//! Buckets in a sandbox.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sandkeep_api::{MountInfo, MountList, MountRequest};

use super::{App, AtPath, Id, Result};
use crate::http::body;

pub(super) async fn list(State(services): App, Id(id): Id) -> Result<Json<MountList>> {
    Ok(Json(MountList { mounts: services.existing(&id)?.info().mounts }))
}

pub(super) async fn mount(State(services): App, Id(id): Id, request: Request) -> Result<Json<MountInfo>> {
    let request: MountRequest = body::typed(request).await?;
    Ok(Json(services.mount(&id, request).await?))
}

pub(super) async fn unmount(State(services): App, Id(id): Id, AtPath(path): AtPath) -> Result<StatusCode> {
    services.unmount(&id, &path).await?;
    Ok(StatusCode::NO_CONTENT)
}

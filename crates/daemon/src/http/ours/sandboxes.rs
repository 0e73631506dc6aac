//! Sandboxes themselves.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sandkeep_api::{SandboxId, SandboxInfo, SandboxList, SandboxOptions};

use super::{App, Id, Result};
use crate::http::body;
use crate::services::Ending;

pub(super) async fn list(State(services): App) -> Json<SandboxList> {
    Json(SandboxList { sandboxes: services.list() })
}

pub(super) async fn create(
    State(services): App,
    request: Request,
) -> Result<(StatusCode, Json<SandboxInfo>)> {
    let options: SandboxOptions = body::typed(request).await?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
    let info = services.put(&SandboxId::from_random(random), &options).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

pub(super) async fn put(State(services): App, Id(id): Id, request: Request) -> Result<Json<SandboxInfo>> {
    let options: SandboxOptions = body::typed(request).await?;
    Ok(Json(services.put(&id, &options).await?))
}

pub(super) async fn get(State(services): App, Id(id): Id) -> Result<Json<SandboxInfo>> {
    Ok(Json(services.existing(&id)?.info()))
}

pub(super) async fn destroy(State(services): App, Id(id): Id) -> Result<StatusCode> {
    services.destroy(&id, Ending::Destroy).await?;
    Ok(StatusCode::NO_CONTENT)
}

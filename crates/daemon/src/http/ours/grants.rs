//! What a sandbox may reach at `http://s3.internal`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sandkeep_api::{GrantInfo, GrantList, GrantRequest};

use super::{App, Id, Name, Result};
use crate::http::body;

pub(super) async fn list(State(services): App, Id(id): Id) -> Result<Json<GrantList>> {
    Ok(Json(services.grants(&id)?))
}

pub(super) async fn grant(State(services): App, Id(id): Id, request: Request) -> Result<Json<GrantInfo>> {
    let request: GrantRequest = body::typed(request).await?;
    Ok(Json(services.grant(&id, request).await?))
}

pub(super) async fn revoke(State(services): App, Id(id): Id, Name(grant): Name) -> Result<StatusCode> {
    services.revoke(&id, &grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Sessions.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use sandkeep_api::{SessionDeleted, SessionInfo, SessionList, SessionRequest};

use super::{App, Id, Name, Result};
use crate::http::body;

pub(super) async fn list(State(services): App, Id(id): Id) -> Result<Json<SessionList>> {
    Ok(Json(SessionList { sessions: services.sessions(&id).await? }))
}

pub(super) async fn create(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<(StatusCode, Json<SessionInfo>)> {
    let request: SessionRequest = body::typed(request).await?;
    Ok((StatusCode::CREATED, Json(services.create_session(&id, request).await?)))
}

pub(super) async fn get(State(services): App, Id(id): Id, Name(session): Name) -> Result<Json<SessionInfo>> {
    Ok(Json(services.session(&id, &session).await?))
}

pub(super) async fn delete(
    State(services): App,
    Id(id): Id,
    Name(session): Name,
) -> Result<Json<SessionDeleted>> {
    services.delete_session(&id, &session).await?;
    Ok(Json(SessionDeleted { success: true, session_id: session, timestamp: sandkeep_api::now() }))
}

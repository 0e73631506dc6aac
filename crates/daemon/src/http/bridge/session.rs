//! Sessions.

use axum::Json;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use sandkeep_api::{BridgeCode, Created, SessionDeleted, checks};
use serde_json::Value;

use super::{App, Id, Result};
use crate::http::body;
use crate::http::errors::BridgeError;

/// The session of the path.
pub(super) struct SessionId(String);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = BridgeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let segments = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let found = segments.ok().and_then(|Path(all)| all.into_iter().find(|(name, _)| name == "sid"));
        match found.filter(|(_, id)| checks::session_id(id).is_ok()) {
            Some((_, id)) => Ok(Self(id)),
            None => Err(BridgeError::new(BridgeCode::InvalidRequest, "Invalid session ID format")),
        }
    }
}

pub(super) async fn create(State(services): App, Id(id): Id, request: Request) -> Result<Json<Created>> {
    let body: Value = body::typed(request).await?;
    let session = services.create_session(&id, checks::bridge_session(&body)?).await;
    let session =
        session.map_err(|error| BridgeError::failed(BridgeCode::SessionError, "session failed", &error))?;
    Ok(Json(Created { id: session.id }))
}

pub(super) async fn delete(
    State(services): App,
    Id(id): Id,
    SessionId(session): SessionId,
) -> Result<Json<SessionDeleted>> {
    let deleted = services.delete_session(&id, &session).await;
    deleted.map_err(|error| BridgeError::failed(BridgeCode::SessionError, "session failed", &error))?;
    Ok(Json(SessionDeleted { success: true, session_id: session, timestamp: sandkeep_api::now() }))
}

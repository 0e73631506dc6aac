//! Variables of sessions.

use axum::Json;
use axum::extract::{Request, State};
use sandkeep_api::{Done, EnvironmentChanges};

use super::{App, Id, Result};
use crate::http::body;

pub(super) async fn change(State(services): App, Id(id): Id, request: Request) -> Result<Json<Done>> {
    let changes: EnvironmentChanges = body::typed(request).await?;
    services.set_variables(&id, changes).await?;
    Ok(Json(Done { ok: true }))
}

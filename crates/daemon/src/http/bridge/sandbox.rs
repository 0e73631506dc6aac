//! Sandboxes themselves.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sandkeep_api::{Created, Running, SandboxId};
use tracing::warn;

use super::{App, Id};
use crate::services::Ending;

/// Only an id: nothing is started before the first operation.
pub(super) async fn create() -> Json<Created> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
    Json(Created { id: SandboxId::from_random(random).as_str().to_owned() })
}

/// Starts it, as the bridge has always found out.
pub(super) async fn running(State(services): App, Id(id): Id) -> Json<Running> {
    let started = services.live(&id).await;
    if let Err(error) = &started {
        warn!(sandbox = %id, error = %crate::volumes::chain(error), "cannot start a sandbox");
    }
    Json(Running { running: started.is_ok() })
}

/// Always succeeds, as far as the client is concerned.
pub(super) async fn destroy(State(services): App, Id(id): Id) -> StatusCode {
    if let Err(error) = services.destroy(&id, Ending::Destroy).await {
        warn!(sandbox = %id, error = %crate::volumes::chain(&error), "a sandbox did not end cleanly");
    }
    StatusCode::NO_CONTENT
}

//! Routes of ours that are not built yet: they say so, and do nothing.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any};
use sandkeep_api::ErrorCode;

use super::{Id, OurError};
use crate::services::Services;

pub(super) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/v1/sandboxes/{id}/sessions", not_supported("sessions"))
        .route("/v1/sandboxes/{id}/sessions/{session}", not_supported("sessions"))
        .route("/v1/sandboxes/{id}/env", not_supported("setEnvVars"))
        .route("/v1/sandboxes/{id}/processes", not_supported("processes"))
        .route("/v1/sandboxes/{id}/processes/{process}", not_supported("processes"))
}

fn not_supported(feature: &'static str) -> MethodRouter<Arc<Services>> {
    any(move |_: Id| async move {
        OurError::new(ErrorCode::NotSupported, format!("{feature}: not supported yet"))
    })
}

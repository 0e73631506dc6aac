//! Routes of the bridge that are not built yet: they say so, and do nothing.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any};
use sandkeep_api::BridgeCode;

use super::Id;
use crate::http::errors::BridgeError;
use crate::services::Services;

pub(super) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/v1/sandbox/{id}/persist", of_sandbox("persist"))
        .route("/v1/sandbox/{id}/hydrate", of_sandbox("hydrate"))
        .route("/v1/sandbox/{id}/tunnel/{port}", of_sandbox("tunnel"))
        .route("/v1/pool/stats", of_service("the warm pool"))
        .route("/v1/pool/prime", of_service("the warm pool"))
        .route("/v1/pool/shutdown-prewarmed", of_service("the warm pool"))
        .route("/v1/openapi.json", of_service("openapi.json"))
        .route("/v1/openapi", of_service("openapi.html"))
        .route("/v1/openapi.html", of_service("openapi.html"))
}

fn of_sandbox(feature: &'static str) -> MethodRouter<Arc<Services>> {
    any(move |_: Id| async move { not_supported(feature) })
}

fn of_service(feature: &'static str) -> MethodRouter<Arc<Services>> {
    any(move || async move { not_supported(feature) })
}

fn not_supported(feature: &str) -> BridgeError {
    BridgeError::new(BridgeCode::NotSupported, format!("{feature} is not supported yet"))
}

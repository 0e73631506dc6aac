//! The service itself.

use axum::Json;
use axum::extract::State;
use sandkeep_api::{BindingInfo, Done, ServiceInfo};

use super::App;
use crate::settings::Binding;

/// Regions do not matter to the embedded store; this is the one that every client has.
const REGION: &str = "us-east-1";

pub(super) async fn health() -> Json<Done> {
    Json(Done { ok: true })
}

pub(super) async fn info(State(services): App) -> Json<ServiceInfo> {
    Json(ServiceInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        s3_endpoint: services.store.url(),
        s3_region: REGION.to_owned(),
        bindings: services.settings.bindings.iter().map(|(name, bound)| binding(name, bound)).collect(),
        sandboxes: services.list().len(),
    })
}

fn binding(name: &str, binding: &Binding) -> BindingInfo {
    BindingInfo {
        binding: name.to_owned(),
        bucket: binding.bucket.as_str().to_owned(),
        endpoint: binding
            .remote
            .as_ref()
            .map(|remote| remote.endpoint.as_str().trim_end_matches('/').to_owned()),
    }
}

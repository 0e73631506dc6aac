//! Buckets in a sandbox.

use axum::Json;
use axum::extract::{Request, State};
use sandkeep_api::{BridgeCode, Done, checks};

use super::{App, Id, Result};
use crate::http::body;
use crate::http::errors::BridgeError;

pub(super) async fn mount(State(services): App, Id(id): Id, request: Request) -> Result<Json<Done>> {
    let mount = checks::bridge_mount(&body::json(request).await?)?;
    let mounted = services.mount(&id, mount).await;
    mounted.map_err(|error| BridgeError::failed(BridgeCode::MountError, "mount failed", &error))?;
    Ok(Json(Done { ok: true }))
}

pub(super) async fn unmount(State(services): App, Id(id): Id, request: Request) -> Result<Json<Done>> {
    let path = checks::bridge_unmount(&body::json(request).await?)?;
    let unmounted = services.unmount(&id, &path).await;
    unmounted.map_err(|error| BridgeError::failed(BridgeCode::UnmountError, "unmount failed", &error))?;
    Ok(Json(Done { ok: true }))
}

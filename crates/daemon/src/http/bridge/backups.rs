//! Backups: ours alone, in the bridge's words with the SDK's code beside them.

use axum::Json;
use axum::extract::{Request, State};
use sandkeep_api::{BridgeCode, DirectoryBackup, RestoreResult, checks};

use super::{App, Id, Result};
use crate::error::ServiceError;
use crate::http::body;
use crate::http::errors::BridgeError;
use crate::services::Services;

pub(super) async fn create(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<Json<DirectoryBackup>> {
    let options = body::json(request).await?;
    let failed = |error: ServiceError| BridgeError::with_sdk_code(BridgeCode::BackupError, error);
    let options =
        checks::object(&options).and_then(checks::backup_options).map_err(|error| failed(error.into()))?;
    if options.dry_run {
        // The answer of this route is a handle, and nothing must be made.
        let what = "dryRun on this route (POST /v1/sandboxes/{id}/backups has it)".to_owned();
        return Err(failed(ServiceError::NotSupported { what }));
    }
    let (progress, _nobody) = Services::progress_channel();
    let made = services.create_backup(&id, options, progress).await;
    made.map(|made| Json(made.backup)).map_err(failed)
}

pub(super) async fn restore(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<Json<RestoreResult>> {
    let handle = body::json(request).await?;
    let failed = |error: ServiceError| BridgeError::with_sdk_code(BridgeCode::RestoreError, error);
    let handle =
        checks::object(&handle).and_then(checks::restore_handle).map_err(|error| failed(error.into()))?;
    services.restore_backup(&id, handle).await.map(Json).map_err(failed)
}

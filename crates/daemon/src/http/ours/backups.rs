//! Backups.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use sandkeep_api::checks::BackupOptions;
use sandkeep_api::{
    BackupEvent, BackupInfo, BackupList, BackupProgress, DirectoryBackup, RestoreResult, SandboxId, checks,
};
use sandkeep_backups::Progress;

use super::{App, Id, Name, Result};
use crate::error::ServiceError;
use crate::http::errors::OurError;
use crate::http::{body, events};
use crate::services::{ProgressReceiver, Services};

const HANDLE_FIELDS: &[&str] = &["id", "dir", "localBucket"];

pub(super) async fn create(State(services): App, Id(id): Id, request: Request) -> Result<Response> {
    let stream =
        request.headers().get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/event-stream");
    let body = body::json(request).await?;
    let fields = checks::object(&body)?;
    checks::only_fields(fields, checks::BACKUP_FIELDS)?;
    let options = checks::backup_options(fields)?;
    if stream {
        return Ok(events::respond(Making::new(services, id, options), Making::next));
    }
    let (progress, _nobody) = Services::progress_channel();
    Ok(Json(services.create_backup(&id, options, progress).await?).into_response())
}

/// A backup being made for a client that watches. Dropping it cancels the backup.
struct Making {
    result: Option<BoxFuture<'static, std::result::Result<DirectoryBackup, ServiceError>>>,
    progress: ProgressReceiver,
}

impl Making {
    fn new(services: Arc<Services>, id: SandboxId, options: BackupOptions) -> Self {
        let (sender, progress) = Services::progress_channel();
        let result = async move { services.create_backup(&id, options, sender).await };
        Self { result: Some(Box::pin(result)), progress }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let result = self.result.as_mut()?;
        let event = tokio::select! {
            biased;
            Some(progress) = self.progress.recv() => BackupEvent::Progress(shown(progress)),
            result = result => {
                self.result = None;
                match result {
                    Ok(backup) => BackupEvent::Complete { backup },
                    Err(error) => BackupEvent::Error { error: OurError::from(error).into_body() },
                }
            }
        };
        Some((events::json_event(&event), self))
    }
}

fn shown(progress: Progress) -> BackupProgress {
    let Progress { entries, total_bytes, read_bytes, uploaded_bytes } = progress;
    BackupProgress { entries, total_bytes, read_bytes, uploaded_bytes }
}

pub(super) async fn restore(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<Json<RestoreResult>> {
    let body = body::json(request).await?;
    let fields = checks::object(&body)?;
    checks::only_fields(fields, HANDLE_FIELDS)?;
    let handle = checks::restore_handle(fields)?;
    Ok(Json(services.restore_backup(&id, handle).await?))
}

pub(super) async fn list(State(services): App) -> Result<Json<BackupList>> {
    Ok(Json(BackupList { backups: services.backups().await? }))
}

pub(super) async fn inspect(State(services): App, Name(id): Name) -> Result<Json<BackupInfo>> {
    Ok(Json(services.backup(&id).await?))
}

pub(super) async fn delete(State(services): App, Name(id): Name) -> Result<StatusCode> {
    services.delete_backup(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Backups.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use sandkeep_api::checks::BackupOptions;
use sandkeep_api::{
    BackupEvent, BackupInfo, BackupList, BackupMade, BackupProgress, BackupQuery, BackupVerified,
    CopyBackupRequest, ErrorCode, InvalidInput, PruneRequest, PruneResult, RestoreResult, SandboxId, checks,
};
use sandkeep_backups::Progress;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use url::form_urlencoded;

use super::{App, Id, Name, Result};
use crate::error::ServiceError;
use crate::http::errors::OurError;
use crate::http::{body, events};
use crate::services::{ProgressReceiver, Services};

/// Largest archive that is taken in by one request.
const MAX_IMPORT_BYTES: u64 = 1 << 40;

pub(super) async fn create(State(services): App, Id(id): Id, request: Request) -> Result<Response> {
    let stream =
        request.headers().get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/event-stream");
    let body = body::json(request).await?;
    let fields = checks::object(&body)?;
    checks::only_fields(fields, checks::BACKUP_FIELDS)?;
    let options = checks::backup_options(fields)?;
    if options.dry_run {
        return Ok(Json(services.preview_backup(&id, options).await?).into_response());
    }
    if stream {
        return Ok(events::respond(Making::new(services, id, options), Making::next));
    }
    let (progress, _nobody) = Services::progress_channel();
    Ok(Json(services.create_backup(&id, options, progress).await?).into_response())
}

/// A backup being made for a client that watches. Dropping it cancels the backup.
struct Making {
    result: Option<BoxFuture<'static, std::result::Result<BackupMade, ServiceError>>>,
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
                    Ok(BackupMade { backup, info }) => BackupEvent::Complete { backup, info: Box::new(info) },
                    Err(error) => BackupEvent::Error { error: OurError::from(error).into_body() },
                }
            }
        };
        Some((events::json_event(&event), self))
    }
}

fn shown(progress: Progress) -> BackupProgress {
    let Progress { entries, total_bytes, read_bytes, uploaded_bytes, copied_bytes } = progress;
    BackupProgress { entries, total_bytes, read_bytes, uploaded_bytes, copied_bytes }
}

pub(super) async fn restore(
    State(services): App,
    Id(id): Id,
    request: Request,
) -> Result<Json<RestoreResult>> {
    let body = body::json(request).await?;
    let fields = checks::object(&body)?;
    checks::only_fields(fields, checks::HANDLE_FIELDS)?;
    let handle = checks::restore_handle(fields)?;
    Ok(Json(services.restore_backup(&id, handle).await?))
}

pub(super) async fn list(State(services): App, parts: Parts) -> Result<Json<BackupList>> {
    let query: BackupQuery = query(&parts)?;
    Ok(Json(services.backups(&query).await?))
}

/// The query as a type; numbers are written like texts there.
fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T> {
    let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let value = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), serde_json::Value::from);
    let mut fields = serde_json::Map::new();
    for (name, text) in pairs {
        let is_text = matches!(&*name, "name" | "dir" | "cursor" | "format");
        let value = if is_text { text.clone().into_owned().into() } else { value(&text) };
        if fields.insert(name.clone().into_owned(), value).is_some() {
            return Err(invalid(format!("query parameter `{name}` is given twice")).into());
        }
    }
    serde_json::from_value(fields.into()).map_err(|error| invalid(format!("query: {error}")).into())
}

fn invalid(message: String) -> InvalidInput {
    InvalidInput::new(ErrorCode::ValidationFailed, message)
}

pub(super) async fn inspect(State(services): App, Name(id): Name) -> Result<Json<BackupInfo>> {
    Ok(Json(services.backup(&id).await?))
}

pub(super) async fn delete(State(services): App, Name(id): Name) -> Result<StatusCode> {
    services.delete_backup(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn verify(State(services): App, Name(id): Name) -> Result<Json<BackupVerified>> {
    Ok(Json(services.verify_backup(&id).await?))
}

pub(super) async fn copy(State(services): App, Name(id): Name, request: Request) -> Result<Json<BackupInfo>> {
    let request: CopyBackupRequest = body::typed(request).await?;
    Ok(Json(services.copy_backup(&id, &request).await?))
}

pub(super) async fn prune(State(services): App, request: Request) -> Result<Json<PruneResult>> {
    let request: PruneRequest = body::typed(request).await?;
    Ok(Json(services.prune_backups(&request).await?))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    #[serde(default)]
    format: Option<String>,
}

pub(super) async fn export(State(services): App, Name(id): Name, parts: Parts) -> Result<Response> {
    let ExportQuery { format } = query(&parts)?;
    let (as_tar, content_type) = match format.as_deref() {
        None | Some("sqsh") => (false, "application/vnd.squashfs"),
        Some("tar") => (true, "application/x-tar"),
        Some(other) => return Err(invalid(format!("format must be sqsh or tar, not {other:?}")).into()),
    };
    let stream = services.export_backup(&id, as_tar).await?;
    let name = format!("attachment; filename=\"{id}.{}\"", if as_tar { "tar" } else { "sqsh" });
    let name = HeaderValue::from_str(&name).map_err(|_| invalid("the id is not a header's".to_owned()))?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(stream)).into_response())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    dir: Option<String>,
    name: Option<String>,
    ttl: Option<u64>,
}

pub(super) async fn import(State(services): App, request: Request) -> Result<(StatusCode, Json<BackupInfo>)> {
    let (parts, body) = request.into_parts();
    let ImportQuery { dir, name, ttl } = query(&parts)?;
    // The same rules as for a backup that is made here.
    let mut fields = serde_json::Map::new();
    fields.insert("dir".to_owned(), dir.unwrap_or_default().into());
    fields.extend(name.map(|name| ("name".to_owned(), name.into())));
    fields.extend(ttl.map(|ttl| ("ttl".to_owned(), ttl.into())));
    let options = checks::backup_options(&fields)?;
    let file = services.import_file()?;
    let file = receive(body, file).await?;
    let info = services.import_backup(file, options.dir, options.name, options.ttl).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

async fn receive(mut body: Body, file: std::fs::File) -> Result<std::fs::File> {
    let failed = |error: std::io::Error| ServiceError::BackupCreate {
        reason: format!("cannot write a temporary file: {error}"),
    };
    let mut file = tokio::fs::File::from_std(file);
    let mut taken = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| invalid("the body ended early".to_owned()))?;
        let data = frame.into_data().unwrap_or_default();
        taken += data.len() as u64;
        if taken > MAX_IMPORT_BYTES {
            return Err(invalid(format!("the archive is larger than {MAX_IMPORT_BYTES} bytes")).into());
        }
        file.write_all(&data).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(file.into_std().await)
}

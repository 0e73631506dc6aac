//! Files, with contents as raw bodies.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use sandkeep_api::{DirectoryListing, FileExists, FileWritten, MakeDirectory, checks};

use super::{App, AtPath, Id, Result};
use crate::http::body;

pub(super) async fn read(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
) -> Result<impl IntoResponse> {
    let path = checks::file_path(&path)?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], services.read_file(&id, &path).await?))
}

pub(super) async fn write(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
    request: Request,
) -> Result<Json<FileWritten>> {
    let path = checks::file_path(&path)?;
    let content = body::file(request).await?;
    services.write_file(&id, &path, content).await?;
    Ok(done(path))
}

pub(super) async fn delete(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
) -> Result<Json<FileWritten>> {
    let path = checks::file_path(&path)?;
    services.delete_file(&id, &path).await?;
    Ok(done(path))
}

pub(super) async fn exists(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
) -> Result<Json<FileExists>> {
    let path = checks::file_path(&path)?;
    let exists = services.file_exists(&id, &path).await?;
    Ok(Json(FileExists { exists, path }))
}

pub(super) async fn list(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
) -> Result<Json<DirectoryListing>> {
    let path = checks::file_path(&path)?;
    let files = services.list_files(&id, &path).await?;
    Ok(Json(DirectoryListing { path, count: files.len(), files, timestamp: sandkeep_api::now() }))
}

pub(super) async fn make_directory(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
    request: Request,
) -> Result<Json<FileWritten>> {
    let path = checks::file_path(&path)?;
    let MakeDirectory { recursive } = body::typed(request).await?;
    services.make_directory(&id, &path, recursive).await?;
    Ok(done(path))
}

fn done(path: String) -> Json<FileWritten> {
    Json(FileWritten { success: true, path, timestamp: sandkeep_api::now() })
}

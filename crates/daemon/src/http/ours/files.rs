//! Files, with contents as raw bodies.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sandkeep_api::{
    DirectoryListing, FileExists, FileMoved, FileStreamEvent, FileWritten, MakeDirectory, MoveFile, checks,
};

use super::{App, AtPath, Id, Listed, Result};
use crate::http::errors::message;
use crate::http::{body, events};
use crate::services::{FileReader, ListingOptions, TextSplitter};

pub(super) async fn read(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
) -> Result<impl IntoResponse> {
    let path = checks::file_path(&path)?;
    let (content, media) = services.read_file(&id, &path).await?;
    Ok(([(CONTENT_TYPE, media.header())], content))
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
    Ok(Json(FileExists { success: true, exists, path, timestamp: sandkeep_api::now() }))
}

pub(super) async fn list(
    State(services): App,
    Id(id): Id,
    Listed { path, recursive, include_hidden }: Listed,
) -> Result<Json<DirectoryListing>> {
    let path = checks::file_path(&path)?;
    let files = services.list_files(&id, &path, ListingOptions { recursive, include_hidden }).await?;
    let (count, timestamp) = (files.len(), sandkeep_api::now());
    Ok(Json(DirectoryListing { success: true, path, count, files, timestamp }))
}

pub(super) async fn relocate(
    State(services): App,
    Id(id): Id,
    AtPath(path): AtPath,
    request: Request,
) -> Result<Json<FileMoved>> {
    let path = checks::file_path(&path)?;
    let MoveFile { destination } = body::typed(request).await?;
    let new_path = checks::file_path(&destination)?;
    services.move_file(&id, &path, &new_path).await?;
    Ok(Json(FileMoved { success: true, path, new_path, timestamp: sandkeep_api::now() }))
}

pub(super) async fn stream(State(services): App, Id(id): Id, AtPath(path): AtPath) -> Result<Response> {
    let path = checks::file_path(&path)?;
    let reader = services.open_file(&id, &path).await?;
    Ok(events::respond(Reading::new(reader), Reading::next))
}

/// A file being sent as events.
struct Reading {
    /// None once the last event is out.
    reader: Option<FileReader>,
    announced: bool,
    bytes_read: u64,
    text: TextSplitter,
}

impl Reading {
    fn new(reader: FileReader) -> Self {
        Self { reader: Some(reader), announced: false, bytes_read: 0, text: TextSplitter::default() }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let reader = self.reader.as_mut()?;
            if !std::mem::replace(&mut self.announced, true) {
                return Some((events::json_event(&metadata(reader)), self));
            }
            let is_text = reader.media.is_text;
            let bytes = match reader.next().await {
                Ok(Some(piece)) => {
                    self.bytes_read += piece.len() as u64;
                    if is_text {
                        text_chunk(&self.text.push(&piece.into()))
                    } else {
                        chunk(STANDARD.encode(piece))
                    }
                }
                Ok(None) => {
                    let rest = text_chunk(&self.text.finish());
                    self.end(&rest, &FileStreamEvent::Complete { bytes_read: self.bytes_read })
                }
                Err(error) => self.end(&Bytes::new(), &FileStreamEvent::Error { error: message(&error) }),
            };
            if !bytes.is_empty() {
                return Some((bytes, self));
            }
        }
    }

    fn end(&mut self, rest: &Bytes, last: &FileStreamEvent) -> Bytes {
        self.reader = None;
        [rest.clone(), events::json_event(last)].concat().into()
    }
}

fn metadata(reader: &FileReader) -> FileStreamEvent {
    let is_text = reader.media.is_text;
    FileStreamEvent::Metadata {
        mime_type: reader.media.mime.clone(),
        size: reader.size,
        is_binary: !is_text,
        encoding: if is_text { "utf-8" } else { "base64" }.to_owned(),
    }
}

/// Nothing, if there is nothing.
fn text_chunk(bytes: &Bytes) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { chunk(String::from_utf8_lossy(bytes).into_owned()) }
}

fn chunk(data: String) -> Bytes {
    events::json_event(&FileStreamEvent::Chunk { data })
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

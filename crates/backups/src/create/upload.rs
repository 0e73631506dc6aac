//! The asynchronous half of a backup: parts to the store while they are made.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use sandkeep_objects::{
    Body, CompletedPart, Conditions, CopySource, CreateUpload, ETag, Error, ObjectKey, ObjectMetadata,
    ObjectStore, PutRequest, Result, Upload, WriteConditions,
};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::cleanup::Cleanup;
use super::meter::Meter;
use super::parts::Part;

/// More would take memory and gain nothing at the speed of compression.
const CONCURRENT_PARTS: usize = 4;
/// Times that a temporary file is sent; the store itself can only repeat what is in memory.
const SPOOL_ATTEMPTS: usize = 3;
const SPOOL_READ_BYTES: usize = 256 * 1024;
const CONTENT_TYPE: &str = "application/vnd.squashfs";

/// Where an archive goes.
pub(super) struct Target<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) key: &'a ObjectKey,
    pub(super) meter: &'a Meter,
    pub(super) cleanup: &'a Cleanup,
    /// The archive that the new one begins with.
    pub(super) base: Option<&'a CopySource>,
    /// Set when the server could not copy from it.
    pub(super) cannot_copy: &'a AtomicBool,
}

/// Uploads parts as they come; none if they end early, because making them failed.
pub(super) async fn upload_parts(
    target: &Target<'_>,
    mut parts: mpsc::Receiver<Part>,
) -> Result<Option<ETag>> {
    match parts.recv().await {
        None => Ok(None),
        Some(Part::Whole(bytes)) => put_whole(target, bytes).await.map(Some),
        Some(Part::End) => Err(Error::Corrupt { what: "an archive without parts".to_owned() }),
        Some(first @ (Part::Numbered { .. } | Part::Copied { .. })) => {
            upload_multipart(target, first, parts).await
        }
    }
}

/// Uploads a temporary file in one request.
pub(super) async fn upload_spool(target: &Target<'_>, file: File, length: u64) -> Result<ETag> {
    let mut attempt = 1;
    loop {
        let error = match put_spool(target, &file, length).await {
            Ok(etag) => return Ok(etag),
            Err(error) => error,
        };
        let is_transient = matches!(error, Error::Unreachable { .. } | Error::Server { status: 500.., .. });
        if attempt == SPOOL_ATTEMPTS || !is_transient {
            return Err(error);
        }
        tracing::warn!(%error, attempt, "sending the archive again");
        attempt += 1;
    }
}

async fn put_spool(target: &Target<'_>, file: &File, length: u64) -> Result<ETag> {
    let file = rewound(file).map_err(|error| Error::Io { source: std::sync::Arc::new(error) })?;
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), SPOOL_READ_BYTES);
    let stream = stream.map_err(|error| Error::Io { source: std::sync::Arc::new(error) });
    put(target, Body::Stream { length, stream: Box::pin(stream) }).await
}

fn rewound(file: &File) -> std::io::Result<File> {
    use std::io::Seek;
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

async fn put_whole(target: &Target<'_>, bytes: Bytes) -> Result<ETag> {
    put(target, bytes.into()).await
}

async fn put(target: &Target<'_>, body: Body) -> Result<ETag> {
    let length = body.length();
    let key = target.key.clone();
    let request = PutRequest { key, metadata: metadata(), conditions: WriteConditions::None };
    target.cleanup.archive_may_exist();
    let response = target.store.put(request, body).await?;
    target.meter.uploaded(length);
    Ok(response.etag)
}

async fn upload_multipart(
    target: &Target<'_>,
    first: Part,
    mut parts: mpsc::Receiver<Part>,
) -> Result<Option<ETag>> {
    target.cleanup.upload_may_exist();
    let request = CreateUpload { key: target.key.clone(), metadata: metadata() };
    let upload = target.store.create_upload(request).await?;
    target.cleanup.upload_exists(upload.clone());
    let mut in_flight = FuturesUnordered::new();
    let mut completed = Vec::new();
    let mut next = Some(first);
    loop {
        match next.take() {
            Some(Part::Numbered { number, bytes }) => {
                in_flight.push(Either::Left(upload_part(target, &upload, number, bytes)));
            }
            Some(Part::Copied { number, range }) => {
                in_flight.push(Either::Right(copy_part(target, &upload, number, range)));
            }
            Some(Part::Whole(_)) => return Err(Error::Corrupt { what: "parts of one archive".to_owned() }),
            Some(Part::End) => break,
            None => {}
        }
        let may_receive = in_flight.len() < CONCURRENT_PARTS;
        tokio::select! {
            Some(part) = in_flight.next(), if !in_flight.is_empty() => completed.push(part?),
            part = parts.recv(), if may_receive => match part {
                Some(part) => next = Some(part),
                None => return Ok(None),
            },
        }
    }
    while let Some(part) = in_flight.next().await {
        completed.push(part?);
    }
    completed.sort_by_key(|part: &CompletedPart| part.number);
    target.cleanup.archive_may_exist();
    let response = target.store.complete_upload(&upload, &completed, WriteConditions::None).await?;
    target.cleanup.upload_ended();
    Ok(Some(response.etag))
}

async fn upload_part(
    target: &Target<'_>,
    upload: &Upload,
    number: u32,
    bytes: Bytes,
) -> Result<CompletedPart> {
    let length = bytes.len() as u64;
    let etag = target.store.upload_part(upload, number, bytes.into()).await?;
    target.meter.uploaded(length);
    Ok(CompletedPart { number, etag })
}

/// Has the server fill a part; whatever it answers, the archive can be made without its help.
async fn copy_part(
    target: &Target<'_>,
    upload: &Upload,
    number: u32,
    range: Range<u64>,
) -> Result<CompletedPart> {
    let source = target.base.cloned().ok_or(Error::Unsupported { what: "parts copied from nowhere" })?;
    let length = range.end - range.start;
    let copied = target.store.upload_part_copy(upload, number, source, range).await;
    let etag = copied.inspect_err(|error| {
        tracing::info!(%error, "the store does not copy parts of the last archive");
        target.cannot_copy.store(true, Ordering::SeqCst);
    })?;
    target.meter.copied(length);
    Ok(CompletedPart { number, etag })
}

/// Asks the store what it has; an error unless that is the archive.
pub(super) async fn verify(target: &Target<'_>, length: u64, etag: &ETag) -> Result<()> {
    let info = target.store.head(target.key, Conditions::default()).await?;
    if info.size != length {
        let what = format!("the archive has {} bytes in the store, {length} were sent", info.size);
        return Err(Error::Corrupt { what });
    }
    if info.etag != *etag {
        return Err(Error::Corrupt {
            what: "the archive in the store is another one than was sent".to_owned(),
        });
    }
    Ok(())
}

fn metadata() -> ObjectMetadata {
    ObjectMetadata { content_type: Some(CONTENT_TYPE.to_owned()), ..ObjectMetadata::default() }
}

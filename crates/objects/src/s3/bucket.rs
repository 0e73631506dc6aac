//! One bucket of an S3 server.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::action::Action;
use super::actions::{Made, delete_many, list, tagging, uploads};
use super::transport::Transport;
use super::{headers, xml};
use crate::{
    Body, BucketName, ByteRange, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload,
    DeleteOutcome, ETag, Error, GetRequest, GetResponse, ListPage, ListRequest, MetadataDirective,
    ObjectInfo, ObjectKey, ObjectStore, PartInfo, PutRequest, PutResponse, Result, Upload, UploadInfo,
    WriteConditions,
};

/// Deletions at once where the server has no DeleteObjects, or a key does not fit XML.
const PARALLEL_DELETES: usize = 16;

#[derive(Debug)]
pub(super) struct S3Bucket {
    transport: Arc<Transport>,
    name: BucketName,
}

impl S3Bucket {
    pub(super) fn new(transport: Arc<Transport>, name: BucketName) -> Self {
        Self { transport, name }
    }

    fn object(&self, method: Method, key: &ObjectKey) -> Action {
        Action::object(method, &self.name, key)
    }

    fn upload(&self, method: Method, upload: &Upload) -> Action {
        uploads::request(method, &self.name, upload)
    }

    async fn delete_one_by_one(&self, keys: &[ObjectKey]) -> Vec<DeleteOutcome> {
        let deletes = stream::iter(keys.to_vec()).map(|key| async move { self.delete(&key).await });
        deletes.buffered(PARALLEL_DELETES).collect().await
    }
}

/// Names the upload in an error that came without it.
fn of_upload<T>(upload: &Upload, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::NoSuchUpload { .. } => Error::NoSuchUpload { upload: upload.id.0.clone() },
        error => error,
    })
}

/// Names the source in an error about it: a copy's target need not exist.
fn of_source<T>(source: &CopySource, result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::NoSuchKey { .. } => Error::NoSuchKey { key: source.key.display() },
        error => error,
    })
}

/// Some servers say that there is no object where the condition asks for one.
fn of_condition<T>(conditions: &WriteConditions, result: Result<T>) -> Result<T> {
    result.map_err(|error| match (conditions, error) {
        (WriteConditions::IfMatch(_), Error::NoSuchKey { .. }) => Error::PreconditionFailed,
        (_, error) => error,
    })
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::Bounded { start, end } => format!("bytes={start}-{}", end.saturating_sub(1)),
        ByteRange::From(start) => format!("bytes={start}-"),
        ByteRange::Last(length) => format!("bytes=-{length}"),
    }
}

/// Which bytes an answer carries.
fn answered_range(headers: &http::HeaderMap, size: u64) -> Range<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bounds = text(&CONTENT_RANGE).and_then(|range| {
        let (start, end) = range.strip_prefix("bytes ")?.split('/').next()?.split_once('-')?;
        Some(start.parse().ok()?..end.parse::<u64>().ok()? + 1)
    });
    bounds.unwrap_or(0..text(&CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(size))
}

#[async_trait]
impl ObjectStore for S3Bucket {
    fn bucket_name(&self) -> &BucketName {
        &self.name
    }

    fn location(&self) -> String {
        format!("{}/{}", self.transport.origin(), self.name)
    }

    fn wants_equal_parts(&self) -> bool {
        self.transport.quirks.equal_parts
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        let action = self.object(Method::HEAD, key).conditions("", &conditions)?;
        headers::object_info(&self.transport.headers(action).await?)
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let mut action = self.object(Method::GET, &request.key).conditions("", &request.conditions)?;
        if let Some(range) = request.range {
            action = action.header("range", &range_header(range))?;
        }
        let (parts, body) = self.transport.send(action).await?.into_parts();
        let info = headers::object_info(&parts.headers)?;
        let range = answered_range(&parts.headers, info.size);
        let body = self.transport.stream(body, Some(range.end - range.start));
        Ok(GetResponse { info, range, body })
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        let action = self.object(Method::PUT, &request.key).metadata(&request.metadata)?;
        let action = action.write_conditions(&request.conditions)?.body(body);
        let headers = of_condition(&request.conditions, self.transport.headers(action).await)?;
        let etag = headers::etag(&headers).ok_or_else(no_etag)?;
        Ok(PutResponse { etag, last_modified: None })
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        match self.transport.headers(self.object(Method::DELETE, key)).await {
            // Google answers so.
            Err(Error::NoSuchKey { .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        let action = tagging::request(Method::GET, &self.name, key);
        tagging::parse(&self.transport.document(action).await?.1)
    }

    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        let action = if tags.is_empty() {
            tagging::request(Method::DELETE, &self.name, key)
        } else {
            tagging::replacing(&self.name, key, tags)?
        };
        self.transport.headers(action).await.map(drop)
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        let request = delete_many::request(&self.name, keys).filter(|_| self.transport.quirks.deletes_many);
        match request {
            Some(action) if keys.len() > 1 => {
                let (_, body) = self.transport.document(action?).await?;
                delete_many::parse(&body, keys)
            }
            _ => Ok(self.delete_one_by_one(keys).await),
        }
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        let mut action = self.object(Method::PUT, &request.key).copy_source(&request.source, &self.name)?;
        if let MetadataDirective::Replace(metadata) = &request.metadata {
            action = action.header("x-amz-metadata-directive", "REPLACE")?.metadata(metadata)?;
            if !metadata.tags.is_empty() {
                action = action.header("x-amz-tagging-directive", "REPLACE")?;
            }
        }
        if let Some(checksum) = &request.checksum {
            action = action.header("x-amz-checksum-algorithm", checksum.algorithm.name())?;
        }
        let action = action.write_conditions(&request.conditions)?;
        let (_, body) = of_source(&request.source, self.transport.document(action).await)?;
        Made::parse(&body)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let mut action = list::request(&self.name, &request);
        if self.transport.quirks.asks_for_metadata {
            action = action.query("metadata", b"true");
        }
        list::parse(&self.transport.document(action).await?.1)
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        let action =
            self.object(Method::POST, &request.key).query("uploads", b"").metadata(&request.metadata)?;
        let id = uploads::parse_created(&self.transport.document(action).await?.1)?;
        Ok(Upload { key: request.key, id })
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        let action =
            self.upload(Method::PUT, upload).query("partNumber", number.to_string().as_bytes()).body(body);
        let headers = of_upload(upload, self.transport.headers(action).await)?;
        headers::etag(&headers).ok_or_else(no_etag)
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        if !self.transport.quirks.copies_parts {
            return Err(Error::Unsupported { what: "copying parts" });
        }
        let range = range_header(ByteRange::Bounded { start: range.start, end: range.end });
        let action = self.upload(Method::PUT, upload).query("partNumber", number.to_string().as_bytes());
        let action = action.copy_source(&source, &self.name)?.header("x-amz-copy-source-range", &range)?;
        let answer = of_source(&source, self.transport.document(action).await);
        let (_, body) = of_upload(upload, answer)?;
        Made::parse(&body).map(|made| made.etag)
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let action = self.upload(Method::POST, upload).write_conditions(&conditions)?;
        let action = action.body(Bytes::from(xml::complete(parts)));
        let answer = of_condition(&conditions, self.transport.document(action).await);
        let (_, body) = of_upload(upload, answer)?;
        Made::parse(&body)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        match self.transport.headers(self.upload(Method::DELETE, upload)).await {
            Err(Error::NoSuchUpload { .. }) => Ok(()),
            result => result.map(drop),
        }
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let mut action = self.upload(Method::GET, upload);
            if let Some(marker) = marker {
                action = action.query("part-number-marker", format!("{marker}").as_bytes());
            }
            let (_, body) = of_upload(upload, self.transport.document(action).await)?;
            let (parts, next) = uploads::parse_parts(&body)?;
            all.extend(parts);
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let action = uploads::list_request(&self.name, prefix, marker.as_ref());
            let (uploads, next) = uploads::parse_list(&self.transport.document(action).await?.1)?;
            all.extend(uploads);
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(all),
            }
        }
    }
}

fn no_etag() -> Error {
    Error::Corrupt { what: "the answer has no ETag".into() }
}

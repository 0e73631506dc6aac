//! A store under test, with the few words that the checks are written in.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    Body, ByteRange, ByteStream, CompletedPart, CopyRequest, CopySource, CreateUpload, ETag, GetRequest,
    ListPage, ListRequest, MetadataDirective, ObjectKey, ObjectMetadata, ObjectStore, PutRequest,
    PutResponse, Result, Upload, WriteConditions,
};

/// Asserts that a result is a certain error.
macro_rules! assert_refused {
    ($fixture:expr, $result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("{}: {other:?} instead of {}", $fixture.name, stringify!($pattern)),
        }
    };
}
pub(super) use assert_refused;

pub(super) struct Fixture {
    /// Of the check.
    pub(super) name: &'static str,
    pub(super) store: Arc<dyn ObjectStore>,
}

/// A key that is known to be one.
pub(super) fn key(bytes: impl AsRef<[u8]>) -> ObjectKey {
    ObjectKey::new(bytes.as_ref()).expect("checks use valid keys")
}

/// Bytes that differ by seed and position.
pub(super) fn pattern(seed: u64, length: usize) -> Bytes {
    (0..length as u64).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ (at >> 16) ^ seed) as u8).collect()
}

/// A body of pieces, promised to have `length` bytes.
pub(super) fn streamed(length: u64, pieces: Vec<Result<Bytes>>) -> Body {
    Body::Stream { length, stream: stream::iter(pieces).boxed() }
}

/// A completion's part.
pub(super) fn part(number: u32, etag: &ETag) -> CompletedPart {
    CompletedPart { number, etag: etag.clone() }
}

/// A source in the same bucket, without conditions.
pub(super) fn source(name: &str) -> CopySource {
    CopySource { bucket: None, key: key(name), conditions: crate::Conditions::default() }
}

/// All bytes of a stream.
pub(super) async fn collect(stream: ByteStream) -> Result<Vec<u8>> {
    Ok(stream.try_collect::<Vec<Bytes>>().await?.concat())
}

impl Fixture {
    pub(super) fn new(name: &'static str, store: Arc<dyn ObjectStore>) -> Self {
        Self { name, store }
    }

    pub(super) fn works<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    pub(super) async fn try_put(
        &self,
        key: &ObjectKey,
        body: impl Into<Body>,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let request = PutRequest { key: key.clone(), metadata: ObjectMetadata::default(), conditions };
        self.store.put(request, body.into()).await
    }

    pub(super) async fn put(&self, name: impl AsRef<[u8]>, bytes: &[u8]) -> PutResponse {
        let body = Bytes::copy_from_slice(bytes);
        self.works(self.try_put(&key(name), body, WriteConditions::None).await)
    }

    pub(super) async fn try_get(&self, name: &str, range: Option<ByteRange>) -> Result<Vec<u8>> {
        let request = GetRequest { range, ..GetRequest::whole(key(name)) };
        collect(self.store.get(request).await?.body).await
    }

    pub(super) async fn get(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        let response = self.works(self.store.get(GetRequest::whole(key(name))).await);
        self.works(collect(response.body).await)
    }

    pub(super) async fn exists(&self, name: &str) -> bool {
        match self.store.head(&key(name), crate::Conditions::default()).await {
            Ok(_) => true,
            Err(crate::Error::NoSuchKey { .. }) => false,
            Err(error) => panic!("{}: {error:?}", self.name),
        }
    }

    pub(super) async fn list(&self, request: ListRequest) -> ListPage {
        self.works(self.store.list(request).await)
    }

    /// All keys and common prefixes, page by page, in the order in which they come.
    pub(super) async fn walk(&self, mut request: ListRequest) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (mut keys, mut groups) = (Vec::new(), Vec::new());
        loop {
            let page = self.list(request.clone()).await;
            let count = page.objects.len() + page.common_prefixes.len();
            assert!(request.limit == 0 || count <= request.limit as usize, "{}: page of {count}", self.name);
            keys.extend(page.objects.iter().map(|object| object.key.as_bytes().to_vec()));
            groups.extend(page.common_prefixes);
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return (keys, groups),
            }
            assert!(count > 0, "{}: an empty page that goes on", self.name);
        }
    }

    pub(super) async fn start_upload(&self, name: &str) -> Upload {
        let request = CreateUpload { key: key(name), metadata: ObjectMetadata::default() };
        self.works(self.store.create_upload(request).await)
    }

    pub(super) async fn upload_part(&self, upload: &Upload, number: u32, bytes: &Bytes) -> ETag {
        self.works(self.store.upload_part(upload, number, Body::Bytes(bytes.clone())).await)
    }

    pub(super) async fn try_complete(&self, upload: &Upload, parts: &[CompletedPart]) -> Result<PutResponse> {
        self.store.complete_upload(upload, parts, WriteConditions::None).await
    }

    pub(super) async fn try_copy(&self, source: CopySource, to: &str) -> Result<PutResponse> {
        let request = CopyRequest {
            source,
            key: key(to),
            metadata: MetadataDirective::Copy,
            conditions: WriteConditions::None,
            checksum: None,
        };
        self.store.copy(request).await
    }
}

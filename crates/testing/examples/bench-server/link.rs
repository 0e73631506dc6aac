//! A network between clients and a store: each request waits one round trip, bodies flow at a connection's rate, and
//! everything is counted.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use sandkeep_objects::*;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How far away the store is, and what went over the way.
#[derive(Debug, Default)]
pub(crate) struct Link {
    round_trip_us: AtomicU64,
    /// 0: unlimited.
    bytes_per_second: AtomicU64,
    requests: Mutex<BTreeMap<&'static str, u64>>,
    received: AtomicU64,
    sent: AtomicU64,
    /// When the last change was done.
    changed: Mutex<Option<Instant>>,
}

impl Link {
    pub(crate) fn set(&self, round_trip: Duration, bytes_per_second: u64) {
        self.round_trip_us.store(round_trip.as_micros() as u64, Ordering::Relaxed);
        self.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.received.store(0, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Value {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "changedMsAgo": changed.map(|at| at.elapsed().as_millis() as u64),
            "requests": requests,
            "received": self.received.load(Ordering::Relaxed),
            "sent": self.sent.load(Ordering::Relaxed),
        })
    }

    /// Notes that a change was done.
    fn changed<T>(&self, outcome: T) -> T {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        outcome
    }

    async fn travel(&self, kind: &'static str) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        let round_trip = Duration::from_micros(self.round_trip_us.load(Ordering::Relaxed));
        if !round_trip.is_zero() {
            tokio::time::sleep(round_trip).await;
        }
    }

    fn instead_of_head(&self, kind: &'static str) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heads) = requests.get_mut("HEAD") {
            *heads = heads.saturating_sub(1);
        }
        *requests.entry(kind).or_default() += 1;
    }

    /// Lets a body through at the rate of one connection.
    fn flow(self: &Arc<Self>, body: ByteStream, counter: fn(&Self) -> &AtomicU64) -> ByteStream {
        let link = Arc::clone(self);
        let rate = self.bytes_per_second.load(Ordering::Relaxed);
        let (start, mut total) = (Instant::now(), 0);
        let paced = body.then(move |piece| {
            let length = piece.as_ref().map_or(0, Bytes::len) as u64;
            total += length;
            counter(&link).fetch_add(length, Ordering::Relaxed);
            let due =
                if rate == 0 { start } else { start + Duration::from_secs_f64(total as f64 / rate as f64) };
            async move {
                // Timers count milliseconds: what is due sooner is caught up with the next piece.
                if due > Instant::now() + Duration::from_millis(1) {
                    tokio::time::sleep_until(due).await;
                }
                piece
            }
        });
        Box::pin(paced)
    }

    fn receive(self: &Arc<Self>, body: Body) -> Body {
        let counter: fn(&Self) -> &AtomicU64 = |link| &link.received;
        match body {
            Body::Bytes(bytes) => {
                let length = bytes.len() as u64;
                let stream = self.flow(Box::pin(futures::stream::iter([Ok(bytes)])), counter);
                Body::Stream { length, stream }
            }
            Body::Stream { length, stream } => Body::Stream { length, stream: self.flow(stream, counter) },
            Body::Verified { length, stream, checksum } => {
                Body::Verified { length, stream: self.flow(stream, counter), checksum }
            }
        }
    }
}

/// An account behind a link.
#[derive(Debug)]
pub(crate) struct Linked {
    inner: Arc<dyn ObjectService>,
    link: Arc<Link>,
}

impl Linked {
    pub(crate) fn new(inner: Arc<dyn ObjectService>, link: Arc<Link>) -> Self {
        Self { inner, link }
    }
}

#[async_trait]
impl ObjectService for Linked {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        self.link.travel("bucket").await;
        self.inner.create_bucket(name).await
    }
    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        self.link.travel("bucket").await;
        self.inner.head_bucket(name).await
    }
    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.link.travel("bucket").await;
        self.inner.delete_bucket(name).await
    }
    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        self.link.travel("bucket").await;
        self.inner.list_buckets().await
    }
    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(LinkedBucket { inner: self.inner.bucket(name), link: Arc::clone(&self.link) })
    }
}

#[derive(Debug)]
struct LinkedBucket {
    inner: Arc<dyn ObjectStore>,
    link: Arc<Link>,
}

#[async_trait]
impl ObjectStore for LinkedBucket {
    fn bucket_name(&self) -> &BucketName {
        self.inner.bucket_name()
    }
    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.link.travel("HEAD").await;
        self.inner.head(key, conditions).await
    }
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.link.travel("GET").await;
        let response = self.inner.get(request).await?;
        let body = self.link.flow(response.body, |link| &link.sent);
        Ok(GetResponse { body, ..response })
    }
    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        self.link.travel("PUT").await;
        self.link.changed(self.inner.put(request, self.link.receive(body)).await)
    }
    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.link.travel("DELETE").await;
        self.link.changed(self.inner.delete(key).await)
    }
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.link.travel("DELETE-MANY").await;
        self.link.changed(self.inner.delete_many(keys).await)
    }
    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.link.travel("COPY").await;
        self.link.changed(self.inner.copy(request).await)
    }
    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.link.travel("LIST").await;
        self.inner.list(request).await
    }
    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.link.travel("CREATE-UPLOAD").await;
        self.inner.create_upload(request).await
    }
    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        self.link.travel("PART").await;
        self.link.changed(self.inner.upload_part(upload, number, self.link.receive(body)).await)
    }
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        // The endpoint has just looked at the source for this very request: that was its way.
        self.link.instead_of_head("PART-COPY");
        self.link.changed(self.inner.upload_part_copy(upload, number, source, range).await)
    }
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        self.link.travel("COMPLETE").await;
        self.link.changed(self.inner.complete_upload(upload, parts, conditions).await)
    }
    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.link.travel("ABORT").await;
        self.inner.abort_upload(upload).await
    }
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        // The endpoint's own question when it completes an upload; clients hardly ever ask.
        self.inner.list_parts(upload).await
    }
    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.link.travel("LIST-UPLOADS").await;
        self.inner.list_uploads(prefix).await
    }
}

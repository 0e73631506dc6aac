//! What the benchmark's script may ask for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sandkeep_objects::{
    Body, BucketName, ListRequest, MemoryService, ObjectKey, ObjectMetadata, ObjectService, ObjectStore,
    PutRequest, WriteConditions,
};
use serde_json::{Value, json};

use crate::link::Link;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Pieces in which a large object is kept.
const PIECE: usize = 1 << 20;

/// Answers lines; goes around the link.
pub(crate) struct Control {
    store: Arc<dyn ObjectStore>,
    link: Arc<Link>,
}

impl Control {
    pub(crate) fn new(service: &MemoryService, bucket: &BucketName, link: Arc<Link>) -> Self {
        Self { store: service.bucket(bucket), link }
    }

    pub(crate) async fn answer(&self, line: &str) -> Result<Value> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["link", milliseconds, megabytes] => {
                self.link.set(
                    Duration::from_secs_f64(milliseconds.parse::<f64>()? / 1000.0),
                    megabytes.parse::<u64>()? * 1_000_000,
                );
                Ok(json!({}))
            }
            ["fill", key, bytes] => self.fill(key, bytes.parse()?, 1).await,
            ["fill", key, bytes, count] => self.fill(key, bytes.parse()?, count.parse()?).await,
            ["clear"] => self.clear().await,
            ["reset"] => {
                self.link.reset();
                Ok(json!({}))
            }
            ["stats"] => Ok(self.link.stats()),
            ["sum"] => self.sum("").await,
            ["sum", prefix] => self.sum(prefix).await,
            _ => Err(format!("not understood: {line}").into()),
        }
    }

    async fn fill(&self, key: &str, bytes: usize, count: u32) -> Result<Value> {
        let noise = noise(bytes.min(PIECE));
        for number in 0..count {
            let key = ObjectKey::new(key.replace("{}", &format!("{number:05}")).into_bytes())?;
            let pieces: Vec<_> = (0..bytes)
                .step_by(PIECE)
                .map(|start| Ok(noise.slice(..PIECE.min(bytes - start).min(noise.len()))))
                .collect();
            let body = Body::Stream { length: bytes as u64, stream: Box::pin(futures::stream::iter(pieces)) };
            let request =
                PutRequest { key, metadata: ObjectMetadata::default(), conditions: WriteConditions::None };
            self.store.put(request, body).await?;
        }
        Ok(json!({ "objects": count }))
    }

    async fn clear(&self) -> Result<Value> {
        loop {
            let keys: Vec<ObjectKey> = self
                .store
                .list(ListRequest::default())
                .await?
                .objects
                .into_iter()
                .map(|object| object.key)
                .collect();
            if keys.is_empty() {
                break;
            }
            self.store.delete_many(&keys).await?;
        }
        for upload in self.store.list_uploads(b"").await? {
            self.store.abort_upload(&upload.upload).await?;
        }
        Ok(json!({}))
    }

    async fn sum(&self, prefix: &str) -> Result<Value> {
        let (mut objects, mut bytes, mut continuation) = (0, 0, None);
        loop {
            let request =
                ListRequest { prefix: prefix.as_bytes().to_vec(), continuation, ..ListRequest::default() };
            let page = self.store.list(request).await?;
            objects += page.objects.len();
            bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
            continuation = page.next;
            if continuation.is_none() {
                break;
            }
        }
        let uploads = self.store.list_uploads(prefix.as_bytes()).await?.len();
        Ok(json!({ "objects": objects, "bytes": bytes, "uploads": uploads }))
    }
}

/// Bytes that do not repeat.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

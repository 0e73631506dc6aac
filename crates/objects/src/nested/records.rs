//! The objects that say which buckets there are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    Body, BucketName, CorsRule, ETag, Error, GetRequest, LifecycleRule, ListRequest, ObjectKey,
    ObjectMetadata, ObjectStore, PutRequest, Result, WriteConditions,
};

/// A record is read again when what is known of it is older. Another machine's change shows by then.
pub(super) const AGE: Duration = Duration::from_secs(10);
/// Below the prefix of all buckets.
const FOLDER: &str = ".sandkeep/buckets/";
/// Records read at once for a listing.
const PARALLEL: usize = 16;
/// How often a change starts again because somebody else's came between.
const ATTEMPTS: usize = 8;
/// Records are a few hundred bytes; 1,000 rules are not more than this.
const LONGEST: u64 = 4 << 20;

/// What is remembered of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of this format.
    pub(super) version: u32,
    /// When the bucket was created.
    pub(super) created: jiff::Timestamp,
    /// [`crate::ObjectService::lifecycle`].
    #[serde(default)]
    pub(super) lifecycle: Vec<LifecycleRule>,
    /// [`crate::ObjectService::cors`].
    #[serde(default)]
    pub(super) cors: Vec<CorsRule>,
}

impl Record {
    pub(super) fn new(created: SystemTime) -> Self {
        let created = created.try_into().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self { version: 1, created, lifecycle: Vec::new(), cors: Vec::new() }
    }
}

/// A record as it was last seen.
#[derive(Clone, Debug)]
struct Known {
    record: Record,
    etag: ETag,
    seen: Instant,
}

/// The records in a store.
#[derive(Debug)]
pub(super) struct Records {
    store: Arc<dyn ObjectStore>,
    folder: String,
    known: Mutex<BTreeMap<BucketName, Known>>,
}

impl Records {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { store, folder: format!("{prefix}{FOLDER}"), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<BucketName, Known>> {
        // Every change is one insertion or removal.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &BucketName) -> Result<ObjectKey> {
        Ok(ObjectKey::new(format!("{}{name}", self.folder))?)
    }

    /// The record of a bucket, at most [`AGE`] old.
    pub(super) async fn get(&self, name: &BucketName) -> Result<Record> {
        let known = self.known().get(name).filter(|known| known.seen.elapsed() < AGE).cloned();
        match known {
            Some(known) => Ok(known.record),
            None => self.read(name).await.map(|known| known.record),
        }
    }

    async fn read(&self, name: &BucketName) -> Result<Known> {
        let answer = match self.store.get(GetRequest::whole(self.key(name)?)).await {
            Err(Error::NoSuchKey { .. }) => {
                self.known().remove(name);
                return Err(Error::NoSuchBucket { bucket: name.as_str().to_owned() });
            }
            answer => answer.map_err(outer_missing)?,
        };
        let damaged =
            |what: &str| Error::Corrupt { what: format!("the record of the bucket {name}: {what}") };
        if answer.info.size > LONGEST {
            return Err(damaged("it is too long"));
        }
        let etag = answer.info.etag;
        let bytes: Vec<Bytes> = answer.body.try_collect().await?;
        let record = serde_json::from_slice(&bytes.concat()).map_err(|error| damaged(&error.to_string()))?;
        Ok(self.remember(name, record, etag))
    }

    fn remember(&self, name: &BucketName, record: Record, etag: ETag) -> Known {
        let known = Known { record, etag, seen: Instant::now() };
        self.known().insert(name.clone(), known.clone());
        known
    }

    /// Writes the first record of a bucket; with `replace` over one that is there.
    pub(super) async fn create(&self, name: &BucketName, record: Record, replace: bool) -> Result<()> {
        let exists = || Error::BucketExists { bucket: name.as_str().to_owned() };
        // Asked first for stores that know no conditions of writes.
        match self.read(name).await {
            Ok(_) if !replace => return Err(exists()),
            Ok(_) | Err(Error::NoSuchBucket { .. }) => {}
            Err(error) => return Err(error),
        }
        let conditions = if replace { WriteConditions::None } else { WriteConditions::IfAbsent };
        match self.write(name, &record, conditions).await {
            Err(Error::PreconditionFailed) => Err(exists()),
            written => written,
        }
    }

    /// Changes the record of a bucket, whoever else changes it at the same time.
    pub(super) async fn change(&self, name: &BucketName, change: impl Fn(&mut Record)) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Known { mut record, etag, .. } = self.read(name).await?;
            change(&mut record);
            match self.write(name, &record, WriteConditions::IfMatch(etag)).await {
                Err(Error::PreconditionFailed) => {}
                written => return written,
            }
        }
        Err(Error::BucketBusy { bucket: name.as_str().to_owned() })
    }

    async fn write(&self, name: &BucketName, record: &Record, conditions: WriteConditions) -> Result<()> {
        let text = Bytes::from(serde_json::to_vec(record).expect("records always become JSON"));
        let request = |conditions| -> Result<PutRequest> {
            let metadata =
                ObjectMetadata { content_type: Some("application/json".into()), ..ObjectMetadata::default() };
            Ok(PutRequest { key: self.key(name)?, metadata, conditions })
        };
        let written = match self.store.put(request(conditions)?, Body::Bytes(text.clone())).await {
            Err(error) if knows_no_conditions(&error) => {
                self.store.put(request(WriteConditions::None)?, Body::Bytes(text)).await
            }
            written => written,
        };
        let etag = written.map_err(outer_missing)?.etag;
        self.remember(name, record.clone(), etag);
        Ok(())
    }

    pub(super) async fn delete(&self, name: &BucketName) -> Result<()> {
        self.known().remove(name);
        self.store.delete(&self.key(name)?).await.map_err(outer_missing)
    }

    /// All buckets, by name.
    pub(super) async fn list(&self) -> Result<Vec<(BucketName, Record)>> {
        let mut names = Vec::new();
        let mut request = ListRequest { prefix: self.folder.clone().into_bytes(), ..ListRequest::default() };
        loop {
            let page = self.store.list(request.clone()).await.map_err(outer_missing)?;
            let name = |key: &ObjectKey| key.display().strip_prefix(&self.folder)?.parse::<BucketName>().ok();
            names.extend(
                page.objects.iter().filter_map(|object| Some((name(&object.key)?, object.etag.clone()))),
            );
            request.continuation = page.next;
            if request.continuation.is_none() {
                break;
            }
        }
        let records = stream::iter(names).map(|(name, etag)| self.of_listing(name, etag));
        Ok(records.buffered(PARALLEL).try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    /// The record of a bucket that a listing showed; none if it is gone by now.
    async fn of_listing(&self, name: BucketName, etag: ETag) -> Result<Option<(BucketName, Record)>> {
        let known = self.known().get(&name).filter(|known| known.etag == etag).cloned();
        if let Some(Known { record, etag, .. }) = known {
            self.remember(&name, record.clone(), etag);
            return Ok(Some((name, record)));
        }
        match self.read(&name).await {
            Ok(known) => Ok(Some((name, known.record))),
            Err(Error::NoSuchBucket { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a store refuses `If-Match` and `If-None-Match` of writes rather than judging them.
fn knows_no_conditions(error: &Error) -> bool {
    matches!(error, Error::Unsupported { .. } | Error::Server { status: 400 | 501, .. })
}

/// The bucket behind is not the one that was asked for: that it is missing must not be taken for an answer about that.
pub(super) fn outer_missing(error: Error) -> Error {
    match error {
        Error::NoSuchBucket { bucket } => Error::Server {
            status: 404,
            code: "NoSuchBucket".into(),
            message: format!("the bucket {bucket:?}, which holds all others, does not exist"),
        },
        error => error,
    }
}

//! The buckets behind one lock, which is never held while bytes arrive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::memory::MemorySettings;
use crate::memory::objects::StoredObject;
use crate::memory::uploads::PendingUpload;
use crate::semantics::whole_seconds;
use crate::{
    BucketInfo, BucketName, CorsRule, ETag, Error, LifecycleRule, ObjectKey, Result, Upload, UploadId,
    WriteConditions,
};

#[derive(Default)]
pub(super) struct State {
    pub(super) settings: MemorySettings,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    buckets: BTreeMap<BucketName, BucketState>,
    next_upload: u64,
}

pub(super) struct BucketState {
    pub(super) created: SystemTime,
    pub(super) objects: BTreeMap<Vec<u8>, StoredObject>,
    pub(super) uploads: BTreeMap<UploadId, PendingUpload>,
    pub(super) lifecycle: Vec<LifecycleRule>,
    pub(super) cors: Vec<CorsRule>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("buckets", &self.lock().buckets.keys()).finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(settings: MemorySettings) -> Self {
        Self { settings, inner: Mutex::default() }
    }

    pub(super) fn create_bucket(&self, name: &BucketName) -> Result<()> {
        let mut inner = self.lock();
        if inner.buckets.contains_key(name) {
            return Err(Error::BucketExists { bucket: name.to_string() });
        }
        inner.buckets.insert(name.clone(), BucketState::new());
        Ok(())
    }

    pub(super) fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let mut inner = self.lock();
        let bucket = inner.buckets.get(name).ok_or_else(|| no_such_bucket(name))?;
        if !bucket.objects.is_empty() {
            return Err(Error::BucketNotEmpty { bucket: name.to_string() });
        }
        inner.buckets.remove(name);
        Ok(())
    }

    pub(super) fn buckets(&self) -> Vec<BucketInfo> {
        let inner = self.lock();
        let info = |(name, bucket): (&BucketName, &BucketState)| BucketInfo {
            name: name.clone(),
            created: bucket.created,
        };
        inner.buckets.iter().map(info).collect()
    }

    /// Runs a step on a bucket while nothing else happens.
    pub(super) fn with_bucket<T>(
        &self,
        name: &BucketName,
        step: impl FnOnce(&mut BucketState) -> Result<T>,
    ) -> Result<T> {
        step(self.lock().buckets.get_mut(name).ok_or_else(|| no_such_bucket(name))?)
    }

    pub(super) fn new_upload_id(&self) -> UploadId {
        let mut inner = self.lock();
        inner.next_upload += 1;
        UploadId(format!("upload-{:016x}", inner.next_upload))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every step leaves the maps whole, so a panic elsewhere does not spoil them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BucketState {
    fn new() -> Self {
        Self {
            created: now(),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            lifecycle: Vec::new(),
            cors: Vec::new(),
        }
    }

    pub(super) fn object(&self, key: &ObjectKey) -> Result<&StoredObject> {
        self.objects.get(key.as_bytes()).ok_or_else(|| Error::NoSuchKey { key: key.display() })
    }

    pub(super) fn publish(
        &mut self,
        key: &ObjectKey,
        object: StoredObject,
        conditions: &WriteConditions,
    ) -> Result<()> {
        conditions.check(self.etag(key))?;
        self.objects.insert(key.as_bytes().to_vec(), object);
        Ok(())
    }

    pub(super) fn etag(&self, key: &ObjectKey) -> Option<&ETag> {
        self.objects.get(key.as_bytes()).map(|object| &object.info.etag)
    }

    pub(super) fn upload(&mut self, upload: &Upload) -> Result<&mut PendingUpload> {
        let known = self.uploads.get_mut(&upload.id).filter(|pending| pending.key == upload.key);
        known.ok_or_else(|| Error::NoSuchUpload { upload: upload.id.0.clone() })
    }
}

/// Now, in whole seconds as S3 keeps it.
pub(super) fn now() -> SystemTime {
    whole_seconds(SystemTime::now())
}

fn no_such_bucket(name: &BucketName) -> Error {
    Error::NoSuchBucket { bucket: name.to_string() }
}

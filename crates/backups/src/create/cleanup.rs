//! Leaves nothing in the bucket when a backup fails, is cancelled, or its future is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandkeep_objects::{ObjectKey, ObjectStore, Upload};

/// What may be in the bucket, to be removed unless the backup succeeds.
pub(super) struct Cleanup {
    store: Arc<dyn ObjectStore>,
    archive: ObjectKey,
    manifest: ObjectKey,
    left: Mutex<Left>,
}

/// What may be left.
#[derive(Debug, Default)]
struct Left {
    upload: UploadState,
    archive: bool,
    manifest: bool,
}

#[derive(Debug, Default)]
enum UploadState {
    #[default]
    None,
    /// It was asked for, and its id is not known.
    Unknown,
    Known(Upload),
}

impl Cleanup {
    pub(super) fn new(store: Arc<dyn ObjectStore>, archive: ObjectKey, manifest: ObjectKey) -> Self {
        Self { store, archive, manifest, left: Mutex::default() }
    }

    pub(super) fn archive(&self) -> &ObjectKey {
        &self.archive
    }

    pub(super) fn upload_may_exist(&self) {
        self.left().upload = UploadState::Unknown;
    }

    pub(super) fn upload_exists(&self, upload: Upload) {
        self.left().upload = UploadState::Known(upload);
    }

    pub(super) fn upload_ended(&self) {
        self.left().upload = UploadState::None;
    }

    pub(super) fn archive_may_exist(&self) {
        self.left().archive = true;
    }

    pub(super) fn manifest_may_exist(&self) {
        self.left().manifest = true;
    }

    /// The backup is complete: all of it stays.
    pub(super) fn keep(&self) {
        *self.left() = Left::default();
    }

    /// Removes what is left. What cannot be removed is logged: the backup's own error is the one to tell.
    pub(super) async fn run(&self) {
        let left = std::mem::take(&mut *self.left());
        remove(&self.store, &self.archive, &self.manifest, left).await;
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn is_nothing(&self) -> bool {
        matches!(self.upload, UploadState::None) && !self.archive && !self.manifest
    }
}

impl Drop for Cleanup {
    /// The net, for a future that was dropped.
    fn drop(&mut self) {
        let left = std::mem::take(&mut *self.left());
        if left.is_nothing() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(key = ?self.archive, "a backup was dropped outside of the runtime and leaves objects");
            return;
        };
        let (store, archive, manifest) =
            (Arc::clone(&self.store), self.archive.clone(), self.manifest.clone());
        runtime.spawn(async move { remove(&store, &archive, &manifest, left).await });
    }
}

/// The manifest first: without it there is no backup.
async fn remove(store: &Arc<dyn ObjectStore>, archive: &ObjectKey, manifest: &ObjectKey, left: Left) {
    for (key, may_exist) in [(manifest, left.manifest), (archive, left.archive)] {
        if !may_exist {
            continue;
        }
        if let Err(error) = store.delete(key).await {
            tracing::warn!(?key, %error, "cannot remove an object of a failed backup");
        }
    }
    let uploads = match left.upload {
        UploadState::None => return,
        UploadState::Known(upload) => vec![upload],
        UploadState::Unknown => uploads_of(store, archive).await,
    };
    for upload in uploads {
        if let Err(error) = store.abort_upload(&upload).await {
            tracing::warn!(key = ?upload.key, %error, "cannot abort the upload of a failed backup");
        }
    }
}

async fn uploads_of(store: &Arc<dyn ObjectStore>, key: &ObjectKey) -> Vec<Upload> {
    match store.list_uploads(key.as_bytes()).await {
        Ok(uploads) => {
            uploads.into_iter().map(|info| info.upload).filter(|upload| upload.key == *key).collect()
        }
        Err(error) => {
            tracing::warn!(?key, %error, "cannot look for the upload of a failed backup");
            Vec::new()
        }
    }
}

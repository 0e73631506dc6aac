//! Questions to the bucket about single keys, bounded in number.

use sandkeep_objects::{
    ByteRange, Conditions, Error, GetRequest, ListRequest, ListedObject, ObjectInfo, ObjectKey,
};
use sandkeep_vfs::Errno;
use tokio::sync::SemaphorePermit;

use crate::core::Core;
use crate::errno::{Result, errno, failed};

impl Core {
    /// Waits for the right to send a small request.
    pub(crate) async fn request(&self) -> Result<SemaphorePermit<'_>> {
        self.requests.acquire().await.map_err(|_| Errno::EIO)
    }

    /// What the bucket knows of a key; none if there is no object. A refusal is an error, never absence.
    pub(crate) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        let _request = self.request().await?;
        match self.store.head(key, Conditions::default()).await {
            Ok(info) => Ok(Some(info)),
            Err(Error::NoSuchKey { .. }) => Ok(None),
            Err(Error::Server { status: 400, code, .. }) if code.is_empty() => self.why_refused(key).await,
            Err(error) => Err(failed("head", key, &error)),
        }
    }

    /// An answer to HEAD has no body that would say what is wrong with the request; one to GET has.
    async fn why_refused(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>> {
        let range = Some(ByteRange::Bounded { start: 0, end: 1 });
        let request = GetRequest { key: key.clone(), range, conditions: Conditions::default() };
        match self.store.get(request).await {
            Ok(response) => Ok(Some(response.info)),
            Err(Error::NoSuchKey { .. }) => Ok(None),
            Err(error) => Err(failed("get", key, &error)),
        }
    }

    /// The first keys that start with `prefix`, at most `limit`.
    pub(crate) async fn first_below(&self, prefix: &[u8], limit: u32) -> Result<Vec<ListedObject>> {
        let _request = self.request().await?;
        let request = ListRequest { prefix: prefix.to_vec(), limit, ..ListRequest::default() };
        let page = self.store.list(request).await.map_err(|error| list_failed(prefix, &error))?;
        Ok(page.objects)
    }

    /// Deletes an object, also one that is gone already.
    pub(crate) async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let _request = self.request().await?;
        match self.store.delete(key).await {
            Ok(()) | Err(Error::NoSuchKey { .. }) => Ok(()),
            Err(error) => Err(failed("delete", key, &error)),
        }
    }
}

/// Logs a failed listing and returns its errno.
pub(crate) fn list_failed(prefix: &[u8], error: &Error) -> Errno {
    let prefix = String::from_utf8_lossy(prefix);
    tracing::warn!(%prefix, error = error as &dyn std::error::Error, "the store failed to list");
    errno(error)
}

//! What is known of a directory before it is scanned: an earlier backup of it, and the backup that it was restored from.

use std::sync::Arc;

use sandkeep_objects::{Conditions, Error, ObjectStore};

use super::base::Base;
use super::lower::Lower;
use super::previous::Previous;
use super::{CreateOptions, Source};

/// An archive that a new one may begin with, and how to find what has not changed since.
pub(super) struct Known {
    pub(super) base: Base,
    /// Where an earlier archive has files that have not changed.
    pub(super) previous: Option<Previous>,
    /// What the directory's lower layer shows, all of which is in the base.
    pub(super) lower: Option<Lower>,
}

impl Known {
    /// Looks at what is there. Whatever cannot be had is not known: then more has to be read.
    pub(super) async fn find(
        store: &Arc<dyn ObjectStore>,
        source: &Source,
        options: &CreateOptions,
    ) -> Result<Option<Self>, Error> {
        let previous = previous(store, options).await?;
        let Some(overlay) = &source.overlay else { return Ok(previous.map(Self::from_previous)) };
        let lower = match Lower::load(store, &options.key_prefix, &overlay.backup).await {
            Ok(lower) => lower,
            Err(error) => {
                tracing::info!(%error, backup = %overlay.backup, "the restored archive cannot be built upon");
                return Ok(previous.map(Self::from_previous));
            }
        };
        let is_extended = |previous: &Previous| {
            previous.base.id == overlay.backup || previous.base.contains.contains(&overlay.backup)
        };
        Ok(match (previous.filter(is_extended), lower.base()) {
            (Some(previous), _) => {
                Some(Self { base: previous.base.clone(), previous: Some(previous), lower: Some(lower) })
            }
            (None, Some(base)) => Some(Self { base, previous: None, lower: Some(lower) }),
            (None, None) => None,
        })
    }

    fn from_previous(previous: Previous) -> Self {
        Self { base: previous.base.clone(), previous: Some(previous), lower: None }
    }
}

/// What an earlier backup left on this host, if that backup is still there as it was.
async fn previous(store: &Arc<dyn ObjectStore>, options: &CreateOptions) -> Result<Option<Previous>, Error> {
    let Some(path) = options.record.clone() else { return Ok(None) };
    let (location, prefix) = (store.location(), options.key_prefix.clone());
    let loaded = tokio::task::spawn_blocking(move || Previous::load(&path, &location, &prefix)).await;
    let Some(previous) = loaded.unwrap_or_default() else { return Ok(None) };
    let key = previous.base.id.archive_key(&options.key_prefix);
    match store.head(&key, Conditions::default()).await {
        Ok(info) if info.etag == previous.base.etag => Ok(Some(previous)),
        Ok(_) | Err(Error::NoSuchKey { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

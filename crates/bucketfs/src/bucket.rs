//! Opening a bucket as a filesystem, and its clean end.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use sandkeep_objects::{Conditions, ListRequest, MAX_KEY_BYTES, ObjectInfo, ObjectStore};
use sandkeep_vfs::Inode;

use crate::core::Core;
use crate::metadata::Stored;
use crate::names::Names;
use crate::node::Node;
use crate::write::abort_orphans;
use crate::{BucketFsSettings, Clock, Error, SystemClock};

/// A bucket as a filesystem: implements [`sandkeep_vfs::FileSystem`].
#[derive(Debug)]
pub struct BucketFs {
    pub(crate) core: Arc<Core>,
}

impl BucketFs {
    /// Opens a bucket. Lists one key to prove that bucket, credentials and endpoint work.
    ///
    /// # Errors
    /// Whatever the store answers to that listing.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which it keeps for what goes on in the background.
    pub async fn open(store: Arc<dyn ObjectStore>, settings: BucketFsSettings) -> Result<Self, Error> {
        Self::open_at(store, settings, Arc::new(SystemClock::new())).await
    }

    /// Like [`Self::open`], with a clock of the caller's.
    pub async fn open_at(
        store: Arc<dyn ObjectStore>,
        settings: BucketFsSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        if settings.prefix.len() > MAX_KEY_BYTES {
            return Err(Error::PrefixTooLong { prefix: settings.prefix });
        }
        let names = Names::new(&settings.prefix);
        let request = ListRequest { prefix: names.below(b""), limit: 1, ..ListRequest::default() };
        let page = store.list(request).await?;
        let first = page.objects.into_iter().next();
        let marker = match first.filter(|object| object.key.as_bytes() == names.below(b"")) {
            Some(object) => Some(store.head(&object.key, Conditions::default()).await?),
            None => None,
        };
        if let Some(directory) = settings.uploads_directory.clone().filter(|_| !settings.read_only) {
            tokio::spawn(abort_orphans(Arc::clone(&store), directory));
        }
        let root = root(&settings, clock.as_ref(), marker);
        Ok(Self { core: Arc::new(Core::new(store, settings, clock, root)) })
    }

    /// Uploads everything that is still dirty, for a clean end; gives up at the deadline.
    ///
    /// # Errors
    /// [`Error::Unflushed`] if something could not be uploaded.
    pub async fn flush_all(&self, deadline: Duration) -> Result<(), Error> {
        let flushing = stream::iter(self.core.dirty()).for_each_concurrent(
            self.core.settings.transfers.max(1),
            |node| {
                let core = Arc::clone(&self.core);
                async move {
                    let _gate = core.gate.read().await;
                    let _turn = node.turn().await;
                    // Counted below: what is still dirty could not be uploaded, and publishing has logged why.
                    let _ = core.publish(&node).await;
                }
            },
        );
        let _ = tokio::time::timeout(deadline, flushing).await;
        match self.core.dirty().len() {
            0 => Ok(()),
            files => Err(Error::Unflushed { files }),
        }
    }
}

impl Core {
    /// Everything that is not yet in the bucket.
    fn dirty(&self) -> Vec<Arc<Node>> {
        let mut nodes = self.table.all();
        nodes.retain(|node| !node.is_directory() && node.state().file.dirty());
        nodes
    }
}

fn root(settings: &BucketFsSettings, clock: &dyn Clock, marker: Option<ObjectInfo>) -> Node {
    let defaults = settings.defaults();
    let has_marker = marker.is_some();
    let stored = match marker {
        Some(info) => Stored::decode(info.metadata, info.last_modified, true, &defaults),
        None => Stored::implied_directory(&defaults, clock.now().into()),
    };
    Node::directory(Inode::ROOT, 0, stored, has_marker, clock.monotonic())
}

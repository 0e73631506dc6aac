//! Serving connections: one pool of threads for all filesystems of a process.

use std::fmt;
use std::sync::Arc;

use sandkeep_fuse::{Event, Handler, Notifier, Pool};
use tokio::runtime::Handle;

pub use sandkeep_fuse::Takeover;

use crate::adapter::Adapter;
use crate::error::MountError;
use crate::{Connection, FileSystem, Inode, KernelCache};

/// A few threads that read requests of any number of connections. Dropped, they end with the last connection.
pub struct Server {
    pool: Pool,
    runtime: Handle,
}

impl Server {
    /// Starts `threads` threads; misses run on `runtime`.
    ///
    /// # Errors
    /// No threads or descriptors left.
    pub fn start(threads: usize, runtime: Handle) -> Result<Self, MountError> {
        Ok(Self { pool: Pool::start(threads)?, runtime })
    }

    /// Serves `filesystem` on `connection` until it ends.
    ///
    /// # Errors
    /// The device cannot be watched.
    pub fn serve(
        &self,
        connection: Connection,
        filesystem: Arc<dyn FileSystem>,
        takeover: Takeover,
    ) -> Result<Session, MountError> {
        let session = self.pool.serve(connection, takeover, |notifier| {
            filesystem.attached(Arc::new(Cache(notifier.clone())));
            let adapter = Adapter::new(Arc::clone(&filesystem), notifier, self.runtime.clone());
            Arc::new(adapter) as Arc<dyn Handler>
        })?;
        let session = Arc::new(session);
        let ended = Arc::new(Event::default());
        self.runtime.spawn(tell_end(Arc::clone(&session), filesystem, Arc::clone(&ended)));
        Ok(Session { session, ended })
    }
}

/// Tells the filesystem, after its last answer, that the kernel has ended the connection. A drained one lives on.
async fn tell_end(session: Arc<sandkeep_fuse::Session>, filesystem: Arc<dyn FileSystem>, ended: Arc<Event>) {
    // Lets waiters go also if `detached` panics.
    struct Told(Arc<Event>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    if session.finished().await {
        let _told = Told(ended);
        filesystem.detached().await;
    }
}

struct Cache(Notifier);

impl KernelCache for Cache {
    fn invalidate_inode(&self, inode: Inode, offset: u64, length: u64) {
        self.0.invalidate_node(inode.0, offset, length);
    }

    fn invalidate_entry(&self, parent: Inode, name: &[u8]) {
        self.0.invalidate_entry(parent.0, name);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A connection being served. Dropping it does not end it.
#[derive(Debug)]
pub struct Session {
    session: Arc<sandkeep_fuse::Session>,
    ended: Arc<Event>,
}

impl Session {
    /// Waits until the kernel has ended the connection (unmounted or aborted) and `detached` has run.
    pub async fn ended(&self) {
        self.ended.wait().await;
    }

    /// Stops reading requests, waits until all that were read are answered, and hands the device back.
    /// For handing the connection to another process. Dropped before its end (a time limit), the connection is read
    /// no more and some requests may be unanswered: the successor takes over with [`Takeover::AfterCrash`].
    ///
    /// # Errors
    /// The connection has ended meanwhile.
    pub async fn drain(self) -> Result<Connection, MountError> {
        Ok(self.session.drain().await?)
    }
}

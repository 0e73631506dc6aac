//! Serving connections: one pool of threads for all filesystems of a process.

use std::sync::Arc;

use crate::error::MountError;
use crate::{Connection, FileSystem};

/// How a connection came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nobody served it before.
    Fresh,
    /// Its server died: ask the kernel to send unanswered requests again (6.9 and newer; else they are lost).
    AfterCrash,
    /// Its server left in order, with nothing unanswered.
    AfterDrain,
}

/// A few threads that read requests of any number of connections.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Starts `threads` threads; misses run on `runtime`.
    pub fn start(threads: usize, runtime: tokio::runtime::Handle) -> Result<Self, MountError> {
        todo!()
    }

    /// Serves `filesystem` on `connection` until it ends.
    pub fn serve(
        &self,
        connection: Connection,
        filesystem: Arc<dyn FileSystem>,
        takeover: Takeover,
    ) -> Result<Session, MountError> {
        todo!()
    }
}

/// A connection being served. Dropping it does not end it.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Waits until the kernel has ended the connection (unmounted or aborted) and `detached` has run.
    pub async fn ended(&self) {
        todo!()
    }

    /// Stops reading requests, waits until all that were read are answered, and hands the device back.
    /// For handing the connection to another process.
    pub async fn drain(self) -> Result<Connection, MountError> {
        todo!()
    }
}

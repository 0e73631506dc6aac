//! A few connections that read the index.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::failure::{closed, io_failure};
use super::index;
use crate::Result;

/// Long reads at once, and connections kept. Each costs memory for its cache.
const CONNECTIONS: usize = 8;

/// The connections.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Arc::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Runs a read of a few rows in the caller's thread: it takes microseconds, less than a switch of threads. Where
    /// the disk has to be asked it blocks that thread, which is why the endpoint has more of them than processors.
    pub(super) fn look<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        lend(&self.path, &self.idle, read)
    }

    /// Runs a longer read where it may block.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        blocking(move || {
            let outcome = lend(&path, &idle, read);
            drop(permit);
            outcome
        })
        .await
    }
}

fn lend<T>(
    path: &Path,
    idle: &Mutex<Vec<Connection>>,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let lent = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let connection = match lent {
        Some(connection) => connection,
        None => index::open_reader(path)?,
    };
    let outcome = read(&connection);
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < CONNECTIONS {
        idle.push(connection);
    }
    outcome
}

/// Runs work that blocks on a thread for it.
pub(super) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|error| io_failure(std::io::Error::other(error)))?
}

//! Moves what the log holds into the index's file, beside the writer, which is left only with what came meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::failure::io_failure;
use super::index;
use crate::Result;

/// Commits from one checkpoint to the next. Each costs two syncs more; in between the log grows.
const COMMITS: u32 = 64;

/// What lets the log begin anew: SQLite does so when all of it has been moved.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The thread that makes checkpoints, and its use by the writer. Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    requests: Option<SyncSender<()>>,
    /// The thread has moved nearly everything.
    nearly: Arc<AtomicBool>,
    commits: u32,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(index: &Path) -> Result<Self> {
        let connection = index::open_reader(index)?;
        let (requests, queue) = sync_channel(1);
        let nearly = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&nearly);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&connection, &queue, &done))
            .map_err(io_failure)?;
        Ok(Self { requests: Some(requests), nearly, commits: 0, thread: Some(thread) })
    }

    /// After a commit by the writer, over its connection.
    pub(super) fn committed(&mut self, writer: &Connection) {
        if self.nearly.swap(false, Ordering::AcqRel) {
            checkpoint(writer);
        }
        self.commits += 1;
        if self.commits >= COMMITS
            && let Some(requests) = &self.requests
        {
            self.commits = 0;
            // If the thread is still busy with an earlier one, that is fine as well.
            let _ = requests.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.requests.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of checkpoints panicked");
        }
    }
}

fn run(connection: &Connection, queue: &Receiver<()>, nearly: &AtomicBool) {
    for () in queue {
        checkpoint(connection);
        nearly.store(true, Ordering::Release);
    }
}

/// On a full disk this fails, and the log stays as long as it is.
fn checkpoint(connection: &Connection) {
    let made =
        connection.prepare_cached(CHECKPOINT).and_then(|mut statement| statement.query_row([], |_| Ok(())));
    if let Err(error) = made {
        tracing::debug!(%error, "no checkpoint");
    }
}

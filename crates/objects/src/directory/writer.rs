//! The one thread that writes the index. Writes that wait for each other share a commit and its sync.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::change::Change;
use super::checkpoints::Checkpoints;
use super::failure::{closed, io_failure};
use super::files::{FileId, Files, NewFile};
use super::index;
use super::reserve::Reserve;
use crate::{Error, Result};

/// Writes that wait; more wait outside.
const QUEUE: usize = 256;

/// Writes that share a commit at most, so that the first of them is not kept waiting.
const BATCH: usize = 128;

/// Does its change and returns what to do when the commit's outcome is known.
type Job = Box<dyn FnOnce(&Connection) -> Done + Send>;

/// What a job left to do after the commit.
struct Done {
    /// Ids of files that go away, and of files that came.
    released: Vec<FileId>,
    published: Vec<FileId>,
    failure: Option<Error>,
    finish: Box<dyn FnOnce(Result<()>) + Send>,
}

/// Sends changes to the thread; the thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the index and starts its thread.
    pub(super) fn start(path: &Path, files: Arc<Files>, reserve: Arc<Reserve>) -> Result<Self> {
        let connection = index::open_writer(path)?;
        collect_orphans(&connection, &files)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let checkpoints = Checkpoints::start(path)?;
        let index = Index { connection, files, reserve, checkpoints };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || index.run(queue))
            .map_err(io_failure)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a change and returns when it is durable. A change that fails leaves nothing.
    pub(super) async fn apply<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let (outcome, change) = in_savepoint(connection, change);
            let ids = change.published.iter().map(|file| file.id).collect();
            let new_files = change.published;
            let failure = outcome.as_ref().err().cloned();
            let finish = Box::new(move |committed: Result<()>| {
                // After an I/O error nobody knows whether the commit is on the disk; the next start finds out.
                if !matches!(committed, Err(Error::NoSpace)) {
                    new_files.into_iter().for_each(NewFile::keep);
                }
                // The caller may have gone away; what it asked for is done all the same.
                let _ = reply.send(committed.and(outcome));
            });
            Done { released: change.released, published: ids, failure, finish }
        });
        self.jobs.as_ref().ok_or_else(closed)?.send(job).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the index writer panicked");
        }
    }
}

fn collect_orphans(connection: &Connection, files: &Files) -> Result<()> {
    let mut select = connection.prepare("SELECT id FROM pending")?;
    let ids = select.query_map([], |row| Ok(FileId::from_sql(row.get(0)?)))?;
    files.delete_orphans(&ids.collect::<rusqlite::Result<Vec<_>>>()?)?;
    connection.execute("DELETE FROM pending", [])?;
    Ok(())
}

/// What the thread owns.
struct Index {
    connection: Connection,
    files: Arc<Files>,
    reserve: Arc<Reserve>,
    checkpoints: Checkpoints,
}

impl Index {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
            self.commit_all(batch);
            self.checkpoints.committed(&self.connection);
        }
    }

    /// Commits the batch; more than once if SQLite gives up a transaction in the middle.
    fn commit_all(&self, batch: Vec<Job>) {
        let mut jobs = batch.into_iter().peekable();
        while jobs.peek().is_some() {
            self.commit_some(&mut jobs);
        }
    }

    fn commit_some(&self, jobs: &mut dyn Iterator<Item = Job>) {
        let settled = self.files.take_settled();
        let begun = begin(&self.connection, &settled);
        let mut done = Vec::new();
        for job in jobs {
            done.push(job(&self.connection));
            // After a full disk or an I/O error SQLite may have rolled back everything.
            if self.connection.is_autocommit() {
                break;
            }
        }
        let committed = begun.and_then(|()| commit(&self.connection, &done, &self.files));
        if committed.is_err() {
            roll_back(&self.connection);
            self.files.add_settled(&settled);
        }
        let full = |failure: &Error| matches!(failure, Error::NoSpace);
        if done.iter().filter_map(|done| done.failure.as_ref()).chain(committed.as_ref().err()).any(full) {
            self.make_room();
        }
        finish(done, &committed, &self.files);
    }

    /// Gives up the reserve and lets the log start anew, so that deletions have room.
    fn make_room(&self) {
        self.reserve.release();
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(%error, "cannot shorten the index's log on a full disk");
        }
    }
}

fn begin(connection: &Connection, settled: &[FileId]) -> Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut forget = connection.prepare_cached("DELETE FROM pending WHERE id = ?1")?;
    settled.iter().try_for_each(|id| forget.execute([id.to_sql()]).map(drop))?;
    Ok(())
}

fn commit(connection: &Connection, done: &[Done], files: &Files) -> Result<()> {
    if connection.is_autocommit() {
        return Err(done.last().and_then(|last| last.failure.clone()).unwrap_or_else(lost));
    }
    files.sync_directories(done.iter().flat_map(|done| done.published.iter().copied()))?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back");
    }
}

fn finish(done: Vec<Done>, committed: &Result<()>, files: &Files) {
    for done in done {
        if committed.is_ok() && !done.released.is_empty() {
            files.release(done.released);
        }
        (done.finish)(committed.clone());
    }
}

/// Runs a change so that its failure undoes it without the others of the transaction.
fn in_savepoint<T, F>(connection: &Connection, change: F) -> (Result<T>, Change<'_>)
where
    F: FnOnce(&mut Change<'_>) -> Result<T>,
{
    let mut scope = Change::new(connection);
    let outcome = savepoint(connection).and_then(|()| change(&mut scope));
    match outcome.and_then(|value| release_savepoint(connection).map(|()| value)) {
        Ok(value) => (Ok(value), scope),
        Err(error) => {
            undo_savepoint(connection);
            (Err(error), Change::new(connection))
        }
    }
}

fn savepoint(connection: &Connection) -> Result<()> {
    // Outside of a transaction a savepoint would become one that commits by itself.
    if connection.is_autocommit() {
        return Err(lost());
    }
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    Ok(())
}

/// SQLite ended the transaction by itself.
fn lost() -> Error {
    io_failure(std::io::Error::other("the index ended the transaction"))
}

fn release_savepoint(connection: &Connection) -> Result<()> {
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}

fn undo_savepoint(connection: &Connection) {
    if connection.is_autocommit() {
        return;
    }
    if let Err(error) = connection.execute_batch("ROLLBACK TO job; RELEASE job") {
        // Then the whole transaction must not be committed.
        tracing::error!(%error, "cannot undo a change");
        roll_back(connection);
    }
}

//! What a move has copied, on disk, so that the next run goes on where this one was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::{BucketName, ETag, Error, ObjectInfo, ObjectKey, ObjectMetadata, Result};

/// Tells versions of an object apart: content, metadata, tags, time.
pub(super) type Fingerprint = [u8; 16];

/// An object that was copied and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// Of the version that was copied.
    pub(super) fingerprint: Fingerprint,
    /// What the other store calls it.
    pub(super) etag: ETag,
}

/// The journal of one bucket.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    /// Whether an earlier run began it.
    pub(super) resumed: bool,
}

/// Of a version of an object.
pub(super) fn fingerprint(
    size: u64,
    etag: &ETag,
    modified: std::time::SystemTime,
    metadata: &ObjectMetadata,
) -> Fingerprint {
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let metadata = serde_json::to_vec(metadata).expect("strings always become JSON");
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    hash.update(since.as_nanos().to_le_bytes());
    hash.update((etag.0.len() as u64).to_le_bytes());
    hash.update(&etag.0);
    hash.update(metadata);
    let mut short = Fingerprint::default();
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// Of what a read told.
pub(super) fn fingerprint_of(info: &ObjectInfo) -> Fingerprint {
    fingerprint(info.size, &info.etag, info.last_modified, &info.metadata)
}

fn failed(source: io::Error) -> Error {
    Error::Io { source: Arc::new(source) }
}

impl Journal {
    /// Opens or begins the journal of a move to `target`. One to another target is begun anew.
    pub(super) async fn open(directory: &Path, bucket: &BucketName, target: &str) -> Result<Self> {
        let (path, target) = (directory.join(format!("{bucket}.sqlite")), target.to_owned());
        blocking(move || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
            match Self::open_at(&path, &target)? {
                Some(journal) => Ok(journal),
                None => {
                    remove(&path);
                    Self::open_at(&path, &target)?
                        .ok_or_else(|| failed(io::Error::other("the journal changes")))
                }
            }
        })
        .await
    }

    /// None: it is about another target.
    fn open_at(path: &Path, target: &str) -> Result<Option<Self>> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What a power cut takes is copied again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS target (place TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS copied
                 (key BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, etag TEXT NOT NULL) WITHOUT ROWID;",
        )?;
        let known: Option<String> =
            connection.query_row("SELECT place FROM target", [], |row| row.get(0)).optional()?;
        if known.as_deref().is_some_and(|known| known != target) {
            return Ok(None);
        }
        if known.is_none() {
            connection.execute("INSERT INTO target (place) VALUES (?1)", [target])?;
        }
        let connection = Arc::new(Mutex::new(connection));
        Ok(Some(Self { path: path.to_owned(), connection, resumed: known.is_some() }))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// What is known of each of these keys.
    pub(super) async fn find(&self, keys: Vec<ObjectKey>) -> Result<Vec<Option<Copied>>> {
        self.run(move |connection| {
            let mut select =
                connection.prepare_cached("SELECT fingerprint, etag FROM copied WHERE key = ?1")?;
            let find = |key: &ObjectKey| {
                let found = select.query_row([key.as_bytes()], |row| {
                    Ok(Copied { fingerprint: row.get(0)?, etag: ETag(row.get(1)?) })
                });
                Ok(found.optional()?)
            };
            keys.iter().map(find).collect()
        })
        .await
    }

    /// Remembers a copy.
    pub(super) async fn add(&self, key: ObjectKey, copied: Copied) -> Result<()> {
        self.run(move |connection| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO copied (key, fingerprint, etag) VALUES (?1, ?2, ?3)",
            )?;
            insert.execute(params![key.as_bytes(), copied.fingerprint, copied.etag.0])?;
            Ok(())
        })
        .await
    }

    /// Forgets a copy.
    pub(super) async fn remove(&self, key: ObjectKey) -> Result<()> {
        self.run(move |connection| {
            connection.prepare_cached("DELETE FROM copied WHERE key = ?1")?.execute([key.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Nobody needs it any more.
    pub(super) async fn delete(self) {
        let Self { path, connection, .. } = self;
        let deleted = tokio::task::spawn_blocking(move || {
            drop(connection);
            remove(&path);
        });
        // It cannot be cancelled, and has nothing to say.
        drop(deleted.await);
    }
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        if let Err(error) = fs::remove_file(&file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file, %error, "the journal of a move stays");
        }
    }
}

async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(io::Error::other(error)))?
}

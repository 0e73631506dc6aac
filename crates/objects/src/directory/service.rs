//! The store as a whole: opening it, and its buckets.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::change::Change;
use super::cors;
use super::expire;
use super::failure::io_failure;
use super::files::{FileId, Files, NewFile, make_directory, sync_directory};
use super::fsck::{self, FsckReport};
use super::lock::StoreLock;
use super::multipart;
use super::readers::{Readers, blocking};
use super::reserve::Reserve;
use super::rows::{BucketId, find_bucket, time_from_sql, time_to_sql};
use super::store::DirectoryStore;
use super::writer::Writer;
use crate::{
    BucketInfo, BucketName, CorsRule, Error, Expired, LifecycleRule, ObjectService, ObjectStore, Result,
    Usage,
};

/// File ids reserved with one commit. After a crash at most this many per writer at work are looked at.
const RESERVATION: usize = 256;

/// The embedded store.
#[derive(Clone, Debug)]
pub struct DirectoryService {
    inner: Arc<Inner>,
}

/// What the store and its buckets share. The order of the fields is the order of closing.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) readers: Readers,
    pub(super) writer: Writer,
    pub(super) files: Arc<Files>,
    reserve: Arc<Reserve>,
    _lock: StoreLock,
}

impl DirectoryService {
    /// Opens or makes the store in `directory`, takes its lock, and collects what a crash left behind.
    ///
    /// # Errors
    /// Another process holds the lock (the error names its pid); the directory cannot be used.
    pub async fn open(directory: &Path) -> Result<Self> {
        let directory = directory.to_owned();
        let inner = blocking(move || Inner::open(&directory)).await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs the lifecycle rules of all buckets as of `now`. Safe at any time, also twice.
    pub async fn expire(&self, now: SystemTime) -> Result<Expired> {
        let mut total = Expired::default();
        for bucket in self.list_buckets().await? {
            match expire::expire(&self.inner, &bucket.name, now).await {
                Ok(expired) => {
                    total.objects += expired.objects;
                    total.uploads += expired.uploads;
                }
                // Deleted meanwhile.
                Err(Error::NoSuchBucket { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Gives a bucket another name, at once and with everything in it; requests in progress fail or have happened.
    pub async fn rename_bucket(&self, from: &BucketName, to: &BucketName) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.inner.writer.apply(move |change| rename_bucket(change, &from, &to)).await
    }

    /// Returns when every change that was begun before has happened, also those whose callers left.
    pub async fn settle(&self) -> Result<()> {
        self.inner.writer.apply(|_| Ok(())).await
    }

    /// Reads everything that is stored and reports what is not as it was written. Requests go on meanwhile.
    pub async fn fsck(&self) -> Result<FsckReport> {
        fsck::fsck(&self.inner).await
    }
}

impl Inner {
    fn open(directory: &Path) -> Result<Self> {
        make_durably(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(io_failure)?;
        let lock = StoreLock::take(directory)?;
        let index = directory.join("index.sqlite");
        let reserve = Arc::new(Reserve::released(&directory.join("reserve")));
        let files = Files::open(&directory.join("bodies"))?;
        let writer = Writer::start(&index, Arc::clone(&files), Arc::clone(&reserve))?;
        // On a full disk the store opens all the same, for reading and deleting.
        let _ = reserve.ensure();
        // The names of the index and of `bodies` must survive a power cut as well.
        sync_directory(directory).map_err(io_failure)?;
        Ok(Self { readers: Readers::new(&index), writer, files, reserve, _lock: lock })
    }

    /// Refuses to store anything while a full disk has used up the reserve.
    pub(super) async fn check_room(&self) -> Result<()> {
        if self.reserve.is_present() {
            return Ok(());
        }
        let reserve = Arc::clone(&self.reserve);
        blocking(move || reserve.ensure()).await
    }

    /// An empty body file, whose id the index has registered as pending.
    pub(super) async fn new_file(&self) -> Result<NewFile> {
        loop {
            if let Some(id) = self.files.take_reserved() {
                let files = Arc::clone(&self.files);
                return blocking(move || files.create(id)).await;
            }
            let ids = self.writer.apply(|change| reserve(change)).await?;
            self.files.add_reserved(ids);
        }
    }
}

/// Makes the directory of the store so that its name survives a power cut.
fn make_durably(directory: &Path) -> Result<()> {
    make_directory(directory).map_err(io_failure)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // One that may not be read was made by somebody else, long before.
    sync_directory(parent).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Ok(()),
        _ => Err(io_failure(error)),
    })
}

fn reserve(change: &Change<'_>) -> Result<Vec<FileId>> {
    let ids = FileId::random(RESERVATION)?;
    let mut insert = change.prepare_cached("INSERT INTO pending (id) VALUES (?1)")?;
    for id in &ids {
        insert.execute([id.to_sql()])?;
    }
    Ok(ids)
}

#[async_trait]
impl ObjectService for DirectoryService {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        let name = name.clone();
        self.inner.writer.apply(move |change| create_bucket(change, &name)).await
    }

    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        let created = self.inner.readers.look(|connection| {
            let mut select = connection.prepare_cached("SELECT created FROM buckets WHERE name = ?1")?;
            let created = select.query_row([name.as_str()], |row| row.get(0)).optional()?;
            created.ok_or_else(|| Error::NoSuchBucket { bucket: name.as_str().to_owned() })
        })?;
        Ok(BucketInfo { name: name.clone(), created: time_from_sql(created) })
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let name = name.clone();
        self.inner.writer.apply(move |change| delete_bucket(change, &name)).await
    }

    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        self.inner.readers.read(list_buckets).await
    }

    async fn usage(&self, bucket: &BucketName) -> Result<Usage> {
        let bucket = bucket.clone();
        self.inner.readers.read(move |connection| usage(connection, find_bucket(connection, &bucket)?)).await
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        let bucket = bucket.clone();
        let read =
            move |connection: &Connection| expire::rules(connection, find_bucket(connection, &bucket)?);
        self.inner.readers.read(read).await
    }

    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        let bucket = bucket.clone();
        let set = move |change: &mut Change<'_>| {
            let bucket = find_bucket(change, &bucket)?;
            expire::set_rules(change, bucket, &rules)
        };
        self.inner.writer.apply(set).await
    }

    async fn cors(&self, bucket: &BucketName) -> Result<Vec<CorsRule>> {
        self.inner.readers.look(|connection| cors::rules(connection, find_bucket(connection, bucket)?))
    }

    async fn set_cors(&self, bucket: &BucketName, rules: Vec<CorsRule>) -> Result<()> {
        let bucket = bucket.clone();
        let set = move |change: &mut Change<'_>| {
            let bucket = find_bucket(change, &bucket)?;
            cors::set_rules(change, bucket, &rules)
        };
        self.inner.writer.apply(set).await
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(DirectoryStore::new(Arc::clone(&self.inner), name.clone()))
    }
}

fn create_bucket(change: &Change<'_>, name: &BucketName) -> Result<()> {
    let mut insert = change.prepare_cached("INSERT INTO buckets (name, created) VALUES (?1, ?2)")?;
    match insert.execute(params![name.as_str(), time_to_sql(SystemTime::now())]) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::BucketExists { bucket: name.as_str().to_owned() })
        }
        other => Ok(other.map(drop)?),
    }
}

fn rename_bucket(change: &Change<'_>, from: &BucketName, to: &BucketName) -> Result<()> {
    let bucket = find_bucket(change, from)?;
    let mut update = change.prepare_cached("UPDATE buckets SET name = ?1 WHERE id = ?2")?;
    match update.execute(params![to.as_str(), bucket.0]) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::BucketExists { bucket: to.as_str().to_owned() })
        }
        other => Ok(other.map(drop)?),
    }
}

fn usage(connection: &Connection, bucket: BucketId) -> Result<Usage> {
    let mut select = connection
        .prepare_cached("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM objects WHERE bucket = ?1")?;
    let (objects, bytes): (i64, i64) = select.query_row([bucket.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Usage { objects: objects.cast_unsigned(), bytes: bytes.cast_unsigned(), more: false })
}

/// Unfinished uploads do not keep a bucket, as on S3.
fn delete_bucket(change: &mut Change<'_>, name: &BucketName) -> Result<()> {
    let bucket = find_bucket(change, name)?;
    let used: bool = change
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)")?
        .query_row([bucket.0], |row| row.get(0))?;
    if used {
        return Err(Error::BucketNotEmpty { bucket: name.as_str().to_owned() });
    }
    multipart::abort_all(change, bucket)?;
    expire::set_rules(change, bucket, &[])?;
    cors::set_rules(change, bucket, &[])?;
    change.prepare_cached("DELETE FROM buckets WHERE id = ?1")?.execute([bucket.0])?;
    Ok(())
}

fn list_buckets(connection: &Connection) -> Result<Vec<BucketInfo>> {
    let mut select = connection.prepare_cached("SELECT name, created FROM buckets ORDER BY name")?;
    let mut rows = select.query([])?;
    let mut buckets = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(0)?.parse()?;
        buckets.push(BucketInfo { name, created: time_from_sql(row.get(1)?) });
    }
    Ok(buckets)
}

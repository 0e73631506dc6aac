//! An archive that another program made, as a backup.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use sandkeep_objects::{Error, ObjectStore};

use super::transfer::{Transfer, cuts, unexpected};
use super::{Summary, put_entry};
use crate::create::publish_manifest;
use crate::manifest::{MANIFEST_VERSION, format_timestamp};
use crate::squashfs::format::SUPERBLOCK_BYTES;
use crate::squashfs::reader::{
    Archive, Content, Inode, Opening, Place, ReadError, Reader, Source, parse_superblock,
};
use crate::{BackupId, Manifest, RestoreError};

/// Unpacked metadata kept at hand while an archive is looked through.
const CACHED: u64 = 32 << 20;

/// What is to be known of an imported archive.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The new backup's id.
    pub id: BackupId,
    /// Recorded as creation time.
    pub now: SystemTime,
    /// Prefix of all keys in the bucket: empty, or ends with `/`.
    pub key_prefix: String,
    /// Where a restore goes if nobody says otherwise.
    pub dir: String,
    /// A name for it.
    pub name: Option<String>,
    /// Seconds until restores are refused; positive.
    pub ttl: f64,
}

/// Uploads a squashfs archive and makes it a backup. Looks through all of its directories and inodes before: what cannot
/// be restored is refused, and nothing is left of it.
pub async fn import(
    store: Arc<dyn ObjectStore>,
    file: File,
    options: ImportOptions,
) -> Result<Manifest, RestoreError> {
    let file = Arc::new(file);
    let looked = {
        let (file, id) = (Arc::clone(&file), options.id.clone());
        tokio::task::spawn_blocking(move || look_through(&file, &id)).await
    };
    let looked =
        looked.map_err(|_| RestoreError::Store(Error::Unsupported { what: "imports while it stops" }))??;
    let key = options.id.archive_key(&options.key_prefix);
    let cuts = cuts(looked.bytes, looked.data_end);
    let transfer = Transfer { store: &store, key: key.clone(), bytes: looked.bytes, cuts, expected: None };
    let read = |range: Range<u64>| -> BoxFuture<'static, Result<Bytes, Error>> {
        let file = Arc::clone(&file);
        let read =
            tokio::task::spawn_blocking(move || read_exact(&file, &range).ok_or_else(|| unexpected(&range)));
        Box::pin(async { read.await.unwrap_or(Err(Error::Unsupported { what: "imports while it stops" })) })
    };
    let (etag, integrity) = transfer.send(&read).await?;
    let created = Timestamp::try_from(options.now).unwrap_or_default();
    let manifest = Manifest {
        id: options.id,
        dir: options.dir,
        name: options.name,
        size_bytes: looked.bytes,
        ttl: options.ttl,
        created_at: format_timestamp(created),
        entries: looked.entries,
        content_bytes: looked.content_bytes,
        excluded: 0,
        left_out: Vec::new(),
        version: MANIFEST_VERSION,
        base: None,
        copied_bytes: 0,
        integrity: Some(integrity),
        consistency: None,
        archive_etag: Some(etag.0),
        skipped: Vec::new(),
        skipped_count: 0,
    };
    if let Err(error) = publish_manifest(store.as_ref(), &options.key_prefix, &manifest).await {
        if let Err(error) = store.delete(&key).await {
            tracing::warn!(%error, "cannot remove the archive of a failed import");
        }
        return Err(error.into());
    }
    put_entry(store.as_ref(), &options.key_prefix, &Summary::of(&manifest)).await;
    Ok(manifest)
}

/// What a look at an archive tells.
struct Looked {
    bytes: u64,
    data_end: u64,
    entries: u64,
    content_bytes: u64,
}

struct OnDisk<'a>(&'a File);

impl Source for OnDisk<'_> {
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ReadError> {
        let range = start..start.saturating_add(length as u64);
        read_exact(self.0, &range).ok_or(ReadError::Damaged { what: "a table lies outside of the archive" })
    }
}

fn read_exact(file: &File, range: &Range<u64>) -> Option<Bytes> {
    // Nothing is allocated for bytes that the file does not have.
    let end = file.metadata().ok()?.len();
    if range.end > end {
        return None;
    }
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start).ok()?;
    Some(bytes.into())
}

fn look_through(file: &File, id: &BackupId) -> Result<Looked, RestoreError> {
    let damaged =
        |error: ReadError| RestoreError::DamagedArchive { id: id.to_string(), what: error.to_string() };
    look(file).map_err(damaged)
}

fn look(file: &File) -> Result<Looked, ReadError> {
    let source = OnDisk(file);
    let bytes = file.metadata().map_err(|_| ReadError::Damaged { what: "it cannot be read" })?.len();
    let head = source.bytes(0, SUPERBLOCK_BYTES.min(bytes as usize))?;
    let found = parse_superblock(&head, bytes)?;
    let data_end = found.0.inode_table;
    let mut opening = Opening::new(found);
    opening.step(&source)?;
    let archive = Archive::new(opening, CACHED);
    let reader = Reader::new(&archive, &source);
    let mut looked = Looked { bytes, data_end, entries: 0, content_bytes: 0 };
    let mut open = vec![reader.root()?];
    while let Some(directory) = open.pop() {
        look_into(&reader, &directory, &mut open, &mut looked)?;
    }
    Ok(looked)
}

fn look_into(
    reader: &Reader<'_>,
    directory: &Inode,
    open: &mut Vec<Inode>,
    looked: &mut Looked,
) -> Result<(), ReadError> {
    let Content::Directory(listing) = &directory.content else { return Ok(()) };
    for name in reader.names(listing, Place::default(), usize::MAX)? {
        let inode = reader.named(directory, &name)?;
        looked.entries += 1;
        if looked.entries > u64::from(u32::MAX) {
            return Err(ReadError::Damaged { what: "it has too many names" });
        }
        match &inode.content {
            Content::Directory(_) => open.push(inode),
            Content::File(file) => looked.content_bytes = looked.content_bytes.saturating_add(file.size),
            _ => {}
        }
    }
    Ok(())
}

//! An archive in a bucket as a filesystem, read as it is needed.

mod chunks;
mod filesystem;
mod settings;

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use sandkeep_objects::{Conditions, Error as StoreError, GetRequest, ObjectStore};

use crate::lru::Lru;
use crate::squashfs::format::SUPERBLOCK_BYTES;
use crate::squashfs::reader::{self, Archive, Extent, Opening, ReadError, Reader, codec};
use crate::{BackupId, Manifest, RestoreError};

use chunks::Chunks;
pub use settings::ImageSettings;

/// Shares of the memory budget: unpacked metadata, unpacked data; the rest is for fetched chunks.
const METADATA_SHARE: u64 = 4;
const DATA_SHARE: u64 = 4;
/// Steps of opening an archive; each fetches something, so that more of them mean an archive that leads in circles.
const MAX_OPENING_STEPS: usize = 100_000;
/// `meta.json` lists what was skipped, which can be long.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// An open backup: implements [`sandkeep_vfs::FileSystem`], read-only.
#[derive(Debug)]
pub struct Image {
    id: BackupId,
    manifest: Manifest,
    id_base: u32,
    archive: Archive,
    chunks: Chunks,
    /// Unpacked data blocks.
    unpacked: Mutex<Lru<u64>>,
    /// Number of the archive's root inode: the kernel's 1.
    root: u32,
}

impl Image {
    /// Checks manifest and expiry at `now`, then fetches the archive's superblock and all metadata tables.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        id: &BackupId,
        settings: ImageSettings,
        now: SystemTime,
    ) -> Result<Self, RestoreError> {
        let key = id.archive_key(&settings.key_prefix);
        let (manifest, info) = futures::join!(
            read_manifest(&*store, id, &settings.key_prefix),
            store.head(&key, Conditions::default())
        );
        let manifest = manifest?;
        manifest.check_restorable(now)?;
        let info = info.map_err(|error| missing(id, error))?;
        check_unchanged(id, &manifest, info.size, &info.etag.0)?;
        let data = settings.memory_budget / DATA_SHARE;
        let metadata = settings.memory_budget / METADATA_SHARE;
        let chunks = Chunks::new(store, key, info.etag, info.size, settings.memory_budget - data - metadata);
        let archive = open_archive(id, &chunks, info.size, metadata).await?;
        let mut image = Self {
            id: id.clone(),
            manifest,
            id_base: settings.id_base,
            archive,
            chunks,
            unpacked: Mutex::new(Lru::new(data)),
            root: 0,
        };
        image.root = image.looked_up(|reader| reader.root()).await.map_err(|error| image.damage(error))?.number;
        Ok(image)
    }

    /// The backup's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn damage(&self, error: Failure) -> RestoreError {
        error.into_restore_error(&self.id)
    }

    /// Looks something up, fetching what is missing until nothing is.
    async fn looked_up<T>(&self, look_up: impl Fn(&Reader<'_>) -> Result<T, ReadError>) -> Result<T, Failure> {
        loop {
            match look_up(&Reader::new(&self.archive, &self.chunks)) {
                Ok(found) => return Ok(found),
                Err(ReadError::Missing { range }) => self.chunks.fetch(range).await?,
                Err(ReadError::Damaged { what }) => return Err(Failure::Damaged(what)),
            }
        }
    }

    /// An unpacked data block.
    async fn block(&self, extent: Extent) -> Result<Bytes, Failure> {
        if let Some(block) = Lru::lock(&self.unpacked).get(&extent.position) {
            return Ok(block);
        }
        let stored = self.chunks.read(extent.position, extent.stored as usize).await?;
        let block = if extent.plain {
            stored
        } else {
            codec::decompress(self.archive.codec, &stored, extent.limit as usize).map_err(|_| DAMAGED_BLOCK)?
        };
        if !extent.fragment && block.len() != extent.limit as usize {
            return Err(DAMAGED_BLOCK);
        }
        Lru::lock(&self.unpacked).insert(extent.position, block.clone());
        Ok(block)
    }
}

const DAMAGED_BLOCK: Failure = Failure::Damaged("a data block cannot be unpacked");

/// Why something of an archive cannot be read.
#[derive(Clone, Debug)]
enum Failure {
    Damaged(&'static str),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    fn into_restore_error(self, id: &BackupId) -> RestoreError {
        match self {
            Self::Damaged(what) => damaged(id, what),
            Self::Store(StoreError::PreconditionFailed) => damaged(id, "it was replaced while it was opened"),
            Self::Store(error) => missing(id, error),
        }
    }
}

fn damaged(id: &BackupId, what: &str) -> RestoreError {
    RestoreError::DamagedArchive { id: id.to_string(), what: what.to_owned() }
}

fn missing(id: &BackupId, error: StoreError) -> RestoreError {
    match error {
        StoreError::NoSuchKey { .. } => RestoreError::NotFound { id: id.to_string() },
        error => RestoreError::Store(error),
    }
}

async fn read_manifest(store: &dyn ObjectStore, id: &BackupId, prefix: &str) -> Result<Manifest, RestoreError> {
    let get = store.get(GetRequest::whole(id.manifest_key(prefix))).await.map_err(|error| missing(id, error))?;
    if get.info.size > MAX_MANIFEST_BYTES {
        return Err(RestoreError::DamagedManifest { id: id.to_string(), what: "it is too long".into() });
    }
    Manifest::parse(id, &chunks::collect(get.body).await?)
}

/// An archive that is not the one the manifest was written for is refused before anything is read from it.
fn check_unchanged(id: &BackupId, manifest: &Manifest, size: u64, etag: &str) -> Result<(), RestoreError> {
    if manifest.size_bytes != size {
        return Err(damaged(id, &format!("it has {size} bytes, its manifest says {}", manifest.size_bytes)));
    }
    match &manifest.archive_etag {
        Some(written) if written != etag => Err(damaged(id, "its ETag is not that in its manifest")),
        _ => Ok(()),
    }
}

async fn open_archive(id: &BackupId, chunks: &Chunks, size: u64, cached: u64) -> Result<Archive, RestoreError> {
    let failed = |failure: Failure| failure.into_restore_error(id);
    if size < SUPERBLOCK_BYTES as u64 {
        return Err(damaged(id, "it is too short for a superblock"));
    }
    let (head, tail) = futures::join!(chunks.fetch(0..SUPERBLOCK_BYTES as u64), chunks.fetch(size - 1..size));
    head.and(tail).map_err(|error| failed(error.into()))?;
    let head = chunks.read(0, SUPERBLOCK_BYTES).await.map_err(|error| failed(error.into()))?;
    let broken = |error: ReadError| damaged(id, &error.to_string());
    let superblock = reader::parse_superblock(&head, size).map_err(broken)?;
    let tables = superblock.0.inode_table..superblock.0.bytes_used;
    // All metadata stand together at the end: one go of parallel requests.
    chunks.fetch(tables).await.map_err(|error| failed(error.into()))?;
    let mut opening = Opening::new(superblock);
    for _ in 0..MAX_OPENING_STEPS {
        match opening.step(chunks) {
            Ok(()) => return Ok(Archive::new(opening, cached)),
            Err(ReadError::Missing { range }) => {
                chunks.fetch(range).await.map_err(|error| failed(error.into()))?;
            }
            Err(error) => return Err(broken(error)),
        }
    }
    Err(damaged(id, "its tables lead in circles"))
}

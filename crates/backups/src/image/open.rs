//! Opening an image: three requests at once, and the metadata that they did not bring.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_objects::{ByteRange, ObjectStore};

use super::Image;
use super::blocks::Blocks;
use super::chunks::{CHUNK, Chunks};
use super::disk::DiskCache;
use super::failure::{Failure, damaged, refused};
use super::remote::{Part, Remote, first};
use super::settings::{Budget, ImageSettings};
use super::tables::{AtHand, Held, Tables};
use crate::squashfs::format::Superblock;
use crate::squashfs::reader::{Archive, Opening, ReadError, parse_superblock};
use crate::{BackupId, Manifest, RestoreError, inspect};

/// The end of the archive that is fetched before anything is known of it. Holds all metadata of some 30,000 files.
const TAIL: u64 = 1 << 20;
/// Stored metadata of about 35 million files; keeps a damaged archive from filling memory with places of blocks.
const MAX_TABLES: u64 = 1 << 30;

impl Image {
    /// Checks manifest and expiry at `now`, then fetches the archive's superblock and all metadata tables.
    /// Takes three requests if the tables are small, whatever the size of the archive.
    ///
    /// # Errors
    /// The backup does not exist, has expired, is damaged, or is not the one that its manifest was written for.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        id: &BackupId,
        settings: ImageSettings,
        now: SystemTime,
    ) -> Result<Self, RestoreError> {
        Self::open_if(store, id, settings, |manifest| manifest.check_restorable(now)).await
    }

    /// The same for whoever only wants to look.
    ///
    /// # Errors
    /// As [`Self::open`], but for expiry.
    pub async fn open_even_if_expired(
        store: Arc<dyn ObjectStore>,
        id: &BackupId,
        settings: ImageSettings,
    ) -> Result<Self, RestoreError> {
        Self::open_if(store, id, settings, |_| Ok(())).await
    }

    async fn open_if(
        store: Arc<dyn ObjectStore>,
        id: &BackupId,
        settings: ImageSettings,
        check: impl FnOnce(&Manifest) -> Result<(), RestoreError>,
    ) -> Result<Self, RestoreError> {
        let key = id.archive_key(&settings.key_prefix);
        let (manifest, head, tail) = futures::join!(
            inspect(Arc::clone(&store), &settings.key_prefix, id),
            first(&*store, &key, ByteRange::Bounded { start: 0, end: CHUNK }),
            first(&*store, &key, ByteRange::Last(TAIL)),
        );
        let manifest = manifest?;
        check(&manifest)?;
        let refused = |error| refused(id, error);
        let (head, tail) = (head.map_err(refused)?, tail.map_err(refused)?);
        check_version(id, &manifest, &head, &tail)?;
        let remote = Remote::new(store, key, &head.info);
        let image = open_archive(remote, &settings, manifest, head, tail).await;
        image.map_err(|failure| failure.restore_error(id))
    }
}

/// Refuses an archive that is not the one the manifest was written for, or that changes while it is opened.
fn check_version(id: &BackupId, manifest: &Manifest, head: &Part, tail: &Part) -> Result<(), RestoreError> {
    let (size, etag) = (head.info.size, &head.info.etag);
    if (size, etag) != (tail.info.size, &tail.info.etag) || head.start != 0 {
        return Err(damaged(id, "it was replaced while it was opened"));
    }
    if manifest.size_bytes != size {
        return Err(damaged(id, format!("it has {size} bytes, its manifest says {}", manifest.size_bytes)));
    }
    match &manifest.archive_etag {
        Some(written) if *written != etag.0 => Err(damaged(id, "its ETag is not that in its manifest")),
        _ => Ok(()),
    }
}

async fn open_archive(
    remote: Remote,
    settings: &ImageSettings,
    manifest: Manifest,
    head: Part,
    tail: Part,
) -> Result<Image, Failure> {
    let budget = Budget::of(settings.memory_budget);
    let found = parse_superblock(&head.bytes, remote.size())?;
    let disk = settings.cache.as_deref().and_then(|directory| disk_cache(directory, remote.size()));
    let chunks = Chunks::new(remote, disk, budget.chunks, found.0.inode_table);
    chunks.keep(0, &head.bytes);
    let tables = fetch_tables(&chunks, &found.0, budget.pinned, tail).await?;
    let mut opening = Opening::new(found);
    find_tables(&mut opening, &tables).await?;
    let archive = Archive::new(opening, budget.metadata);
    let blocks = Blocks::new(chunks, archive.codec, budget.blocks);
    let mut image = Image { manifest, id_base: settings.id_base, archive, tables, blocks, root: 0 };
    image.root = image.looked_up(|reader| reader.root()).await?.number;
    Ok(image)
}

/// The cache is worth having, but not worth failing for.
fn disk_cache(directory: &Path, size: u64) -> Option<DiskCache> {
    let created = DiskCache::create(directory, size.div_ceil(CHUNK));
    created.inspect_err(|error| tracing::warn!(%error, "no chunk cache on disk")).ok()
}

async fn fetch_tables(
    chunks: &Arc<Chunks>,
    superblock: &Superblock,
    limit: u64,
    tail: Part,
) -> Result<Tables, Failure> {
    let range: Range<u64> = superblock.inode_table..superblock.bytes_used;
    let length = range.end - range.start;
    if length > MAX_TABLES {
        return Err(Failure::Damaged("its tables are too large"));
    }
    if length > limit {
        return Ok(Tables::fetched(Arc::clone(chunks), &range));
    }
    Ok(Tables::pinned(Arc::clone(chunks), range, (tail.start, tail.bytes)).await?)
}

/// Repeats the steps of opening, each after what it missed was fetched; every one gets further.
async fn find_tables(opening: &mut Opening, tables: &Tables) -> Result<(), Failure> {
    let mut held = Held::new();
    loop {
        match opening.step(&AtHand { tables, held: &held }) {
            Ok(()) => return Ok(()),
            Err(ReadError::Missing { range }) => {
                held.clear();
                tables.fetch(range, &mut held).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

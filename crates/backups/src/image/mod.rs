//! An archive in a bucket as a filesystem, read as it is needed.
//!
//! ```text
//! filesystem ── look-ups ──► squashfs::reader ──► tables ─┬─ pinned in memory
//!            └─ data ──────► blocks (unpacked) ──► chunks ┴─► memory, disk, remote (If-Match)
//! ```

mod blocks;
mod chunks;
mod disk;
mod failure;
mod filesystem;
mod open;
mod remote;
mod settings;
mod streams;
mod tables;

use crate::Manifest;
use crate::squashfs::reader::{Archive, ReadError, Reader};

use blocks::Blocks;
use failure::Failure;
pub(crate) use failure::damaged;
pub use settings::ImageSettings;
use tables::{AtHand, Held, Tables};

/// An open backup: implements [`sandkeep_vfs::FileSystem`], read-only.
#[derive(Debug)]
pub struct Image {
    manifest: Manifest,
    id_base: u32,
    archive: Archive,
    tables: Tables,
    blocks: Blocks,
    /// Number of the archive's root inode: the kernel's 1.
    root: u32,
}

impl Image {
    /// The backup's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Looks something up, fetching what is missing until nothing is.
    async fn looked_up<T>(
        &self,
        look_up: impl Fn(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<T, Failure> {
        let mut held = Held::new();
        loop {
            let source = AtHand { tables: &self.tables, held: &held };
            let found = look_up(&Reader::new(&self.archive, &source));
            match found {
                Err(ReadError::Missing { range }) => self.tables.fetch(range, &mut held).await?,
                found => return Ok(found?),
            }
        }
    }
}

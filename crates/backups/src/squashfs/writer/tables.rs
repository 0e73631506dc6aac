//! The tables of an archive, in the order that the kernel checks.

use super::Archive;
use super::directories::{Listing, write_listing};
use super::ids::Ids;
use super::inodes::{Numbers, build, encode};
use super::metadata::{MetadataTable, MetadataWriter};
use super::output::Output;
use super::tree::{InodeIndex, ROOT};
use crate::CreateError;
use crate::squashfs::compress::Compressor;
use crate::squashfs::format::{MetadataRef, NO_TABLE, Superblock};

/// Inode and directory tables, and where each inode is.
struct TreeTables {
    inodes: MetadataTable,
    directories: MetadataTable,
    /// By inode number minus one.
    places: Vec<MetadataRef>,
}

/// Writes all tables; the superblock's `bytes_used` is left to the caller.
pub(super) fn write(archive: &Archive<'_>, output: &mut Output<'_>) -> Result<Superblock, CreateError> {
    let mut ids = Ids::default();
    let numbers = Numbers::assign(archive.tree);
    let tables = write_tree(archive, &numbers, &mut ids)?;
    let compressor = &mut Compressor::new(archive.compression).map_err(CreateError::compress)?;
    let mut superblock = archive.superblock();
    superblock.inode_count = numbers.count();
    superblock.root = tables.places[numbers.of(ROOT) as usize - 1];
    superblock.id_count = ids.ids().len() as u16;
    superblock.inode_table = output.write(&tables.inodes.stored)?;
    superblock.directory_table = output.write(&tables.directories.stored)?;
    superblock.fragment_table = write_fragments(archive, compressor, output)?;
    let places: Vec<u8> = tables.places.iter().flat_map(|place| place.to_raw().to_le_bytes()).collect();
    superblock.export_table = write_indexed(&places, &[], compressor, output)?;
    let id_rows: Vec<u8> = ids.ids().iter().flat_map(|id| id.to_le_bytes()).collect();
    superblock.id_table = write_indexed(&id_rows, &[], compressor, output)?;
    superblock.xattr_table = archive.xattrs.write(compressor, output)?;
    Ok(superblock)
}

fn write_fragments(
    archive: &Archive<'_>,
    compressor: &mut Compressor,
    output: &mut Output<'_>,
) -> Result<u64, CreateError> {
    if archive.fragments.is_empty() {
        return Ok(NO_TABLE);
    }
    let rows: Vec<u8> = archive.fragments.iter().flat_map(|fragment| fragment.encode()).collect();
    write_indexed(&rows, &[], compressor, output)
}

/// Writes rows as metadata blocks, then `header` and the blocks' positions; answers the header's position.
pub(super) fn write_indexed(
    rows: &[u8],
    header: &[u8],
    compressor: &mut Compressor,
    output: &mut Output<'_>,
) -> Result<u64, CreateError> {
    let mut table = MetadataWriter::new(compressor);
    table.write(rows).map_err(CreateError::compress)?;
    let table = table.finish().map_err(CreateError::compress)?;
    let start = output.write(&table.stored)?;
    let mut index = header.to_vec();
    index.extend(table.starts.iter().flat_map(|block| (start + block).to_le_bytes()));
    output.write(&index)
}

/// Directories are visited from the bottom up, because a listing says where its entries' inodes are.
fn write_tree(archive: &Archive<'_>, numbers: &Numbers, ids: &mut Ids) -> Result<TreeTables, CreateError> {
    let new_compressor = || Compressor::new(archive.compression).map_err(CreateError::compress);
    let (mut for_inodes, mut for_directories) = (new_compressor()?, new_compressor()?);
    let mut inodes = MetadataWriter::new(&mut for_inodes);
    let mut directories = MetadataWriter::new(&mut for_directories);
    let mut places: Vec<Option<MetadataRef>> = vec![None; numbers.count() as usize];
    let mut listings = std::collections::HashMap::<InodeIndex, Listing>::new();
    let mut write_inode = |index: InodeIndex, listing: Option<Listing>| {
        let inode = build(archive.tree, index, numbers, listing, ids)?;
        let place = inodes.position();
        inodes.write(&encode(&inode)).map_err(CreateError::compress)?;
        Ok::<_, CreateError>(place)
    };
    for directory in archive.tree.directories_upwards() {
        for entry in archive.tree.children(directory) {
            let slot = numbers.of(entry.inode) as usize - 1;
            if places[slot].is_none() {
                places[slot] = Some(write_inode(entry.inode, listings.remove(&entry.inode))?);
            }
        }
        let listing = write_listing(archive.tree, directory, numbers, &places, &mut directories)?;
        listings.insert(directory, listing);
    }
    let root = write_inode(ROOT, listings.remove(&ROOT))?;
    places[numbers.of(ROOT) as usize - 1] = Some(root);
    Ok(TreeTables {
        inodes: inodes.finish().map_err(CreateError::compress)?,
        directories: directories.finish().map_err(CreateError::compress)?,
        places: places.into_iter().map(|place| place.expect("every numbered inode was written")).collect(),
    })
}

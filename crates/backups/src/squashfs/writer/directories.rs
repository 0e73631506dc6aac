//! Directory listings.

use super::inodes::{Numbers, type_of};
use super::metadata::MetadataWriter;
use super::tree::{Entry, InodeIndex, Tree};
use crate::CreateError;
use crate::squashfs::format::{
    DIRECTORY_ENTRY_BYTES, DIRECTORY_SIZE_BIAS, DirectoryHeader, DirectoryIndex, MAX_ENTRIES_PER_HEADER,
    METADATA_BLOCK_BYTES, MetadataRef,
};

/// Where a listing was written.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) place: MetadataRef,
    /// Without the dot entries' bias.
    pub(super) bytes: u32,
    pub(super) index: Vec<DirectoryIndex>,
}

/// An entry with what its listing says of it.
struct Row<'a> {
    name: &'a [u8],
    place: MetadataRef,
    number: u32,
    kind: u16,
}

/// Writes a directory's listing; the inodes of all its entries have been written.
pub(super) fn write_listing(
    tree: &Tree,
    directory: InodeIndex,
    numbers: &Numbers,
    places: &[Option<MetadataRef>],
    table: &mut MetadataWriter<'_>,
) -> Result<Listing, CreateError> {
    let row = |entry: &'_ Entry| {
        let number = numbers.of(entry.inode);
        let place = places[number as usize - 1].expect("written before its directory");
        (number, place, type_of(&tree.inode(entry.inode).kind) as u16)
    };
    let rows: Vec<Row<'_>> = tree
        .children(directory)
        .map(|entry| {
            let (number, place, kind) = row(entry);
            Row { name: &entry.name, place, number, kind }
        })
        .collect();
    let mut listing = Listing { place: table.position(), ..Listing::default() };
    check_place(listing.place)?;
    let mut bytes = 0_u64;
    let mut last_block = listing.place.block;
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let at = table.position();
        let (group, behind) = rest.split_at(group_length(rest, at.offset));
        if at.block != last_block && listing.index.len() < usize::from(u16::MAX) {
            listing.index.push(index_entry(bytes, at, group[0].name));
            last_block = at.block;
        }
        let encoded = encode_group(group)?;
        bytes += encoded.len() as u64;
        table.write(&encoded).map_err(CreateError::compress)?;
        rest = behind;
    }
    listing.bytes =
        u32::try_from(bytes).ok().filter(|bytes| bytes.checked_add(DIRECTORY_SIZE_BIAS).is_some()).ok_or(
            CreateError::FormatLimit { what: "bytes of names in a directory", limit: u64::from(u32::MAX) },
        )?;
    Ok(listing)
}

fn index_entry(bytes: u64, at: MetadataRef, name: &[u8]) -> DirectoryIndex {
    DirectoryIndex { listing_offset: bytes as u32, block: at.block as u32, name: name.to_vec() }
}

/// How many entries can follow one header: those whose inodes are in one block and have close numbers, up to the end
/// of the listing's block, so that each block of a large directory begins with a header that the index can name.
fn group_length(rows: &[Row<'_>], offset: u16) -> usize {
    let first = &rows[0];
    let mut end = usize::from(offset) + DirectoryHeader::BYTES;
    let fits = |row: &&Row<'_>| {
        let before = end;
        end += DIRECTORY_ENTRY_BYTES + row.name.len();
        before < METADATA_BLOCK_BYTES
            && row.place.block == first.place.block
            && i16::try_from(i64::from(row.number) - i64::from(first.number)).is_ok()
    };
    rows.iter().take(MAX_ENTRIES_PER_HEADER).take_while(fits).count().max(1)
}

fn encode_group(group: &[Row<'_>]) -> Result<Vec<u8>, CreateError> {
    let first = &group[0];
    check_place(first.place)?;
    let header = DirectoryHeader {
        count: group.len() as u32,
        inode_block: first.place.block as u32,
        inode_number: first.number,
    };
    let mut bytes = header.encode().to_vec();
    for row in group {
        let difference = (i64::from(row.number) - i64::from(first.number)) as i16;
        bytes.extend(row.place.offset.to_le_bytes());
        bytes.extend(difference.to_le_bytes());
        bytes.extend(row.kind.to_le_bytes());
        bytes.extend((row.name.len() as u16 - 1).to_le_bytes());
        bytes.extend_from_slice(row.name);
    }
    Ok(bytes)
}

/// Listings name blocks with 32 bits.
fn check_place(place: MetadataRef) -> Result<(), CreateError> {
    match u32::try_from(place.block) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(CreateError::FormatLimit { what: "bytes of inodes or names", limit: u64::from(u32::MAX) })
        }
    }
}

//! Directory listings, and the index that spares reading all of a large one.
//!
//! A listing is made of headers, each followed by up to 256 entries ([`DirectoryHeader`]).
//! Names ascend bytewise over the whole listing.

use super::cursor::Cursor;
use super::failure::{Result, check, damaged};
use super::inode::Directory;
use super::reader::Reader;
use crate::squashfs::format::{
    DIRECTORY_ENTRY_BYTES, DirectoryHeader, InodeType, MAX_ENTRIES_PER_HEADER, MetadataRef,
};

/// Linux refuses longer names.
const MAX_NAME: usize = 255;
const MIN_RUN_BYTES: usize = DirectoryHeader::BYTES + DIRECTORY_ENTRY_BYTES + 1;

/// A place in a listing: an entry by its header's place and its number behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset of the header in the listing.
    pub(crate) header: u32,
    /// Entries of the header to pass over.
    pub(crate) skip: u8,
}

/// A name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The name: 1 to 255 bytes, no slash or NUL, not `.` or `..`.
    pub(crate) name: Vec<u8>,
    /// Where its inode is.
    pub(crate) reference: MetadataRef,
    /// Its inode's number.
    pub(crate) number: u32,
    /// Its basic kind.
    pub(crate) kind: InodeType,
    /// Where the listing goes on behind it.
    pub(crate) next: Place,
}

/// Reads the names of a directory in order.
pub(crate) struct Listing<'a> {
    cursor: Cursor<'a>,
    start: u64,
    end: u64,
    header: Option<Header>,
}

struct Header {
    place: u32,
    entries: u32,
    passed: u32,
    block: u32,
    number: u32,
}

impl<'a> Listing<'a> {
    /// Starts at a place that an earlier name of this directory gave, or at the first name.
    pub(crate) fn new(reader: &'a Reader<'a>, directory: &Directory, place: Place) -> Result<Self> {
        let table = &reader.archive().directories;
        let start = if directory.size == 0 { 0 } else { table.address(directory.listing)? };
        let end = start + u64::from(directory.size);
        let mut cursor = Cursor::new(reader, table, start);
        cursor.require(u64::from(directory.size))?;
        cursor.skip(u64::from(place.header.min(directory.size)))?;
        let mut listing = Self { cursor, start, end, header: None };
        for _ in 0..place.skip {
            listing.next()?;
        }
        Ok(listing)
    }

    /// The next name.
    pub(crate) fn next(&mut self) -> Result<Option<Name>> {
        if self.header.is_none() {
            if self.cursor.address() >= self.end {
                return Ok(None);
            }
            self.header = Some(self.read_header()?);
        }
        let name = self.read_entry()?;
        check(self.cursor.address() <= self.end, "a directory is longer than it says")?;
        Ok(Some(name))
    }

    fn read_header(&mut self) -> Result<Header> {
        check(self.end - self.cursor.address() >= MIN_RUN_BYTES as u64, "a directory ends too early")?;
        let place = self.place()?;
        let entries = self.cursor.u32()?.saturating_add(1);
        check(entries <= MAX_ENTRIES_PER_HEADER as u32, "a directory has too many names in a row")?;
        Ok(Header { place, entries, passed: 0, block: self.cursor.u32()?, number: self.cursor.u32()? })
    }

    fn place(&self) -> Result<u32> {
        u32::try_from(self.cursor.address() - self.start).or_else(|_| damaged("a directory is too long"))
    }

    fn read_entry(&mut self) -> Result<Name> {
        let Some(header) = &mut self.header else { return damaged("a name without a header") };
        let offset = self.cursor.u16()?;
        let number = header.number.wrapping_add_signed(i32::from(self.cursor.u16()?.cast_signed()));
        let Some(kind) = InodeType::from_basic(self.cursor.u16()?) else {
            return damaged("a name is of an unknown kind");
        };
        let name = read_name(&mut self.cursor)?;
        header.passed += 1;
        let (header_place, passed) = (header.place, header.passed);
        let reference = MetadataRef { block: header.block.into(), offset };
        let next = if passed == header.entries {
            self.header = None;
            Place { header: self.place()?, skip: 0 }
        } else {
            Place { header: header_place, skip: passed as u8 }
        };
        Ok(Name { name, reference, number, kind, next })
    }
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<Vec<u8>> {
    let length = usize::from(cursor.u16()?) + 1;
    check(length <= MAX_NAME, "a name is too long")?;
    let name = cursor.bytes(length)?;
    let dots = name == b"." || name == b"..";
    check(!dots && !name.iter().any(|&byte| byte == b'/' || byte == 0), "a name is not allowed")?;
    Ok(name)
}

/// Finds a name, starting where the index says.
pub(crate) fn find(reader: &Reader<'_>, directory: &Directory, name: &[u8]) -> Result<Option<Name>> {
    let place = Place { header: indexed_place(reader, directory, name)?, skip: 0 };
    let mut listing = Listing::new(reader, directory, place)?;
    while let Some(found) = listing.next()? {
        match found.name.as_slice().cmp(name) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Ok(Some(found)),
            std::cmp::Ordering::Greater => break,
        }
    }
    Ok(None)
}

/// The last header of the index whose first name is not behind `name`.
fn indexed_place(reader: &Reader<'_>, directory: &Directory, name: &[u8]) -> Result<u32> {
    let mut cursor = Cursor::new(reader, &reader.archive().inodes, directory.index);
    let mut place = 0;
    for _ in 0..directory.index_entries {
        let header = cursor.u32()?;
        cursor.skip(4)?;
        let length = u64::from(cursor.u32()?) + 1;
        check(length <= MAX_NAME as u64, "a name is too long")?;
        if cursor.bytes(length as usize)?.as_slice() > name {
            break;
        }
        place = header;
    }
    Ok(place)
}

//! Extended attributes.
//!
//! ```text
//! pair:      u16 prefix, bit 8: the value is elsewhere | u16 length | name without prefix | u32 length | value
//! elsewhere: the value is a reference to u32 length | value
//! ```

use super::cursor::Cursor;
use super::failure::{Result, check, damaged};
use super::reader::Reader;
use super::table::Table;
use crate::squashfs::format::{
    MetadataRef, XATTR_PREFIXES, XATTR_ROW_BYTES, XATTR_VALUE_ELSEWHERE, XattrRow,
};

/// XATTR_NAME_MAX of Linux.
const MAX_NAME: usize = 255;
/// XATTR_SIZE_MAX of Linux.
const MAX_VALUE: u32 = 65_536;
/// XATTR_LIST_MAX of Linux: bytes of all names of a file.
const MAX_LIST: usize = 65_536;

/// The tables of an archive that has extended attributes.
#[derive(Debug)]
pub(crate) struct XattrTables {
    /// A row per set of attributes.
    pub(crate) ids: Table,
    /// Number of sets.
    pub(crate) count: u32,
    /// Names and values.
    pub(crate) pairs: Table,
}

impl Reader<'_> {
    /// Names of a set, with their prefixes.
    pub(crate) fn xattr_names(&self, index: Option<u32>) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        self.each_xattr(index, |name, _| {
            names.push(name);
            Ok(true)
        })?;
        Ok(names)
    }

    /// The value of a name.
    pub(crate) fn xattr(&self, index: Option<u32>, wanted: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = None;
        self.each_xattr(index, |name, pair| {
            if name != wanted {
                return Ok(true);
            }
            value = Some(pair.read()?);
            Ok(false)
        })?;
        Ok(value)
    }

    /// Visits the pairs of a set until `visit` says false.
    fn each_xattr(
        &self,
        index: Option<u32>,
        mut visit: impl FnMut(Vec<u8>, Value<'_>) -> Result<bool>,
    ) -> Result<()> {
        let (Some(index), Some(tables)) = (index, &self.archive().xattrs) else { return Ok(()) };
        check(index < tables.count, "a file's extended attributes do not exist")?;
        let mut entry = Cursor::new(self, &tables.ids, u64::from(index) * XATTR_ROW_BYTES as u64);
        let row = XattrRow::decode(&entry.array()?);
        let mut cursor = Cursor::new(self, &tables.pairs, tables.pairs.address(row.first)?);
        let mut listed = 0;
        for _ in 0..row.count {
            let (kind, name) = read_name(&mut cursor)?;
            listed += name.len() + 1;
            check(listed <= MAX_LIST, "a file has too many extended attributes")?;
            let length = cursor.u32()?;
            let value = Value {
                reader: self,
                tables,
                at: cursor.address(),
                length,
                elsewhere: kind & XATTR_VALUE_ELSEWHERE != 0,
            };
            if !visit(name, value)? {
                return Ok(());
            }
            cursor.skip(u64::from(length))?;
        }
        Ok(())
    }
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<(u16, Vec<u8>)> {
    let (kind, length) = (cursor.u16()?, usize::from(cursor.u16()?));
    let Some(&prefix) = XATTR_PREFIXES.get(usize::from(kind & !XATTR_VALUE_ELSEWHERE)) else {
        return damaged("an extended attribute has an unknown prefix");
    };
    check((1..=MAX_NAME - prefix.len()).contains(&length), "the name of an extended attribute is too long")?;
    let name = cursor.bytes(length)?;
    check(!name.contains(&0), "the name of an extended attribute has a NUL byte")?;
    Ok((kind, [prefix, &name].concat()))
}

/// A value that was not read yet.
struct Value<'a> {
    reader: &'a Reader<'a>,
    tables: &'a XattrTables,
    at: u64,
    length: u32,
    elsewhere: bool,
}

impl Value<'_> {
    fn read(&self) -> Result<Vec<u8>> {
        let pairs = &self.tables.pairs;
        let mut cursor = Cursor::new(self.reader, pairs, self.at);
        let mut length = self.length;
        if self.elsewhere {
            let reference = MetadataRef::from_raw(cursor.u64()?);
            cursor = Cursor::new(self.reader, pairs, pairs.address(reference)?);
            length = cursor.u32()?;
        }
        check(length <= MAX_VALUE, "the value of an extended attribute is too long")?;
        cursor.bytes(length as usize)
    }
}

//! Extended attributes: equal sets are stored once.

use std::collections::HashMap;
use std::sync::Arc;

use super::metadata::MetadataWriter;
use super::output::Output;
use super::tables::write_indexed;
use crate::CreateError;
use crate::squashfs::compress::Compressor;
use crate::squashfs::format::{NO_TABLE, NO_XATTR, XATTR_PREFIXES, XattrRow};

/// All attribute sets of an archive, encoded.
#[derive(Debug, Default)]
pub(crate) struct Xattrs {
    rows: HashMap<Arc<Set>, u32>,
    sets: Vec<Arc<Set>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Set {
    count: u32,
    encoded: Vec<u8>,
}

/// Whether squashfs has a place for an attribute of that name.
pub(crate) fn is_storable(name: &[u8]) -> bool {
    split_name(name).is_some()
}

impl Xattrs {
    /// The row for a set of (full name, value); names for which there is no place are left out.
    pub(crate) fn add(&mut self, mut attributes: Vec<(Vec<u8>, Vec<u8>)>) -> u32 {
        attributes.retain(|(name, _)| is_storable(name));
        if attributes.is_empty() {
            return NO_XATTR;
        }
        attributes.sort();
        let set = Arc::new(Set { count: attributes.len() as u32, encoded: encode(&attributes) });
        if let Some(row) = self.rows.get(&set) {
            return *row;
        }
        let row = self.sets.len() as u32;
        self.sets.push(Arc::clone(&set));
        self.rows.insert(set, row);
        row
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Writes key-value blocks, rows and the table's header; answers the header's position.
    pub(super) fn write(
        &self,
        compressor: &mut Compressor,
        output: &mut Output<'_>,
    ) -> Result<u64, CreateError> {
        if self.is_empty() {
            return Ok(NO_TABLE);
        }
        let mut values = MetadataWriter::new(compressor);
        let mut rows = Vec::with_capacity(self.sets.len() * 16);
        for set in &self.sets {
            let row =
                XattrRow { first: values.position(), count: set.count, bytes: set.encoded.len() as u32 };
            rows.extend(row.encode());
            values.write(&set.encoded).map_err(CreateError::compress)?;
        }
        let values = values.finish().map_err(CreateError::compress)?;
        let values_start = output.write(&values.stored)?;
        let mut header = values_start.to_le_bytes().to_vec();
        header.extend((self.sets.len() as u32).to_le_bytes());
        header.extend(0_u32.to_le_bytes());
        write_indexed(&rows, &header, compressor, output)
    }
}

fn encode(attributes: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in attributes {
        let Some((kind, rest)) = split_name(name) else { continue };
        encoded.extend(kind.to_le_bytes());
        encoded.extend((rest.len() as u16).to_le_bytes());
        encoded.extend_from_slice(rest);
        encoded.extend((value.len() as u32).to_le_bytes());
        encoded.extend_from_slice(value);
    }
    encoded
}

/// The type that stands for the prefix, and the name without it.
fn split_name(name: &[u8]) -> Option<(u16, &[u8])> {
    let of = |(kind, prefix): (usize, &&[u8])| name.strip_prefix(*prefix).map(|rest| (kind as u16, rest));
    XATTR_PREFIXES.iter().enumerate().find_map(of)
}

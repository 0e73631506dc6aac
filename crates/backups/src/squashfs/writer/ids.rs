//! User and group ids: inodes carry a row number of 16 bits.

use std::collections::HashMap;

use super::tree::Tree;
use crate::CreateError;
use crate::squashfs::format::MAX_IDS;

/// The distinct ids of an archive.
#[derive(Debug, Default)]
pub(super) struct Ids {
    rows: HashMap<u32, u16>,
    ids: Vec<u32>,
}

impl Ids {
    pub(super) fn row(&mut self, id: u32) -> Result<u16, CreateError> {
        if let Some(row) = self.rows.get(&id) {
            return Ok(*row);
        }
        if self.ids.len() == MAX_IDS {
            return Err(CreateError::FormatLimit { what: "user and group ids", limit: MAX_IDS as u64 });
        }
        let row = self.ids.len() as u16;
        self.ids.push(id);
        self.rows.insert(id, row);
        Ok(row)
    }

    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// Fails if a tree has more distinct ids than the format can hold, before any work is done for it.
pub(crate) fn check_ids(tree: &Tree) -> Result<(), CreateError> {
    let mut ids = Ids::default();
    for inode in &tree.inodes {
        ids.row(inode.attributes.uid)?;
        ids.row(inode.attributes.gid)?;
    }
    Ok(())
}

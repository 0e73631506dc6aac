//! Checks the first 96 bytes of an archive against each other and against the archive's size.

use super::failure::{ReadError, Result, check, damaged};
use crate::squashfs::format::{Codec, NO_TABLE, SUPERBLOCK_BYTES, Superblock, SuperblockError};

/// Parses and checks the superblock of an archive of `size` bytes.
pub(crate) fn parse_superblock(bytes: &[u8], size: u64) -> Result<(Superblock, Codec)> {
    let Some(bytes) = bytes.first_chunk() else { return damaged("it is too short for a superblock") };
    let superblock = Superblock::decode(bytes)?;
    let codec = codec(superblock.codec)?;
    check(superblock.inode_count > 0 && superblock.id_count > 0, "it has no inodes or no owners")?;
    check(superblock.bytes_used <= size, "it is shorter than its superblock says")?;
    check_places(&superblock)?;
    Ok((superblock, codec))
}

/// Where a table is; none if there is none.
pub(super) fn place(table: u64) -> Option<u64> {
    (table != NO_TABLE).then_some(table)
}

fn check_places(superblock: &Superblock) -> Result<()> {
    let fragments = place(superblock.fragment_table).filter(|_| superblock.fragment_count > 0);
    check(superblock.fragment_count == 0 || fragments.is_some(), "it has no fragment table")?;
    let tables = [
        Some(SUPERBLOCK_BYTES as u64 - 1),
        Some(superblock.inode_table),
        Some(superblock.directory_table),
        fragments,
        place(superblock.export_table),
        Some(superblock.id_table),
        place(superblock.xattr_table),
        Some(superblock.bytes_used),
    ];
    let present: Vec<u64> = tables.into_iter().flatten().collect();
    let ordered = present.is_sorted() && present[0] < present[1] && present[1] < present[2];
    check(ordered, "its tables are out of order")
}

fn codec(id: u16) -> Result<Codec> {
    match (Codec::from_id(id), id) {
        (Some(codec), _) => Ok(codec),
        (None, 2) => damaged("it is compressed with lzma, which is not supported"),
        (None, 3) => damaged("it is compressed with lzo, which is not supported"),
        (None, 4) => damaged("it is compressed with xz, which is not supported"),
        (None, _) => damaged("its compressor is unknown"),
    }
}

impl From<SuperblockError> for ReadError {
    fn from(error: SuperblockError) -> Self {
        let what = match error {
            SuperblockError::Magic => "it does not start with a squashfs superblock",
            SuperblockError::Version => "its version is not squashfs 4.0",
            SuperblockError::BlockSize => "its block size is not allowed",
        };
        Self::Damaged { what }
    }
}

//! Reads squashfs 4.0 archives that may be hostile.
//!
//! Plain functions over bytes: whoever calls fetches what [`ReadError::Missing`] names and asks again. Every
//! length and offset is checked before it is used, nothing is allocated that the archive's real bytes do not
//! account for, and no path through it can loop. Knows nothing of buckets or mounts.

mod archive;
pub(crate) mod codec;
mod cursor;
mod directory;
mod failure;
mod file;
mod inode;
mod opening;
#[expect(clippy::module_inception, reason = "the reader's own type, like every other in a file of its name")]
mod reader;
mod source;
mod superblock;
mod table;
mod xattr;

#[cfg(test)]
mod tests;

pub(crate) use archive::Archive;
pub(crate) use directory::{Name, Place};
pub(crate) use failure::ReadError;
pub(crate) use file::{Extent, Piece};
pub(crate) use inode::{Content, File, Inode};
pub(crate) use opening::Opening;
pub(crate) use reader::Reader;
pub(crate) use source::Source;
pub(crate) use superblock::parse_superblock;

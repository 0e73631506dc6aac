//! Listing directories: as many entries as fit the kernel's buffer.

use sandkeep_fuse::abi::{self, Field};

use super::Call;
use super::answer::{self, Answer, entry_out};
use crate::{DirectoryEntry, FileHandle, FileSystem};

/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;
/// Names are taken to be this long when asking the filesystem for a bufferful.
const USUAL_NAME: usize = 16;

impl Call {
    pub(super) fn open_directory(self) {
        self.reading(|on| async move {
            Ok(answer::directory(&on.filesystem.open_directory(on.caller, on.inode).await?))
        });
    }

    pub(super) fn release_directory(self, handle: u64) {
        self.changing(move |on| async move {
            Ok(on.filesystem.release_directory(on.inode, FileHandle(handle)).await?.into())
        });
    }

    pub(super) fn fsync_directory(self, handle: u64) {
        self.changing(move |on| async move {
            Ok(on.filesystem.fsync_directory(on.inode, FileHandle(handle)).await?.into())
        });
    }

    pub(super) fn read_directory(self, handle: u64, offset: u64, size: u32, plus: bool) {
        let size = size as usize;
        let limit = (size / record_length(USUAL_NAME, plus)).max(1);
        self.reading(move |on| async move {
            let handle = FileHandle(handle);
            let entries = on.filesystem.read_directory(on.inode, handle, offset, limit, plus).await?;
            let (packed, count) = pack(&entries, size, plus);
            forget_unseen(&*on.filesystem, &entries[count..]);
            Ok(Answer::Bytes(packed))
        });
    }
}

fn record_length(name: usize, plus: bool) -> usize {
    let attributes = if plus { abi::EntryOut::SIZE } else { 0 };
    attributes + (abi::Dirent::SIZE + name).next_multiple_of(ALIGNMENT)
}

/// The records of the entries that fit, and how many those are.
fn pack(entries: &[DirectoryEntry], size: usize, plus: bool) -> (Vec<u8>, usize) {
    let mut packed = Vec::with_capacity(size.min(entries.len() * record_length(USUAL_NAME, plus)));
    for (index, entry) in entries.iter().enumerate() {
        if packed.len() + record_length(entry.name.len(), plus) > size {
            return (packed, index);
        }
        append(&mut packed, entry, plus);
    }
    (packed, entries.len())
}

fn append(packed: &mut Vec<u8>, entry: &DirectoryEntry, plus: bool) {
    if plus {
        // Node 0 says that there are no attributes: the kernel looks the name up when it needs them.
        let attributes = entry.entry.as_ref().map(entry_out).unwrap_or_default();
        packed.extend_from_slice(&attributes.to_bytes());
    }
    let kind = entry.kind.mode_bits() >> 12;
    let record =
        abi::Dirent { ino: entry.inode.0, off: entry.next_offset, namelen: entry.name.len() as u32, kind };
    packed.extend_from_slice(&record.to_bytes());
    packed.extend_from_slice(&entry.name);
    packed.resize(packed.len().next_multiple_of(ALIGNMENT), 0);
}

/// The filesystem has counted a reference for each entry with attributes; these the kernel never sees.
fn forget_unseen(filesystem: &dyn FileSystem, entries: &[DirectoryEntry]) {
    for entry in entries.iter().filter_map(|entry| entry.entry) {
        if entry.attributes.inode.0 != 0 {
            filesystem.forget(entry.attributes.inode, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileKind, Inode};

    fn entry(name: &str, next_offset: u64) -> DirectoryEntry {
        let (name, kind) = (name.as_bytes().to_vec(), FileKind::File);
        DirectoryEntry { name, inode: Inode(7), kind, next_offset, entry: None }
    }

    #[test]
    fn records_are_aligned_and_only_whole_ones_are_packed() {
        let entries = [entry("a", 1), entry("twelve-bytes", 2), entry("b", 3)];
        let (packed, count) = pack(&entries, 32 + 40 + 31, false);
        assert_eq!((packed.len(), count), (32 + 40, 2));
        assert_eq!(&packed[24..32], b"a\0\0\0\0\0\0\0");
        let (packed, count) = pack(&entries, 1000, true);
        assert_eq!((packed.len(), count), (3 * 128 + 32 + 40 + 32, 3));
    }
}

//! Looking names up, and everything about open files.

use bytes::Bytes;
use sandkeep_fuse::{Data, Operation, abi};

use super::answer::{self, Answer};
use super::{Call, name};
use crate::{Errno, FileHandle, Inode, LockOwner, OpenFlags, Whence};

/// What a copy may answer in 32 bits, in whole pages.
const NARROW_COPY_LIMIT: u64 = 0xffff_f000;

impl Call {
    pub(super) fn lookup(self, bytes: &[u8]) {
        let name = name(bytes);
        self.reading(|on| async move { Ok(on.filesystem.lookup(on.caller, on.inode, &name?).await?.into()) });
    }

    pub(super) fn attributes(self, handle: Option<u64>) {
        self.reading(move |on| async move {
            Ok(on.filesystem.attributes(on.inode, handle.map(FileHandle)).await?.into())
        });
    }

    pub(super) fn read_link(self) {
        self.reading(|on| async move { Ok(Answer::Bytes(on.filesystem.read_link(on.inode).await?)) });
    }

    pub(super) fn statfs(self) {
        self.reading(|on| async move { Ok(on.filesystem.statfs().await?.into()) });
    }

    pub(super) fn open(self, raw: u32, drop_set_id: bool) {
        let flags = OpenFlags(raw as i32);
        let notifier = self.notifier.clone();
        let operation = move |on: super::run::Subject| async move {
            if drop_set_id {
                on.drop_set_id(None, &notifier).await?;
            }
            Ok(answer::file(&on.filesystem.open(on.caller, on.inode, flags).await?))
        };
        if flags.truncate() { self.changing(operation) } else { self.reading(operation) }
    }

    pub(super) fn read(self, handle: u64, offset: u64, size: u32) {
        self.reading(move |on| async move {
            let mut pieces = on.filesystem.read(on.inode, FileHandle(handle), offset, size).await?;
            cut(&mut pieces, size as usize);
            Ok(Answer::Pieces(pieces))
        });
    }

    pub(super) fn write(self, handle: u64, offset: u64, drop_set_id: bool, data: Data) {
        let data = Bytes::from_owner(data);
        let size = data.len() as u32;
        let notifier = self.notifier.clone();
        self.changing(move |on| async move {
            let handle = FileHandle(handle);
            if drop_set_id {
                on.drop_set_id(Some(handle), &notifier).await?;
            }
            on.filesystem.write(on.inode, handle, offset, data).await?;
            Ok(Answer::Bytes(abi::WriteOut { size, padding: 0 }.to_bytes().to_vec()))
        });
    }

    pub(super) fn flush(self, handle: u64, lock_owner: u64) {
        self.changing(move |on| async move {
            Ok(on.filesystem.flush(on.inode, FileHandle(handle), LockOwner(lock_owner)).await?.into())
        });
    }

    pub(super) fn release(self, handle: u64) {
        self.changing(move |on| async move {
            Ok(on.filesystem.release(on.inode, FileHandle(handle)).await?.into())
        });
    }

    pub(super) fn fsync(self, handle: u64, data_only: bool) {
        self.changing(move |on| async move {
            Ok(on.filesystem.fsync(on.inode, FileHandle(handle), data_only).await?.into())
        });
    }

    pub(super) fn allocate(self, handle: u64, offset: u64, length: u64, mode: u32) {
        self.changing(move |on| async move {
            let handle = FileHandle(handle);
            Ok(on.filesystem.allocate(on.inode, handle, offset, length, mode as i32).await?.into())
        });
    }

    pub(super) fn seek(self, handle: u64, offset: u64, raw: u32) {
        let whence = match raw as i32 {
            libc::SEEK_DATA => Ok(Whence::Data),
            libc::SEEK_HOLE => Ok(Whence::Hole),
            _ => Err(Errno::EINVAL),
        };
        self.reading(move |on| async move {
            let offset = on.filesystem.seek(on.inode, FileHandle(handle), offset, whence?).await?;
            Ok(Answer::Bytes(abi::LseekOut { offset }.to_bytes().to_vec()))
        });
    }

    pub(super) fn copy_range(self, operation: Operation<'_>) {
        let Operation::CopyRange { from, to_node, to, length, wide } = operation else { return };
        let length = if wide { length } else { length.min(NARROW_COPY_LIMIT) };
        self.changing(move |on| async move {
            let from = (on.inode, FileHandle(from.0), from.1);
            let to = (Inode(to_node), FileHandle(to.0), to.1);
            let copied = on.filesystem.copy_range(from, to, length).await?;
            let narrow = || abi::WriteOut { size: copied as u32, padding: 0 }.to_bytes();
            let wide_out = || abi::CopyFileRangeOut { bytes_copied: copied }.to_bytes();
            Ok(Answer::Bytes(if wide { wide_out() } else { narrow() }.to_vec()))
        });
    }
}

/// The kernel refuses answers that are longer than asked for.
fn cut(pieces: &mut Vec<Bytes>, size: usize) {
    let mut left = size;
    for piece in pieces.iter_mut() {
        piece.truncate(left);
        left -= piece.len();
    }
    pieces.retain(|piece| !piece.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_to_what_was_asked_for() {
        let mut pieces =
            vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def"), Bytes::from_static(b"g")];
        cut(&mut pieces, 4);
        assert_eq!(pieces, [&b"abc"[..], &b"d"[..]]);
    }
}

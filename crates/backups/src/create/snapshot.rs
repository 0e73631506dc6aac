//! The content of files, taken while nothing runs, to be compressed afterwards.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, Statx, ftruncate, memfd_create};
use rustix::io::pwrite;

use super::content::{next_data, open_regular, read_at};
use super::directory::SourceDirectory;
use crate::CreateError;
use crate::squashfs::writer::{InodeIndex, Tree};

/// More takes longer than a program should be stopped for.
const MAX_FILES: usize = 5_000;
const MAX_BYTES: u64 = 48 << 20;
/// Each file begins at a page, so that its holes can be holes here.
const ALIGNMENT: u64 = 4096;
const COPY_BYTES: usize = 1 << 20;

/// Files in memory.
pub(super) struct Snapshot {
    memory: Arc<OwnedFd>,
    files: HashMap<InodeIndex, Taken>,
}

/// A file as it was.
pub(super) struct Taken {
    pub(super) start: u64,
    pub(super) stat: Box<Statx>,
}

/// Whether what has to be read of a tree is so little that it can be taken at once.
pub(super) fn is_small_enough(tree: &Tree) -> bool {
    let (files, bytes) =
        to_read(tree).fold((0, 0_u64), |(files, bytes), (_, size)| (files + 1, bytes.saturating_add(size)));
    files <= MAX_FILES && bytes <= MAX_BYTES
}

fn to_read(tree: &Tree) -> impl Iterator<Item = (InodeIndex, u64)> {
    let unkept = |(index, inode): (usize, &crate::squashfs::writer::TreeInode)| {
        let content = inode.content().filter(|content| !content.kept && content.size > 0)?;
        Some((index as InodeIndex, content.size))
    };
    tree.inodes.iter().enumerate().filter_map(unkept)
}

impl Snapshot {
    /// Takes all files of the tree that have to be read.
    pub(super) fn take(source: &SourceDirectory, tree: &Tree) -> Result<Self, CreateError> {
        let failed = |error: rustix::io::Errno| CreateError::Temporary { source: error.into() };
        let memory = memfd_create("snapshot", MemfdFlags::CLOEXEC).map_err(failed)?;
        let mut snapshot = Self { memory: Arc::new(memory), files: HashMap::new() };
        let (mut end, mut buffer) = (0, vec![0; COPY_BYTES]);
        for (inode, _) in to_read(tree) {
            let path = tree.path(inode);
            let opened = open_regular(source, &path).map_err(|error| CreateError::read(&path, error))?;
            // What is gone by now is found to be gone when it is its turn.
            let Some((file, stat)) = opened else { continue };
            let size = stat.stx_size;
            snapshot.copy(&file, end, size, &mut buffer).map_err(|error| CreateError::read(&path, error))?;
            snapshot.files.insert(inode, Taken { start: end, stat: Box::new(stat) });
            end = (end + size).next_multiple_of(ALIGNMENT);
            ftruncate(&snapshot.memory, end).map_err(failed)?;
        }
        Ok(snapshot)
    }

    fn copy(&self, file: &OwnedFd, start: u64, size: u64, buffer: &mut [u8]) -> rustix::io::Result<()> {
        let mut at = 0;
        while at < size {
            let data = next_data(file, at, size);
            at = data.start;
            while at < data.end {
                let length = (data.end - at).min(buffer.len() as u64) as usize;
                let filled = read_at(file, &mut buffer[..length], at)?;
                write_all(&self.memory, &buffer[..filled], start + at)?;
                at += length as u64;
            }
        }
        Ok(())
    }

    /// A file, if it was taken.
    pub(super) fn file(&self, inode: InodeIndex) -> Option<&Taken> {
        self.files.get(&inode)
    }

    /// Where all of them are.
    pub(super) fn memory(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.memory)
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut position: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| pwrite(file.as_fd(), bytes, position))?;
        position += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}

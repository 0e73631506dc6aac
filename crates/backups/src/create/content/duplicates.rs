//! Large files with equal content, found before any of them is written: an archive that leaves as it is made cannot
//! take back what it has written.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::Statx;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

use super::read::{next_data, open_regular, read_at};
use super::worker::WorkerContext;
use crate::create::attributes::Signature;
use crate::create::directory::stat_open;
use crate::squashfs::format::BLOCK_BYTES;
use crate::squashfs::writer::{InodeIndex, Tree};

/// Read from both ends of a file to tell most different ones apart.
const SAMPLE_BYTES: usize = 4096;
const READ_BYTES: usize = 1024 * 1024;

/// Which files are copies of which.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// The file that is written, by the file that is not.
    pub(super) originals: HashMap<InodeIndex, InodeIndex>,
    /// What each original was when it was compared.
    signatures: HashMap<InodeIndex, Signature>,
    /// Originals that changed since: their copies have to be written.
    unusable: HashSet<InodeIndex>,
}

impl Duplicates {
    /// Compares files of equal size, by samples first. Files that cannot be read now are no duplicates; the reading
    /// proper will say why.
    pub(super) fn find(
        tree: &Tree,
        context: &WorkerContext<'_>,
        threads: usize,
        stop: &CancellationToken,
    ) -> Self {
        let sample = |file: &Candidate| sample(context, tree, file).ok().flatten();
        let whole = |file: &Candidate| whole(context, tree, file, stop).ok().flatten();
        let mut candidates = keep_groups(of_equal_size(tree));
        for hash in [&sample as &(dyn Fn(&Candidate) -> Option<Candidate> + Sync), &whole] {
            candidates = keep_groups(parallel(threads, &candidates, hash));
        }
        let mut found = Self::default();
        let mut first: HashMap<(u64, u128), InodeIndex> = HashMap::new();
        for file in candidates {
            match first.get(&(file.size, file.hash)) {
                Some(original) => {
                    found.originals.insert(file.inode, *original);
                }
                None => {
                    first.insert((file.size, file.hash), file.inode);
                    found.signatures.extend(file.signature.map(|signature| (file.inode, signature)));
                }
            }
        }
        found
    }

    /// An original is about to be written: whether it still is what was compared.
    pub(super) fn check_original(&mut self, inode: InodeIndex, stat: &Statx) {
        if self.signatures.get(&inode).is_some_and(|signature| *signature != Signature::of(stat)) {
            self.unusable.insert(inode);
        }
    }

    /// An original was not written as it was compared.
    pub(super) fn refuse_original(&mut self, inode: InodeIndex) {
        self.unusable.insert(inode);
    }

    pub(super) fn is_usable(&self, original: InodeIndex) -> bool {
        !self.unusable.contains(&original)
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    inode: InodeIndex,
    size: u64,
    hash: u128,
    signature: Option<Signature>,
}

fn of_equal_size(tree: &Tree) -> Vec<Candidate> {
    let large =
        |(index, size): (usize, u64)| Candidate { inode: index as u32, size, hash: 0, signature: None };
    tree.inodes
        .iter()
        .enumerate()
        .filter_map(|(index, inode)| Some((index, inode.content().filter(|content| !content.kept)?.size)))
        .filter(|(_, size)| *size >= BLOCK_BYTES as u64)
        .map(large)
        .collect()
}

/// Drops files that have no other of the same size and hash. Keeps the order.
fn keep_groups(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut members: HashMap<(u64, u128), usize> = HashMap::new();
    for file in &candidates {
        *members.entry((file.size, file.hash)).or_default() += 1;
    }
    candidates.into_iter().filter(|file| members[&(file.size, file.hash)] > 1).collect()
}

/// Maps in threads, and keeps the order.
fn parallel(
    threads: usize,
    files: &[Candidate],
    map: &(dyn Fn(&Candidate) -> Option<Candidate> + Sync),
) -> Vec<Candidate> {
    let next = AtomicUsize::new(0);
    let mapped = Mutex::new(Vec::with_capacity(files.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(files.len()) {
            scope.spawn(|| {
                while let Some((index, file)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|index| Some((index, files.get(index)?)))
                {
                    let file = map(file);
                    mapped.lock().expect("no thread panics while it holds it").push((index, file));
                }
            });
        }
    });
    let mut mapped = mapped.into_inner().expect("no thread panics while it holds it");
    mapped.sort_unstable_by_key(|(index, _)| *index);
    mapped.into_iter().filter_map(|(_, file)| file).collect()
}

/// A hash of both ends.
fn sample(
    context: &WorkerContext<'_>,
    tree: &Tree,
    file: &Candidate,
) -> rustix::io::Result<Option<Candidate>> {
    let Some((open, stat)) = open_unchanged(context, tree, file)? else { return Ok(None) };
    let mut ends = [0; 2 * SAMPLE_BYTES];
    let (head, tail) = ends.split_at_mut(SAMPLE_BYTES);
    read_at(&open, head, 0)?;
    read_at(&open, tail, stat.stx_size - SAMPLE_BYTES as u64)?;
    let hash = xxhash_rust::xxh3::xxh3_128_with_seed(&ends, context.seed);
    Ok(Some(Candidate { hash, ..*file }))
}

/// A hash of all data and of where the holes are; none if the file changes meanwhile.
fn whole(
    context: &WorkerContext<'_>,
    tree: &Tree,
    file: &Candidate,
    stop: &CancellationToken,
) -> rustix::io::Result<Option<Candidate>> {
    let Some((open, stat)) = open_unchanged(context, tree, file)? else { return Ok(None) };
    let mut hasher = Xxh3::with_seed(context.seed);
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    while offset < file.size {
        let data = next_data(&open, offset, file.size);
        hasher.update(&data.start.to_le_bytes());
        offset = data.start;
        while offset < data.end {
            let length = (data.end - offset).min(READ_BYTES as u64) as usize;
            if stop.is_cancelled() || read_at(&open, &mut buffer[..length], offset)? < length {
                return Ok(None);
            }
            hasher.update(&buffer[..length]);
            offset += length as u64;
        }
    }
    let signature = Signature::of(&stat);
    let is_unchanged = Signature::of(&stat_open(&open)?) == signature;
    let hash = hasher.digest128();
    Ok(is_unchanged.then_some(Candidate { hash, signature: Some(signature), ..*file }))
}

/// Opens the file if it still has the size and time that the scan found.
fn open_unchanged(
    context: &WorkerContext<'_>,
    tree: &Tree,
    file: &Candidate,
) -> rustix::io::Result<Option<(OwnedFd, Statx)>> {
    let attributes = tree.inode(file.inode).attributes;
    let is_same = |stat: &Statx| {
        stat.stx_size == file.size
            && stat.stx_mtime.tv_sec.clamp(0, i64::from(u32::MAX)) as u32 == attributes.mtime
    };
    let open = open_regular(context.source, &tree.path(file.inode))?;
    Ok(open.filter(|(_, stat)| is_same(stat)))
}

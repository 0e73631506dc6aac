//! Threads that read and compress, out of order; the coordinator brings results back into order.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::buffers::Buffers;
use super::read::{SmallFile, read_at, read_small, read_taken};
use crate::create::directory::SourceDirectory;
use crate::create::snapshot::Snapshot;
use crate::squashfs::compress::Compressor;
use crate::squashfs::writer::InodeIndex;
use crate::{Compression, CreateError};

/// Work for a thread.
pub(super) enum Task {
    Small(Vec<(InodeIndex, Vec<u8>)>),
    Block {
        file: Arc<OwnedFd>,
        inode: InodeIndex,
        offset: u64,
        length: usize,
    },
    Tail {
        file: Arc<OwnedFd>,
        inode: InodeIndex,
        offset: u64,
        length: usize,
    },
    /// Of a buffer's bytes.
    Fragment(Vec<u8>),
}

/// The result of a [`Task`].
pub(super) enum Done {
    Small(Vec<(InodeIndex, SmallFile, u128)>),
    Block { packed: Packed, length: usize },
    Tail { bytes: Vec<u8>, hash: u128 },
    Fragment(Packed),
    Failed(Failure),
}

/// Why a task failed.
pub(super) enum Failure {
    Read(InodeIndex, rustix::io::Errno),
    Compress(io::Error),
    Panic,
}

/// A block as it goes into the archive.
pub(super) enum Packed {
    Compressed(Vec<u8>),
    /// In a buffer that is to be given back.
    Stored(Vec<u8>),
    /// Zeros only: takes no space.
    Zeros,
}

/// What all threads share.
pub(super) struct WorkerContext<'a> {
    pub(super) source: &'a SourceDirectory,
    pub(super) compression: Compression,
    /// Makes hashes of this archive unpredictable, so that nobody can prepare two files that collide.
    pub(super) seed: u64,
    /// Files that were taken before.
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) buffers: Buffers,
}

/// The threads' ends of two channels. Threads stop when it is dropped.
pub(super) struct Workers {
    tasks: Sender<(u64, Task)>,
    results: Receiver<(u64, Done)>,
}

impl Workers {
    /// Starts `threads` threads in `scope`.
    pub(super) fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, 'a>,
        context: &'a WorkerContext<'a>,
        threads: usize,
    ) -> Result<Self, CreateError> {
        let (tasks, receiver) = mpsc::channel();
        let (sender, results) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let (receiver, sender) = (Arc::clone(&receiver), sender.clone());
            let mut compressor = Compressor::new(context.compression).map_err(CreateError::compress)?;
            scope.spawn(move || work(context, &mut compressor, &receiver, &sender));
        }
        Ok(Self { tasks, results })
    }

    /// Takes any number of tasks: the coordinator limits how many are under way.
    pub(super) fn submit(&self, number: u64, task: Task) {
        // Without threads, `receive` tells.
        let _ = self.tasks.send((number, task));
    }

    /// The next result, in any order.
    pub(super) fn receive(&self) -> Result<(u64, Done), CreateError> {
        self.results.recv().map_err(|RecvError| Failure::Panic.into_error(|_| Vec::new()))
    }
}

impl Failure {
    pub(super) fn into_error(self, path: impl FnOnce(InodeIndex) -> Vec<u8>) -> CreateError {
        match self {
            Self::Read(inode, error) => CreateError::read(&path(inode), error),
            Self::Compress(error) => CreateError::compress(error),
            Self::Panic => CreateError::compress(io::Error::other("a thread that reads files panicked")),
        }
    }
}

fn work(
    context: &WorkerContext<'_>,
    compressor: &mut Compressor,
    tasks: &Mutex<Receiver<(u64, Task)>>,
    results: &Sender<(u64, Done)>,
) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, task)) = task else { return };
        let done = catch_unwind(AssertUnwindSafe(|| run(context, compressor, task)));
        let done = done.unwrap_or(Ok(Done::Failed(Failure::Panic)));
        if results.send((number, done.unwrap_or_else(Done::Failed))).is_err() {
            return;
        }
    }
}

fn run(context: &WorkerContext<'_>, compressor: &mut Compressor, task: Task) -> Result<Done, Failure> {
    match task {
        Task::Small(files) => small(context, files),
        Task::Block { file, inode, offset, length } => {
            let mut bytes = context.buffers.take(length);
            read_block(&file, inode, offset, &mut bytes)?;
            Ok(Done::Block { packed: pack(context, compressor, bytes)?, length })
        }
        Task::Tail { file, inode, offset, length } => {
            let mut bytes = vec![0; length];
            read_block(&file, inode, offset, &mut bytes)?;
            Ok(Done::Tail { hash: xxh3_128_with_seed(&bytes, context.seed), bytes })
        }
        Task::Fragment(bytes) => Ok(Done::Fragment(compress(context, compressor, bytes)?)),
    }
}

fn small(context: &WorkerContext<'_>, files: Vec<(InodeIndex, Vec<u8>)>) -> Result<Done, Failure> {
    let read = |(inode, path): (InodeIndex, Vec<u8>)| {
        let file = match context.snapshot.and_then(|snapshot| Some((snapshot, snapshot.file(inode)?))) {
            Some((snapshot, taken)) => read_taken(&snapshot.memory(), taken),
            None => read_small(context.source, &path),
        };
        let file = file.map_err(|error| Failure::Read(inode, error))?;
        let hash = match &file {
            SmallFile::Read(content) => xxh3_128_with_seed(&content.bytes, context.seed),
            SmallFile::Outgrown | SmallFile::Vanished => 0,
        };
        Ok((inode, file, hash))
    };
    files.into_iter().map(read).collect::<Result<_, _>>().map(Done::Small)
}

/// What the file no longer has is zeros; the change is found when the file is done.
fn read_block(file: &OwnedFd, inode: InodeIndex, offset: u64, bytes: &mut [u8]) -> Result<(), Failure> {
    let filled = read_at(file, bytes, offset).map_err(|error| Failure::Read(inode, error))?;
    bytes[filled..].fill(0);
    Ok(())
}

fn pack(context: &WorkerContext<'_>, compressor: &mut Compressor, bytes: Vec<u8>) -> Result<Packed, Failure> {
    if is_zeros(&bytes) {
        context.buffers.give(bytes);
        return Ok(Packed::Zeros);
    }
    compress(context, compressor, bytes)
}

/// A fragment has no way to say that it is zeros.
fn compress(
    context: &WorkerContext<'_>,
    compressor: &mut Compressor,
    bytes: Vec<u8>,
) -> Result<Packed, Failure> {
    let Some(compressed) = compressor.compress(&bytes).map_err(Failure::Compress)? else {
        return Ok(Packed::Stored(bytes));
    };
    context.buffers.give(bytes);
    Ok(Packed::Compressed(compressed))
}

/// In words, because byte by byte is slow.
fn is_zeros(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| *word == [0; 16]) && rest.iter().all(|byte| *byte == 0)
}

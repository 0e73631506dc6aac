//! The one that plans tasks and writes results.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ContentContext;
use super::buffers::Buffers;
use super::duplicates::Duplicates;
use super::fragments::{Packer, Place};
use super::large::{LargeFile, Step, Steps};
use super::order::InOrder;
use super::read::{SmallContent, SmallFile, open_regular};
use super::worker::{Done, Packed, Task, Workers};
use crate::CreateError;
use crate::create::attributes::Signature;
use crate::create::report::{Reason, Report};
use crate::squashfs::format::{BLOCK_BYTES, BlockSize, Fragment};
use crate::squashfs::writer::{Content, EntryIndex, InodeIndex, Kind, Output, Tree, TreeInode};

/// Tasks under way per thread: enough that none waits for the coordinator.
const TASKS_PER_THREAD: usize = 4;
/// And not so many that their buffers, of 256 KiB at most, add up to much.
const MAX_TASKS: usize = 64;
/// Small files go to the threads in batches of so many bytes or files.
const BATCH_BYTES: u64 = 2 * BLOCK_BYTES as u64;
const BATCH_FILES: usize = 64;
/// A larger file that changes while it is read is not written again, because what was written stays.
const MAX_REWRITTEN_BYTES: u64 = 64 * 1024 * 1024;

/// Owns all state of writing content.
pub(super) struct Coordinator<'a, 'o> {
    context: &'a ContentContext<'a>,
    buffers: &'a Buffers,
    tree: &'a mut Tree,
    /// What each file was when it was scanned, then when it was read.
    signatures: &'a mut [Option<Signature>],
    report: &'a mut Report,
    output: &'a mut Output<'o>,
    order: InOrder<Item>,
    queue: VecDeque<Job>,
    /// The large file whose tasks are being given out. Nothing else is given out meanwhile: the blocks of a file
    /// have to be neighbours.
    planning: Option<Steps>,
    /// The large file whose blocks are being written.
    writing: Option<Writing>,
    packer: Packer,
    fragments: Vec<Fragment>,
    duplicates: Duplicates,
    /// Copies and their originals, until the originals are written.
    copies: Vec<(InodeIndex, InodeIndex)>,
}

/// What is worked on.
pub(super) struct Subject<'a, 'o> {
    pub(super) tree: &'a mut Tree,
    pub(super) signatures: &'a mut [Option<Signature>],
    pub(super) report: &'a mut Report,
    pub(super) output: &'a mut Output<'o>,
    /// Fragments that there are already.
    pub(super) fragments: Vec<Fragment>,
}

/// A file to write.
#[derive(Clone, Copy)]
struct Job {
    inode: InodeIndex,
    /// Treat it as large though the scan found it small.
    is_large: bool,
    attempt: usize,
}

/// What a result in order belongs to.
enum Item {
    SmallFiles,
    Start(Box<LargeFile>),
    Block,
    Hole { length: u64 },
    Tail,
    End,
    Fragment,
}

/// A large file being written.
struct Writing {
    file: Box<LargeFile>,
    start: u64,
    sparse: u64,
    blocks: Vec<BlockSize>,
    tail: Option<Place>,
}

impl<'a, 'o> Coordinator<'a, 'o> {
    pub(super) fn new(
        context: &'a ContentContext<'a>,
        buffers: &'a Buffers,
        subject: Subject<'a, 'o>,
        workers: Workers,
        duplicates: Duplicates,
    ) -> Self {
        let Subject { tree, signatures, report, output, fragments } = subject;
        let mut copies: Vec<_> =
            duplicates.originals.iter().map(|(copy, original)| (*copy, *original)).collect();
        copies.sort_unstable();
        let is_work = |(index, inode): &(usize, &TreeInode)| {
            inode.content().is_some_and(|content| content.size > 0 && !content.kept)
                && !duplicates.originals.contains_key(&(*index as InodeIndex))
        };
        let jobs = tree.inodes.iter().enumerate().filter(is_work).map(|(index, inode)| Job {
            inode: index as InodeIndex,
            is_large: inode.content().is_some_and(|content| content.size >= BLOCK_BYTES as u64),
            attempt: 0,
        });
        let queue = jobs.collect();
        Self {
            context,
            buffers,
            tree,
            signatures,
            report,
            output,
            order: InOrder::new(workers),
            queue,
            planning: None,
            writing: None,
            packer: Packer::starting_at(fragments.len() as u32),
            fragments,
            duplicates,
            copies,
        }
    }

    pub(super) fn run(mut self, threads: usize) -> Result<Vec<Fragment>, CreateError> {
        let depth = (threads * TASKS_PER_THREAD).min(MAX_TASKS);
        loop {
            if self.context.stop.is_cancelled() {
                return Err(CreateError::Cancelled);
            }
            while self.order.len() < depth && self.plan()? {}
            match self.order.pop()? {
                Some((item, done)) => self.apply(item, done)?,
                None if !self.copies.is_empty() => self.settle_copies(),
                None => {
                    self.packer.close();
                    let Some(bytes) = self.packer.take_full() else { return Ok(self.fragments) };
                    self.order.submit(Item::Fragment, Task::Fragment(bytes));
                }
            }
        }
    }

    /// Gives out the next task; false if there is none now.
    fn plan(&mut self) -> Result<bool, CreateError> {
        if self.planning.is_some() {
            self.plan_step();
            return Ok(true);
        }
        if let Some(bytes) = self.packer.take_full() {
            self.order.submit(Item::Fragment, Task::Fragment(bytes));
            return Ok(true);
        }
        match self.queue.front() {
            None => Ok(false),
            Some(job) if job.is_large => self.plan_large().map(|()| true),
            Some(_) => {
                self.plan_small();
                Ok(true)
            }
        }
    }

    fn plan_small(&mut self) {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(job) = self.queue.front().filter(|job| !job.is_large) {
            bytes += self.tree.inode(job.inode).content().map_or(0, |content| content.size);
            if (bytes > BATCH_BYTES && !batch.is_empty()) || batch.len() == BATCH_FILES {
                break;
            }
            batch.push((job.inode, self.tree.path(job.inode)));
            self.queue.pop_front();
        }
        self.order.submit(Item::SmallFiles, Task::Small(batch));
    }

    fn plan_large(&mut self) -> Result<(), CreateError> {
        let Some(job) = self.queue.pop_front() else { return Ok(()) };
        if let Some((snapshot, taken)) =
            self.context.snapshot.and_then(|snapshot| Some((snapshot, snapshot.file(job.inode)?)))
        {
            let Job { inode, attempt, .. } = job;
            let (file, stat) = (snapshot.memory(), taken.stat.clone());
            self.start_large(LargeFile { inode, file, stat, attempt, taken: Some(taken.start) });
            return Ok(());
        }
        let path = self.tree.path(job.inode);
        let open =
            open_regular(self.context.source, &path).map_err(|error| CreateError::read(&path, error))?;
        let Some((file, stat)) = open else {
            self.vanished(job);
            return Ok(());
        };
        if self.is_replaced(job.inode, stat.stx_ino) && self.try_other_name(job) {
            return Ok(());
        }
        let Job { inode, attempt, .. } = job;
        let file = LargeFile { inode, file: Arc::new(file), stat: Box::new(stat), attempt, taken: None };
        self.duplicates.check_original(inode, &file.stat);
        self.start_large(file);
        Ok(())
    }

    fn start_large(&mut self, file: LargeFile) {
        self.planning = Some(Steps::new(&file));
        self.order.push(Item::Start(Box::new(file)));
    }

    fn plan_step(&mut self) {
        let Some(steps) = &mut self.planning else { return };
        let (inode, file) = (steps.inode(), steps.file());
        match steps.next() {
            Some(Step::Block { offset, length }) => {
                self.order.submit(Item::Block, Task::Block { file, inode, offset, length });
            }
            Some(Step::Tail { offset, length }) => {
                self.order.submit(Item::Tail, Task::Tail { file, inode, offset, length });
            }
            Some(Step::Hole { length }) => self.order.push(Item::Hole { length }),
            None => {
                self.order.push(Item::End);
                self.planning = None;
            }
        }
    }

    fn apply(&mut self, item: Item, done: Option<Done>) -> Result<(), CreateError> {
        match (item, done) {
            (_, Some(Done::Failed(failure))) => Err(failure.into_error(|inode| self.tree.path(inode))),
            (_, Some(Done::Small(files))) => {
                for (inode, file, hash) in files {
                    self.apply_small(inode, file, hash);
                }
                Ok(())
            }
            (_, Some(Done::Block { packed, length })) => self.write_block(packed, length),
            (_, Some(Done::Tail { bytes, hash })) => {
                let place = self.packer.pack(&bytes, hash, self.buffers);
                self.writing_file().tail = Some(place);
                self.context.meter.read(bytes.len() as u64);
                Ok(())
            }
            (_, Some(Done::Fragment(packed))) => {
                let (size, start) = self.write_packed(packed)?;
                self.fragments.push(Fragment { start, size });
                Ok(())
            }
            (Item::Start(file), None) => {
                let blocks = Vec::with_capacity((file.size() / BLOCK_BYTES as u64) as usize + 1);
                let start = self.output.position();
                self.writing = Some(Writing { file, start, sparse: 0, blocks, tail: None });
                Ok(())
            }
            (Item::Hole { length }, None) => {
                self.write_hole(length);
                Ok(())
            }
            (Item::End, None) => self.finish_large(),
            (Item::SmallFiles | Item::Block | Item::Tail | Item::Fragment, None) => {
                unreachable!("these items have a task")
            }
        }
    }

    fn apply_small(&mut self, inode: InodeIndex, file: SmallFile, hash: u128) {
        let job = Job { inode, is_large: false, attempt: 0 };
        match file {
            SmallFile::Vanished => self.vanished(job),
            SmallFile::Outgrown => self.queue.push_back(Job { is_large: true, ..job }),
            SmallFile::Read(content) => {
                if !(self.is_replaced(inode, content.stat.stx_ino) && self.try_other_name(job)) {
                    self.finish_small(inode, &content, hash);
                }
            }
        }
    }

    fn finish_small(&mut self, inode: InodeIndex, read: &SmallContent, hash: u128) {
        let mut content = Content::unwritten(read.bytes.len() as u64);
        if !read.bytes.is_empty() {
            let place = self.packer.pack(&read.bytes, hash, self.buffers);
            (content.fragment, content.fragment_offset) = (place.fragment, place.offset);
        }
        self.context.meter.read(content.size);
        self.finish(inode, &read.stat, content, read.is_torn);
    }

    fn write_block(&mut self, packed: Packed, length: usize) -> Result<(), CreateError> {
        self.context.meter.read(length as u64);
        if matches!(packed, Packed::Zeros) {
            self.write_hole(length as u64);
            return Ok(());
        }
        let (size, _) = self.write_packed(packed)?;
        self.writing_file().blocks.push(size);
        Ok(())
    }

    fn write_hole(&mut self, length: u64) {
        let blocks = length.div_ceil(BLOCK_BYTES as u64) as usize;
        let writing = self.writing_file();
        writing.sparse += length;
        writing.blocks.resize(writing.blocks.len() + blocks, BlockSize::HOLE);
    }

    fn write_packed(&mut self, packed: Packed) -> Result<(BlockSize, u64), CreateError> {
        let (bytes, is_compressed) = match packed {
            Packed::Compressed(bytes) => (bytes, true),
            Packed::Stored(bytes) => (bytes, false),
            Packed::Zeros => return Ok((BlockSize::HOLE, self.output.position())),
        };
        let size = BlockSize::new(bytes.len(), is_compressed);
        let start = self.output.write(&bytes)?;
        if !is_compressed {
            self.buffers.give(bytes);
        }
        Ok((size, start))
    }

    /// A file that changed is written once more, if it is not too large; the first attempt stays as dead bytes.
    fn finish_large(&mut self) -> Result<(), CreateError> {
        let Some(Writing { file, start, sparse, blocks, tail }) = self.writing.take() else { return Ok(()) };
        let changed =
            file.has_changed().map_err(|error| CreateError::read(&self.tree.path(file.inode), error))?;
        if changed {
            self.duplicates.refuse_original(file.inode);
            if file.attempt == 0 && file.size() <= MAX_REWRITTEN_BYTES {
                self.queue.push_back(Job { inode: file.inode, is_large: true, attempt: 1 });
                return Ok(());
            }
        }
        let mut content = Content::unwritten(file.size());
        content.sparse = sparse;
        content.start = start;
        content.blocks = Some(blocks.into());
        if let Some(place) = tail {
            (content.fragment, content.fragment_offset) = (place.fragment, place.offset);
        }
        self.finish(file.inode, &file.stat, content, changed);
        Ok(())
    }

    fn writing_file(&mut self) -> &mut Writing {
        self.writing.as_mut().expect("blocks, holes and tails come between start and end of a file")
    }

    /// Records where a file is, with the attributes that it had when it was read.
    fn finish(&mut self, inode: InodeIndex, stat: &rustix::fs::Statx, content: Content, is_torn: bool) {
        let is_torn = is_torn || self.is_replaced(inode, stat.stx_ino);
        let node = self.tree.inode_mut(inode);
        node.attributes = self.context.owners.attributes(stat);
        node.kind = Kind::File(content);
        self.signatures[inode as usize] = (!is_torn).then(|| Signature::of(stat));
        if is_torn {
            self.report.skip(&self.tree.path(inode), Reason::Changed);
        }
    }

    /// Whether another file has taken the name since the scan.
    fn is_replaced(&self, inode: InodeIndex, host_number: u64) -> bool {
        self.signatures[inode as usize].is_some_and(|signature| signature.number() != host_number)
    }

    fn vanished(&mut self, job: Job) {
        if !self.try_other_name(job) {
            self.report.skip(&self.tree.path(job.inode), Reason::Vanished);
            self.tree.inode_mut(job.inode).gone = true;
            self.duplicates.refuse_original(job.inode);
        }
    }

    /// A file with several names may still be there under a later one.
    fn try_other_name(&mut self, job: Job) -> bool {
        let tried = self.tree.inode(job.inode).entry as usize;
        let later = self.tree.entries.iter().skip(tried + 1).position(|entry| entry.inode == job.inode);
        let Some(distance) = later else { return false };
        self.tree.inode_mut(job.inode).entry = (tried + 1 + distance) as EntryIndex;
        self.queue.push_back(job);
        true
    }

    /// Gives copies their originals' content, or a turn of their own where an original cannot be used.
    fn settle_copies(&mut self) {
        for (copy, original) in std::mem::take(&mut self.copies) {
            match self.tree.inode(original).content() {
                Some(content) if self.duplicates.is_usable(original) => {
                    let content = content.clone();
                    self.context.meter.read(content.size);
                    self.tree.inode_mut(copy).kind = Kind::File(content);
                }
                _ => self.queue.push_back(Job { inode: copy, is_large: true, attempt: 0 }),
            }
        }
    }
}

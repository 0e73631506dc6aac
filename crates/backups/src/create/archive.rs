//! The blocking half of a backup: scan, content, tables, into a sink.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use sandkeep_objects::ObjectStore;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attributes::Owners;
use super::base::{Base, Beginning, is_worth_starting_over};
use super::content::{self, ContentContext};
use super::directory::SourceDirectory;
use super::ignored::Ignored;
use super::known::Known;
use super::meter::Meter;
use super::parts::{Part, PartSink};
use super::previous::Draft;
use super::report::Report;
use super::scan::{HostWalk, OverlayWalk, ScanContext, Scanned, scan};
use super::snapshot::{Snapshot, is_small_enough};
use super::spool::SpoolSink;
use super::{CreateOptions, Source};
use crate::integrity::Integrity;
use crate::selection::Excludes;
use crate::squashfs::format::{BLOCK_BYTES, Fragment};
use crate::squashfs::writer::{self, Archive, Content, Kind, Output, Sink, Tree, check_ids};
use crate::{Compression, CreateError};

/// An archive is made anew when so much of what it would begin with is used by no file any more.
const MAX_DEAD_PERCENT: u64 = 30;

/// What to archive, and where to put it.
pub(super) struct Job {
    pub(super) source: Arc<Source>,
    pub(super) options: CreateOptions,
    pub(super) meter: Arc<Meter>,
    pub(super) stop: CancellationToken,
    /// Takes the archive in parts; without it, the archive goes to a temporary file.
    pub(super) parts: Option<mpsc::Sender<Part>>,
    /// What is known of the directory from an earlier backup.
    pub(super) known: Option<Known>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) runtime: Handle,
}

/// A finished archive.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    pub(super) content_bytes: u64,
    pub(super) report: Report,
    pub(super) integrity: Integrity,
    /// Whether nothing ran while the files were taken; none: nobody was asked to stop.
    pub(super) is_frozen: Option<bool>,
    /// The archive that it begins with, and how many of its bytes.
    pub(super) begun: Option<Base>,
    /// Of the next backup.
    pub(super) draft: Option<Draft>,
    /// As a later archive would need to know it, apart from what the store says.
    pub(super) data_end: u64,
    pub(super) codec: u16,
    pub(super) flags: u16,
    pub(super) fragments: Vec<Fragment>,
    /// The archive, where it did not go out in parts.
    pub(super) spool: Option<File>,
}

/// Blocks; stops soon after the job's token is cancelled or its receiver of parts is gone.
pub(super) fn write(mut job: Job) -> Result<Written, CreateError> {
    let source = SourceDirectory::new(
        job.source.directory.try_clone().map_err(|error| CreateError::read(b"", error))?,
    );
    let Seen { mut scanned, mut report, snapshot, is_frozen } = see(&job, &source)?;
    check_ids(&scanned.tree)?;
    job.meter.report();
    let had_kept =
        scanned.tree.inodes.iter().any(|inode| inode.content().is_some_and(|content| content.kept));
    let begun = begin(&mut job, &mut scanned.tree)?;
    // What was thought to be kept has to be read now, and may have changed since.
    let is_frozen = is_frozen.map(|frozen| frozen && (begun.is_some() || !had_kept));
    let compression = compression(&job, begun.as_ref());
    let (mut sinks, base) = match begun {
        Some(Begun { base, beginning, .. }) => (Sinks::behind(job.parts.take(), beginning)?, Some(base)),
        None => (Sinks::new(job.parts.take(), estimate(&scanned.tree))?, None),
    };
    let mut output = Output::new(sinks.sink(), base.as_ref().map_or(0, |base| base.data_end));
    if base.is_none() {
        writer::start(compression, &mut output)?;
    }
    let context = ContentContext {
        source: &source,
        compression,
        threads: job.options.threads,
        seed: seed(&job.options),
        owners: Owners::new(job.source.id_base),
        snapshot: snapshot.as_ref(),
        meter: &job.meter,
        stop: &job.stop,
    };
    let fragments = base.as_ref().map(|base| base.fragments.clone()).unwrap_or_default();
    let Scanned { tree, xattrs, signatures } = &mut scanned;
    let fragments = content::write(&context, tree, signatures, &mut report, &mut output, fragments)?;
    let tables = Archive {
        tree,
        xattrs,
        fragments: &fragments,
        compression,
        created: job.options.now,
        kept_flags: base.as_ref().map_or(0, |base| base.flags),
    };
    let finished = writer::finish(&tables, output)?;
    let (entries, content_bytes) = totals(tree);
    Ok(Written {
        bytes: finished.bytes,
        entries,
        content_bytes,
        report,
        integrity: finished.integrity,
        is_frozen,
        begun: base,
        draft: job
            .options
            .record
            .is_some()
            .then(|| Draft::new(tree, signatures, seed(&job.options), job.options.now)),
        data_end: finished.superblock.inode_table,
        codec: finished.superblock.codec,
        flags: finished.superblock.flags,
        fragments,
        spool: sinks.into_spool(),
    })
}

/// What there is, and what of it was taken already.
struct Seen {
    scanned: Scanned,
    report: Report,
    snapshot: Option<Snapshot>,
    is_frozen: Option<bool>,
}

/// Scans the directory, and takes what has to be read of it while those who write to it are stopped, if that is little.
fn see(job: &Job, source: &SourceDirectory) -> Result<Seen, CreateError> {
    let scan_once = || {
        let mut report = Report::default();
        scan_directory(job, source, &mut report).map(|scanned| (scanned, report))
    };
    let Some(freezer) = &job.source.freezer else {
        let (scanned, report) = scan_once()?;
        return Ok(Seen { scanned, report, snapshot: None, is_frozen: None });
    };
    // With nothing to begin with, everything has to be read: not worth stopping for if that is much.
    if job.known.is_none() {
        let (scanned, report) = scan_once()?;
        if !is_small_enough(&scanned.tree) {
            return Ok(Seen { scanned, report, snapshot: None, is_frozen: Some(false) });
        }
        job.meter.reset();
    }
    let has_stopped = freezer.freeze();
    let taken = scan_once().and_then(|(scanned, report)| {
        let is_small = has_stopped && is_small_enough(&scanned.tree);
        let snapshot = is_small.then(|| Snapshot::take(source, &scanned.tree)).transpose()?;
        Ok((scanned, report, snapshot))
    });
    let was_stopped = freezer.thaw();
    let (scanned, report, snapshot) = taken?;
    let is_frozen = Some(has_stopped && was_stopped && snapshot.is_some());
    Ok(Seen { scanned, report, snapshot, is_frozen })
}

/// What a backup would hold and leave out.
pub(super) fn preview(job: &Job) -> Result<(Tree, Report), CreateError> {
    let source = SourceDirectory::new(
        job.source.directory.try_clone().map_err(|error| CreateError::read(b"", error))?,
    );
    let mut report = Report::listing();
    let scanned = scan_directory(job, &source, &mut report)?;
    check_ids(&scanned.tree)?;
    Ok((scanned.tree, report))
}

fn scan_directory(job: &Job, source: &SourceDirectory, report: &mut Report) -> Result<Scanned, CreateError> {
    let owners = Owners::new(job.source.id_base);
    let excludes = Excludes::new(&job.options.excludes);
    let ignored = if job.options.gitignore { Ignored::find(source)? } else { None };
    let context = ScanContext {
        source,
        excludes: &excludes,
        ignored: ignored.as_ref(),
        meter: &job.meter,
        stop: &job.stop,
    };
    let previous = job.known.as_ref().and_then(|known| known.previous.as_ref());
    let host = HostWalk::new(source, owners, previous);
    match (&job.source.overlay, job.known.as_ref().and_then(|known| known.lower.as_ref())) {
        (Some(overlay), Some(lower)) => {
            let walk = OverlayWalk::new(host, overlay, lower);
            let mut walk = walk.map_err(|error| CreateError::read(b"", error))?;
            scan(&context, &mut walk, report)
        }
        _ => {
            let mut host = host;
            scan(&context, &mut host, report)
        }
    }
}

/// What a new archive begins with.
struct Begun {
    base: Base,
    beginning: Beginning,
    compression: Compression,
}

/// Decides whether the archive begins with an earlier one; if not, nothing in the tree is kept.
fn begin(job: &mut Job, tree: &mut Tree) -> Result<Option<Begun>, CreateError> {
    let begun = match job.known.take().filter(|_| job.parts.is_some()) {
        Some(known) => try_begin(job, tree, known.base)?,
        None => None,
    };
    if begun.is_none() {
        forget_kept(tree);
    }
    Ok(begun)
}

fn try_begin(job: &Job, tree: &Tree, base: Base) -> Result<Option<Begun>, CreateError> {
    let Some(compression) = base.compression(job.options.compression) else { return Ok(None) };
    let live = live_bytes(tree, &base.fragments);
    let dead = base.data_end.saturating_sub(live);
    if live == 0 || dead * 100 > base.data_end * MAX_DEAD_PERCENT {
        tracing::info!(base = %base.id, live, dead, "too little of the last archive is still in use");
        return Ok(None);
    }
    let key = base.id.archive_key(&job.options.key_prefix);
    match job.runtime.block_on(base.begin(&job.store, &key, estimate(tree))) {
        Ok(beginning) => Ok(Some(Begun { base, beginning, compression })),
        Err(error) if is_worth_starting_over(&error) => {
            tracing::info!(base = %base.id, %error, "the last archive cannot be built upon");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn compression(job: &Job, begun: Option<&Begun>) -> Compression {
    begun.map_or_else(|| job.options.compression.unwrap_or_default(), |begun| begun.compression)
}

/// Stored bytes that files of the tree use.
fn live_bytes(tree: &Tree, fragments: &[Fragment]) -> u64 {
    let kept = tree.inodes.iter().filter_map(|inode| inode.content()).filter(|content| content.kept);
    let mut blocks = HashSet::new();
    let mut used = HashSet::new();
    let mut live = 0;
    for content in kept {
        let stored: u64 = content
            .blocks
            .iter()
            .flat_map(|sizes| sizes.iter())
            .map(|size| u64::from(size.stored_bytes()))
            .sum();
        if stored > 0 && blocks.insert(content.start) {
            live += stored;
        }
        if let Some(fragment) =
            fragments.get(content.fragment as usize).filter(|_| used.insert(content.fragment))
        {
            live += u64::from(fragment.size.stored_bytes());
        }
    }
    live
}

/// All content has to be read.
fn forget_kept(tree: &mut Tree) {
    for inode in &mut tree.inodes {
        if let Kind::File(content) = &mut inode.kind
            && content.kept
        {
            *content = Content::unwritten(content.size);
        }
    }
}

/// The one sink in use.
enum Sinks {
    Parts(PartSink),
    Spool(SpoolSink),
}

impl Sinks {
    fn new(parts: Option<mpsc::Sender<Part>>, estimated_bytes: u64) -> Result<Self, CreateError> {
        Ok(match parts {
            Some(parts) => Self::Parts(PartSink::new(parts, estimated_bytes)),
            None => Self::Spool(SpoolSink::new()?),
        })
    }

    fn behind(parts: Option<mpsc::Sender<Part>>, beginning: Beginning) -> Result<Self, CreateError> {
        let parts = parts.expect("only archives in parts begin with another one");
        Ok(Self::Parts(PartSink::behind(parts, beginning)?))
    }

    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Parts(sink) => sink,
            Self::Spool(sink) => sink,
        }
    }

    fn into_spool(self) -> Option<File> {
        match self {
            Self::Parts(_) => None,
            Self::Spool(sink) => Some(sink.into_file()),
        }
    }
}

/// An id is random, and those who write the files do not know it yet.
fn seed(options: &CreateOptions) -> u64 {
    xxhash_rust::xxh3::xxh3_64(options.id.as_str().as_bytes())
}

/// No archive of the tree is larger, unless files grow meanwhile.
fn estimate(tree: &Tree) -> u64 {
    const METADATA_BYTES_PER_NAME: u64 = 1024;
    let content: u64 =
        tree.inodes.iter().filter_map(|inode| inode.content()).map(|content| content.size).sum();
    content.saturating_add(tree.entries.len() as u64 * METADATA_BYTES_PER_NAME)
}

/// Names and bytes in the archive.
pub(super) fn totals(tree: &Tree) -> (u64, u64) {
    let entries = tree.entries.iter().filter(|entry| !tree.inode(entry.inode).gone).count();
    let present = tree.inodes.iter().filter(|inode| !inode.gone);
    let bytes = present.filter_map(|inode| inode.content()).map(|content| content.size).sum();
    (entries as u64, bytes)
}

impl Written {
    /// What a later archive needs to know of this one to begin with it.
    pub(super) fn base(&self, options: &CreateOptions, etag: sandkeep_objects::ETag) -> Base {
        let mut sum = 0;
        let is_data = |segment: &&crate::integrity::Segment| {
            sum += segment.bytes;
            sum <= self.data_end
        };
        let mut contains = Vec::new();
        if let Some(begun) = &self.begun {
            contains.clone_from(&begun.contains);
            contains.push(begun.id.clone());
        }
        Base {
            id: options.id.clone(),
            etag,
            codec: self.codec,
            flags: self.flags,
            block_bytes: BLOCK_BYTES as u32,
            data_end: self.data_end,
            segments: self.integrity.segments.iter().take_while(is_data).cloned().collect(),
            contains,
            fragments: self.fragments.clone(),
        }
    }
}

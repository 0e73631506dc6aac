//! The blocking half of a backup: scan, content, tables, into a sink.

use std::fs::File;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attributes::Owners;
use super::content::{self, ContentContext};
use super::directory::SourceDirectory;
use super::meter::Meter;
use super::parts::{Part, PartSink};
use super::report::Report;
use super::scan::{ScanContext, scan};
use super::spool::SpoolSink;
use super::{CreateOptions, Source};
use crate::CreateError;
use crate::selection::Excludes;
use crate::squashfs::writer::{self, Archive, Output, Sink, Tree, check_ids};

/// What to archive, and where to put it.
pub(super) struct Job {
    pub(super) source: Source,
    pub(super) options: CreateOptions,
    pub(super) meter: Arc<Meter>,
    pub(super) stop: CancellationToken,
    /// Takes the archive in parts; without it, the archive goes to a temporary file.
    pub(super) parts: Option<mpsc::Sender<Part>>,
}

/// A finished archive.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    pub(super) content_bytes: u64,
    pub(super) report: Report,
    /// The archive, where it did not go out in parts.
    pub(super) spool: Option<File>,
}

/// Blocks; stops soon after the job's token is cancelled or its receiver of parts is gone.
pub(super) fn write(job: Job) -> Result<Written, CreateError> {
    let source = SourceDirectory::new(job.source.directory);
    let owners = Owners::new(job.source.id_base);
    let excludes = Excludes::new(&job.options.excludes);
    let mut report = Report::default();
    let context =
        ScanContext { source: &source, excludes: &excludes, owners, meter: &job.meter, stop: &job.stop };
    let mut scanned = scan(&context, &mut report)?;
    check_ids(&scanned.tree)?;
    job.meter.report();

    let mut sinks = Sinks::new(job.parts, estimate(&scanned.tree))?;
    let mut output = Output::new(sinks.sink());
    let compression = job.options.compression;
    writer::start(compression, &mut output)?;
    let context = ContentContext {
        source: &source,
        compression,
        threads: job.options.threads,
        seed: seed(&job.options),
        owners,
        host_numbers: &scanned.host_numbers,
        meter: &job.meter,
        stop: &job.stop,
    };
    let fragments = content::write(&context, &mut scanned.tree, &mut report, &mut output)?;
    let tables = Archive {
        tree: &scanned.tree,
        xattrs: &scanned.xattrs,
        fragments: &fragments,
        compression,
        created: job.options.now,
    };
    let bytes = writer::finish(&tables, output)?;
    let (entries, content_bytes) = totals(&scanned.tree);
    Ok(Written { bytes, entries, content_bytes, report, spool: sinks.into_spool() })
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
fn totals(tree: &Tree) -> (u64, u64) {
    let entries = tree.entries.iter().filter(|entry| !tree.inode(entry.inode).gone).count();
    let present = tree.inodes.iter().filter(|inode| !inode.gone);
    let bytes = present.filter_map(|inode| inode.content()).map(|content| content.size).sum();
    (entries as u64, bytes)
}

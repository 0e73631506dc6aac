//! File content: read and compressed by threads, written in order.
//!
//! Owns the order of data and fragment blocks, packing, duplicates, holes, and files that change or vanish. One
//! coordinator owns all state; it hands tasks to threads and applies their results in the order of the tasks.

mod buffers;
mod coordinator;
mod duplicates;
mod fragments;
mod large;
mod order;
mod read;
mod worker;

pub(super) use self::read::{next_data, open_regular, read_at};

use tokio_util::sync::CancellationToken;

use self::buffers::Buffers;
use self::coordinator::{Coordinator, Subject};
use self::duplicates::Duplicates;
use self::worker::{WorkerContext, Workers};
use super::attributes::Owners;
use super::attributes::Signature;
use super::directory::SourceDirectory;
use super::meter::Meter;
use super::report::Report;
use super::snapshot::Snapshot;
use crate::squashfs::format::Fragment;
use crate::squashfs::writer::{Output, Tree};
use crate::{Compression, CreateError};

/// More threads would only wait for each other and take memory, whatever a caller asks for.
const MAX_THREADS: usize = 16;

/// What the content of an archive is made from.
pub(super) struct ContentContext<'a> {
    pub(super) source: &'a SourceDirectory,
    pub(super) compression: Compression,
    pub(super) threads: usize,
    /// Any number that those who write the files cannot know.
    pub(super) seed: u64,
    pub(super) owners: Owners,
    /// Files that were taken before.
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) meter: &'a Meter,
    pub(super) stop: &'a CancellationToken,
}

/// Writes the content of all files of the tree that is not kept, and records in it where that is; answers the fragment
/// table, which begins with the `fragments` given. `signatures` become those of the files as they were read.
pub(super) fn write(
    context: &ContentContext<'_>,
    tree: &mut Tree,
    signatures: &mut [Option<Signature>],
    report: &mut Report,
    output: &mut Output<'_>,
    fragments: Vec<Fragment>,
) -> Result<Vec<Fragment>, CreateError> {
    let threads = context.threads.clamp(1, MAX_THREADS);
    let shared = WorkerContext {
        source: context.source,
        compression: context.compression,
        seed: context.seed,
        snapshot: context.snapshot,
        buffers: Buffers::default(),
    };
    // What was taken is little, and the files themselves may be others by now.
    let duplicates = match context.snapshot {
        Some(_) => Duplicates::default(),
        None => Duplicates::find(tree, &shared, threads, context.stop),
    };
    std::thread::scope(|scope| {
        let workers = Workers::start(scope, &shared, threads)?;
        Coordinator::new(
            context,
            &shared.buffers,
            Subject { tree, signatures, report, output, fragments },
            workers,
            duplicates,
        )
        .run(threads)
    })
}

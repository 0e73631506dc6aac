//! What a move of a bucket is told, and what it tells.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How a bucket is moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationOptions {
    /// Deletes the embedded bucket after the switch; else it stays under another name.
    pub delete_source: bool,
    /// Aborts multipart uploads that are in progress at the switch; else they are waited for, and end the move if they
    /// do not end.
    pub abort_uploads: bool,
}

/// What a move does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationPhase {
    /// Objects are copied, each compared with its checksum.
    Copying,
    /// Both listings are compared, and what was written meanwhile is copied.
    Comparing,
    /// A moment without long writes and multipart uploads is waited for.
    Waiting,
    /// Writes are held; the last changes are copied.
    Switching,
    /// The bucket is elsewhere now; the embedded one is being deleted.
    Deleting,
    /// It is over.
    Ended,
}

/// How a move came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationOutcome {
    /// The bucket is elsewhere.
    Switched {
        /// The name of the embedded bucket that stayed; none: it was deleted.
        kept: Option<String>,
    },
    /// The bucket is where it was.
    Failed {
        /// Why, with all causes.
        reason: String,
    },
    /// The bucket is where it was, because somebody said so.
    Cancelled,
}

/// How far a move is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStatus {
    /// What it does.
    pub phase: MigrationPhase,
    /// Where to: `BUCKET/PREFIX`.
    pub target: String,
    /// Objects in the bucket at the start.
    pub total_objects: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Objects that are there and were compared.
    pub done_objects: u64,
    /// Their bytes.
    pub done_bytes: u64,
    /// Those among them that an earlier run had copied.
    pub found_objects: u64,
    /// Objects copied again, or deleted, because they were changed meanwhile.
    pub changed_objects: u64,
    /// How it came out, at the end.
    pub outcome: Option<MigrationOutcome>,
}

/// Why a bucket was not moved.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Settings name no place elsewhere.
    #[error("there is no other store to move buckets to: set [buckets] default")]
    NoTarget,
    /// The bucket is elsewhere already.
    #[error("the bucket {bucket:?} is in the other store already")]
    AlreadyThere {
        /// Which.
        bucket: String,
    },
    /// There is a bucket, or objects, where it should go.
    #[error("{place} is in use already: remove what lies there, or choose another prefix")]
    Occupied {
        /// Where.
        place: String,
    },
    /// It is being moved already.
    #[error("the bucket {bucket:?} is being moved already")]
    Running {
        /// Which.
        bucket: String,
    },
    /// Uploads in progress did not end.
    #[error(
        "{count} multipart uploads are in progress, such as that of {key:?}: end them, or abort them with the move"
    )]
    UploadsInProgress {
        /// How many.
        count: usize,
        /// The key of one.
        key: String,
    },
    /// Writes in progress did not end.
    #[error("writes to the bucket do not pause: try again when there are fewer")]
    TooBusy,
    /// An object could not be copied, or did not arrive as it is.
    #[error("the object {key:?} was not copied")]
    Object {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// An object arrived with other metadata or tags than it has.
    #[error("the other store changed the {what} of the object {key:?}")]
    Changed {
        /// Which.
        key: String,
        /// `metadata` or `tags`.
        what: &'static str,
    },
    /// One of the stores fails.
    #[error(transparent)]
    Store(#[from] Error),
}

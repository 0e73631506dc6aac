//! What daemon and gateway say to one another: one request for each connection.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use sandkeep_api::ErrorCode;
use sandkeep_objects::{BucketName, MigrationOptions, MigrationStatus, S3Settings, Usage};
use serde::{Deserialize, Serialize};

use super::GrantsById;
use super::limits::Limits;

/// Daemon to gateway.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Serve only now, with buckets that are not embedded there, and so many requests of all sandboxes at once. Also
    /// while serving.
    Configure { elsewhere: Option<Elsewhere>, sandbox_requests: NonZeroUsize },
    /// Serve these grants and no others in the sandbox, on the listener that comes along, or on the one that is there.
    /// A new one serves within these limits.
    Serve { sandbox: String, grants: GrantsById, limits: Limits },
    /// Close the listener of a sandbox; succeeds if there is none.
    Close { sandbox: String },
    /// Everything that is served.
    List,
    /// All buckets with what is in them.
    Buckets,
    /// One of them.
    Bucket { name: BucketName },
    /// Begin to move a bucket.
    Migrate { name: BucketName, options: MigrationOptions },
    /// How far that is.
    Migration { name: BucketName },
    /// End it.
    CancelMigration { name: BucketName },
}

/// Where buckets are that are not embedded. Holds credentials: never log it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Elsewhere {
    pub(super) s3: S3Settings,
    pub(super) bucket: BucketName,
    pub(super) prefix: String,
}

/// A bucket as the gateway knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BucketStatus {
    pub(crate) name: BucketName,
    pub(crate) created: SystemTime,
    pub(crate) embedded: bool,
    pub(crate) usage: Usage,
}

/// Gateway to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// Nothing serves that sandbox yet: ask again, with a listener.
    NeedsListener,
    Served(BTreeMap<String, GrantsById>),
    Buckets(Vec<BucketStatus>),
    /// None: nobody moved it since the gateway was started.
    Migration(Option<MigrationStatus>),
    Failed(String),
    /// A failure that has a code of its own.
    Refused(ErrorCode, String),
}

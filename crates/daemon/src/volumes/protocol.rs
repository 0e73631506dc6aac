//! What daemon, keeper and workers say to one another.

use std::time::{Duration, SystemTime};

use sandkeep_backups::{Manifest, Preview, Progress};
use sandkeep_vfs::{MountOptions, Negotiated};
use serde::{Deserialize, Serialize};

use super::{BackupJob, BackupVolume, BucketVolume, VolumeError, VolumeId, VolumeStatus};

/// Daemon to keeper: one per connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Make a mount; the answer carries it.
    Mount { volume: Volume, options: MountOptions },
    /// Flush and end a volume.
    End { id: VolumeId, deadline: Duration },
    /// Fail all its requests, keep its worker.
    Abort { id: VolumeId },
    /// All volumes.
    List,
    /// Make a backup of the descriptor that comes along, whose layer may come behind it. The worker answers on this
    /// connection.
    Backup(Box<BackupJob>),
    /// Write a backup's files into the descriptor that comes along. The worker answers on this connection.
    Extract(Box<BackupVolume>),
    /// End everything and exit.
    Stop,
}

/// What a volume shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Volume {
    Bucket(Box<BucketVolume>),
    Backup(Box<BackupVolume>),
}

/// Keeper, or the worker of a backup, to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Mounted {
        id: VolumeId,
    },
    Volumes(Vec<VolumeStatus>),
    Done,
    Failed(VolumeError),
    Progress(Progress),
    BackedUp(Box<Manifest>),
    Previewed(Box<Preview>),
    Extracted,
    /// Stop what runs in the sandbox, and say whether it has stopped: [`Reply`].
    Freeze,
    /// Let it go on, and say whether it was stopped all the time: [`Reply`].
    Thaw,
}

/// Daemon to the worker of a backup, for each question.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) yes: bool,
}

/// Keeper to worker, first message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Serve the connection whose device and memory of requests come along. `since` is when the volume was first asked for: a backup that expires
    /// while it is in use stays usable.
    Serve { volume: Volume, negotiated: Negotiated, since: SystemTime, crashed_before: bool },
    /// Archive the first descriptor, report to the last; between them the directory's layer may come.
    Backup(Box<BackupJob>),
    /// Fill the first descriptor, report to the last.
    Extract(Box<BackupVolume>),
}

/// Keeper to worker, later.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Upload what is dirty, then exit.
    End { deadline: Duration },
}

/// Worker to keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Requests are being answered.
    Ready,
    /// The volume cannot be served.
    Failed(VolumeError),
    /// Last words after [`Command::End`].
    Ended(Option<VolumeError>),
}

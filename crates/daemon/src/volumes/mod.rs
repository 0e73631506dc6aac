//! Volumes: what serves a mount or makes a backup, in processes of their own that outlive the daemon.
//!
//! The *keeper* holds the FUSE connections and starts one *worker* per volume, which holds the credentials. The daemon
//! talks to the keeper over a unix socket; killing the daemon leaves both running.

pub(crate) mod channel;
mod client;
pub(crate) mod keeper;
pub(crate) mod protocol;
mod spec;
pub(crate) mod worker;

pub use client::{FreezeSandbox, VolumeId, VolumeMount, VolumeStatus, Volumes, VolumesSettings};
pub(crate) use spec::chain;
pub use spec::{BackupJob, BackupVolume, BucketVolume, OverlayJob, StoreSpec, VolumeError, VolumeErrorCode};

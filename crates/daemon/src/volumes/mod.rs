//! Volumes: what serves a mount or makes a backup, in processes of their own that outlive the daemon.
//!
//! The *keeper* holds the FUSE connections and starts one *worker* per volume, which holds the credentials. The daemon
//! talks to the keeper over a unix socket; killing the daemon leaves both running.

mod client;
mod spec;

pub use client::{VolumeId, VolumeMount, VolumeStatus, Volumes, VolumesSettings};
pub use spec::{BackupJob, BackupVolume, BucketVolume, StoreSpec, VolumeError, VolumeErrorCode};

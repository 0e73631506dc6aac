//! What the API does, free of HTTP: sandboxes and their life, commands, files, mounts, backups, buckets.

mod backups;
mod buckets;
mod exec;
mod files;
mod grants;
mod lifecycle;
mod live;
mod mounts;
mod names;
mod ports;
mod processes;
mod recovery;
mod registry;
mod sessions;
mod store;
mod terminals;
mod text;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use backups::ProgressReceiver;
pub(crate) use exec::Running;
pub(crate) use files::{FileReader, ListingOptions, MAX_FILE_BYTES};
pub(crate) use lifecycle::Ending;
pub(crate) use live::Live;
pub(crate) use ports::{ServeBuckets, ServeGrants, ServeVolumes, StartSandboxes};
pub(crate) use processes::{Followed, signal_name};
pub(crate) use store::EmbeddedStore;
pub(crate) use terminals::TerminalQuery;
pub(crate) use text::TextSplitter;

use crate::settings::Settings;
use crate::state::State;
use registry::Registry;

/// All services over the same sandboxes.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: EmbeddedStore,
    runtime: Arc<dyn StartSandboxes>,
    volumes: Arc<dyn ServeVolumes>,
    endpoints: Arc<dyn ServeGrants>,
    buckets: Arc<dyn ServeBuckets>,
    state: State,
    registry: Arc<Registry>,
}

/// What services are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Resolved settings.
    pub(crate) settings: Arc<Settings>,
    /// The embedded store.
    pub(crate) store: EmbeddedStore,
    /// Starts sandboxes.
    pub(crate) runtime: Arc<dyn StartSandboxes>,
    /// Serves mounts.
    pub(crate) volumes: Arc<dyn ServeVolumes>,
    /// Serves `s3.internal`.
    pub(crate) endpoints: Arc<dyn ServeGrants>,
    /// Knows the buckets.
    pub(crate) buckets: Arc<dyn ServeBuckets>,
    /// The daemon's records.
    pub(crate) state: State,
}

impl Services {
    /// Services without sandboxes; [`Self::recover`] finds those of an earlier daemon.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { settings, store, runtime, volumes, endpoints, buckets, state } = parts;
        let registry = Arc::default();
        Arc::new(Self { settings, store, runtime, volumes, endpoints, buckets, state, registry })
    }

    /// Where workers keep chunks of backups.
    fn cache_directory(&self) -> PathBuf {
        self.settings.data.join("cache")
    }
}

//! Creating, finding again and listing sandboxes.

use std::path::PathBuf;

use crate::{Error, Sandbox, SandboxName, SandboxSpec};

/// Where things are and what to start.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Upper layers, skeleton and records: on a disk, not on overlayfs. Mode 0700.
    pub state: PathBuf,
    /// Sockets of agents. Mode 0700.
    pub run: PathBuf,
    /// This program, to be started as `program init_arguments..` as pid 1 of a sandbox; it must call [`crate::Runtime::init_main`].
    pub program: PathBuf,
    /// Arguments that make `program` call `init_main`.
    pub init_arguments: Vec<String>,
}

/// Creates and keeps sandboxes.
#[derive(Debug)]
pub struct Runtime {}

impl Runtime {
    /// Checks the host, makes the skeleton of the base `host` if it is missing, and removes what crashed starts left.
    pub async fn start(settings: RuntimeSettings) -> Result<Self, Error> {
        todo!()
    }

    /// Starts a sandbox; on failure nothing is left. `Start` with AlreadyExists if the name is in use.
    pub async fn create(&self, name: &SandboxName, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        todo!()
    }

    /// All sandboxes that still run, found again after a restart of the daemon; what is left of dead ones is removed.
    pub async fn adopt(&self) -> Result<Vec<Sandbox>, Error> {
        todo!()
    }

    /// The life of pid 1; never returns. `main` calls it first thing when started with `init_arguments`.
    pub fn init_main() -> ! {
        todo!()
    }
}

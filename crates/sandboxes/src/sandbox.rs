//! A running sandbox.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use bytes::Bytes;

use crate::{Error, ExecRequest, Execution, SandboxName};

/// A running sandbox. Cheap to clone. Dropping it does not end it.
#[derive(Clone, Debug)]
pub struct Sandbox {}

/// Someone who keeps a mount busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id on the host.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
}

/// Where an attached mount goes among those at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On top: covers what is there.
    OnTop,
    /// Takes the place of the topmost mount without a moment in which neither is seen. The old one is detached.
    Replace,
}

/// How insistently to detach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    /// Refuse with [`Error::Busy`] if someone uses it.
    Polite,
    /// Take it away; holders keep a dead or detached filesystem.
    Force,
}

/// About a file inside.
#[derive(Clone, Debug)]
pub struct FileInfo {
    /// Bytes.
    pub size: u64,
    /// Directory?
    pub directory: bool,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content.
    pub modified: SystemTime,
}

impl Sandbox {
    /// Its name.
    pub fn name(&self) -> &SandboxName {
        todo!()
    }

    /// First host id of its block of 65,536: id 0 inside is this on the host.
    pub fn id_base(&self) -> u32 {
        todo!()
    }

    /// Whether pid 1 is alive.
    pub fn is_running(&self) -> bool {
        todo!()
    }

    /// Returns when pid 1 has ended.
    pub async fn ended(&self) {
        todo!()
    }

    /// Runs a program.
    pub async fn exec(&self, request: ExecRequest) -> Result<Execution, Error> {
        todo!()
    }

    /// Opens a directory inside, for archiving it.
    pub async fn open_directory(&self, path: &str) -> Result<OwnedFd, Error> {
        todo!()
    }

    /// Opens a regular file inside for reading. Never leaves the sandbox's root, never blocks on a fifo.
    pub async fn open_file(&self, path: &str) -> Result<(File, FileInfo), Error> {
        todo!()
    }

    /// Writes a file: whole, atomically (rename), parents created, an existing file's mode kept, else 0644; owner root
    /// of the sandbox.
    pub async fn write_file(&self, path: &str, content: Bytes) -> Result<(), Error> {
        todo!()
    }

    /// Attaches a detached mount at `path`, created if missing (created directories belong to the sandbox's root).
    /// Returns true if the mount point itself was created.
    pub async fn attach(&self, mount: OwnedFd, path: &str, placement: Placement) -> Result<bool, Error> {
        todo!()
    }

    /// Takes the topmost mount at `path` away; with `remove_directory` also the empty directory below.
    pub async fn detach(&self, path: &str, how: Detach, remove_directory: bool) -> Result<(), Error> {
        todo!()
    }

    /// Makes a detached kernel overlay of `lower` (a detached mount) and a fresh upper layer kept in the sandbox's
    /// state, ready for [`Self::attach`]. `key` names the upper layer; an older one of that key is left alone until
    /// [`Self::drop_overlay`].
    pub async fn overlay(&self, lower: OwnedFd, key: &str) -> Result<OwnedFd, Error> {
        todo!()
    }

    /// Removes the upper layer of that key.
    pub async fn drop_overlay(&self, key: &str) -> Result<(), Error> {
        todo!()
    }

    /// Ends everything inside, waits for it, and removes its state. Mounts served from outside must have been aborted
    /// before. Idempotent.
    pub async fn destroy(&self) -> Result<(), Error> {
        todo!()
    }
}

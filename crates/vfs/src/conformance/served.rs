//! A filesystem served from this process on a temporary directory, for tests.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{FileSystem, MountError, MountOptions, Mounted, Server, Session, Takeover, abort, attach, mount};

/// A mount that goes away with this guard, also while a test panics.
///
/// Touch it from threads of the test or from other processes, never from a task of its filesystem.
#[derive(Debug)]
pub struct Served {
    directory: PathBuf,
    mount: OwnedFd,
    session: Option<Session>,
    // Dropped last, by `Drop`: blocking on its tasks could wait for a request that only the abort ends.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Served {
    /// Mounts and serves a filesystem with options fit for tests.
    ///
    /// # Errors
    /// As [`mount`], [`attach`] and [`Server::start`].
    pub fn start(filesystem: Arc<dyn FileSystem>) -> Result<Self, MountError> {
        let options = MountOptions {
            source: "test".to_owned(),
            subtype: "sandkeep".to_owned(),
            read_only: false,
            allow_other: true,
            trusted: true,
            read_ahead_kib: 1024,
        };
        Self::start_with(filesystem, &options)
    }

    /// Mounts and serves a filesystem.
    ///
    /// # Errors
    /// As [`mount`], [`attach`] and [`Server::start`].
    pub fn start_with(filesystem: Arc<dyn FileSystem>, options: &MountOptions) -> Result<Self, MountError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|source| MountError::Serve { source })?;
        let Mounted { connection, mount } = mount(options)?;
        let directory = fresh_directory().map_err(|source| MountError::Serve { source })?;
        let server = Server::start(2, runtime.handle().clone())?;
        let session = server.serve(connection, filesystem, Takeover::Fresh)?;
        let served = Self { directory, mount, session: Some(session), runtime: Some(runtime) };
        attach(&served.mount, &served.directory)?;
        Ok(served)
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The mount.
    pub fn mount(&self) -> &OwnedFd {
        &self.mount
    }

    /// Unmounts in order and waits until the filesystem has been told.
    ///
    /// # Errors
    /// The directory is busy.
    pub fn close(mut self) -> Result<(), MountError> {
        rustix::mount::unmount(&self.directory, rustix::mount::UnmountFlags::empty())
            .map_err(|error| MountError::Mount { step: "umount".to_owned(), source: error.into() })?;
        // The descriptor pins the filesystem as an open file would; an abort of nothing is what is left of it.
        let _ = abort(&self.mount);
        if let (Some(runtime), Some(session)) = (&self.runtime, self.session.take()) {
            runtime.block_on(session.ended());
        }
        Ok(())
    }
}

fn fresh_directory() -> std::io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("sandkeep-vfs-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

impl Drop for Served {
    fn drop(&mut self) {
        // Best effort throughout: after close() most of it is done already.
        let _ = abort(&self.mount);
        let _ = rustix::mount::unmount(&self.directory, rustix::mount::UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.directory);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

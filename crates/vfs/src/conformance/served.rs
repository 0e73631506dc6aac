//! Mounts on temporary directories, for tests, that go away with their guards.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;

use crate::{
    FileSystem, MountError, MountOptions, Mounted, Server, Session, Takeover, abort_connection, attach,
    connection_id, mount,
};

/// A connection that has not ended by then is held by an open file.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// A mount on a temporary directory; aborted and unmounted when dropped, also while a test panics.
///
/// Keeps no descriptor of the mount, which would keep it busy, but the number of its connection.
#[derive(Debug)]
pub struct TestMount {
    directory: PathBuf,
    connection: u32,
}

impl TestMount {
    /// Options fit for tests.
    pub fn options() -> MountOptions {
        MountOptions {
            source: "test".to_owned(),
            subtype: "sandkeep".to_owned(),
            read_only: false,
            allow_other: true,
            trusted: true,
            read_ahead_kib: 1024,
        }
    }

    /// Attaches a mount to a fresh directory.
    ///
    /// # Errors
    /// As [`attach`].
    pub fn attach(mount: &OwnedFd) -> Result<Self, MountError> {
        let connection = connection_id(mount)?;
        let directory = fresh_directory().map_err(|source| MountError::Serve { source })?;
        // A guard from here on: what fails below is cleaned up too.
        let mounted = Self { directory, connection };
        attach(mount, &mounted.directory)?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends every request that waits, and all later ones.
    ///
    /// # Errors
    /// As [`crate::abort`].
    pub fn abort(&self) -> Result<(), MountError> {
        abort_connection(self.connection)
    }

    /// Unmounts; the connection ends once nobody has a file of it open. A process that another test forks holds our
    /// descriptors until its exec, so a plain unmount would find the mount busy now and then.
    ///
    /// # Errors
    /// It is not mounted.
    pub fn unmount(&self) -> Result<(), MountError> {
        rustix::mount::unmount(&self.directory, UnmountFlags::DETACH)
            .map_err(|error| MountError::Mount { step: "umount".to_owned(), source: error.into() })
    }

    /// The number could belong to another mount once ours is gone.
    fn is_mounted(&self) -> bool {
        let opened = rustix::fs::open(&self.directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.is_ok_and(|place| connection_id(&place).is_ok_and(|number| number == self.connection))
    }
}

fn fresh_directory() -> std::io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("sandkeep-vfs-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

impl Drop for TestMount {
    fn drop(&mut self) {
        // Best effort throughout: a guard has nobody to report to.
        if self.is_mounted() {
            let _ = self.abort();
            let _ = rustix::mount::unmount(&self.directory, UnmountFlags::DETACH);
        }
        let _ = std::fs::remove_dir(&self.directory);
    }
}

/// A filesystem served from this process on a temporary directory.
///
/// Touch it from threads of the test or from other processes, never from a task of its filesystem.
#[derive(Debug)]
pub struct Served {
    // Dropped first: its abort ends requests that tasks of the runtime would wait for.
    mount: TestMount,
    session: Session,
    runtime: Runtime,
}

/// Ends in the background when dropped: a filesystem under test may block a thread of it for ever.
#[derive(Debug)]
struct Runtime(Option<tokio::runtime::Runtime>);

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Served {
    /// Mounts and serves a filesystem with options fit for tests.
    ///
    /// # Errors
    /// As [`mount`], [`attach`] and [`Server::start`].
    pub fn start(filesystem: Arc<dyn FileSystem>) -> Result<Self, MountError> {
        Self::start_with(filesystem, &TestMount::options())
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
        let server = Server::start(2, runtime.handle().clone())?;
        let session = server.serve(connection, filesystem, Takeover::Fresh)?;
        Ok(Self { mount: TestMount::attach(&mount)?, session, runtime: Runtime(Some(runtime)) })
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        self.mount.directory()
    }

    /// The mount.
    pub fn mount(&self) -> &TestMount {
        &self.mount
    }

    /// The served connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Unmounts and waits until the filesystem has been told.
    ///
    /// # Errors
    /// A file stays open.
    pub fn close(self) -> Result<(), MountError> {
        self.mount.unmount()?;
        let Some(runtime) = &self.runtime.0 else { return Ok(()) };
        let ended = async { tokio::time::timeout(CLOSE_LIMIT, self.session.ended()).await };
        if runtime.block_on(ended).is_err() {
            self.mount.abort()?;
            return Err(MountError::Mount {
                step: "umount".to_owned(),
                source: rustix::io::Errno::BUSY.into(),
            });
        }
        Ok(())
    }
}

//! A running sandbox.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::unix::AsyncFd;

use crate::attach::{Inside, Refusal};
use crate::error::Failure;
use crate::memory::{KillsBefore, MemoryKills};
use crate::overlay::UpperLayer;
use crate::record::{Places, Record, Running};
use crate::runtime::Shared;
use crate::sys::processes::Process;
use crate::sys::sockets;
use crate::{Error, ExecRequest, Execution, SandboxName, files, holders, launch, network, overlay};

/// Waiting for a free place in the agent's queue, and for a killed sandbox.
const CONNECT_ATTEMPTS: u32 = 1_000;
const CONNECT_PAUSE: Duration = Duration::from_millis(1);
const DEATH_PATIENCE: Duration = Duration::from_secs(30);

/// A running sandbox. Cheap to clone. Dropping it does not end it.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    record: Record,
    own_mounts: Vec<u64>,
    /// None where memory is not limited.
    memory: Option<Arc<MemoryKills>>,
    process: Process,
    /// Readable when pid 1 has ended.
    end: AsyncFd<OwnedFd>,
    /// Taken away by destroy, since it keeps the root filesystem alive.
    root: Mutex<Option<Arc<OwnedFd>>>,
    places: Places,
    shared: Arc<Shared>,
    /// Mounts change one at a time.
    mounting: tokio::sync::Mutex<()>,
    destroying: tokio::sync::Mutex<Destroyed>,
}

#[derive(Debug, PartialEq, Eq)]
enum Destroyed {
    No,
    Yes,
}

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
    /// A handle on a process that was just started or found again.
    pub(crate) fn new(
        record: Record,
        running: Running,
        process: Process,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let end = crate::sys::watch(process.descriptor.try_clone()?)?;
        let root = Mutex::new(Some(Arc::new(launch::root_of(&process)?)));
        Ok(Self(Arc::new(Inner {
            places: Places::new(&shared.settings.state, &record.name),
            own_mounts: running.own_mounts,
            memory: record
                .group
                .memory_report()
                .and_then(|(report, limit)| MemoryKills::open(&report, limit)),
            record,
            process,
            end,
            root,
            shared,
            mounting: tokio::sync::Mutex::default(),
            destroying: tokio::sync::Mutex::new(Destroyed::No),
        })))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Its name.
    pub fn name(&self) -> &SandboxName {
        &self.0.record.name
    }

    /// First host id of its block of 65,536: id 0 inside is this on the host.
    pub fn id_base(&self) -> u32 {
        self.0.record.id_base
    }

    /// Host process id of its pid 1.
    pub fn pid(&self) -> u32 {
        self.0.process.pid.unsigned_abs()
    }

    /// Whether pid 1 is alive.
    pub fn is_running(&self) -> bool {
        !self.0.process.has_ended()
    }

    /// Returns when pid 1 has ended.
    pub async fn ended(&self) {
        // An error means that the runtime shuts down.
        drop(self.0.end.readable().await);
    }

    /// Runs a program.
    pub async fn exec(&self, request: ExecRequest) -> Result<Execution, Error> {
        let message = request.to_message().map_err(|source| system("run a program", source))?;
        let connection = self.connect().await?;
        let started = Execution::start(connection, &message, self.id_base());
        Ok(started.map_err(|source| self.agent_error(&source))?.watching(self.memory_kills()))
    }

    pub(crate) async fn connect(&self) -> Result<OwnedFd, Error> {
        let path = self.0.shared.socket_path(self.id_base());
        for _ in 0..CONNECT_ATTEMPTS {
            match sockets::connect_to(&path) {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Err(error) => return Err(self.agent_error(&error)),
            }
        }
        Err(Error::Agent { what: "it takes no more connections".into() })
    }

    pub(crate) fn agent_error(&self, error: &io::Error) -> Error {
        if self.is_running() { Error::Agent { what: error.to_string() } } else { Error::Gone }
    }

    pub(crate) fn memory_kills(&self) -> Option<KillsBefore> {
        self.0.memory.as_ref().map(MemoryKills::now)
    }

    /// Opens a directory inside, for archiving it. Relative paths, here and below, are relative to /workspace.
    pub async fn open_directory(&self, path: &str) -> Result<OwnedFd, Error> {
        self.with_root(path, files::open_directory).await
    }

    /// Opens a regular file inside for reading. Never leaves the sandbox's root, never blocks on a fifo.
    pub async fn open_file(&self, path: &str) -> Result<(File, FileInfo), Error> {
        self.with_root(path, files::open_file).await
    }

    /// Writes a file: whole, atomically (rename), parents created, an existing file's mode kept, else 0644; owner root
    /// of the sandbox. Links are followed, inside. On a bucket it is written in place, which is atomic there.
    pub async fn write_file(&self, path: &str, content: Bytes) -> Result<(), Error> {
        let owner = self.id_base();
        self.with_root(path, move |root, path| files::write_file(root, path, &content, owner)).await
    }

    async fn with_root<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(BorrowedFd<'_>, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let root = self.root()?;
        let inside = files::absolute(path);
        let done = blocking(move || work(root.as_fd(), &inside)).await;
        done.map_err(|source| Error::Path { path: path.into(), source })
    }

    fn root(&self) -> Result<Arc<OwnedFd>, Error> {
        let root = self.0.root.lock().unwrap_or_else(PoisonError::into_inner).clone();
        root.filter(|_| self.is_running()).ok_or(Error::Gone)
    }

    /// Attaches a detached mount at `path`, created if missing (created directories belong to the sandbox's root).
    /// Returns true if the mount point itself was created. Mounts that were attached below `path` before are kept, on
    /// top of the new one.
    pub async fn attach(&self, mount: OwnedFd, path: &str, placement: Placement) -> Result<bool, Error> {
        self.change_mounts(path, move |inside, path| Ok(inside.attach(&mount, path, placement)?)).await
    }

    /// Takes the topmost mount at `path` away; with `remove_directory` also the empty directory below. Nothing mounted
    /// there is an `InvalidInput`.
    pub async fn detach(&self, path: &str, how: Detach, remove_directory: bool) -> Result<(), Error> {
        self.change_mounts(path, move |inside, path| inside.detach(path, how, remove_directory)).await
    }

    async fn change_mounts<T: Send + 'static>(
        &self,
        path: &str,
        change: impl FnOnce(Inside<'_>, &Path) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Error> {
        let _one_at_a_time = self.0.mounting.lock().await;
        self.root()?;
        let (inner, place) = (Arc::clone(&self.0), files::absolute(path));
        let done = blocking(move || change(inner.inside(), &place).map_err(|refusal| inner.explain(refusal)));
        match done.await {
            Ok(value) => Ok(value),
            Err(Explained::Busy(holders)) => Err(Error::Busy { path: path.into(), holders }),
            Err(Explained::Failed(source)) => Err(Error::Path { path: path.into(), source }),
        }
    }

    /// Makes a detached kernel overlay of `lower` (a detached mount) and a fresh upper layer kept in the sandbox's
    /// state, ready for [`Self::attach`]. `key` names the upper layer; an older one of that key is left alone until
    /// [`Self::drop_overlay`].
    pub async fn overlay(&self, lower: OwnedFd, key: &str) -> Result<OwnedFd, Error> {
        self.root()?;
        let generation = files::random_name().map_err(|source| system("choose a name", source))?;
        let layer = UpperLayer::new(self.0.overlays_of(key).join(generation));
        let scratch = self.0.shared.scratch();
        Ok(blocking(move || overlay::make_over_detached(&lower, &layer, &scratch)).await?)
    }

    /// The directory with the `upper` and `work` of the layer that [`Self::overlay`] made last for that key.
    pub async fn open_layer(&self, key: &str) -> Result<OwnedFd, Error> {
        let directory = self.0.overlays_of(key);
        let opened =
            blocking(move || overlay::newest_layer(&directory).and_then(|layer| overlay::open_layer(&layer)));
        opened.await.map_err(|source| system("open an upper layer", source))
    }

    /// An empty directory in the sandbox's state, for files that are to be shown inside, under the name of an upper layer:
    /// [`Self::drop_overlay`] removes it. To be shown by [`Self::show_tree`].
    pub async fn make_tree(&self, key: &str) -> Result<OwnedFd, Error> {
        self.root()?;
        let directory = self.0.overlays_of(key).join("tree");
        let made = blocking(move || {
            std::fs::create_dir_all(&directory)?;
            overlay::open_layer(&directory)
        });
        made.await.map_err(|source| system("make a directory", source))
    }

    /// A detached mount of the directory of [`Self::make_tree`], ready for [`Self::attach`]. It is the lower layer of an
    /// overlay, because a mount of the directory itself would show inside where it is on the host.
    pub async fn show_tree(&self, key: &str) -> Result<OwnedFd, Error> {
        let directory = self.0.overlays_of(key).join("tree");
        let lower = blocking(move || crate::sys::mounts::clone_tree(&directory, false)).await;
        self.overlay(lower.map_err(|source| system("show a directory", source))?, key).await
    }

    /// Removes the upper layers of that key; they should not be attached any more.
    pub async fn drop_overlay(&self, key: &str) -> Result<(), Error> {
        let directory = self.0.overlays_of(key);
        let removed = blocking(move || crate::remove::remove_tree(&directory)).await;
        removed.map_err(|source| system("remove an upper layer", source))
    }

    /// Stops every process inside until the guard is dropped; none if one of them does not stop in time, or the host has no
    /// means of stopping them.
    pub async fn freeze(&self, patience: Duration) -> Result<Option<Frozen>, Error> {
        self.root()?;
        let inner = Arc::clone(&self.0);
        // The guard is made first: whatever happens meanwhile, it lets them go on.
        let frozen = Frozen(Arc::clone(&self.0));
        let stopped = blocking(move || inner.record.group.freeze(patience)).await;
        Ok(stopped.map_err(|source| system("freeze the sandbox", source))?.then_some(frozen))
    }

    /// A listener at 127.0.0.1 of the sandbox's own network, served from out here.
    pub async fn listen(&self, port: u16) -> Result<std::net::TcpListener, Error> {
        self.root()?;
        let inner = Arc::clone(&self.0);
        let listener = blocking(move || network::listen(&inner.process, port)).await;
        listener.map_err(|source| system("listen inside the sandbox", source))
    }

    /// A connection to a port of the sandbox's own network, at 127.0.0.1 or ::1.
    pub async fn connect_to(&self, port: u16, patience: Duration) -> Result<std::net::TcpStream, Error> {
        self.root()?;
        let inner = Arc::clone(&self.0);
        let connected = blocking(move || network::connect(&inner.process, port, patience)).await;
        connected.map_err(|source| system("connect to a port of the sandbox", source))
    }

    /// Ends everything inside, waits for it, and removes its state. Mounts served from outside must have been aborted
    /// before. Idempotent.
    pub async fn destroy(&self) -> Result<(), Error> {
        let mut destroyed = self.0.destroying.lock().await;
        if *destroyed == Destroyed::Yes {
            return Ok(());
        }
        self.0.process.kill().map_err(|source| system("kill pid 1", source))?;
        self.0.record.group.kill();
        if tokio::time::timeout(DEATH_PATIENCE, self.ended()).await.is_err() {
            return Err(system("wait for the sandbox's end", io::ErrorKind::TimedOut.into()));
        }
        drop(self.0.root.lock().unwrap_or_else(PoisonError::into_inner).take());
        let inner = Arc::clone(&self.0);
        blocking(move || {
            if let Err(error) = inner.process.reap(false) {
                tracing::debug!(%error, "pid 1 could not be reaped");
            }
            inner.shared.remove_remains(&inner.record)
        })
        .await?;
        self.0.shared.release(self.name());
        *destroyed = Destroyed::Yes;
        Ok(())
    }
}

/// A sandbox in which nothing runs. Dropped, everything goes on.
#[derive(Debug)]
pub struct Frozen(Arc<Inner>);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Err(error) = self.0.record.group.thaw() {
            tracing::error!(%error, "a frozen sandbox cannot be thawed");
        }
    }
}

/// A refusal with the names of those who caused it.
enum Explained {
    Busy(Vec<Holder>),
    Failed(io::Error),
}

impl Inner {
    fn inside(&self) -> Inside<'_> {
        Inside {
            process: &self.process,
            id_base: self.record.id_base,
            own_mounts: &self.own_mounts,
            can_mount_beneath: self.shared.features.mount_beneath,
        }
    }

    fn explain(&self, refusal: Refusal) -> Explained {
        match refusal {
            Refusal::Busy(mount) => Explained::Busy(holders::of(&mount, &self.process, &self.record.group)),
            Refusal::Failed(error) => Explained::Failed(error),
        }
    }

    /// Any key becomes one safe file name.
    fn overlays_of(&self, key: &str) -> PathBuf {
        let safe = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            other => format!("_{other:02x}"),
        };
        self.places.overlays().join(key.bytes().map(safe).collect::<String>())
    }
}

fn system(what: &str, source: io::Error) -> Error {
    Failure { what: what.into(), source }.into()
}

/// Runs something that blocks on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime shuts down and has no thread for it: so does whoever waits here.
        Err(_cancelled) => std::future::pending().await,
    }
}

//! The daemon's side: asks the keeper, starting it where it does not run.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sandkeep_backups::{Manifest, Preview, Progress};
use sandkeep_vfs::MountOptions;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc};

use super::channel::{self, AsyncChannel};
use super::protocol::{Answer, Reply, Request, Volume};
use super::{BackupJob, BackupVolume, BucketVolume, VolumeError};
use crate::roles;

/// Names a volume for as long as its worker serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(pub String);

/// A mount made by the keeper and served by a worker.
#[derive(Debug)]
pub struct VolumeMount {
    /// To unmount it later.
    pub id: VolumeId,
    /// The detached mount, to be attached in a sandbox.
    pub mount: OwnedFd,
}

/// About a volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// Which.
    pub id: VolumeId,
    /// Process id of its worker.
    pub worker: u32,
    /// How often the worker was replaced after dying.
    pub restarts: u32,
}

/// Stops and goes on with what runs in a sandbox, for the worker that makes a backup of it.
#[async_trait]
pub trait FreezeSandbox: Send + Sync {
    /// Stops it; false if it does not stop.
    async fn freeze(&self) -> bool;
    /// Lets it go on; answers whether it was stopped all the time.
    async fn thaw(&self) -> bool;
}

/// Of work that stops nothing.
struct Unfrozen;

#[async_trait]
impl FreezeSandbox for Unfrozen {
    async fn freeze(&self) -> bool {
        false
    }

    async fn thaw(&self) -> bool {
        false
    }
}

/// Where the keeper is and how to start it.
#[derive(Clone, Debug)]
pub struct VolumesSettings {
    /// Directory of the keeper's socket and log, mode 0700.
    pub run: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// Directory for caches of workers.
    pub cache: PathBuf,
}

impl VolumesSettings {
    fn socket(&self) -> PathBuf {
        self.run.join("keeper.sock")
    }
}

/// The way to all volumes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Volumes {
    settings: Arc<VolumesSettings>,
    /// Held while a keeper is started, so that there is never a second one.
    starting: Arc<Mutex<()>>,
}

impl Volumes {
    /// Connects to the keeper, or starts it.
    pub async fn start(settings: VolumesSettings) -> Result<Self, VolumeError> {
        let volumes = Self { settings: Arc::new(settings), starting: Arc::default() };
        volumes.list().await?;
        Ok(volumes)
    }

    /// Opens a bucket in a worker and mounts it detached.
    pub async fn mount_bucket(
        &self,
        volume: BucketVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError> {
        self.mount(Volume::Bucket(Box::new(volume)), options).await
    }

    /// Opens a backup in a worker and mounts it detached.
    pub async fn mount_backup(
        &self,
        volume: BackupVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError> {
        self.mount(Volume::Backup(Box::new(volume)), options).await
    }

    async fn mount(&self, volume: Volume, options: MountOptions) -> Result<VolumeMount, VolumeError> {
        match self.ask(Request::Mount { volume, options }).await? {
            (Answer::Mounted { id }, mut descriptors) if !descriptors.is_empty() => {
                Ok(VolumeMount { id, mount: descriptors.remove(0) })
            }
            (answer, _) => Err(unexpected(&answer)),
        }
    }

    /// Flushes, then ends a volume: its mount answers ENOTCONN afterwards. What is not uploaded at the deadline is
    /// reported. Succeeds if there is no such volume.
    pub async fn end(&self, id: &VolumeId, deadline: Duration) -> Result<(), VolumeError> {
        self.done(Request::End { id: id.clone(), deadline }).await
    }

    /// Fails every request in flight and all later ones at once (before a sandbox is killed), keeping the worker for its
    /// uploads until [`Self::end`].
    pub async fn abort(&self, id: &VolumeId) -> Result<(), VolumeError> {
        self.done(Request::Abort { id: id.clone() }).await
    }

    /// All volumes.
    pub async fn list(&self) -> Result<Vec<VolumeStatus>, VolumeError> {
        match self.ask(Request::List).await? {
            (Answer::Volumes(volumes), _) => Ok(volumes),
            (answer, _) => Err(unexpected(&answer)),
        }
    }

    /// Makes a backup of `directory`, whose layer may come along, in a worker of its own; dropping the future cancels it and
    /// removes what was uploaded.
    pub async fn create_backup(
        &self,
        job: BackupJob,
        directories: Vec<OwnedFd>,
        progress: mpsc::Sender<Progress>,
        freezer: &dyn FreezeSandbox,
    ) -> Result<Manifest, VolumeError> {
        match self.work(Request::Backup(Box::new(job)), directories, progress, freezer).await? {
            Answer::BackedUp(manifest) => Ok(*manifest),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Says what a backup of `directory` would hold and leave out.
    pub async fn preview_backup(&self, job: BackupJob, directory: OwnedFd) -> Result<Preview, VolumeError> {
        let (progress, _nobody) = mpsc::channel(1);
        let job = BackupJob { preview: true, ..job };
        match self.work(Request::Backup(Box::new(job)), vec![directory], progress, &Unfrozen).await? {
            Answer::Previewed(preview) => Ok(*preview),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Writes a backup's files into `directory`, in a worker of its own; dropping the future cancels it.
    pub async fn extract_backup(&self, volume: BackupVolume, directory: OwnedFd) -> Result<(), VolumeError> {
        let (progress, _nobody) = mpsc::channel(1);
        match self.work(Request::Extract(Box::new(volume)), vec![directory], progress, &Unfrozen).await? {
            Answer::Extracted => Ok(()),
            answer => Err(unexpected(&answer)),
        }
    }

    async fn work(
        &self,
        request: Request,
        directories: Vec<OwnedFd>,
        progress: mpsc::Sender<Progress>,
        freezer: &dyn FreezeSandbox,
    ) -> Result<Answer, VolumeError> {
        let channel = self.send(&request, &directories).await.map_err(lost)?;
        drop(directories);
        loop {
            match channel.receive().await.map_err(lost)? {
                // A slow listener misses some of the progress, never the result.
                Some((Answer::Progress(state), _)) => drop(progress.try_send(state)),
                Some((Answer::Freeze, _)) => {
                    let yes = freezer.freeze().await;
                    channel.send(&Reply { yes }, &[]).await.map_err(lost)?;
                }
                Some((Answer::Thaw, _)) => {
                    let yes = freezer.thaw().await;
                    channel.send(&Reply { yes }, &[]).await.map_err(lost)?;
                }
                Some((Answer::Failed(error), _)) => return Err(error),
                Some((answer, _)) => return Ok(answer),
                None => return Err(VolumeError::plain("the process that worked on the backup died")),
            }
        }
    }

    /// Ends all volumes and the keeper, for an orderly shutdown.
    pub async fn stop(&self) -> Result<(), VolumeError> {
        self.done(Request::Stop).await?;
        // Gone already if another daemon has cleared the directory.
        drop(std::fs::remove_file(self.settings.socket()));
        Ok(())
    }

    async fn done(&self, request: Request) -> Result<(), VolumeError> {
        match self.ask(request).await? {
            (Answer::Done, _) => Ok(()),
            (answer, _) => Err(unexpected(&answer)),
        }
    }

    async fn ask(&self, request: Request) -> Result<(Answer, Vec<OwnedFd>), VolumeError> {
        let channel = self.send(&request, &[]).await.map_err(lost)?;
        match channel.receive().await.map_err(lost)? {
            Some((Answer::Failed(error), _)) => Err(error),
            Some(answer) => Ok(answer),
            None => Err(VolumeError::plain("the keeper closed the connection")),
        }
    }

    /// Connects to the keeper, starting one where none runs (the first time, or after it was killed).
    async fn connect(&self) -> io::Result<OwnedFd> {
        let socket = self.settings.socket();
        if let Ok(connected) = channel::connect(&socket) {
            return Ok(connected);
        }
        let _starting = self.starting.lock().await;
        channel::connect(&socket).or_else(|_| {
            start_keeper(&self.settings, &socket)?;
            channel::connect(&socket)
        })
    }

    async fn send(&self, request: &Request, descriptors: &[OwnedFd]) -> io::Result<AsyncChannel> {
        let channel = AsyncChannel::new(self.connect().await?)?;
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        channel.send(request, &descriptors).await?;
        Ok(channel)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn lost(error: io::Error) -> VolumeError {
    VolumeError::failed("cannot talk to the keeper", &error)
}

fn unexpected(answer: &Answer) -> VolumeError {
    VolumeError::plain(format!("the keeper gave an answer to another question: {answer:?}"))
}

/// Starts the keeper with the listening socket as its standard input, so that no request is ever refused.
fn start_keeper(settings: &VolumesSettings, socket: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.run)?;
    let log = settings.run.join("keeper.log");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let mut child = Command::new(&settings.program)
        .arg(roles::KEEPER)
        .stdin(Stdio::from(channel::listen(socket)?))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()?;
    // Reaps the keeper if it ends while this process lives; afterwards init does.
    std::thread::spawn(move || child.wait());
    Ok(())
}

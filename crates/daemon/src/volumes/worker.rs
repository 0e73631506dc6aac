//! A worker: serves one volume, or makes one backup, and holds the credentials for it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use sandkeep_backups::{Freezer, Image, Overlay, Progress, ProgressSink, Source};
use sandkeep_bucketfs::BucketFs;
use sandkeep_objects::{ObjectService, ObjectStore, S3Client};
use sandkeep_vfs::{Connection, FileSystem, Server, Session, Takeover};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::channel::AsyncChannel;
use super::protocol::{Answer, Command, Job, Reply, Report, Volume};
use super::spec::{BackupJob, BackupVolume, OverlayJob};
use super::{StoreSpec, VolumeError};

/// Threads that read requests; one is cheapest, the second lets a slow request not delay the others.
const FUSE_THREADS: usize = 2;
/// How long a volume whose sandbox is gone may go on uploading.
const FLUSH_AFTER_DETACH: Duration = Duration::from_secs(300);
/// How long a daemon may take to freeze or thaw a sandbox.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often progress is passed on.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Serves the job that arrives on `socket`; returns when it is done.
pub(crate) async fn run(socket: OwnedFd) -> io::Result<()> {
    let keeper = AsyncChannel::new(socket)?;
    let Some((job, mut descriptors)) = keeper.receive::<Job>().await? else { return Ok(()) };
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "a descriptor did not come along");
    match job {
        Job::Serve { volume, negotiated, since, crashed_before } => {
            let requests = Some(descriptors.pop().ok_or_else(missing)?);
            let device = descriptors.pop().ok_or_else(missing)?;
            let connection = Connection { device, negotiated, requests };
            let takeover = if crashed_before { Takeover::AfterCrash } else { Takeover::Fresh };
            let opening = open_and_serve(volume, since, connection, takeover);
            serve(&keeper, opening).await
        }
        Job::Backup(job) => {
            let client = descriptors.pop().ok_or_else(missing)?;
            let mut directories = descriptors.into_iter();
            let directory = directories.next().ok_or_else(missing)?;
            let layer = directories.next();
            let work = async |watch| back_up(*job, directory, layer, watch).await;
            report(AsyncChannel::new(client)?, work).await
        }
        Job::Extract(volume) => {
            let client = descriptors.pop().ok_or_else(missing)?;
            let directory = descriptors.pop().ok_or_else(missing)?;
            let work = async |watch| extract(*volume, directory, watch).await;
            report(AsyncChannel::new(client)?, work).await
        }
    }
}

/// What a worker serves, kept in its own type where it has to be flushed.
enum Opened {
    Bucket(Arc<BucketFs>),
    Backup(Arc<Image>),
}

impl Opened {
    async fn open(volume: Volume, since: SystemTime) -> Result<Self, VolumeError> {
        match volume {
            Volume::Bucket(volume) => {
                let store = connect(volume.store)?;
                Ok(Self::Bucket(Arc::new(BucketFs::open(store, volume.settings).await?)))
            }
            Volume::Backup(volume) => {
                let store = connect(volume.store)?;
                let image = Image::open(store, &volume.id, volume.settings, since).await?;
                Ok(Self::Backup(Arc::new(image)))
            }
        }
    }

    fn filesystem(&self) -> Arc<dyn FileSystem> {
        match self {
            Self::Bucket(bucket) => Arc::clone(bucket) as _,
            Self::Backup(image) => Arc::clone(image) as _,
        }
    }

    async fn flush(&self, deadline: Duration) -> Result<(), VolumeError> {
        match self {
            Self::Bucket(bucket) => Ok(bucket.flush_all(deadline).await?),
            Self::Backup(_) => Ok(()),
        }
    }
}

/// The store of a volume.
pub(crate) fn connect(spec: StoreSpec) -> Result<Arc<dyn ObjectStore>, VolumeError> {
    let client = S3Client::new(spec.s3).map_err(|error| VolumeError::from(&error))?;
    Ok(client.bucket(&spec.bucket))
}

async fn serve(
    keeper: &AsyncChannel,
    opening: impl Future<Output = Result<(Opened, Session), VolumeError>>,
) -> io::Result<()> {
    let (opened, session) = match opening.await {
        Ok(served) => served,
        Err(error) => {
            keeper.send(&Report::Failed(error), &[]).await?;
            // The keeper ends us; leaving by ourselves would look like an orderly end.
            return std::future::pending().await;
        }
    };
    keeper.send(&Report::Ready, &[]).await?;
    let outcome = tokio::select! {
        () = session.ended() => opened.flush(FLUSH_AFTER_DETACH).await,
        command = keeper.receive::<Command>() => match command {
            Ok(Some((Command::End { deadline }, _))) => opened.flush(deadline).await,
            // The keeper died: without it nobody can take this mount over, so serve on until it is unmounted.
            _ => {
                session.ended().await;
                opened.flush(FLUSH_AFTER_DETACH).await
            }
        },
    };
    if let Err(error) = &outcome {
        tracing::error!(%error, "not everything could be uploaded");
    }
    keeper.send(&Report::Ended(outcome.err()), &[]).await
}

async fn open_and_serve(
    volume: Volume,
    since: SystemTime,
    connection: Connection,
    takeover: Takeover,
) -> Result<(Opened, Session), VolumeError> {
    let opened = Opened::open(volume, since).await?;
    let failed = |error| VolumeError::failed("cannot serve the mount", &error);
    let server = Server::start(FUSE_THREADS, tokio::runtime::Handle::current()).map_err(failed)?;
    let session = server.serve(connection, opened.filesystem(), takeover).map_err(failed)?;
    // The threads live as long as the process.
    std::mem::forget(server);
    Ok((opened, session))
}

/// Passes the newest progress on to whoever watches.
struct Watched(watch::Sender<Progress>);

impl ProgressSink for Watched {
    fn report(&self, progress: Progress) {
        self.0.send_replace(progress);
    }
}

/// How work is watched by the client that it is done for.
struct Watch {
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
    freezer: Arc<Asking>,
}

/// Has the client freeze the sandbox.
#[derive(Debug)]
struct Asking {
    questions: tokio::sync::mpsc::UnboundedSender<Answer>,
    replies: Mutex<mpsc::Receiver<bool>>,
}

impl Asking {
    fn ask(&self, question: Answer) -> bool {
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        self.questions.send(question).is_ok() && replies.recv_timeout(REPLY_TIMEOUT).unwrap_or(false)
    }
}

impl Freezer for Asking {
    fn freeze(&self) -> bool {
        self.ask(Answer::Freeze)
    }

    fn thaw(&self) -> bool {
        self.ask(Answer::Thaw)
    }
}

/// Runs work for a client who is told of its progress, answers its questions, and whose leaving cancels it.
async fn report(
    client: AsyncChannel,
    work: impl AsyncFnOnce(Watch) -> Result<Answer, VolumeError>,
) -> io::Result<()> {
    let (sender, mut progress) = watch::channel(Progress::default());
    let (questions, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let (reply, replies) = mpsc::channel();
    let cancel = CancellationToken::new();
    let watch = Watch {
        progress: Arc::new(Watched(sender)),
        cancel: cancel.clone(),
        freezer: Arc::new(Asking { questions, replies: Mutex::new(replies) }),
    };
    let work = work(watch);
    tokio::pin!(work);
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            Some(question) = asked.recv() => client.send(&question, &[]).await?,
            state = news(&mut progress) => drop(client.send(&Answer::Progress(state), &[]).await),
            message = client.receive::<Reply>() => match message {
                // Nobody waits any more for an answer that comes too late.
                Ok(Some((Reply { yes }, _))) => drop(reply.send(yes)),
                _ => {
                    cancel.cancel();
                    drop(reply);
                    break work.await;
                }
            },
        }
    };
    client.send(&outcome.unwrap_or_else(Answer::Failed), &[]).await
}

/// The newest progress, a few times a second; never again when there is no more.
async fn news(progress: &mut watch::Receiver<Progress>) -> Progress {
    tokio::time::sleep(PROGRESS_INTERVAL).await;
    match progress.changed().await {
        Ok(()) => *progress.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}

async fn back_up(
    job: BackupJob,
    directory: OwnedFd,
    layer: Option<OwnedFd>,
    Watch { progress, cancel, freezer }: Watch,
) -> Result<Answer, VolumeError> {
    let store = connect(job.store)?;
    let overlay = job.overlay.zip(layer).map(|(OverlayJob { backup, mounts }, layer)| Overlay {
        layer,
        backup,
        mounts,
    });
    let freezer = job.freeze.then_some(freezer as Arc<dyn Freezer>);
    let source = Source { directory, id_base: job.id_base, overlay, freezer };
    if job.preview {
        let preview = sandkeep_backups::preview(store, source, job.options, cancel).await?;
        return Ok(Answer::Previewed(Box::new(preview)));
    }
    let manifest = sandkeep_backups::create(store, source, job.options, progress, cancel).await?;
    Ok(Answer::BackedUp(Box::new(manifest)))
}

async fn extract(
    volume: BackupVolume,
    directory: OwnedFd,
    Watch { progress, cancel, .. }: Watch,
) -> Result<Answer, VolumeError> {
    let image = Image::open(connect(volume.store)?, &volume.id, volume.settings, SystemTime::now()).await?;
    sandkeep_backups::extract(Arc::new(image), directory, progress, cancel).await?;
    Ok(Answer::Extracted)
}

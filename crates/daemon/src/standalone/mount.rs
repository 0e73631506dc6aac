//! `sandkeep mount`: a bucket on a directory of the host, served by this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::mount::UnmountFlags;
use sandkeep_bucketfs::{BucketFs, BucketFsSettings};
use sandkeep_vfs::{MountOptions, Server, Takeover};
use tokio::signal::unix::{SignalKind, signal};

use crate::volumes::{StoreSpec, VolumeError, worker};

/// How long an end by signal waits for uploads.
const FLUSH_DEADLINE: Duration = Duration::from_secs(60);
/// Threads that read requests.
const FUSE_THREADS: usize = 2;
/// Read-ahead of the kernel in KiB.
const READ_AHEAD_KIB: u32 = 1024;

/// A bucket to be mounted on the host.
#[derive(Clone, Debug)]
pub struct HostMount {
    /// Which bucket.
    pub store: StoreSpec,
    /// How it shows.
    pub settings: BucketFsSettings,
    /// An existing directory.
    pub directory: PathBuf,
}

/// Mounts, calls `ready`, and serves until the directory is unmounted (`umount`, `fusermount -u`) or this process gets
/// SIGTERM or SIGINT; both upload what is dirty first.
pub async fn mount_bucket(mount: HostMount, ready: impl FnOnce()) -> Result<(), VolumeError> {
    let HostMount { store, settings, directory } = mount;
    let cannot = |what: &'static str| move |error: std::io::Error| VolumeError::failed(what, &error);
    let failed = |error| VolumeError::failed("cannot mount", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot("cannot wait for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot("cannot wait for signals"))?;
    let directory = directory.canonicalize().map_err(cannot("cannot use the mount point"))?;
    // Whoever mounts from within a mount must be able to unmount that one later.
    std::env::set_current_dir("/").map_err(cannot("cannot leave the working directory"))?;
    let options = MountOptions {
        source: source_name(&store, &settings),
        subtype: "sandkeep".into(),
        read_only: settings.read_only,
        allow_other: true,
        trusted: false,
        read_ahead_kib: READ_AHEAD_KIB,
    };
    let uploads_directory = settings.uploads_directory.clone().or_else(uploads_directory);
    let settings = BucketFsSettings { uploads_directory, ..settings };
    let bucket = Arc::new(BucketFs::open(worker::connect(store)?, settings).await?);
    let mounted = sandkeep_vfs::mount(&options).map_err(failed)?;
    let server = Server::start(FUSE_THREADS, tokio::runtime::Handle::current()).map_err(failed)?;
    let session =
        server.serve(mounted.connection, Arc::clone(&bucket) as _, Takeover::Fresh).map_err(failed)?;
    sandkeep_vfs::attach(&mounted.mount, &directory).map_err(failed)?;
    // The descriptor would keep the filesystem alive after umount.
    drop(mounted.mount);
    ready();
    tokio::select! {
        () = session.ended() => {}
        _ = terminate.recv() => unmount(&directory).await?,
        _ = interrupt.recv() => unmount(&directory).await?,
    }
    Ok(bucket.flush_all(FLUSH_DEADLINE).await?)
}

/// Where mounts of this user note their multipart uploads.
/// <https://specifications.freedesktop.org/basedir-spec/latest/>
fn uploads_directory() -> Option<PathBuf> {
    let state = match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/var/lib"),
        false => match std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => std::env::home_dir()?.join(".local/state"),
        },
    };
    Some(state.join("sandkeep/uploads"))
}

/// As the mount table shows it.
fn source_name(store: &StoreSpec, settings: &BucketFsSettings) -> String {
    format!("s3://{}/{}", store.bucket, settings.prefix)
}

/// Takes the mount away; whoever has files open in it keeps them until this process ends. Runs on another thread,
/// because the kernel may ask us something while it unmounts.
async fn unmount(directory: &Path) -> Result<(), VolumeError> {
    let directory = directory.to_owned();
    let unmount = move || rustix::mount::unmount(&directory, UnmountFlags::DETACH);
    match tokio::task::spawn_blocking(unmount).await {
        Ok(Err(error)) => Err(VolumeError::failed("cannot unmount", &error)),
        _ => Ok(()),
    }
}

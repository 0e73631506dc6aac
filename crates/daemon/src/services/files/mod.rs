//! Files inside a sandbox, through descriptors resolved inside it.

mod listing;
mod media;
mod moving;
mod streaming;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use sandkeep_api::checks::normalize;
use sandkeep_api::{ErrorCode, InvalidInput, SandboxId};
use sandkeep_sandboxes as sandboxes;

pub(crate) use self::listing::ListingOptions;
pub(crate) use self::media::Media;
pub(crate) use self::streaming::FileReader;
use super::{Live, Services};
use crate::error::ServiceError;

/// Largest file that is read or written through the API.
pub(crate) const MAX_FILE_BYTES: u64 = 32 << 20;

impl Services {
    /// A file's bytes, and what they are.
    pub(crate) async fn read_file(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
    ) -> Result<(Bytes, Media), ServiceError> {
        let live = self.live(id).await?;
        let opened = async { live.sandbox.open_file(path).await.map_err(|error| failed(path, error)) };
        let (file, info) = live.during(opened).await?;
        let (limit, path) = (MAX_FILE_BYTES, path.to_owned());
        if info.size > limit {
            return Err(ServiceError::FileTooLarge { path, size: info.size, limit });
        }
        let read = blocking(path.clone(), move || read_at_most(file, limit));
        let content = live.during(read).await?;
        let size = content.len() as u64;
        if size > limit {
            return Err(ServiceError::FileTooLarge { path, size, limit });
        }
        let media = Media::of(&path, &content, true);
        Ok((content.into(), media))
    }

    /// Writes a whole file.
    pub(crate) async fn write_file(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
        content: Bytes,
    ) -> Result<(), ServiceError> {
        let live = self.live(id).await?;
        let written =
            async { live.sandbox.write_file(path, content).await.map_err(|error| failed(path, error)) };
        live.during(written).await
    }

    /// Deletes a file or a link.
    pub(crate) async fn delete_file(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
    ) -> Result<(), ServiceError> {
        let live = self.live(id).await?;
        let (directory, name) = parent(&live, path).await?;
        let delete = move || Ok(rustix::fs::unlinkat(&directory, name, AtFlags::empty())?);
        live.during(blocking(path.to_owned(), delete)).await
    }

    /// Whether something is there; a link to nothing is not.
    pub(crate) async fn file_exists(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
    ) -> Result<bool, ServiceError> {
        let live = self.live(id).await?;
        if normalize(path) == "/" {
            return Ok(true);
        }
        match parent(&live, path).await {
            Err(ServiceError::File { source, .. }) if is_absence(&source) => Ok(false),
            Err(error) => Err(error),
            Ok((directory, name)) => {
                let stat = move || match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
                    Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
                    Err(error) => Err(error.into()),
                };
                match live.during(blocking(path.to_owned(), stat)).await? {
                    None => Ok(false),
                    Some(FileType::Symlink) => leads_somewhere(&live, path).await,
                    Some(_) => Ok(true),
                }
            }
        }
    }

    /// Makes a directory.
    pub(crate) async fn make_directory(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
        recursive: bool,
    ) -> Result<(), ServiceError> {
        let live = self.live(id).await?;
        let path = normalize(path);
        let mut starts: Vec<&str> = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]).collect();
        starts.push(&path);
        let levels = if recursive { &starts[..] } else { &starts[starts.len() - 1..] };
        for level in levels {
            match make_one(&live, level).await {
                Err(ServiceError::File { source, .. })
                    if recursive
                        && source.kind() == io::ErrorKind::AlreadyExists
                        && is_directory(&live, level).await => {}
                Err(error) => return Err(error),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Errors of the agent about a path.
pub(crate) fn failed(path: &str, error: sandboxes::Error) -> ServiceError {
    match error {
        sandboxes::Error::Path { source, .. } => ServiceError::File { path: path.to_owned(), source },
        sandboxes::Error::Gone => ServiceError::Interrupted,
        error => ServiceError::Agent(error),
    }
}

/// The sandbox's files may be served by a remote store: never on a thread that serves others.
async fn blocking<T: Send + 'static>(
    path: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ServiceError> {
    let result = tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Task)?;
    result.map_err(|source| ServiceError::File { path, source })
}

/// One byte above the limit tells that there is more.
fn read_at_most(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    Ok(content)
}

async fn open_directory(live: &Live, path: &str) -> Result<OwnedFd, ServiceError> {
    live.during(async { live.sandbox.open_directory(path).await.map_err(|error| failed(path, error)) }).await
}

async fn is_directory(live: &Live, path: &str) -> bool {
    open_directory(live, path).await.is_ok()
}

/// The directory of a path, and the name in it.
async fn parent(live: &Live, path: &str) -> Result<(OwnedFd, String), ServiceError> {
    let path = normalize(path);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if name.is_empty() {
        return Err(InvalidInput::new(ErrorCode::ValidationFailed, "path must not be the root").into());
    }
    let directory = if directory.is_empty() { "/" } else { directory };
    Ok((open_directory(live, directory).await?, name.to_owned()))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

async fn leads_somewhere(live: &Live, path: &str) -> Result<bool, ServiceError> {
    match live.sandbox.open_file(path).await.map_err(|error| failed(path, error)) {
        Err(ServiceError::File { source, .. }) => Ok(!is_absence(&source)),
        Err(error) => Err(error),
        Ok(_) => Ok(true),
    }
}

async fn make_one(live: &Live, path: &str) -> Result<(), ServiceError> {
    let (directory, name) = parent(live, path).await?;
    let owner = live.sandbox.id_base();
    let make = move || {
        rustix::fs::mkdirat(&directory, name.as_str(), Mode::from_raw_mode(0o755))?;
        let (user, group) = (Uid::from_raw(owner), Gid::from_raw(owner));
        Ok(rustix::fs::chownat(
            &directory,
            name.as_str(),
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    };
    live.during(blocking(path.to_owned(), make)).await
}

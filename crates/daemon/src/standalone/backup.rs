//! `sandkeep backup ... --to s3://...`: backups of directories of the host, and what can be done with them, by this process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_backups::{
    self as backups, BackupId, CreateOptions, ExtractError, Image, ImageSettings, ImportOptions, Manifest,
    Preview, ProgressSink, Source, Summary, TarStream, Verified,
};
use sandkeep_objects::ObjectStore;
use tokio_util::sync::CancellationToken;

use super::Location;
use crate::volumes::{StoreSpec, VolumeError, worker};

/// Memory for chunks and decompressed blocks of an image that is read whole.
const IMAGE_MEMORY: u64 = 64 << 20;

/// A directory of the host to be backed up.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// Where to.
    pub store: StoreSpec,
    /// Which directory.
    pub directory: PathBuf,
    /// How.
    pub options: CreateOptions,
}

impl BackupRequest {
    fn open(self) -> Result<(Arc<dyn ObjectStore>, Source, CreateOptions), VolumeError> {
        let directory = open_directory(&self.directory)?;
        let source = Source { directory: directory.into(), id_base: 0, overlay: None, freezer: None };
        Ok((worker::connect(self.store)?, source, self.options))
    }
}

/// Makes the backup. Cancelling removes what was uploaded.
pub async fn create_backup(
    request: BackupRequest,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<Manifest, VolumeError> {
    let (store, source, options) = request.open()?;
    Ok(backups::create(store, source, options, progress, cancel).await?)
}

/// Says what the backup would hold and leave out.
pub async fn preview_backup(request: BackupRequest) -> Result<Preview, VolumeError> {
    let (store, source, options) = request.open()?;
    Ok(backups::preview(store, source, options, CancellationToken::new()).await?)
}

fn open_directory(path: &Path) -> Result<File, VolumeError> {
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Ok(file),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    opened.map_err(|error| VolumeError::failed(&format!("cannot read {}", path.display()), &error))
}

/// The backups at a place, newest first.
pub async fn list_backups(place: Location) -> Result<Vec<Summary>, VolumeError> {
    Ok(backups::list(worker::connect(place.store)?, &place.prefix).await?)
}

/// About one.
pub async fn show_backup(place: Location, id: &BackupId) -> Result<Manifest, VolumeError> {
    Ok(backups::inspect(worker::connect(place.store)?, &place.prefix, id).await?)
}

/// Reads one and compares it with what was written; `read` is told of bytes.
pub async fn verify_backup(
    place: Location,
    id: &BackupId,
    read: Arc<dyn Fn(u64) + Send + Sync>,
) -> Result<Verified, VolumeError> {
    Ok(backups::verify(worker::connect(place.store)?, &place.prefix, id, read).await?)
}

/// Removes one.
pub async fn delete_backup(place: Location, id: &BackupId) -> Result<(), VolumeError> {
    Ok(backups::delete(worker::connect(place.store)?, &place.prefix, id).await?)
}

/// Copies one to another place, under the same id.
pub async fn copy_backup(from: Location, id: &BackupId, to: Location) -> Result<Manifest, VolumeError> {
    let (source, target) = (worker::connect(from.store)?, worker::connect(to.store)?);
    Ok(backups::copy(source, &from.prefix, id, target, &to.prefix).await?)
}

/// Makes a backup of an archive that another program made.
pub async fn import_backup(
    place: Location,
    file: File,
    options: ImportOptions,
) -> Result<Manifest, VolumeError> {
    let options = ImportOptions { key_prefix: place.prefix, ..options };
    Ok(backups::import(worker::connect(place.store)?, file, options).await?)
}

/// One as a tar stream.
pub async fn export_tar(place: Location, id: &BackupId) -> Result<TarStream, VolumeError> {
    let settings = settings(place.prefix);
    Ok(Image::open_even_if_expired(worker::connect(place.store)?, id, settings).await?.into_tar())
}

fn settings(key_prefix: String) -> ImageSettings {
    ImageSettings { key_prefix, id_base: 0, memory_budget: IMAGE_MEMORY, cache: None }
}

/// Writes a backup's files into a directory of the host, in place of what it holds: it shows the old content until all of
/// the new one is written, then the new one. A directory that does not exist is made.
pub async fn restore_backup(
    place: Location,
    id: &BackupId,
    target: &Path,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<(), VolumeError> {
    let image =
        Image::open(worker::connect(place.store)?, id, settings(place.prefix), SystemTime::now()).await?;
    let failed =
        |error: std::io::Error| VolumeError::failed(&format!("cannot write {}", target.display()), &error);
    let target = std::path::absolute(target).map_err(failed)?;
    let (Some(parent), Some(_)) = (target.parent(), target.file_name()) else {
        return Err(VolumeError::plain(format!("{} cannot be replaced", target.display())));
    };
    std::fs::create_dir_all(parent).map_err(failed)?;
    let fresh = tempfile::Builder::new().prefix(".sandkeep-restore-").tempdir_in(parent).map_err(failed)?;
    let extracted =
        backups::extract(Arc::new(image), open_directory(fresh.path())?.into(), progress, cancel).await;
    extracted.map_err(|error: ExtractError| VolumeError::from(error))?;
    exchange(fresh, &target).map_err(failed)
}

/// The old content goes with the temporary directory.
fn exchange(fresh: tempfile::TempDir, target: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, fresh.path(), CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => fresh.close(),
        Err(rustix::io::Errno::NOENT) => {
            renameat_with(CWD, fresh.path(), CWD, target, RenameFlags::NOREPLACE)?;
            // There is nothing at its name any more.
            let _moved = fresh.keep();
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// An id for a new backup.
pub fn new_backup_id() -> BackupId {
    BackupId::new(uuid::Uuid::new_v4())
}

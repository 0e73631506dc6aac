//! Remembers on the host's disk which multipart uploads are this mount's own, so that what a killed process leaves is
//! aborted by the next mount of the same bucket.
//!
//! Each mount has a file of its own, made with its first upload and locked while it lives: a file that can be locked
//! belongs to the dead. Its first line is the bucket's location; then a line `+ KEY ID` (the key in hexadecimal) for
//! an upload that was begun and `- ID` for one that has ended. Nothing is synced: it is for killed processes; what a
//! power cut leaves is for a lifecycle rule of the bucket.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, stream};
use sandkeep_objects::{ObjectKey, ObjectStore, Upload, UploadId};

/// Ends the names of the files.
const SUFFIX: &str = ".uploads";

/// Aborts at once.
const PARALLEL_ABORTS: usize = 8;

/// The uploads of one mount that have not ended.
#[derive(Debug)]
pub(crate) struct UploadJournal {
    directory: PathBuf,
    location: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<(File, PathBuf)>,
    open: usize,
}

impl UploadJournal {
    /// One in `directory`, for a bucket.
    pub(crate) fn new(directory: PathBuf, location: String) -> Arc<Self> {
        Arc::new(Self { directory, location, state: Mutex::default() })
    }

    /// Notes an upload that was begun.
    pub(crate) fn begun(&self, upload: &Upload) {
        let mut state = self.state();
        state.open += 1;
        let line = format!("+ {} {}\n", hexadecimal(upload.key.as_bytes()), upload.id.0);
        if let Err(error) = self.append(&mut state, &line) {
            tracing::warn!(%error, directory = %self.directory.display(), "an upload cannot be noted");
        }
    }

    /// Notes that an upload was completed or aborted.
    pub(crate) fn ended(&self, upload: &Upload) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
        let noted = match state.open {
            0 => self.empty(&mut state),
            _ => self.append(&mut state, &format!("- {}\n", upload.id.0)),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "the end of an upload cannot be noted");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, state: &mut State, line: &str) -> io::Result<()> {
        if state.file.is_none() {
            state.file = Some(create(&self.directory, &self.location)?);
        }
        let (file, _) = state.file.as_mut().expect("made above");
        file.write_all(line.as_bytes())
    }

    /// Cuts the file back to its first line, so that it does not grow with a mount's life.
    fn empty(&self, state: &mut State) -> io::Result<()> {
        let Some((file, _)) = &mut state.file else { return Ok(()) };
        file.set_len(self.location.len() as u64 + 1)
    }
}

impl Drop for UploadJournal {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, path)) = state.file.take().filter(|_| state.open == 0)
            && let Err(error) = fs::remove_file(path)
        {
            tracing::debug!(%error, "an empty list of uploads stays");
        }
    }
}

/// Locked before it has its name, so that nobody takes it for a dead mount's.
fn create(directory: &Path, location: &str) -> io::Result<(File, PathBuf)> {
    fs::create_dir_all(directory)?;
    // Appended to, so that writing goes on where the file ends also after it was cut back.
    let new = tempfile::Builder::new().prefix(".new-").suffix(SUFFIX).append(true).tempfile_in(directory);
    let mut file = new?;
    file.as_file().try_lock()?;
    file.write_all(format!("{location}\n").as_bytes())?;
    let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = directory.join(name.trim_start_matches(".new-"));
    Ok((file.persist_noclobber(&path)?, path))
}

/// Aborts what dead mounts of a bucket have left. What cannot be aborted now stays for the next mount.
pub(crate) async fn abort_orphans(store: Arc<dyn ObjectStore>, directory: PathBuf) {
    let location = store.location();
    let orphans = match tokio::task::spawn_blocking(move || orphans(&directory, &location)).await {
        Ok(Ok(orphans)) => orphans,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return,
        Ok(Err(error)) => return tracing::warn!(%error, "uploads of dead mounts cannot be looked for"),
        Err(_) => return,
    };
    for orphan in orphans {
        let aborts = stream::iter(orphan.uploads).map(|upload| {
            let store = Arc::clone(&store);
            async move { aborted(store.as_ref(), &upload).await }
        });
        let aborts: Vec<bool> = aborts.buffer_unordered(PARALLEL_ABORTS).collect().await;
        if aborts.into_iter().all(|aborted| aborted)
            && let Err(error) = fs::remove_file(&orphan.path)
        {
            tracing::warn!(%error, path = %orphan.path.display(), "a dead mount's list of uploads stays");
        }
    }
}

async fn aborted(store: &dyn ObjectStore, upload: &Upload) -> bool {
    match store.abort_upload(upload).await {
        Ok(()) | Err(sandkeep_objects::Error::NoSuchUpload { .. }) => {
            tracing::info!(key = %upload.key.display(), "an upload of a dead mount is aborted");
            true
        }
        Err(error) => {
            tracing::warn!(key = %upload.key.display(), %error, "an upload of a dead mount could not be aborted");
            false
        }
    }
}

/// What a dead mount has left, locked while it is worked on.
struct Orphan {
    path: PathBuf,
    uploads: Vec<Upload>,
    _lock: File,
}

fn orphans(directory: &Path, location: &str) -> io::Result<Vec<Orphan>> {
    let mut orphans = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || !name.ends_with(SUFFIX) {
            continue;
        }
        orphans.extend(orphan(path, location)?);
    }
    Ok(orphans)
}

/// A file of a dead mount of this bucket; none if it is another's, or gone.
fn orphan(path: PathBuf, location: &str) -> io::Result<Option<Orphan>> {
    let lock = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    let text = io::read_to_string(&lock)?;
    let own = text.split_once('\n').filter(|(first, _)| *first == location);
    Ok(own.map(|(_, lines)| Orphan { path, uploads: unfinished(lines), _lock: lock }))
}

/// The uploads that were begun and have not ended; a last line that was cut off says nothing.
fn unfinished(lines: &str) -> Vec<Upload> {
    let mut uploads = HashMap::new();
    for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["+", key, id] => {
                if let Some(key) = bytes(key).and_then(|key| ObjectKey::new(key).ok()) {
                    uploads.insert(id.to_owned(), Upload { key, id: UploadId(id.to_owned()) });
                }
            }
            ["-", id] => drop(uploads.remove(id)),
            _ => {}
        }
    }
    uploads.into_values().collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(key: &[u8], id: &str) -> Upload {
        Upload { key: ObjectKey::new(key.to_vec()).unwrap(), id: UploadId(id.to_owned()) }
    }

    #[test]
    fn only_the_dead_are_read_and_only_their_own_bucket() {
        let directory = tempfile::tempdir().unwrap();
        let journal = UploadJournal::new(directory.path().to_owned(), "here/bucket".to_owned());
        journal.begun(&upload(b"a\n\xff", "1"));
        journal.begun(&upload(b"b", "2"));
        journal.ended(&upload(b"b", "2"));
        let left = |location| orphans(directory.path(), location).unwrap();
        assert!(left("here/bucket").is_empty());
        // As if the process had been killed: its lock goes, its file stays.
        journal.state().file.take();
        assert!(left("elsewhere/bucket").is_empty());
        assert_eq!(left("here/bucket")[0].uploads, [upload(b"a\n\xff", "1")]);
    }

    #[test]
    fn a_mount_that_ends_well_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let journal = UploadJournal::new(directory.path().to_owned(), "here/bucket".to_owned());
        journal.begun(&upload(b"a", "1"));
        journal.ended(&upload(b"a", "1"));
        journal.begun(&upload(b"b", "2"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        journal.ended(&upload(b"b", "2"));
        drop(journal);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_line_that_was_cut_off_says_nothing() {
        assert_eq!(unfinished("+ 61 1\n+ 62"), [upload(b"a", "1")]);
        assert_eq!(unfinished("+ 61 1\n- 1\nnonsense\n"), []);
    }
}

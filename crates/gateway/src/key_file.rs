//! The file that keeps the key pairs: mode 0600, and always one whole version of it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::KeyRing;

/// Tells versions of the file apart: every version is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

/// The version that is there now.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()), size: found.size() })
}

pub(crate) fn read_or_create(path: &Path, make: impl Fn() -> io::Result<KeyRing>) -> io::Result<KeyRing> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, &make()?)?;
            // Another process may have been first; then its keys are the keys.
            read(path)
        }
        other => other,
    }
}

pub(crate) fn read(path: &Path) -> io::Result<KeyRing> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the key file was readable by others");
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    serde_json::from_reader(io::BufReader::new(file))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Keeps other processes from changing the file until it is dropped.
pub(crate) fn take_turn(path: &Path) -> io::Result<File> {
    // The directory, because the file itself is replaced.
    let directory = File::open(directory_of(path))?;
    directory.lock()?;
    Ok(directory)
}

/// Puts a new version in place of the old one.
pub(crate) fn replace(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let temporary = temporary(path)?;
    let moved = write(&temporary, ring).and_then(|()| fs::rename(&temporary, path));
    if moved.is_err() {
        // What matters is why it failed; the file holds keys, so it should not stay.
        let _ = fs::remove_file(&temporary);
    }
    moved?;
    File::open(directory_of(path))?.sync_all()
}

/// Writes a complete file beside and links it to its name, which fails if there is one.
fn create(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let temporary = temporary(path)?;
    let written = write(&temporary, ring).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    fs::remove_file(&temporary)?;
    written?;
    File::open(directory_of(path))?.sync_all()
}

fn write(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut text = serde_json::to_vec_pretty(ring)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()
}

fn temporary(path: &Path) -> io::Result<PathBuf> {
    Ok(path.with_extension(format!("{}.new", HEXLOWER.encode(&random::<8>()?))))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

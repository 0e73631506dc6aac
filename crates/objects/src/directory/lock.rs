//! One process owns a store.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::failure::io_failure;
use crate::{Error, Result};

/// Held as long as the store is open; the kernel lets go when the process dies.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: File,
}

/// Somebody else has the store.
#[derive(Debug, thiserror::Error)]
#[error("{} is in use by process {pid}", directory.display())]
struct InUse {
    directory: PathBuf,
    pid: String,
}

impl StoreLock {
    /// Takes the lock of a store, or says who has it.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))
            .map_err(io_failure)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(in_use(directory, file)),
            Err(errno) => return Err(io_failure(errno.into())),
        }
        write_pid(&mut file).map_err(io_failure)?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(directory: &Path, mut file: File) -> Error {
    let mut text = String::new();
    // Without a readable pid the refusal still says what is wrong.
    let pid = match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    };
    Error::Io { source: Arc::new(InUse { directory: directory.to_owned(), pid }) }
}

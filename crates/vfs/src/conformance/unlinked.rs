//! Open files outlive their names.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::io::Errno;

use super::{Checked, ensure_equal, ensure_error};

pub(super) fn an_open_file_stays_readable(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, vec![5; 300_000])?;
    let mut file = File::open(&path)?;
    fs::remove_file(&path)?;
    ensure_error(fs::metadata(&path), Errno::NOENT)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    ensure_equal(&content, &vec![5; 300_000])
}

pub(super) fn an_open_file_stays_writable(directory: &Path) -> Checked {
    let path = directory.join("file");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    file.write_all_at(b"scratch data", 0)?;
    file.set_len(7)?;
    let mut content = [0; 7];
    file.read_exact_at(&mut content, 0)?;
    ensure_equal(&content, b"scratch")?;
    ensure_error(fs::metadata(&path), Errno::NOENT)
}

pub(super) fn an_open_file_has_no_links(directory: &Path) -> Checked {
    let path = directory.join("file");
    let file = File::create(&path)?;
    fs::remove_file(&path)?;
    ensure_equal(&file.metadata()?.nlink(), &0)?;
    ensure_equal(&file.metadata()?.len(), &0)
}

pub(super) fn a_replaced_open_file_keeps_its_content(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"old")?;
    let mut old = File::open(&path)?;
    fs::write(directory.join("new"), b"new")?;
    fs::rename(directory.join("new"), &path)?;
    let mut content = Vec::new();
    old.read_to_end(&mut content)?;
    ensure_equal(&content, &b"old".to_vec())?;
    ensure_equal(&fs::read(&path)?, &b"new".to_vec())
}

pub(super) fn a_removed_working_directory_is_empty(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    let open = File::open(&sub)?;
    fs::remove_dir(&sub)?;
    let created = rustix::fs::openat(
        &open,
        "file",
        rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
        rustix::fs::Mode::RUSR,
    );
    ensure_error(created, Errno::NOENT)
}

//! rename(2) and renameat2(2).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Checked, ensure, ensure_equal, ensure_error};

fn gone(path: &Path) -> Checked {
    ensure_error(fs::symlink_metadata(path), Errno::NOENT)
}

pub(super) fn a_file_moves(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, b"content")?;
    fs::rename(&from, &to)?;
    gone(&from)?;
    ensure_equal(&fs::read(&to)?, &b"content".to_vec())
}

pub(super) fn a_file_moves_to_another_directory(directory: &Path) -> Checked {
    fs::create_dir_all(directory.join("one"))?;
    fs::create_dir_all(directory.join("two/three"))?;
    fs::write(directory.join("one/file"), b"content")?;
    fs::rename(directory.join("one/file"), directory.join("two/three/file"))?;
    gone(&directory.join("one/file"))?;
    ensure_equal(&fs::read(directory.join("two/three/file"))?, &b"content".to_vec())?;
    fs::remove_dir(directory.join("one"))?;
    Ok(())
}

pub(super) fn a_file_replaces_a_file(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, b"new")?;
    fs::write(&to, b"old and longer")?;
    fs::rename(&from, &to)?;
    gone(&from)?;
    ensure_equal(&fs::read(&to)?, &b"new".to_vec())?;
    ensure_equal(&fs::read_dir(directory)?.count(), &1)
}

pub(super) fn a_directory_moves_with_its_content(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::create_dir_all(from.join("a/b"))?;
    fs::write(from.join("a/b/file"), b"deep")?;
    fs::write(from.join("top"), b"top")?;
    fs::rename(&from, &to)?;
    gone(&from)?;
    ensure_equal(&fs::read(to.join("a/b/file"))?, &b"deep".to_vec())?;
    ensure_equal(&fs::read(to.join("top"))?, &b"top".to_vec())?;
    fs::write(to.join("a/b/second"), b"new")?;
    ensure_equal(&fs::read_dir(to.join("a/b"))?.count(), &2)
}

pub(super) fn a_directory_replaces_an_empty_directory(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::create_dir(&from)?;
    fs::write(from.join("file"), b"content")?;
    fs::create_dir(&to)?;
    fs::rename(&from, &to)?;
    gone(&from)?;
    ensure_equal(&fs::read(to.join("file"))?, &b"content".to_vec())
}

pub(super) fn a_directory_does_not_replace_a_full_one(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::create_dir(&from)?;
    fs::create_dir(&to)?;
    fs::write(to.join("file"), b"kept")?;
    ensure_error(fs::rename(&from, &to), Errno::NOTEMPTY)?;
    ensure(from.is_dir(), "the source is still there")?;
    ensure_equal(&fs::read(to.join("file"))?, &b"kept".to_vec())
}

pub(super) fn a_directory_does_not_replace_a_file(directory: &Path) -> Checked {
    fs::create_dir(directory.join("from"))?;
    fs::write(directory.join("to"), b"kept")?;
    ensure_error(fs::rename(directory.join("from"), directory.join("to")), Errno::NOTDIR)
}

pub(super) fn a_file_does_not_replace_a_directory(directory: &Path) -> Checked {
    fs::write(directory.join("from"), b"kept")?;
    fs::create_dir(directory.join("to"))?;
    ensure_error(fs::rename(directory.join("from"), directory.join("to")), Errno::ISDIR)
}

pub(super) fn a_directory_does_not_move_into_itself(directory: &Path) -> Checked {
    fs::create_dir_all(directory.join("outer/inner"))?;
    ensure_error(fs::rename(directory.join("outer"), directory.join("outer/inner/outer")), Errno::INVAL)
}

pub(super) fn a_missing_name_does_not_move(directory: &Path) -> Checked {
    ensure_error(fs::rename(directory.join("none"), directory.join("to")), Errno::NOENT)?;
    fs::write(directory.join("file"), b"")?;
    ensure_error(fs::rename(directory.join("file"), directory.join("none/to")), Errno::NOENT)
}

pub(super) fn renaming_to_itself_changes_nothing(directory: &Path) -> Checked {
    let path = directory.join("file");
    fs::write(&path, b"kept")?;
    fs::rename(&path, &path)?;
    ensure_equal(&fs::read(&path)?, &b"kept".to_vec())
}

pub(super) fn no_replace_refuses_and_moves(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, b"from")?;
    fs::write(&to, b"to")?;
    ensure_error(renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE), Errno::EXIST)?;
    ensure_equal(&fs::read(&to)?, &b"to".to_vec())?;
    renameat_with(CWD, &from, CWD, directory.join("free"), RenameFlags::NOREPLACE)?;
    ensure_equal(&fs::read(directory.join("free"))?, &b"from".to_vec())
}

pub(super) fn exchange_swaps(directory: &Path) -> Checked {
    let (file, sub) = (directory.join("file"), directory.join("sub"));
    fs::write(&file, b"content")?;
    fs::create_dir(&sub)?;
    fs::write(sub.join("below"), b"below")?;
    renameat_with(CWD, &file, CWD, &sub, RenameFlags::EXCHANGE)?;
    ensure_equal(&fs::read(&sub)?, &b"content".to_vec())?;
    ensure_equal(&fs::read(file.join("below"))?, &b"below".to_vec())?;
    ensure_error(renameat_with(CWD, &file, CWD, directory.join("none"), RenameFlags::EXCHANGE), Errno::NOENT)
}

pub(super) fn an_open_file_follows_its_name(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, b"content")?;
    let mut open = File::open(&from)?;
    fs::rename(&from, &to)?;
    let mut content = Vec::new();
    open.read_to_end(&mut content)?;
    ensure_equal(&content, &b"content".to_vec())?;
    ensure_equal(&open.metadata()?.ino(), &fs::metadata(&to)?.ino())
}

pub(super) fn a_file_being_written_can_be_renamed(directory: &Path) -> Checked {
    let (from, to) = (directory.join("from"), directory.join("to"));
    let mut file = File::create(&from)?;
    file.write_all(b"before ")?;
    fs::rename(&from, &to)?;
    file.write_all(b"after")?;
    drop(file);
    gone(&from)?;
    ensure_equal(&fs::read_to_string(&to)?, &"before after".to_owned())
}

/// How editors and package managers save.
pub(super) fn writing_beside_and_renaming_over_replaces(directory: &Path) -> Checked {
    let (target, beside) = (directory.join("settings"), directory.join("settings.tmp"));
    fs::write(&target, b"version 0")?;
    for version in 1..=10 {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.write_all(format!("version {version}").as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &target)?;
        ensure_equal(&fs::read_to_string(&target)?, &format!("version {version}"))?;
    }
    ensure_equal(&fs::read_dir(directory)?.count(), &1)
}

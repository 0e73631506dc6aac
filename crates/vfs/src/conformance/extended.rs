//! Extended attributes, see xattr(7).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, getxattr_query, listxattr, removexattr, setxattr};
use rustix::io::Errno;

use super::{Checked, ensure_equal, ensure_error};

fn value(path: &Path, name: &str) -> Checked<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    let length = getxattr(path, name, &mut buffer[..])?;
    buffer.truncate(length);
    Ok(buffer)
}

fn file(directory: &Path) -> Checked<std::path::PathBuf> {
    let path = directory.join("file");
    fs::write(&path, b"content")?;
    Ok(path)
}

pub(super) fn a_value_reads_back(directory: &Path) -> Checked {
    let path = file(directory)?;
    setxattr(&path, "user.colour", b"green", XattrFlags::empty())?;
    ensure_equal(&value(&path, "user.colour")?, &b"green".to_vec())?;
    setxattr(&path, "user.colour", b"blue", XattrFlags::empty())?;
    ensure_equal(&value(&path, "user.colour")?, &b"blue".to_vec())
}

pub(super) fn a_missing_value_is_no_data(directory: &Path) -> Checked {
    let path = file(directory)?;
    let mut buffer = [0; 16];
    ensure_error(getxattr(&path, "user.none", &mut buffer[..]), Errno::NODATA)?;
    ensure_error(removexattr(&path, "user.none"), Errno::NODATA)
}

pub(super) fn create_and_replace_are_obeyed(directory: &Path) -> Checked {
    let path = file(directory)?;
    ensure_error(setxattr(&path, "user.a", b"1", XattrFlags::REPLACE), Errno::NODATA)?;
    setxattr(&path, "user.a", b"1", XattrFlags::CREATE)?;
    ensure_error(setxattr(&path, "user.a", b"2", XattrFlags::CREATE), Errno::EXIST)?;
    setxattr(&path, "user.a", b"3", XattrFlags::REPLACE)?;
    ensure_equal(&value(&path, "user.a")?, &b"3".to_vec())
}

fn names(path: &Path) -> Checked<BTreeSet<String>> {
    let mut buffer = vec![0; 65_536];
    let length = listxattr(path, &mut buffer[..])?;
    let listed = buffer[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    Ok(listed.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

pub(super) fn names_are_listed(directory: &Path) -> Checked {
    let path = file(directory)?;
    ensure_equal(&names(&path)?, &BTreeSet::new())?;
    for name in ["user.one", "user.two", "user.three"] {
        setxattr(&path, name, b"x", XattrFlags::empty())?;
    }
    ensure_equal(&names(&path)?, &["user.one", "user.two", "user.three"].map(str::to_owned).into())
}

pub(super) fn a_removed_value_is_gone(directory: &Path) -> Checked {
    let path = file(directory)?;
    setxattr(&path, "user.a", b"1", XattrFlags::empty())?;
    removexattr(&path, "user.a")?;
    ensure_error(value(&path, "user.a").map_err(|_| Errno::NODATA), Errno::NODATA)?;
    ensure_equal(&names(&path)?, &BTreeSet::new())
}

pub(super) fn small_buffers_are_refused(directory: &Path) -> Checked {
    let path = file(directory)?;
    setxattr(&path, "user.a", b"12345678", XattrFlags::empty())?;
    let mut small = [0; 7];
    let mut exact = [0; 8];
    ensure_equal(&getxattr_query(&path, "user.a")?, &8)?;
    ensure_error(getxattr(&path, "user.a", &mut small[..]), Errno::RANGE)?;
    ensure_equal(&getxattr(&path, "user.a", &mut exact[..])?, &8)?;
    ensure_error(listxattr(&path, &mut small[..1]), Errno::RANGE)
}

pub(super) fn binary_and_empty_values_are_kept(directory: &Path) -> Checked {
    let path = file(directory)?;
    let binary: Vec<u8> = (0..=255).collect();
    setxattr(&path, "user.binary", &binary, XattrFlags::empty())?;
    setxattr(&path, "user.empty", b"", XattrFlags::empty())?;
    ensure_equal(&value(&path, "user.binary")?, &binary)?;
    ensure_equal(&value(&path, "user.empty")?, &Vec::new())
}

pub(super) fn directories_have_values_too(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    setxattr(&sub, "user.a", b"1", XattrFlags::empty())?;
    ensure_equal(&value(&sub, "user.a")?, &b"1".to_vec())
}

pub(super) fn values_outlive_writes_and_renames(directory: &Path) -> Checked {
    let path = file(directory)?;
    setxattr(&path, "user.a", b"1", XattrFlags::empty())?;
    fs::write(&path, b"rewritten")?;
    let moved = directory.join("moved");
    fs::rename(&path, &moved)?;
    ensure_equal(&value(&moved, "user.a")?, &b"1".to_vec())
}

//! Modes, owners, sizes and times.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{Checked, Problem, ensure, ensure_equal};

fn mode(path: &Path) -> Checked<u32> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o7777)
}

fn file(directory: &Path) -> Checked<std::path::PathBuf> {
    let path = directory.join("file");
    fs::write(&path, b"content")?;
    Ok(path)
}

pub(super) fn modes_are_kept(directory: &Path) -> Checked {
    for wanted in [0o600, 0o640, 0o755, 0o444] {
        let path = directory.join(format!("{wanted:o}"));
        OpenOptions::new().write(true).create_new(true).mode(wanted).open(&path)?;
        ensure_equal(&(mode(&path)? & 0o700), &(wanted & 0o700))?;
        fs::set_permissions(&path, Permissions::from_mode(wanted))?;
        ensure_equal(&mode(&path)?, &wanted)?;
    }
    Ok(())
}

/// In a child, because the umask belongs to the whole process.
pub(super) fn the_umask_applies(directory: &Path) -> Checked {
    let script = "umask 027; : > file; mkdir sub; umask 0; : > open";
    let status = Command::new("sh").arg("-c").arg(script).current_dir(directory).status()?;
    ensure(status.success(), "the shell creates files")?;
    ensure_equal(&mode(&directory.join("file"))?, &0o640)?;
    ensure_equal(&mode(&directory.join("sub"))?, &0o750)?;
    ensure_equal(&mode(&directory.join("open"))?, &0o666)
}

pub(super) fn chmod_changes_the_mode(directory: &Path) -> Checked {
    let path = file(directory)?;
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    for wanted in [0o600, 0o751, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(wanted))?;
        fs::set_permissions(&sub, Permissions::from_mode(wanted))?;
        ensure_equal(&(mode(&path)?, mode(&sub)?), &(wanted, wanted))?;
    }
    ensure_equal(&fs::read(&path)?, &b"content".to_vec())
}

pub(super) fn chmod_changes_the_mode_of_an_open_file(directory: &Path) -> Checked {
    let path = directory.join("file");
    let mut open = OpenOptions::new().write(true).create_new(true).open(&path)?;
    open.write_all(b"before")?;
    open.set_permissions(Permissions::from_mode(0o604))?;
    open.write_all(b" after")?;
    drop(open);
    ensure_equal(&mode(&path)?, &0o604)?;
    ensure_equal(&fs::read(&path)?, &b"before after".to_vec())
}

pub(super) fn special_bits_are_kept(directory: &Path) -> Checked {
    let path = file(directory)?;
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    fs::set_permissions(&path, Permissions::from_mode(0o4755))?;
    fs::set_permissions(&sub, Permissions::from_mode(0o3777))?;
    ensure_equal(&(mode(&path)?, mode(&sub)?), &(0o4755, 0o3777))
}

pub(super) fn chown_changes_the_owner(directory: &Path) -> Checked {
    let path = file(directory)?;
    chown(&path, Some(1234), Some(5678))?;
    let seen = fs::metadata(&path)?;
    ensure_equal(&(seen.uid(), seen.gid()), &(1234, 5678))
}

pub(super) fn chown_of_one_leaves_the_other(directory: &Path) -> Checked {
    let path = file(directory)?;
    chown(&path, Some(1), Some(2))?;
    chown(&path, None, Some(3))?;
    chown(&path, Some(4), None)?;
    let seen = fs::metadata(&path)?;
    ensure_equal(&(seen.uid(), seen.gid()), &(4, 3))
}

pub(super) fn chown_of_a_symlink_leaves_the_target(directory: &Path) -> Checked {
    let path = file(directory)?;
    let link = directory.join("link");
    symlink("file", &link)?;
    let before = fs::metadata(&path)?.uid();
    lchown(&link, Some(77), Some(88))?;
    ensure_equal(&fs::symlink_metadata(&link)?.uid(), &77)?;
    ensure_equal(&fs::metadata(&path)?.uid(), &before)
}

pub(super) fn setgid_directories_pass_their_group_on(directory: &Path) -> Checked {
    let shared = directory.join("shared");
    fs::create_dir(&shared)?;
    chown(&shared, None, Some(4321))?;
    fs::set_permissions(&shared, Permissions::from_mode(0o2775))?;
    File::create(shared.join("file"))?;
    fs::create_dir(shared.join("sub"))?;
    ensure_equal(&fs::metadata(shared.join("file"))?.gid(), &4321)?;
    ensure_equal(&fs::metadata(shared.join("sub"))?.gid(), &4321)?;
    ensure_equal(&(mode(&shared.join("sub"))? & 0o2000), &0o2000)
}

pub(super) fn sizes_follow_writes(directory: &Path) -> Checked {
    let path = directory.join("file");
    let mut open = File::create(&path)?;
    for written in 1..=20_u64 {
        open.write_all(&[0; 1000])?;
        ensure_equal(&fs::metadata(&path)?.len(), &(written * 1000))?;
        ensure_equal(&open.metadata()?.len(), &(written * 1000))?;
    }
    Ok(())
}

const ACCESSED: Timespec = Timespec { tv_sec: 1_500_000_000, tv_nsec: 123_456_789 };
const MODIFIED: Timespec = Timespec { tv_sec: 1_600_000_000, tv_nsec: 987_654_321 };

fn set_times(path: &Path, modified: Timespec) -> Checked {
    let times = Timestamps { last_access: ACCESSED, last_modification: modified };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn modified(path: &Path) -> Checked<(i64, i64)> {
    let seen = fs::symlink_metadata(path)?;
    Ok((seen.mtime(), seen.mtime_nsec()))
}

pub(super) fn times_are_set_to_the_nanosecond(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, MODIFIED)?;
    ensure_equal(&modified(&path)?, &(MODIFIED.tv_sec, MODIFIED.tv_nsec))
}

pub(super) fn access_times_are_set(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, MODIFIED)?;
    let seen = fs::metadata(&path)?;
    ensure_equal(&(seen.atime(), seen.atime_nsec()), &(ACCESSED.tv_sec, ACCESSED.tv_nsec))
}

/// As tar and cp -p do it.
pub(super) fn times_set_before_close_are_kept(directory: &Path) -> Checked {
    let path = directory.join("file");
    let mut open = File::create(&path)?;
    open.write_all(&[1; 10_000])?;
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_000_000);
    open.set_modified(time)?;
    drop(open);
    ensure_equal(&modified(&path)?, &(1_234_567_890, 123_000_000))
}

pub(super) fn times_before_1970_are_kept(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, Timespec { tv_sec: -1_000_000, tv_nsec: 500_000_000 })?;
    ensure_equal(&modified(&path)?, &(-1_000_000, 500_000_000))
}

pub(super) fn now_is_now(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, MODIFIED)?;
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW as _ };
    utimensat(CWD, &path, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty())?;
    let age = SystemTime::now().duration_since(fs::metadata(&path)?.modified()?);
    ensure(age.map_or(true, |age| age < Duration::from_secs(60)), "the time is now")
}

pub(super) fn writing_changes_the_modification_time(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, MODIFIED)?;
    OpenOptions::new().append(true).open(&path)?.write_all(b"more")?;
    ensure(modified(&path)?.0 > MODIFIED.tv_sec, "writing makes the file newer")?;
    set_times(&path, MODIFIED)?;
    OpenOptions::new().write(true).open(&path)?.set_len(1)?;
    ensure(modified(&path)?.0 > MODIFIED.tv_sec, "truncating makes the file newer")
}

pub(super) fn chmod_leaves_the_modification_time(directory: &Path) -> Checked {
    let path = file(directory)?;
    set_times(&path, MODIFIED)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    ensure_equal(&modified(&path)?, &(MODIFIED.tv_sec, MODIFIED.tv_nsec))
}

pub(super) fn directory_times_follow_their_entries(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    let changes: [fn(&Path) -> std::io::Result<()>; 3] = [
        |sub| File::create(sub.join("file")).map(drop),
        |sub| fs::rename(sub.join("file"), sub.join("renamed")),
        |sub| fs::remove_file(sub.join("renamed")),
    ];
    for change in changes {
        set_times(&sub, MODIFIED)?;
        ensure_equal(&modified(&sub)?, &(MODIFIED.tv_sec, MODIFIED.tv_nsec))?;
        change(&sub)?;
        ensure(modified(&sub)?.0 > MODIFIED.tv_sec, "a changed directory is newer")?;
    }
    Ok(())
}

pub(super) fn kinds_are_shown(directory: &Path) -> Checked {
    let path = file(directory)?;
    symlink("file", directory.join("link"))?;
    ensure(fs::metadata(&path)?.is_file(), "a file is a file")?;
    ensure(fs::metadata(directory)?.is_dir(), "a directory is a directory")?;
    ensure(fs::symlink_metadata(directory.join("link"))?.is_symlink(), "a symlink is a symlink")?;
    let links = fs::metadata(&path)?.nlink();
    if links == 1 { Ok(()) } else { Err(Problem::new(format!("a new file has {links} links"))) }
}

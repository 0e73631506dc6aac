//! Symbolic links, hard links and special files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use super::{Checked, Problem, ensure, ensure_equal, ensure_error};

pub(super) fn a_symlink_leads_to_its_target(directory: &Path) -> Checked {
    fs::write(directory.join("target"), b"content")?;
    symlink("target", directory.join("link"))?;
    ensure_equal(&fs::read(directory.join("link"))?, &b"content".to_vec())?;
    ensure_equal(&fs::read_link(directory.join("link"))?, &PathBuf::from("target"))?;
    fs::write(directory.join("link"), b"through the link")?;
    ensure_equal(&fs::read(directory.join("target"))?, &b"through the link".to_vec())
}

pub(super) fn a_dangling_symlink_can_be_read(directory: &Path) -> Checked {
    let link = directory.join("link");
    symlink("/nowhere/at/all", &link)?;
    ensure_equal(&fs::read_link(&link)?, &PathBuf::from("/nowhere/at/all"))?;
    ensure_error(fs::metadata(&link), Errno::NOENT)?;
    ensure_error(symlink("other", &link), Errno::EXIST)
}

pub(super) fn a_symlink_has_the_length_of_its_target(directory: &Path) -> Checked {
    let link = directory.join("link");
    symlink("exactly-22-bytes-long!", &link)?;
    let metadata = fs::symlink_metadata(&link)?;
    ensure(metadata.file_type().is_symlink(), "it is a symbolic link")?;
    ensure_equal(&metadata.len(), &22)
}

pub(super) fn unlinking_a_symlink_leaves_the_target(directory: &Path) -> Checked {
    fs::write(directory.join("target"), b"content")?;
    symlink("target", directory.join("link"))?;
    fs::remove_file(directory.join("link"))?;
    ensure_error(fs::symlink_metadata(directory.join("link")), Errno::NOENT)?;
    ensure_equal(&fs::read(directory.join("target"))?, &b"content".to_vec())
}

pub(super) fn a_loop_of_symlinks_fails(directory: &Path) -> Checked {
    symlink("two", directory.join("one"))?;
    symlink("one", directory.join("two"))?;
    ensure_error(fs::read(directory.join("one")), Errno::LOOP)
}

pub(super) fn a_symlink_to_a_directory_can_be_walked(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    fs::write(directory.join("sub/file"), b"content")?;
    symlink("sub", directory.join("link"))?;
    ensure_equal(&fs::read(directory.join("link/file"))?, &b"content".to_vec())?;
    fs::write(directory.join("link/second"), b"new")?;
    ensure_equal(&fs::read_dir(directory.join("sub"))?.count(), &2)?;
    ensure_error(fs::remove_dir(directory.join("link")), Errno::NOTDIR)
}

pub(super) fn reading_a_file_as_symlink_fails(directory: &Path) -> Checked {
    fs::write(directory.join("file"), b"")?;
    ensure_error(fs::read_link(directory.join("file")), Errno::INVAL)
}

pub(super) fn a_long_target_is_kept(directory: &Path) -> Checked {
    let target = "d/".repeat(500);
    symlink(&target, directory.join("link"))?;
    ensure_equal(&fs::read_link(directory.join("link"))?, &PathBuf::from(target))
}

pub(super) fn hard_links_share_everything(directory: &Path) -> Checked {
    let (first, second) = (directory.join("first"), directory.join("second"));
    fs::write(&first, b"content")?;
    fs::hard_link(&first, &second)?;
    fs::write(&second, b"changed")?;
    ensure_equal(&fs::read(&first)?, &b"changed".to_vec())?;
    let (one, two) = (fs::metadata(&first)?, fs::metadata(&second)?);
    ensure_equal(&one.ino(), &two.ino())?;
    ensure_equal(&(one.nlink(), two.nlink()), &(2, 2))
}

pub(super) fn hard_links_outlive_the_first_name(directory: &Path) -> Checked {
    let (first, second) = (directory.join("first"), directory.join("second"));
    fs::write(&first, b"content")?;
    fs::hard_link(&first, &second)?;
    fs::remove_file(&first)?;
    ensure_equal(&fs::read(&second)?, &b"content".to_vec())?;
    ensure_equal(&fs::metadata(&second)?.nlink(), &1)
}

pub(super) fn hard_links_of_directories_fail(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    ensure_error(fs::hard_link(directory.join("sub"), directory.join("link")), Errno::PERM)
}

pub(super) fn a_hard_link_over_a_name_fails(directory: &Path) -> Checked {
    fs::write(directory.join("first"), b"")?;
    fs::write(directory.join("second"), b"")?;
    ensure_error(fs::hard_link(directory.join("first"), directory.join("second")), Errno::EXIST)
}

pub(super) fn a_fifo_carries_bytes(directory: &Path) -> Checked {
    let path = directory.join("fifo");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    ensure(fs::metadata(&path)?.file_type().is_fifo(), "it is a fifo")?;
    let writer_path = path.clone();
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        OpenOptions::new().write(true).open(writer_path)?.write_all(b"through")
    });
    let mut seen = Vec::new();
    File::open(&path)?.read_to_end(&mut seen)?;
    writer.join().map_err(|_| Problem::new("the writer panicked"))??;
    ensure_equal(&seen, &b"through".to_vec())
}

pub(super) fn a_socket_can_be_bound(directory: &Path) -> Checked {
    // sockaddr_un holds 108 bytes; a path below /proc/self/fd is always short enough.
    let open = File::open(directory)?;
    let short = format!("/proc/self/fd/{}/socket", std::os::fd::AsRawFd::as_raw_fd(&open));
    let listener = UnixListener::bind(&short)?;
    ensure(fs::metadata(directory.join("socket"))?.file_type().is_socket(), "it is a socket")?;
    std::os::unix::net::UnixStream::connect(&short)?;
    drop(listener);
    fs::remove_file(directory.join("socket"))?;
    Ok(())
}

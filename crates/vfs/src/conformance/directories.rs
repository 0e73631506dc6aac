//! Names: making, listing and removing them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::{Checked, ensure, ensure_equal, ensure_error};

fn listing(directory: &Path) -> Checked<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        ensure(names.insert(entry?.file_name()), "no name is listed twice")?;
    }
    Ok(names)
}

fn fill(directory: &Path, count: usize) -> Checked<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for index in 0..count {
        let name = OsString::from(format!("entry-{index:04}"));
        File::create(directory.join(&name))?;
        names.insert(name);
    }
    Ok(names)
}

pub(super) fn a_new_directory_is_empty(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    ensure(fs::metadata(&sub)?.is_dir(), "it is a directory")?;
    ensure_equal(&listing(&sub)?, &BTreeSet::new())
}

pub(super) fn creating_where_something_is_fails(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    fs::write(directory.join("file"), b"")?;
    ensure_error(fs::create_dir(directory.join("sub")), Errno::EXIST)?;
    ensure_error(fs::create_dir(directory.join("file")), Errno::EXIST)
}

pub(super) fn creating_below_nothing_fails(directory: &Path) -> Checked {
    ensure_error(fs::create_dir(directory.join("none/sub")), Errno::NOENT)?;
    ensure_error(File::create(directory.join("none/file")), Errno::NOENT)
}

pub(super) fn removing_an_empty_directory_removes_it(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    fs::remove_dir(&sub)?;
    ensure_error(fs::metadata(&sub), Errno::NOENT)?;
    ensure_error(fs::remove_dir(&sub), Errno::NOENT)
}

pub(super) fn removing_a_full_directory_fails(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    fs::write(sub.join("file"), b"")?;
    ensure_error(fs::remove_dir(&sub), Errno::NOTEMPTY)?;
    fs::remove_file(sub.join("file"))?;
    fs::remove_dir(&sub)?;
    Ok(())
}

pub(super) fn removing_a_file_as_directory_fails(directory: &Path) -> Checked {
    fs::write(directory.join("file"), b"")?;
    ensure_error(fs::remove_dir(directory.join("file")), Errno::NOTDIR)
}

pub(super) fn unlinking_a_directory_fails(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    ensure_error(fs::remove_file(directory.join("sub")), Errno::ISDIR)
}

pub(super) fn unlinking_a_missing_name_fails(directory: &Path) -> Checked {
    ensure_error(fs::remove_file(directory.join("none")), Errno::NOENT)
}

pub(super) fn a_removed_name_can_be_used_again(directory: &Path) -> Checked {
    let path = directory.join("name");
    for round in 0..5_u8 {
        fs::write(&path, [round])?;
        fs::remove_file(&path)?;
        ensure_error(fs::read(&path), Errno::NOENT)?;
    }
    fs::create_dir(&path)?;
    fs::remove_dir(&path)?;
    fs::write(&path, b"file again")?;
    ensure_equal(&fs::read(&path)?, &b"file again".to_vec())
}

pub(super) fn a_removed_directory_can_be_made_again(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    for _ in 0..3 {
        fs::create_dir(&sub)?;
        fs::write(sub.join("file"), b"content")?;
        fs::remove_dir_all(&sub)?;
        ensure_error(fs::metadata(sub.join("file")), Errno::NOENT)?;
    }
    fs::create_dir(&sub)?;
    ensure_equal(&listing(&sub)?, &BTreeSet::new())
}

pub(super) fn listing_shows_every_name_once(directory: &Path) -> Checked {
    let names = fill(directory, 1200)?;
    ensure_equal(&listing(directory)?, &names)?;
    for entry in fs::read_dir(directory)? {
        ensure(entry?.metadata()?.is_file(), "what is listed can be looked at")?;
    }
    Ok(())
}

pub(super) fn listing_includes_dots_and_types(directory: &Path) -> Checked {
    fs::create_dir(directory.join("sub"))?;
    fs::write(directory.join("file"), b"")?;
    std::os::unix::fs::symlink("file", directory.join("link"))?;
    let mut seen = Vec::new();
    for entry in Dir::read_from(File::open(directory)?)? {
        let entry = entry?;
        seen.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()));
    }
    seen.sort_by(|left, right| left.0.cmp(&right.0));
    let expected = [
        (".", FileType::Directory),
        ("..", FileType::Directory),
        ("file", FileType::RegularFile),
        ("link", FileType::Symlink),
        ("sub", FileType::Directory),
    ];
    ensure_equal(&seen, &expected.map(|(name, kind)| (name.to_owned(), kind)).to_vec())
}

pub(super) fn listing_while_deleting_skips_nothing_else(directory: &Path) -> Checked {
    let names = fill(directory, 2000)?;
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        fs::remove_file(directory.join(&name))?;
        ensure(seen.insert(name), "no name is listed twice")?;
    }
    ensure_equal(&seen, &names)?;
    ensure_equal(&listing(directory)?, &BTreeSet::new())
}

pub(super) fn listing_while_creating_shows_the_old_names(directory: &Path) -> Checked {
    let names = fill(directory, 1000)?;
    let mut seen = BTreeSet::new();
    for (index, entry) in fs::read_dir(directory)?.enumerate().take(3000) {
        let name = entry?.file_name();
        if index % 10 == 0 {
            File::create(directory.join(format!("new-{index}")))?;
        }
        ensure(seen.insert(name), "no name is listed twice")?;
    }
    ensure(names.is_subset(&seen), "every name that was there all the time is listed")
}

pub(super) fn listing_can_be_rewound(directory: &Path) -> Checked {
    let names = fill(directory, 50)?;
    let mut open = Dir::read_from(File::open(directory)?)?;
    ensure_equal(&open.by_ref().count(), &52)?;
    File::create(directory.join("new"))?;
    open.rewind();
    ensure_equal(&open.count(), &(names.len() + 3))
}

pub(super) fn inode_numbers_agree_between_listing_and_stat(directory: &Path) -> Checked {
    fill(directory, 20)?;
    fs::create_dir(directory.join("sub"))?;
    let mut numbers = BTreeSet::new();
    for entry in Dir::read_from(File::open(directory)?)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        ensure_equal(&entry.ino(), &fs::symlink_metadata(directory.join(name))?.ino())?;
        ensure(numbers.insert(entry.ino()), "every file has its own inode number")?;
    }
    ensure_equal(&numbers.len(), &21)
}

pub(super) fn names_of_255_bytes_work(directory: &Path) -> Checked {
    let path = directory.join("n".repeat(255));
    fs::write(&path, b"long name")?;
    ensure_equal(&fs::read(&path)?, &b"long name".to_vec())?;
    ensure_equal(&listing(directory)?.len(), &1)?;
    let other = directory.join("m".repeat(255));
    fs::rename(&path, &other)?;
    fs::remove_file(&other)?;
    Ok(())
}

pub(super) fn names_of_256_bytes_are_too_long(directory: &Path) -> Checked {
    let path = directory.join("n".repeat(256));
    ensure_error(fs::metadata(&path), Errno::NAMETOOLONG)?;
    ensure_error(File::create(&path), Errno::NAMETOOLONG)?;
    ensure_error(fs::create_dir(&path), Errno::NAMETOOLONG)?;
    ensure_error(std::os::unix::fs::symlink("target", &path), Errno::NAMETOOLONG)?;
    fs::write(directory.join("short"), b"")?;
    ensure_error(fs::rename(directory.join("short"), &path), Errno::NAMETOOLONG)
}

pub(super) fn names_are_bytes(directory: &Path) -> Checked {
    let names: [&[u8]; 7] = [
        b"with space",
        b"new\nline",
        b"\xff\xfe",
        "\u{fc}ml\u{e4}ut".as_bytes(),
        b"-dash",
        b"a:b*c?",
        b"...",
    ];
    for name in names {
        let path = directory.join(OsStr::from_bytes(name));
        fs::write(&path, name)?;
        ensure_equal(&fs::read(&path)?, &name.to_vec())?;
    }
    let expected = names.iter().map(|name| OsStr::from_bytes(name).to_owned()).collect();
    ensure_equal(&listing(directory)?, &expected)
}

pub(super) fn deep_trees_can_be_walked_and_removed(directory: &Path) -> Checked {
    let mut path = directory.join("tree");
    for level in 0..30 {
        path.push(format!("level-{level}"));
    }
    fs::create_dir_all(&path)?;
    fs::write(path.join("leaf"), b"deep")?;
    ensure_equal(&fs::read(path.join("leaf"))?, &b"deep".to_vec())?;
    fs::remove_dir_all(directory.join("tree"))?;
    ensure_equal(&listing(directory)?, &BTreeSet::new())
}

pub(super) fn link_counts_follow_subdirectories(directory: &Path) -> Checked {
    let sub = directory.join("sub");
    fs::create_dir(&sub)?;
    let links = fs::metadata(&sub)?.nlink();
    // 1 tells tools not to count subdirectories; 2 is the honest number of an empty directory.
    ensure(links == 1 || links == 2, "an empty directory has one or two links")?;
    fs::create_dir(sub.join("below"))?;
    let with_one = fs::metadata(&sub)?.nlink();
    ensure(with_one == links + 1 || with_one == 1, "a subdirectory is counted, or links are never counted")
}

pub(super) fn statfs_answers(directory: &Path) -> Checked {
    let seen = rustix::fs::statvfs(directory)?;
    ensure(seen.f_bsize > 0, "the block size is not 0")?;
    ensure_equal(&seen.f_namemax, &255)?;
    ensure(seen.f_bavail > 0 && seen.f_blocks >= seen.f_bfree, "there is room to write")
}

//! A tree as text, to compare trees by all that an archive keeps.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr};

/// Every path below a directory, and what is there.
pub(crate) fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_names = HashMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let relative = path.strip_prefix(root).unwrap().to_path_buf();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(relative, path);
    }
    found
        .into_iter()
        .map(|(relative, path)| {
            let text = line(&relative, &path, &mut first_names);
            (relative, text)
        })
        .collect()
}

fn line(relative: &Path, path: &Path, first_names: &mut HashMap<u64, PathBuf>) -> String {
    let about = fs::symlink_metadata(path).unwrap();
    let kind = about.file_type();
    let mut text = format!("{:o} {}:{} {}", about.mode(), about.uid(), about.gid(), about.mtime());
    if kind.is_file() {
        write!(text, " {} bytes {:032x}", about.len(), hash(path)).unwrap();
    }
    if kind.is_symlink() {
        write!(text, " -> {:?}", fs::read_link(path).unwrap()).unwrap();
    }
    if kind.is_block_device() || kind.is_char_device() {
        write!(text, " device {:x}", about.rdev()).unwrap();
    }
    if !kind.is_dir() {
        let first = first_names.entry(about.ino()).or_insert_with(|| relative.to_path_buf());
        write!(text, " links {} {first:?}", about.nlink()).unwrap();
    }
    for (name, value) in xattrs(path) {
        write!(text, " {name}={value:?}").unwrap();
    }
    text
}

fn hash(path: &Path) -> u128 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hasher.digest128(),
            length => hasher.update(&buffer[..length]),
        }
    }
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = path.as_os_str().as_bytes();
    let mut buffer = vec![0; 65_536];
    let length = llistxattr(bytes, &mut buffer).unwrap_or(0);
    let names = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let read = |name: &[u8]| {
        let mut value = vec![0; 65_536];
        let length = lgetxattr(bytes, name, &mut value).unwrap();
        value.truncate(length);
        (String::from_utf8_lossy(name).into_owned(), value)
    };
    let mut attributes: Vec<_> = names.map(read).collect();
    attributes.sort();
    attributes
}

/// Fails with the paths that differ, rather than with two whole trees.
#[track_caller]
pub(crate) fn assert_same(expected: &BTreeMap<PathBuf, String>, actual: &BTreeMap<PathBuf, String>) {
    let mut differences = Vec::new();
    for path in expected.keys().chain(actual.keys().filter(|path| !expected.contains_key(*path))) {
        if expected.get(path) != actual.get(path) {
            differences.push(format!(
                "{path:?}\n  expected {:?}\n  found    {:?}",
                expected.get(path),
                actual.get(path)
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(10)].join("\n")
    );
}

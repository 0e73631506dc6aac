//! Trees on disk, and a comparison of one with an image, name by name.

use std::fs::{self, File, Metadata};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use sandkeep_backups::Image;
use sandkeep_vfs::{
    Attributes, Caller, DirectoryEntry, Errno, FileHandle, FileKind, FileSystem, Inode, OpenFlags, Whence,
};

/// Bytes that do not compress, the same at each call.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    assert!(Command::new(program).args(arguments).arg(path).status().unwrap().success());
}

/// A little of everything that an archive can hold.
pub(crate) fn everything(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::write(root.join("a/small"), "small").unwrap();
    fs::write(root.join("a/empty"), "").unwrap();
    fs::write(root.join("a/b/block"), vec![7; 128 << 10]).unwrap();
    fs::write(root.join("a/b/text"), "line of a text\n".repeat(60_000)).unwrap();
    fs::write(root.join("a/b/noise"), noise(3_000_001, 1)).unwrap();
    let mut sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all(&noise(4096, 2)).unwrap();
    sparse.seek(SeekFrom::Start(5 << 20)).unwrap();
    sparse.write_all(b"behind the hole").unwrap();
    sparse.set_len(9 << 20).unwrap();
    fs::hard_link(root.join("a/small"), root.join("a/b/c/linked")).unwrap();
    symlink("../small", root.join("a/b/link")).unwrap();
    run("mkfifo", &[], &root.join("pipe"));
    for (name, arguments) in [("null", ["c", "1", "3"]), ("disk", ["b", "259", "70000"])] {
        let path = root.join(name);
        let path = path.to_str().unwrap();
        run("mknod", &[path, arguments[0], arguments[1]], Path::new(arguments[2]));
    }
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
    let odd = std::ffi::OsStr::from_bytes(b"odd \n name \xff");
    fs::write(root.join(odd), "odd").unwrap();
    run("chown", &["1234:5678"], &root.join("a/small"));
    fs::set_permissions(root.join("a/b/text"), fs::Permissions::from_mode(0o6751)).unwrap();
    for (name, value) in [("user.one", "1"), ("trusted.two", "2"), ("user.long", &"x".repeat(3000))] {
        run("setfattr", &["-n", name, "-v", value], &root.join("a/small"));
    }
    run("setfattr", &["-n", "user.shared", "-v", &"y".repeat(3000)], &root.join("a"));
    run("setfattr", &["-n", "user.shared", "-v", &"y".repeat(3000)], &root.join("a/b"));
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..3000 {
        File::create(root.join(format!("many/a name that is not short, number {number}"))).unwrap();
    }
    run("touch", &["-d", "2001-02-03 04:05:06"], &root.join("a/b/c"));
}

/// Compares all of an image with a tree. The image's owners are higher by `id_base`.
pub(crate) async fn compare(image: &Image, tree: &Path, id_base: u32) {
    let mut pending = vec![(Inode::ROOT, tree.to_owned())];
    while let Some((inode, path)) = pending.pop() {
        let attributes = image.attributes(inode, None).await.unwrap().attributes;
        compare_attributes(&attributes, &path.symlink_metadata().unwrap(), &path, id_base);
        compare_xattrs(image, inode, &path).await;
        match attributes.kind {
            FileKind::File => compare_content(image, &attributes, &path).await,
            FileKind::Symlink => {
                let target = fs::read_link(&path).unwrap();
                assert_eq!(image.read_link(inode).await.unwrap(), target.as_os_str().as_bytes(), "{path:?}");
            }
            FileKind::Directory => pending.extend(compare_names(image, inode, &path).await),
            _ => {}
        }
    }
}

fn compare_attributes(found: &Attributes, expected: &Metadata, path: &Path, id_base: u32) {
    let kind = FileKind::from_mode(expected.mode()).unwrap();
    assert_eq!((found.kind, found.permissions), (kind, expected.mode() & 0o7777), "{path:?}");
    assert_eq!((found.uid, found.gid), (expected.uid() + id_base, expected.gid() + id_base), "{path:?}");
    assert_eq!(found.modified.seconds, expected.mtime(), "{path:?}");
    if kind != FileKind::Directory {
        assert_eq!(u64::from(found.links), expected.nlink(), "{path:?}");
        assert_eq!(found.size, expected.size(), "{path:?}");
    }
    let is_device = expected.file_type().is_char_device() || expected.file_type().is_block_device();
    assert_eq!(u64::from(found.device), if is_device { expected.rdev() } else { 0 }, "{path:?}");
}

async fn compare_xattrs(image: &Image, inode: Inode, path: &Path) {
    if path.is_symlink() {
        return;
    }
    let mut buffer = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut buffer).unwrap();
    let names = buffer[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let mut expected: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    let mut found = image.list_xattrs(inode).await.unwrap();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "{path:?}");
    for name in found {
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(path, name.as_slice(), &mut value).unwrap();
        assert_eq!(image.get_xattr(inode, &name).await.unwrap(), value[..length], "{path:?}");
    }
    assert_eq!(image.get_xattr(inode, b"user.none").await, Err(Errno::ENODATA));
}

async fn compare_content(image: &Image, attributes: &Attributes, path: &Path) {
    let expected = fs::read(path).unwrap();
    let inode = attributes.inode;
    let opened = image.open(Caller::default(), inode, OpenFlags::default()).await.unwrap();
    assert!(opened.keep_cache);
    assert_eq!(read_all(image, inode, 1 << 20).await, expected, "{path:?}");
    // Odd places, across blocks, and behind the end.
    for (offset, size) in [(1, 1), (131_071, 2), (130_000, 300_000), (expected.len().saturating_sub(3), 9)] {
        let found = read(image, inode, offset as u64, size).await;
        let from = offset.min(expected.len());
        assert_eq!(found, expected[from..(offset + size as usize).min(expected.len()).max(from)], "{path:?}");
    }
    assert_eq!(
        image.seek(inode, opened.handle, expected.len() as u64, Whence::Data).await,
        Err(Errno::ENXIO)
    );
    compare_holes(image, inode, &expected).await;
}

/// Every hole reads as zeros, and what is between holes follows from one seek after the other.
async fn compare_holes(image: &Image, inode: Inode, expected: &[u8]) {
    let (mut at, end) = (0, expected.len() as u64);
    while at < end {
        let data = image.seek(inode, FileHandle(0), at, Whence::Data).await.unwrap_or(end);
        assert!(expected[at as usize..data as usize].iter().all(|&byte| byte == 0));
        if data == end {
            return;
        }
        at = image.seek(inode, FileHandle(0), data, Whence::Hole).await.unwrap();
        assert!(at > data && at <= end);
    }
}

async fn compare_names(image: &Image, directory: Inode, path: &Path) -> Vec<(Inode, std::path::PathBuf)> {
    let found = list(image, directory, 97).await;
    assert_eq!((&found[0].name[..], &found[1].name[..]), (&b"."[..], &b".."[..]));
    let mut names: Vec<_> = found[2..].iter().map(|entry| entry.name.clone()).collect();
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().as_bytes().to_vec());
    let mut expected: Vec<_> = entries.collect();
    expected.sort();
    names.sort();
    assert_eq!(names, expected, "{path:?}");
    let mut children = Vec::new();
    for (count, entry) in found.into_iter().skip(2).enumerate() {
        let plus = entry.entry.unwrap();
        assert_eq!((plus.attributes.inode, plus.attributes.kind), (entry.inode, entry.kind));
        assert_eq!(image.lookup(Caller::default(), directory, &entry.name).await.unwrap(), plus);
        // Of a thousand like files a few say it all.
        if count % 50 == 0 || names.len() < 100 {
            children.push((entry.inode, path.join(std::ffi::OsStr::from_bytes(&entry.name))));
        }
    }
    let nothing = image.lookup(Caller::default(), directory, b"no such name").await.unwrap();
    assert_eq!(nothing.attributes.inode, Inode(0));
    children
}

/// All entries, read in pages.
pub(crate) async fn list(image: &Image, directory: Inode, limit: usize) -> Vec<DirectoryEntry> {
    let mut entries: Vec<DirectoryEntry> = Vec::new();
    loop {
        let offset = entries.last().map_or(0, |last| last.next_offset);
        let page = image.read_directory(directory, FileHandle(0), offset, limit, true).await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

pub(crate) async fn read(image: &Image, inode: Inode, offset: u64, size: u32) -> Vec<u8> {
    image.read(inode, FileHandle(0), offset, size).await.unwrap().concat()
}

pub(crate) async fn read_all(image: &Image, inode: Inode, size: u32) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let part = read(image, inode, content.len() as u64, size).await;
        if part.is_empty() {
            return content;
        }
        content.extend(part);
    }
}

/// The inode of a path.
pub(crate) async fn find(image: &Image, path: &str) -> Inode {
    let mut inode = Inode::ROOT;
    for name in path.split('/') {
        inode = image.lookup(Caller::default(), inode, name.as_bytes()).await.unwrap().attributes.inode;
        assert_ne!(inode, Inode(0), "{path}");
    }
    inode
}

//! Everything that squashfs can hold arrives: by `unsquashfs`, and by the kernel.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
use sandkeep_backups::{CreateOptions, Source};

use crate::archive::{archive, archive_source, fast_directory, noise, options, run, source};
use crate::description::{assert_same, describe};
use crate::kernel::MountNamespace;

const CODECS: [&str; 5] = ["gzip", "lz4", "zstd", "zstd:9", "none"];
const BLOCK: usize = 128 * 1024;

/// Archives, and compares the directory with what both readers see.
async fn check(directory: &Path, options: CreateOptions) {
    let expected = describe(directory);
    let archive = archive(directory, options).await;
    assert_eq!(archive.manifest.skipped, []);
    assert_eq!(archive.manifest.entries, expected.len() as u64 - 1);
    let (_namespace, mounted) = MountNamespace::with_archive(&archive.path());
    assert_same(&expected, &describe(&mounted));
    assert_same(&expected, &describe(&archive.extract()));
}

async fn check_all_codecs(directory: &Path) {
    for compression in CODECS {
        let compression = Some(compression.parse().unwrap());
        check(directory, CreateOptions { compression, ..options() }).await;
    }
}

fn set_mtime(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

fn node(path: &Path, kind: FileType, device: (u32, u32)) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), makedev(device.0, device.1)).unwrap();
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn files(root: &Path) {
    for (name, length) in [
        ("empty", 0),
        ("one", 1),
        ("small", 1000),
        ("block less one", BLOCK - 1),
        ("block", BLOCK),
        ("block and one", BLOCK + 1),
        ("block and tail", BLOCK + 5000),
        ("blocks", 3 * BLOCK),
        ("blocks and long tail", 3 * BLOCK + BLOCK - 1),
    ] {
        fs::write(root.join(name), noise(length as u64, length)).unwrap();
        fs::write(root.join(format!("{name}, text")), b"text ".repeat(length / 5)).unwrap();
        fs::write(root.join(format!("{name}, zeros")), vec![0; length]).unwrap();
    }
    fs::write(root.join("setuid"), "x").unwrap();
    fs::set_permissions(root.join("setuid"), Permissions::from_mode(0o6755)).unwrap();
    fs::write(root.join("no mode"), "x").unwrap();
    fs::set_permissions(root.join("no mode"), Permissions::from_mode(0o0)).unwrap();
    fs::write(root.join("owned"), "x").unwrap();
    lchown(root.join("owned"), Some(100_000), Some(u32::MAX - 1)).unwrap();
    set_mtime(&root.join("owned"), 0);
    set_mtime(&root.join("one"), u64::from(u32::MAX));
    xattr(&root.join("one"), "user.name", b"value");
    xattr(&root.join("one"), "user.empty", b"");
    xattr(&root.join("one"), "trusted.t", &noise(1, 3000));
    xattr(&root.join("blocks"), "user.name", b"value");
}

fn others(root: &Path) {
    symlink("nowhere", root.join("link")).unwrap();
    symlink("x/".repeat(2000), root.join("long link")).unwrap();
    lchown(root.join("link"), Some(7), Some(8)).unwrap();
    xattr(&root.join("link"), "trusted.on-a-link", b"1");
    node(&root.join("fifo"), FileType::Fifo, (0, 0));
    xattr(&root.join("fifo"), "trusted.on-a-fifo", b"1");
    node(&root.join("whiteout"), FileType::CharacterDevice, (0, 0));
    node(&root.join("null"), FileType::CharacterDevice, (1, 3));
    node(&root.join("disk"), FileType::BlockDevice, (4095, 1_000_000));
    xattr(&root.join("disk"), "trusted.on-a-device", b"1");
    drop(UnixListener::bind(root.join("socket")).unwrap());
    fs::create_dir(root.join("links")).unwrap();
    for (from, to) in [
        ("one", "links/one"),
        ("blocks", "links/blocks"),
        ("blocks", "a"),
        ("link", "links/link"),
        ("fifo", "links/fifo"),
        ("null", "links/null"),
    ] {
        fs::hard_link(root.join(from), root.join(to)).unwrap();
    }
}

fn directories(root: &Path) {
    let sticky = root.join("sticky");
    fs::create_dir(&sticky).unwrap();
    xattr(&sticky, "user.on-a-directory", b"1");
    fs::set_permissions(&sticky, Permissions::from_mode(0o3777)).unwrap();
    fs::create_dir(root.join("empty directory")).unwrap();
    let mut deep = root.to_path_buf();
    for _ in 0..60 {
        deep.push("deep");
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("file"), "at the bottom").unwrap();
    let names = root.join("names");
    fs::create_dir(&names).unwrap();
    for name in [
        &b"new\nline"[..],
        b"\xff\xfe",
        b"*",
        b"?[a]",
        b"\\",
        b" ",
        b"-rf",
        b"...",
        &[b'n'; 255],
        "ü".as_bytes(),
    ] {
        fs::write(names.join(OsStr::from_bytes(name)), name).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_everything_survives_in_all_codecs() {
    let directory = tempfile::tempdir().unwrap();
    files(directory.path());
    others(directory.path());
    directories(directory.path());
    fs::set_permissions(directory.path(), Permissions::from_mode(0o2751)).unwrap();
    lchown(directory.path(), Some(12), Some(34)).unwrap();
    xattr(directory.path(), "user.root", b"of the archive");
    set_mtime(directory.path(), 1_000_000_000);
    check_all_codecs(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_an_archive() {
    let directory = tempfile::tempdir().unwrap();
    check_all_codecs(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_directories_can_be_listed_and_looked_up() {
    let directory = fast_directory();
    for number in 0..20_000 {
        let name = format!("{number:05}-{}", "x".repeat(number % 100));
        File::create(directory.path().join(name)).unwrap();
    }
    for number in 0..300 {
        let below = directory.path().join(format!("directory {number}"));
        fs::create_dir(&below).unwrap();
        fs::write(below.join("file"), format!("{number}")).unwrap();
    }
    let expected = describe(directory.path());
    let archive = archive(directory.path(), options()).await;
    let (_namespace, mounted) = MountNamespace::with_archive(&archive.path());
    assert_same(&expected, &describe(&mounted));
    assert_eq!(archive.list().len(), expected.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_survive() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("program"), "x").unwrap();
    // Version 2, effective, CAP_NET_RAW permitted.
    let mut capability = vec![0; 20];
    capability[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    capability[4..8].copy_from_slice(&(1_u32 << 13).to_le_bytes());
    xattr(&directory.path().join("program"), "security.capability", &capability);
    check(directory.path(), options()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_longer_than_the_kernel_takes_at_once_survive() {
    let directory = tempfile::tempdir().unwrap();
    let name = "d".repeat(250);
    // Made in steps, for the same reason.
    let script = format!("for i in $(seq 40); do mkdir {name}; cd -P ./{name}; done; echo deep > file");
    run(Command::new("bash").args(["-c", &script]).current_dir(directory.path()));
    let archive = archive(directory.path(), options()).await;
    assert_eq!(archive.manifest.skipped, []);
    assert_eq!(archive.manifest.entries, 41);
    assert_eq!(archive.manifest.content_bytes, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_are_neither_read_nor_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = File::create(directory.path().join("sparse")).unwrap();
    let size = 40 << 30;
    file.set_len(size).unwrap();
    for offset in [5_u64 << 30, (5 << 30) + 200_000, (30 << 30) + 7, size - 10] {
        file.write_all_at(b"here", offset).unwrap();
    }
    File::create(directory.path().join("only a hole")).unwrap().set_len(6 << 30).unwrap();
    let archive = archive(directory.path(), options()).await;
    assert!(archive.bytes() < 1 << 20, "{} bytes", archive.bytes());
    let (_namespace, mounted) = MountNamespace::with_archive(&archive.path());
    let copy = File::open(mounted.join("sparse")).unwrap();
    assert_eq!(copy.metadata().unwrap().len(), size);
    for offset in [5_u64 << 30, (5 << 30) + 200_000, (30 << 30) + 7, size - 10] {
        let mut around = [1; 10];
        copy.read_exact_at(&mut around, offset - 3).unwrap();
        assert_eq!(&around, b"\0\0\0here\0\0\0", "{offset}");
    }
    assert_eq!(fs::metadata(mounted.join("only a hole")).unwrap().len(), 6 << 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_files_are_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let large = noise(1, 10 * BLOCK + 77);
    let mut other = large.clone();
    other[5 * BLOCK] ^= 1;
    for number in 0..5 {
        fs::write(directory.path().join(format!("large {number}")), &large).unwrap();
        fs::write(directory.path().join(format!("small {number}")), &large[..50_000]).unwrap();
    }
    fs::write(directory.path().join("looks equal"), &other).unwrap();
    let archived = archive(directory.path(), options()).await;
    let once = (large.len() + other.len() + 50_000) as u64;
    assert!(archived.bytes() < once + 20_000, "{} bytes for {once}", archived.bytes());
    assert_eq!(archived.manifest.content_bytes, (large.len() * 6 + 250_000) as u64);
    check(directory.path(), options()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_those_that_the_sandbox_sees() {
    let directory = tempfile::tempdir().unwrap();
    for (name, id) in
        [("root", 500_000), ("user", 501_000), ("last", 565_535), ("before", 499_999), ("behind", 565_536)]
    {
        fs::write(directory.path().join(name), "x").unwrap();
        lchown(directory.path().join(name), Some(id), Some(id)).unwrap();
    }
    lchown(directory.path(), Some(500_001), Some(500_002)).unwrap();
    let source = Source { id_base: 500_000, ..source(directory.path()) };
    let archive = archive_source(source, options()).await;
    let extracted = archive.extract();
    let owner = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        let about = fs::metadata(extracted.join(name)).unwrap();
        (about.uid(), about.gid())
    };
    assert_eq!(owner(""), (1, 2));
    assert_eq!(owner("root"), (0, 0));
    assert_eq!(owner("user"), (1000, 1000));
    assert_eq!(owner("last"), (65_535, 65_535));
    assert_eq!(owner("before"), (65_534, 65_534));
    assert_eq!(owner("behind"), (65_534, 65_534));
    let skipped: Vec<_> =
        archive.manifest.skipped.iter().map(|one| (one.path.as_str(), one.reason.as_str())).collect();
    assert_eq!(skipped, [("before", "owner"), ("behind", "owner")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_not_entered() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("a/mounted")).unwrap();
    fs::create_dir(root.join("bound")).unwrap();
    fs::write(root.join("a/file"), "x").unwrap();
    fs::write(root.join("z"), "x").unwrap();
    let script = format!(
        "cd {root:?}; mount -t tmpfs none a/mounted; echo secret > a/mounted/secret; mount --bind a bound; mount --bind a/file z"
    );
    let namespace = MountNamespace::with(&script);
    let archive = archive(&namespace.path(root), options()).await;
    assert_eq!(archive.list(), ["a", "a/file", "a/mounted", "bound", "z"]);
    let skipped: Vec<_> =
        archive.manifest.skipped.iter().map(|one| (one.path.as_str(), one.reason.as_str())).collect();
    assert_eq!(skipped, [("bound", "mount"), ("z", "mount"), ("a/mounted", "mount")]);
    assert_eq!(archive.manifest.content_bytes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_squashfs_cannot_hold_is_clamped_or_reported() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["acl", "old", "future"] {
        fs::write(root.join(name), "x").unwrap();
    }
    run(Command::new("setfacl").args(["-m", "u:1234:r"]).arg(root.join("acl")));
    run(Command::new("touch").args(["-d", "1950-01-01"]).arg(root.join("old")));
    run(Command::new("touch").args(["-d", "2200-01-01"]).arg(root.join("future")));
    xattr(&root.join("old"), "trusted.overlay.opaque", b"y");
    let archive = archive(root, options()).await;
    let extracted = describe(&archive.extract());
    assert!(extracted[Path::new("old")].contains(" 0 1 bytes"), "{extracted:?}");
    assert!(!extracted[Path::new("old")].contains("overlay"), "{extracted:?}");
    assert!(extracted[Path::new("future")].contains(&format!(" {} 1 bytes", u32::MAX)), "{extracted:?}");
    assert_eq!(archive.manifest.skipped_count, 1);
    assert_eq!(archive.manifest.skipped[0].path, "acl");
    assert_eq!(archive.manifest.skipped[0].reason, "acl");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_owners_are_a_clear_error() {
    let directory = fast_directory();
    let store = crate::archive::empty_bucket().await;
    for number in 0..33_000_u32 {
        let path = directory.path().join(number.to_string());
        File::create(&path).unwrap();
        lchown(&path, Some(100_000 + 2 * number), Some(100_001 + 2 * number)).unwrap();
    }
    let error = crate::archive::create_into(&store, source(directory.path()), options()).await.unwrap_err();
    assert_eq!(error.to_string(), "squashfs cannot hold user and group ids (limit 65535)");
    assert!(crate::archive::left_in(&store).await.is_empty());
}

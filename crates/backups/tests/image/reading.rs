//! What is in an archive is what was put in.

use std::fs;

use sandkeep_backups::{Compression, ImageSettings};
use sandkeep_vfs::{Caller, Errno, FileHandle, FileSystem, Inode, OpenFlags};

use crate::archives::{backup_of, mksquashfs, open, own_backup, settings};
use crate::trees::{compare, everything, find, list, noise, read_all};

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_mksquashfs_are_their_trees() {
    let tree = tempfile::tempdir().unwrap();
    everything(tree.path());
    let options: [&[&str]; 8] = [
        &["-comp", "gzip"],
        &["-comp", "lz4"],
        &["-comp", "zstd"],
        &["-comp", "gzip", "-noI", "-noD", "-noF", "-noX", "-noId"],
        &["-comp", "zstd", "-no-fragments", "-b", "1M"],
        &["-comp", "lz4", "-always-use-fragments", "-no-exports", "-b", "4K"],
        &["-comp", "zstd", "-no-exports", "-noI"],
        &["-comp", "gzip", "-no-duplicates", "-nopad"],
    ];
    for options in options {
        let store = backup_of(mksquashfs(tree.path(), options)).await;
        compare(&open(&store, settings()).await.unwrap(), tree.path(), 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_archives_are_their_trees() {
    let tree = tempfile::tempdir().unwrap();
    everything(tree.path());
    for compression in ["gzip", "lz4", "zstd:3", "none"].map(|name| name.parse::<Compression>().unwrap()) {
        let store = own_backup(tree.path(), compression).await;
        let settings = ImageSettings { id_base: 100_000, ..settings() };
        compare(&open(&store, settings).await.unwrap(), tree.path(), 100_000).await;
    }
}

/// Metadata that do not fit are read as chunks, and all else still holds.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_larger_than_the_budget_are_read_as_they_are_needed() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    everything(tree.path());
    // Block lists do not shrink: 40,000 blocks of 4 KiB make as many list entries, and names are plain.
    let long = fs::File::create(tree.path().join("long")).unwrap();
    long.set_len(9 << 30).unwrap();
    let store = backup_of(mksquashfs(tree.path(), &["-comp", "zstd", "-b", "4K", "-noI"])).await;
    let image = open(&store, ImageSettings { memory_budget: 0, ..settings() }).await.unwrap();
    let inode = find(&image, "long").await;
    let end = (9 << 30) - 5000;
    assert_eq!(image.read(inode, FileHandle(0), end, 10_000).await.unwrap().concat(), vec![0; 5000]);
    let small = find(&image, "a/small").await;
    assert_eq!(read_all(&image, small, 4096).await, b"small");
    assert_eq!(list(&image, find(&image, "many").await, 50).await.len(), 3002);
}

#[tokio::test]
async fn wrong_questions_have_the_right_errors() {
    let tree = tempfile::tempdir().unwrap();
    everything(tree.path());
    let image = open(&backup_of(mksquashfs(tree.path(), &[])).await, settings()).await.unwrap();
    let caller = Caller::default();
    let small = find(&image, "a/small").await;
    assert_eq!(image.lookup(caller, small, b"x").await, Err(Errno::ENOTDIR));
    assert_eq!(image.open(caller, small, OpenFlags(2)).await, Err(Errno::EROFS));
    assert_eq!(image.read(Inode::ROOT, FileHandle(0), 0, 1).await, Err(Errno::EISDIR));
    assert_eq!(image.read_link(small).await, Err(Errno::EINVAL));
    for nothing in [Inode(0), Inode(1 << 40), Inode(1 << 20)] {
        assert_eq!(image.attributes(nothing, None).await, Err(Errno::ESTALE));
    }
    // Offsets that no listing gave.
    for offset in [3, 77, 1 << 20, u64::MAX] {
        let _any = image.read_directory(Inode::ROOT, FileHandle(0), offset, 10, true).await;
    }
    assert_eq!(image.statfs().await.unwrap().free_blocks, 0);
}

/// What steers an overlay is not let through from an archive.
#[tokio::test]
async fn attributes_of_overlays_are_hidden() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), noise(10, 1)).unwrap();
    let setfattr = |name: &str| {
        let mut command = std::process::Command::new("setfattr");
        assert!(
            command
                .args(["-n", name, "-v", "/etc"])
                .arg(tree.path().join("file"))
                .status()
                .unwrap()
                .success()
        );
    };
    setfattr("trusted.overlay.redirect");
    setfattr("trusted.other");
    let image = open(&backup_of(mksquashfs(tree.path(), &[])).await, settings()).await.unwrap();
    let file = find(&image, "file").await;
    assert_eq!(image.list_xattrs(file).await.unwrap(), [b"trusted.other"]);
    assert_eq!(image.get_xattr(file, b"trusted.overlay.redirect").await, Err(Errno::ENODATA));
}

//! Stores that fail, wait or change; damaged archives; what is fetched how often.

use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use sandkeep_backups::{Image, ImageSettings};
use sandkeep_objects::Error;
use sandkeep_vfs::{Caller, Errno, FileHandle, FileSystem, Inode};
use tokio::time::Instant;

use crate::archives::{backup_of, id, mksquashfs, open, put, settings};
use crate::store::{Watched, unreachable};
use crate::trees::{find, noise, read, read_all};

const LENGTH: usize = 24 << 20;

/// One file that does not compress.
fn large() -> Bytes {
    static ARCHIVE: LazyLock<Bytes> = LazyLock::new(|| {
        let tree = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::write(tree.path().join("file"), noise(LENGTH, 1)).unwrap();
        mksquashfs(tree.path(), &["-comp", "lz4"])
    });
    ARCHIVE.clone()
}

async fn opened(settings: ImageSettings) -> (Arc<Watched>, Arc<Image>, Inode) {
    let store = backup_of(large()).await;
    let image = open(&store, settings).await.unwrap();
    let file = find(&image, "file").await;
    (store, Arc::new(image), file)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_minutes_is_waited_for() {
    let (store, image, file) = opened(settings()).await;
    store.fail_next((0..30).map(|_| unreachable()));
    store.fail_next((0..5).map(|_| Error::Server {
        status: 503,
        code: "SlowDown".into(),
        message: String::new(),
    }));
    let start = Instant::now();
    assert_eq!(read(&image, file, 10 << 20, 5).await, noise(LENGTH, 1)[10 << 20..][..5]);
    assert!(start.elapsed() > Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_an_error_that_heals() {
    let (store, image, file) = opened(settings()).await;
    store.fail_always(Some(unreachable()));
    let start = Instant::now();
    assert_eq!(image.read(file, FileHandle(0), 10 << 20, 5).await, Err(Errno::EIO));
    assert!((300..320).contains(&start.elapsed().as_secs()));
    store.fail_always(None);
    assert_eq!(read(&image, file, 10 << 20, 5).await, noise(LENGTH, 1)[10 << 20..][..5]);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_errors_at_once() {
    let (store, image, file) = opened(settings()).await;
    store.fail_always(Some(Error::AccessDenied));
    let start = Instant::now();
    assert_eq!(image.read(file, FileHandle(0), 10 << 20, 5).await, Err(Errno::EIO));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Blocks of two archives are never mixed.
#[tokio::test]
async fn a_replaced_archive_is_an_error() {
    let (store, image, file) = opened(settings()).await;
    let original = large();
    put(&store, id().archive_key(""), Bytes::from(vec![3; original.len()])).await;
    assert_eq!(image.read(file, FileHandle(0), 10 << 20, 5).await, Err(Errno::EIO));
    put(&store, id().archive_key(""), original).await;
    assert_eq!(read(&image, file, 10 << 20, 5).await, noise(LENGTH, 1)[10 << 20..][..5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_chunk_fetch_it_once() {
    let (store, image, file) = opened(settings()).await;
    let before = store.gets();
    let gate = store.hold();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let image = Arc::clone(&image);
            tokio::spawn(async move { read(&image, file, 10 << 20, 5).await })
        })
        .collect();
    gate.add_permits(100);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), noise(LENGTH, 1)[10 << 20..][..5]);
    }
    assert!(store.gets() - before <= 2, "{}", store.gets() - before);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gives_up_leaves_nothing_behind() {
    let (store, image, file) = opened(settings()).await;
    store.fail_always(Some(unreachable()));
    let reading = image.read(file, FileHandle(0), 10 << 20, 5);
    assert!(tokio::time::timeout(Duration::from_secs(20), reading).await.is_err());
    let before = store.gets();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(store.gets(), before);
    store.fail_always(None);
    assert_eq!(read(&image, file, 10 << 20, 5).await, noise(LENGTH, 1)[10 << 20..][..5]);
}

/// Reading in order fetches ahead, with several requests at once and nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn sequential_reads_are_fetched_ahead_and_once() {
    let (store, image, file) = opened(settings()).await;
    assert_eq!(read_all(&image, file, 128 << 10).await, noise(LENGTH, 1));
    let mut ranges = store.ranges();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:?}");
    let (store, image, file) = opened(settings()).await;
    let gate = store.hold();
    gate.add_permits(1000);
    for offset in (4 << 20..7 << 20).step_by(128 << 10) {
        read(&image, file, offset, 128 << 10).await;
    }
    // What is fetched ahead is asked for behind the reads.
    let furthest = || store.ranges().into_iter().map(|range| range.end).max();
    let far_enough = async {
        while furthest() <= Some(9 << 20) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), far_enough).await;
    assert!(waited.is_ok(), "{:?}", furthest());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_keeps_what_memory_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let small = ImageSettings { memory_budget: 0, cache: Some(directory.path().to_owned()), ..settings() };
    let (store, image, file) = opened(small).await;
    assert_eq!(read_all(&image, file, 1 << 20).await, noise(LENGTH, 1));
    // The writes to the cache happen behind the reads: once more settles what came too late.
    read_all(&image, file, 1 << 20).await;
    store.fail_always(Some(Error::AccessDenied));
    assert_eq!(read_all(&image, file, 1 << 20).await, noise(LENGTH, 1));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_at_hand_is_answered_at_the_first_poll() {
    let (_store, image, file) = opened(settings()).await;
    read(&image, file, 5 << 20, 4096).await;
    let mut context = Context::from_waker(Waker::noop());
    let again = pin!(image.read(file, FileHandle(0), 5 << 20, 4096)).poll(&mut context);
    assert!(matches!(again, Poll::Ready(Ok(_))));
    let found = pin!(image.lookup(Caller::default(), Inode::ROOT, b"file")).poll(&mut context);
    assert!(matches!(found, Poll::Ready(Ok(_))));
}

/// Opens and walks; whatever happens is an error, in bounded time.
async fn survive(bytes: Bytes) {
    let store = backup_of(bytes).await;
    let Ok(image) = open(&store, settings()).await else { return };
    let mut pending = vec![Inode::ROOT];
    let mut visits = 0;
    while let Some(inode) = pending.pop() {
        visits += 1;
        if visits > 2000 {
            return;
        }
        let _any = (image.read(inode, FileHandle(0), 0, 1 << 20).await, image.list_xattrs(inode).await);
        let names = image.read_directory(inode, FileHandle(0), 2, 100, true).await.unwrap_or_default();
        pending.extend(names.iter().filter(|name| name.entry.is_some()).map(|name| name.inode));
    }
}

fn mixed() -> &'static Bytes {
    static ARCHIVE: LazyLock<Bytes> = LazyLock::new(|| {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("directory")).unwrap();
        fs::write(tree.path().join("directory/file"), "content ".repeat(100_000)).unwrap();
        fs::write(tree.path().join("small"), noise(3000, 3)).unwrap();
        mksquashfs(tree.path(), &["-noI", "-comp", "zstd"])
    });
    &ARCHIVE
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_survived(damage in prop::collection::vec((0.0..1.0f64, any::<u8>()), 1..8)) {
        let mut bytes = mixed().to_vec();
        for (place, value) in damage {
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(survive(bytes.into()));
    }
}

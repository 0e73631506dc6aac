//! The embedded store: what it promises beyond the contract of every store.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{
    Body, BucketName, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, Damage,
    DirectoryService, Error, Expired, GetRequest, LifecycleRule, ListRequest, MetadataDirective, ObjectKey,
    ObjectMetadata, ObjectService, ObjectStore, PutRequest, Result, WriteConditions,
};
use tempfile::TempDir;

const PART: usize = 5 * 1024 * 1024;

struct Fixture {
    directory: TempDir,
    service: DirectoryService,
    store: Arc<dyn ObjectStore>,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let service = DirectoryService::open(directory.path()).await.expect("a new store");
        service.create_bucket(&bucket()).await.expect("a new bucket");
        let store = service.bucket(&bucket());
        Self { directory, service, store }
    }

    /// Closes the store and opens it again, which deletes what nobody needs.
    async fn reopen(self) -> Self {
        let Self { directory, service, store } = self;
        drop((service, store));
        let service = DirectoryService::open(directory.path()).await.expect("the same store");
        let store = service.bucket(&bucket());
        Self { directory, service, store }
    }

    fn body_files(&self) -> usize {
        count_files(&self.directory.path().join("bodies"))
    }
}

fn bucket() -> BucketName {
    "bucket".parse().expect("a bucket name")
}

fn key(text: &str) -> ObjectKey {
    text.parse().expect("a key")
}

fn count_files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}

/// Bytes that differ by seed and position.
fn pattern(seed: u64, length: usize) -> Bytes {
    (0..length as u64).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ seed) as u8).collect::<Vec<_>>().into()
}

async fn put(store: &dyn ObjectStore, name: &str, bytes: Bytes) -> Result<()> {
    let request =
        PutRequest { key: key(name), metadata: ObjectMetadata::default(), conditions: WriteConditions::None };
    store.put(request, Body::Bytes(bytes)).await.map(drop)
}

async fn get(store: &dyn ObjectStore, name: &str) -> Result<Bytes> {
    let body = store.get(GetRequest::whole(key(name))).await?.body;
    Ok(body.try_collect::<Vec<_>>().await?.concat().into())
}

#[tokio::test]
async fn bodies_of_every_size_survive_a_restart() {
    let fixture = Fixture::new().await;
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 3_000_000];
    for size in sizes {
        put(&*fixture.store, &format!("{size}"), pattern(size as u64, size)).await.expect("put");
    }
    let fixture = fixture.reopen().await;
    for size in sizes {
        assert_eq!(get(&*fixture.store, &format!("{size}")).await.expect("get"), pattern(size as u64, size));
    }
    assert_eq!(fixture.body_files(), 4, "small bodies are kept in the index");
}

#[tokio::test]
async fn a_reader_keeps_the_version_that_it_opened() {
    let fixture = Fixture::new().await;
    let (old, new) = (pattern(1, 2_000_000), pattern(2, 1_000_000));
    put(&*fixture.store, "k", old.clone()).await.expect("put");
    let reading = fixture.store.get(GetRequest::whole(key("k"))).await.expect("get");
    put(&*fixture.store, "k", new.clone()).await.expect("overwrite");
    assert_eq!(get(&*fixture.store, "k").await.expect("get"), new);
    fixture.store.delete(&key("k")).await.expect("delete");
    let read: Vec<Bytes> = reading.body.try_collect().await.expect("the old body");
    assert_eq!(read.concat(), old);
    assert_eq!(fixture.reopen().await.body_files(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_among_overwrites_see_whole_versions() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", pattern(0, 20_000)).await.expect("put");
    let write = |seed: u64| {
        let store = Arc::clone(&fixture.store);
        tokio::spawn(async move {
            for round in 0..150 {
                put(&*store, "k", pattern(seed + round, 20_000)).await.expect("overwrite");
            }
        })
    };
    let writers = [write(1), write(70)];
    let read = || {
        let store = Arc::clone(&fixture.store);
        tokio::spawn(async move {
            for _ in 0..1500 {
                let bytes = get(&*store, "k").await.expect("some version");
                assert_eq!(bytes, pattern(u64::from(bytes[0]), 20_000));
            }
        })
    };
    let readers = [read(), read(), read()];
    for task in writers.into_iter().chain(readers) {
        task.await.expect("no failure");
    }
    assert_eq!(fixture.reopen().await.body_files(), 1);
}

#[tokio::test]
async fn no_key_leaves_the_directory() {
    let fixture = Fixture::new().await;
    let outside = fixture.directory.path().parent().expect("parent").join("sandkeep-outside");
    let names =
        ["../../sandkeep-outside", "..", ".", "/", "//", "a", "a/", "a/b", "a//b", "\n", "index.sqlite"];
    for name in names {
        put(&*fixture.store, name, pattern(7, 20_000)).await.expect(name);
    }
    let page = fixture.store.list(ListRequest::default()).await.expect("list");
    assert_eq!(page.objects.len(), names.len());
    assert!(!outside.exists());
    for name in names {
        assert_eq!(get(&*fixture.store, name).await.expect(name), pattern(7, 20_000));
    }
}

#[tokio::test]
async fn copies_share_their_body_until_the_last_is_gone() {
    let fixture = Fixture::new().await;
    let body = pattern(3, 1_000_000);
    put(&*fixture.store, "a", body.clone()).await.expect("put");
    let request = CopyRequest {
        source: CopySource { bucket: None, key: key("a"), conditions: Conditions::default() },
        key: key("b"),
        metadata: MetadataDirective::Copy,
        conditions: WriteConditions::None,
        checksum: None,
    };
    fixture.store.copy(request).await.expect("copy");
    fixture.store.delete(&key("a")).await.expect("delete");
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.body_files(), 1);
    assert_eq!(get(&*fixture.store, "b").await.expect("get"), body);
    fixture.store.delete(&key("b")).await.expect("delete");
    assert_eq!(fixture.reopen().await.body_files(), 0);
}

#[tokio::test]
async fn parts_copied_from_an_object_share_its_files_where_that_wastes_little() {
    let fixture = Fixture::new().await;
    let source = pattern(4, 3 * PART);
    put(&*fixture.store, "source", source.clone()).await.expect("put");
    let upload = CreateUpload { key: key("target"), metadata: ObjectMetadata::default() };
    let upload = fixture.store.create_upload(upload).await.expect("upload");
    let from = || CopySource { bucket: None, key: key("source"), conditions: Conditions::default() };
    let mut parts = Vec::new();
    for (number, range) in [(1, 0..2 * PART as u64), (2, 0..PART as u64)] {
        let etag = fixture.store.upload_part_copy(&upload, number, from(), range).await.expect("part");
        parts.push(CompletedPart { number, etag });
    }
    fixture.store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("complete");
    fixture.store.delete(&key("source")).await.expect("delete");

    let fixture = fixture.reopen().await;
    let expected = [&source[..2 * PART], &source[..PART]].concat();
    assert_eq!(get(&*fixture.store, "target").await.expect("get"), expected);
    assert_eq!(fixture.body_files(), 2, "the large part is shared, the small one copied");
    fixture.store.delete(&key("target")).await.expect("delete");
    assert_eq!(fixture.reopen().await.body_files(), 0);
}

#[tokio::test]
async fn a_repeated_completion_answers_the_same() {
    let fixture = Fixture::new().await;
    let upload = CreateUpload { key: key("k"), metadata: ObjectMetadata::default() };
    let upload = fixture.store.create_upload(upload).await.expect("upload");
    for number in [1, 2] {
        fixture.store.upload_part(&upload, number, Body::Bytes(pattern(9, 100))).await.expect("part");
    }
    let etag = fixture.store.list_parts(&upload).await.expect("parts")[0].etag.clone();
    let parts = [CompletedPart { number: 1, etag }];
    let first =
        fixture.store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("complete");
    let again = fixture.store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("again");
    assert_eq!(first, again);
    put(&*fixture.store, "k", Bytes::new()).await.expect("overwrite");
    let late = fixture.store.complete_upload(&upload, &parts, WriteConditions::None).await;
    assert!(matches!(late, Err(Error::NoSuchUpload { .. })), "{late:?}");
    assert_eq!(fixture.reopen().await.body_files(), 0, "also the part that was left out is gone");
}

#[tokio::test]
async fn a_body_of_another_length_leaves_nothing() {
    let fixture = Fixture::new().await;
    for (promised, sent) in [(10, 9), (10, 11), (100_000, 99_999), (100_000, 100_001)] {
        let chunks =
            pattern(5, sent).chunks(4096).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>();
        let body = Body::Stream { length: promised, stream: stream::iter(chunks).boxed() };
        let request = PutRequest {
            key: key("k"),
            metadata: ObjectMetadata::default(),
            conditions: WriteConditions::None,
        };
        let outcome = fixture.store.put(request, body).await;
        assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{promised} {sent}: {outcome:?}");
    }
    assert!(matches!(get(&*fixture.store, "k").await, Err(Error::NoSuchKey { .. })));
    assert_eq!(fixture.reopen().await.body_files(), 0);
}

#[tokio::test]
async fn a_second_owner_is_refused_by_the_pid_of_the_first() {
    let fixture = Fixture::new().await;
    let refused = DirectoryService::open(fixture.directory.path()).await.expect_err("it is open");
    let source = std::error::Error::source(&refused).expect("a source").to_string();
    assert!(source.ends_with(&format!("is in use by process {}", std::process::id())), "{source}");
    fixture.reopen().await;
}

#[tokio::test]
async fn the_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new().await;
    let mode = std::fs::metadata(fixture.directory.path()).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// A small filesystem of its own.
struct SmallDisk(PathBuf, #[expect(dead_code, reason = "removed after the mount is gone")] TempDir);

impl SmallDisk {
    fn mount(options: &std::ffi::CStr) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", directory.path(), "tmpfs", flags, options).expect("tests run as root");
        Self(directory.path().to_owned(), directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let detach = rustix::mount::UnmountFlags::DETACH;
        if let Err(error) = rustix::mount::unmount(&self.0, detach) {
            let _ = writeln!(std::io::stderr(), "cannot unmount {}: {error}", self.0.display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_keeps_reads_and_can_be_emptied() {
    let disk = SmallDisk::mount(c"size=8m");
    let service = DirectoryService::open(&disk.0).await.expect("a new store");
    service.create_bucket(&bucket()).await.expect("a new bucket");
    let store = service.bucket(&bucket());
    let mut stored = 0;
    let refusal = loop {
        match put(&*store, &format!("{stored:04}"), pattern(stored, 300_000)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, Error::NoSpace), "{refusal:?}");
    assert!(stored > 10);
    // Small bodies go into the index, until that is full as well.
    let mut small = 0;
    while small < 10_000 && put(&*store, &format!("small/{small:04}"), pattern(small, 10_000)).await.is_ok() {
        small += 1;
    }
    assert!(small < 1_000, "{small}");
    let page = store.list(ListRequest::default()).await.expect("list");
    assert_eq!(page.objects.len() as u64, stored + small);
    for number in 0..stored {
        assert_eq!(get(&*store, &format!("{number:04}")).await.expect("get"), pattern(number, 300_000));
    }
    for number in 0..stored {
        store.delete(&key(&format!("{number:04}"))).await.expect("delete");
    }
    drop((service, store));
    let service = DirectoryService::open(&disk.0).await.expect("the same store");
    put(&*service.bucket(&bucket()), "again", pattern(1, 300_000)).await.expect("there is room again");
}

const WRITER: &str = "SANDKEEP_TEST_WRITER_DIRECTORY";

/// Not a test of its own: what the next one kills. Tells every acknowledged write on stdout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_process() {
    let Some(directory) = std::env::var_os(WRITER) else { return };
    let service = DirectoryService::open(Path::new(&directory)).await.expect("a store");
    service.create_bucket(&bucket()).await.expect("a bucket");
    let writers = (0..8).map(|writer| write_for_ever(service.bucket(&bucket()), writer));
    futures::future::join_all(writers).await;
}

async fn write_for_ever(store: Arc<dyn ObjectStore>, writer: u64) {
    for round in 0_u64.. {
        // Each writer overwrites its own few keys, in the index and in files.
        let name = format!("{writer}/{}", round % 4);
        let user = BTreeMap::from([("round".to_owned(), round.to_string())]);
        let request = PutRequest {
            key: key(&name),
            metadata: ObjectMetadata { user, ..ObjectMetadata::default() },
            conditions: WriteConditions::None,
        };
        store.put(request, Body::Bytes(body_of(round))).await.expect("put");
        writeln!(std::io::stdout(), "acknowledged {name} {round}").expect("the parent reads");
    }
}

fn body_of(round: u64) -> Bytes {
    let sizes = [100, 15_000, 40_000, 600_000];
    pattern(round, sizes[(round as usize / 4 + round as usize) % sizes.len()])
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // Both fail only when it is dead and waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn sigkill_leaves_whole_objects_and_every_acknowledged_one() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "writer_process", "--nocapture"])
        .env(WRITER, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a writer");
    let mut child = KilledOnDrop(child);
    let output = BufReader::new(child.0.stdout.take().expect("a pipe"));
    let mut acknowledged = BTreeMap::new();
    for (count, line) in output.lines().enumerate() {
        if count == 400 {
            child.0.kill().expect("it runs");
        }
        let line = line.expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        if let ["acknowledged", name, round] = words[..] {
            acknowledged.insert(name.to_owned(), round.parse::<u64>().expect("a number"));
        }
    }
    drop(child);
    assert_eq!(acknowledged.len(), 32);

    let service = DirectoryService::open(directory.path()).await.expect("the store of the dead process");
    let store = service.bucket(&bucket());
    let mut in_files = 0;
    for (name, round) in acknowledged {
        let info = store.head(&key(&name), Conditions::default()).await.expect("an acknowledged object");
        let stored: u64 = info.metadata.user["round"].parse().expect("a number");
        assert!(stored >= round, "{name} was acknowledged in round {round}, but is of round {stored}");
        assert_eq!(get(&*store, &name).await.expect("get"), body_of(stored), "{name}");
        in_files += usize::from(info.size > 16 * 1024);
    }
    drop((service, store));
    let service = DirectoryService::open(directory.path()).await.expect("reopen");
    assert_eq!(
        count_files(&directory.path().join("bodies")),
        in_files,
        "nothing is left of the unfinished writes"
    );
    drop(service);
}

fn body_paths(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { body_paths(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn fsck_names_every_damaged_object_and_no_other() {
    let fixture = Fixture::new().await;
    for (name, size) in
        [("empty", 0), ("small", 100), ("large", 100_000), ("intact", 50_000), ("gone", 70_000)]
    {
        put(&*fixture.store, name, pattern(1, size)).await.expect("put");
    }
    let sound = fixture.service.fsck().await.expect("fsck");
    assert_eq!((sound.objects, sound.files, sound.bytes), (5, 3, 220_100));
    assert_eq!(sound.damaged, []);

    for path in body_paths(&fixture.directory.path().join("bodies")) {
        match std::fs::metadata(&path).expect("metadata").len() {
            100_000 => std::fs::write(&path, pattern(2, 100_000)).expect("a change nobody else notices"),
            70_000 => std::fs::remove_file(&path).expect("remove"),
            _ => {}
        }
    }
    let index = rusqlite::Connection::open(fixture.directory.path().join("index.sqlite")).expect("the index");
    index.execute("UPDATE inline_bodies SET bytes = x'00'", []).expect("a change");
    let report = fixture.service.fsck().await.expect("fsck");
    let found: Vec<_> = report.damaged.iter().map(|object| (object.key.as_str(), object.damage)).collect();
    assert_eq!(found, [("gone", Damage::Body), ("large", Damage::Body), ("small", Damage::Body)]);
    assert!(report.damaged.iter().all(|object| object.bucket == "bucket"));
}

#[tokio::test]
async fn a_store_of_layout_1_is_brought_up_to_date() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", pattern(1, 100_000)).await.expect("put");
    let Fixture { directory, service, store } = fixture;
    drop((service, store));
    let index = rusqlite::Connection::open(directory.path().join("index.sqlite")).expect("the index");
    index
        .execute_batch(
            "ALTER TABLE files DROP COLUMN md5; DROP TABLE lifecycles; DROP TABLE cors;
             ALTER TABLE objects DROP COLUMN checksum; ALTER TABLE objects DROP COLUMN parts;
             ALTER TABLE uploads DROP COLUMN checksum; ALTER TABLE parts DROP COLUMN checksum;
             PRAGMA user_version = 1",
        )
        .expect("as it was");
    drop(index);
    let service = DirectoryService::open(directory.path()).await.expect("the old store");
    assert_eq!(get(&*service.bucket(&bucket()), "k").await.expect("get"), pattern(1, 100_000));
    put(&*service.bucket(&bucket()), "new", pattern(2, 100_000)).await.expect("put");
    assert_eq!(service.fsck().await.expect("fsck").damaged, []);
}

#[tokio::test]
async fn old_objects_and_uploads_expire_by_rules() {
    let fixture = Fixture::new().await;
    for name in ["tmp/a", "tmp/b", "tmp2", "kept"] {
        put(&*fixture.store, name, pattern(1, 20_000)).await.expect("put");
    }
    let start = async |name: &str| {
        let request = CreateUpload { key: key(name), metadata: ObjectMetadata::default() };
        fixture.store.create_upload(request).await.expect("upload");
    };
    start("tmp/unfinished").await;
    start("unfinished").await;
    let rule = |prefix: &str, enabled| LifecycleRule {
        prefix: prefix.to_owned(),
        enabled,
        expire_after_days: Some(2),
        abort_uploads_after_days: Some(1),
        ..LifecycleRule::default()
    };
    let rules = vec![rule("tmp/", true), rule("", false)];
    fixture.service.set_lifecycle(&bucket(), rules.clone()).await.expect("rules");
    assert_eq!(fixture.service.lifecycle(&bucket()).await.expect("rules"), rules);

    let day = Duration::from_secs(24 * 60 * 60);
    let expire =
        async |days: u32| fixture.service.expire(SystemTime::now() + day * days).await.expect("a run");
    assert_eq!(expire(0).await, Expired::default());
    assert_eq!(expire(1).await, Expired { objects: 0, uploads: 1 });
    assert_eq!(expire(3).await, Expired { objects: 2, uploads: 0 });
    let page = fixture.store.list(ListRequest::default()).await.expect("list");
    let left: Vec<String> = page.objects.iter().map(|object| object.key.display()).collect();
    assert_eq!(left, ["kept", "tmp2"]);
    assert_eq!(fixture.store.list_uploads(b"").await.expect("uploads").len(), 1);
    fixture.service.set_lifecycle(&bucket(), Vec::new()).await.expect("no rules");
    assert_eq!(expire(9).await, Expired::default());
}

//! Buckets that move from the embedded store to another one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sandkeep_objects::{
    Body, BucketName, CompletedPart, Conditions, CorsRule, CreateUpload, DirectoryService, Error, GetRequest,
    LifecycleRule, ListRequest, MemoryService, MigrationError, MigrationOptions, MigrationOutcome,
    MigrationStatus, NestedService, ObjectKey, ObjectMetadata, ObjectService, ObjectStore, PlacedService,
    Placement, PutRequest, S3Client, S3Settings, WriteConditions,
};
use sandkeep_testing::gateway::TestGateway;
use tempfile::TempDir;

mod faults;

use faults::Faults;

fn bucket() -> BucketName {
    "moving".parse().expect("a name")
}

fn key(text: &str) -> ObjectKey {
    text.parse().expect("a key")
}

fn options() -> MigrationOptions {
    MigrationOptions::default()
}

async fn open(directory: &Path) -> PlacedService {
    let embedded = DirectoryService::open(directory).await.expect("the store opens");
    PlacedService::new(embedded, directory).await.expect("it is listed")
}

async fn with_bucket(directory: &Path) -> PlacedService {
    let placed = open(directory).await;
    placed.create_bucket(&bucket()).await.expect("created");
    placed
}

async fn memory_bucket() -> Arc<dyn ObjectStore> {
    let (memory, outer) = (MemoryService::new(), "outer".parse().expect("a name"));
    memory.create_bucket(&outer).await.expect("created");
    memory.bucket(&outer)
}

async fn put(store: &dyn ObjectStore, name: &str, content: &[u8], metadata: ObjectMetadata) {
    let request = PutRequest { key: key(name), metadata, conditions: WriteConditions::None };
    store.put(request, Body::Bytes(Bytes::copy_from_slice(content))).await.expect("stored");
}

async fn put_plain(service: &PlacedService, name: &str, content: &[u8]) {
    put(&*service.bucket(&bucket()), name, content, ObjectMetadata::default()).await;
}

/// Contents with what is told of them, by key.
async fn everything(store: &dyn ObjectStore) -> BTreeMap<String, (Vec<u8>, String, ObjectMetadata)> {
    let mut all = BTreeMap::new();
    let mut request = ListRequest::default();
    loop {
        let page = store.list(request.clone()).await.expect("listed");
        for object in page.objects {
            let got = store.get(GetRequest::whole(object.key.clone())).await.expect("read");
            let body: Vec<Bytes> = got.body.try_collect().await.expect("whole");
            let tags = store.tags(&object.key).await.expect("tags");
            // Servers say so of what came without a type.
            let content_type = got.info.metadata.content_type.filter(|text| text != "binary/octet-stream");
            let metadata = ObjectMetadata { tags, content_type, ..got.info.metadata };
            let mut body = body.concat();
            // Its ETag says what the rest is.
            body.truncate(100);
            all.insert(object.key.display(), (body, got.info.etag.0, metadata));
        }
        request.continuation = page.next;
        if request.continuation.is_none() {
            return all;
        }
    }
}

async fn ended(service: &PlacedService) -> MigrationStatus {
    loop {
        let status = service.migration(&bucket()).expect("it was begun");
        if status.outcome.is_some() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn moved(service: &PlacedService, options: MigrationOptions) -> MigrationStatus {
    service.migrate(&bucket(), options).await.expect("it begins");
    ended(service).await
}

fn kept(name: &str) -> Option<MigrationOutcome> {
    Some(MigrationOutcome::Switched { kept: Some(name.to_owned()) })
}

/// A second endpoint with a store of its own, and a bucket in it.
struct Other {
    gateway: TestGateway,
    _directory: TempDir,
}

impl Other {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let service = DirectoryService::open(directory.path()).await.expect("the store opens");
        service.create_bucket(&"outer".parse().expect("a name")).await.expect("created");
        Self { gateway: TestGateway::start(Arc::new(service)).await, _directory: directory }
    }

    fn elsewhere(&self) -> NestedService {
        let url = self.gateway.endpoint().parse().expect("a URL");
        let client = S3Client::new(S3Settings::new(url, Some(self.gateway.credentials().clone())));
        let outer = client.expect("settings").bucket(&"outer".parse().expect("a name"));
        NestedService::new(outer, "team/")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_as_it_was() {
    let (directory, other) = (tempfile::tempdir().expect("a folder"), Other::new().await);
    let placed = with_bucket(directory.path()).await;
    let store = placed.bucket(&bucket());
    let metadata = ObjectMetadata {
        content_type: Some("text/x".into()),
        cache_control: Some("no-cache".into()),
        content_encoding: Some("x".into()),
        user: [("mtime".to_owned(), "1.5".to_owned())].into(),
        tags: [("a b".to_owned(), "c&d=e".to_owned())].into(),
        ..ObjectMetadata::default()
    };
    put(&*store, "dir/with metadata", b"content", metadata).await;
    for name in ["empty", "dir/", "a//b", "..", "\u{e9} +%&"] {
        put(&*store, name, b"", ObjectMetadata::default()).await;
    }
    put(&*store, "large", &vec![7; 3 << 20], ObjectMetadata::default()).await;
    let upload = CreateUpload { key: key("parts"), metadata: ObjectMetadata::default() };
    let upload = store.create_upload(upload).await.expect("begun");
    let mut parts = Vec::new();
    for (number, size) in [(1, 5 << 20), (2, 6 << 20), (3, 100)] {
        let body = Body::Bytes(vec![number as u8; size].into());
        let etag = store.upload_part(&upload, number, body).await.expect("taken");
        parts.push(CompletedPart { number, etag });
    }
    store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("made");
    let rule = LifecycleRule {
        id: "r".into(),
        plain_prefix: false,
        prefix: "old/".into(),
        enabled: true,
        expire_after_days: Some(3),
        abort_uploads_after_days: None,
    };
    placed.set_lifecycle(&bucket(), vec![rule.clone()]).await.expect("set");
    let cors = CorsRule { origins: vec!["*".into()], methods: vec!["GET".into()], ..CorsRule::default() };
    placed.set_cors(&bucket(), vec![cors.clone()]).await.expect("set");
    let created = placed.head_bucket(&bucket()).await.expect("there").created;
    let before = everything(&*store).await;
    assert_eq!(before.len(), 8);

    let refused = placed.migrate(&bucket(), options()).await;
    assert!(matches!(refused, Err(MigrationError::NoTarget)), "{refused:?}");
    placed.set_elsewhere(Some(other.elsewhere()));
    assert_eq!(placed.placement(&bucket()), Placement::Embedded);
    let status = moved(&placed, options()).await;
    assert_eq!(status.outcome, kept("moving-moved"));
    assert_eq!((status.done_objects, status.total_objects), (8, 8));
    assert_eq!((status.done_bytes, status.found_objects), (status.total_bytes, 0));
    assert_eq!(placed.placement(&bucket()), Placement::Elsewhere);
    assert_eq!(everything(&*store).await, before);
    assert_eq!(placed.lifecycle(&bucket()).await.expect("rules"), [rule]);
    assert_eq!(placed.cors(&bucket()).await.expect("rules"), [cors]);
    let since = |time: SystemTime| time.duration_since(created).unwrap_or_default();
    assert!(since(placed.head_bucket(&bucket()).await.expect("there").created) < Duration::from_secs(1));
    let names: Vec<String> =
        placed.list_buckets().await.expect("listed").iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["moving", "moving-moved"]);
    let again = placed.migrate(&bucket(), options()).await;
    assert!(matches!(again, Err(MigrationError::AlreadyThere { .. })), "{again:?}");
    assert!(std::fs::read_dir(directory.path().join("migrations")).expect("made").next().is_none());

    // Another process on another machine sees the same, and the embedded one is still what it was.
    let second = tempfile::tempdir().expect("a folder");
    let elsewhere = open(second.path()).await;
    elsewhere.set_elsewhere(Some(other.elsewhere()));
    assert_eq!(everything(&*elsewhere.bucket(&bucket())).await, before);
    let kept = placed.bucket(&"moving-moved".parse().expect("a name"));
    assert_eq!(everything(&*kept).await, before);
    other.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_meanwhile_arrives_too() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    for number in 0..300 {
        put_plain(&placed, &format!("old-{number:03}"), b"before").await;
    }
    let ended_flag = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer: u32| {
            let (placed, ended) = (placed.clone(), Arc::clone(&ended_flag));
            tokio::spawn(write_until(placed, writer, ended))
        })
        .collect();
    placed.set_elsewhere(Some(NestedService::new(memory_bucket().await, "")));
    let status = moved(&placed, options()).await;
    assert_eq!(status.outcome, kept("moving-moved"));
    // They go on for a while in the other place.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    ended_flag.store(true, Ordering::Relaxed);
    let mut expected: BTreeMap<String, Vec<u8>> =
        (0..300).map(|number| (format!("old-{number:03}"), b"before".to_vec())).collect();
    for writer in writers {
        for (name, content) in writer.await.expect("it ended") {
            match content {
                Some(content) => drop(expected.insert(name, content)),
                None => drop(expected.remove(&name)),
            }
        }
    }
    let found = everything(&*placed.bucket(&bucket())).await;
    let found: BTreeMap<String, Vec<u8>> = found.into_iter().map(|(name, (body, ..))| (name, body)).collect();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "some object is not as it was written last");
}

/// Puts, overwrites and deletes; gives what each key of its own should be.
async fn write_until(
    placed: PlacedService,
    writer: u32,
    ended: Arc<AtomicBool>,
) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut state = BTreeMap::new();
    let mut round = writer;
    while !ended.load(Ordering::Relaxed) {
        round = round.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = (round >> 8) % 75 * 4 + writer;
        let name = format!("old-{number:03}");
        if round.is_multiple_of(3) {
            placed.bucket(&bucket()).delete(&key(&name)).await.expect("deleted");
            state.insert(name, None);
        } else {
            let content = round.to_le_bytes().to_vec();
            put_plain(&placed, &name, &content).await;
            state.insert(name, Some(content));
        }
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_killed_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a folder");
    let outer = memory_bucket().await;
    let placed = with_bucket(directory.path()).await;
    for number in 0..40 {
        put_plain(&placed, &format!("k{number:02}"), b"content").await;
    }
    // Its store hangs at the thirtieth object.
    let hanging = Faults::over(Arc::clone(&outer)).hanging_after(30);
    placed.set_elsewhere(Some(NestedService::new(hanging.clone(), "p/")));
    placed.migrate(&bucket(), options()).await.expect("it begins");
    hanging.hangs().await;
    assert!(matches!(placed.migrate(&bucket(), options()).await, Err(MigrationError::Running { .. })));
    assert!(matches!(placed.delete_bucket(&bucket()).await, Err(Error::BucketBusy { .. })));
    let cancelled = placed.cancel_migration(&bucket()).expect("it runs");
    assert_eq!(cancelled.outcome, Some(MigrationOutcome::Cancelled));
    assert_eq!(placed.placement(&bucket()), Placement::Embedded);
    // Nobody notes these: one new content, one new tag, one deletion, one that is new.
    put_plain(&placed, "k03", b"changed").await;
    let store = placed.bucket(&bucket());
    store.set_tags(&key("k04"), [("t".to_owned(), "v".to_owned())].into()).await.expect("tagged");
    store.delete(&key("k05")).await.expect("deleted");
    put_plain(&placed, "new", b"new").await;
    let before = everything(&*store).await;
    drop((store, placed));

    let placed = reopened(directory.path()).await;
    placed.set_elsewhere(Some(NestedService::new(Arc::clone(&outer), "p/")));
    let status = moved(&placed, MigrationOptions { delete_source: true, ..options() }).await;
    assert_eq!(status.outcome, Some(MigrationOutcome::Switched { kept: None }));
    assert!((10..=38).contains(&status.found_objects), "{status:?}");
    assert_eq!((status.done_objects, status.total_objects), (40, 40));
    assert_eq!(everything(&*placed.bucket(&bucket())).await, before);
    assert_eq!(placed.list_buckets().await.expect("listed").len(), 1);
}

/// The tasks of a cancelled move may hold the store for a moment.
async fn reopened(directory: &Path) -> PlacedService {
    loop {
        match DirectoryService::open(directory).await {
            Ok(embedded) => return PlacedService::new(embedded, directory).await.expect("it is listed"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_on_the_way_is_noticed() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    put_plain(&placed, "a", b"content").await;
    // Once: it is sent again. Always: the bucket stays where it is.
    let outer = memory_bucket().await;
    placed.set_elsewhere(Some(NestedService::new(Faults::over(Arc::clone(&outer)).damaging(u32::MAX), "")));
    let status = moved(&placed, options()).await;
    let Some(MigrationOutcome::Failed { reason }) = status.outcome else { panic!("{status:?}") };
    assert!(reason.contains("\"a\"") && reason.contains("other bytes"), "{reason}");
    assert_eq!(placed.placement(&bucket()), Placement::Embedded);
    let damaging = Faults::over(Arc::clone(&outer)).damaging(1);
    placed.set_elsewhere(Some(NestedService::new(damaging.clone(), "")));
    let status = moved(&placed, options()).await;
    assert_eq!(status.outcome, kept("moving-moved"));
    assert_eq!(damaging.damages_left(), 0);
    assert_eq!(everything(&*placed.bucket(&bucket())).await["a"].0, b"content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_do_not_arrive_are_noticed() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    let tags = [("a".to_owned(), "b".to_owned())].into();
    put(&*placed.bucket(&bucket()), "tagged", b"x", ObjectMetadata { tags, ..Default::default() }).await;
    let forgetful = Faults::over(memory_bucket().await).without_tags();
    placed.set_elsewhere(Some(NestedService::new(forgetful, "")));
    let status = moved(&placed, options()).await;
    let Some(MigrationOutcome::Failed { reason }) = status.outcome else { panic!("{status:?}") };
    assert!(reason.contains("tags") && reason.contains("\"tagged\""), "{reason}");
}

#[tokio::test]
async fn a_place_in_use_is_left_alone() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    put_plain(&placed, "a", b"mine").await;
    let outer = memory_bucket().await;
    let metadata = ObjectMetadata::default();
    put(&*outer, "p/moving/theirs", b"theirs", metadata.clone()).await;
    placed.set_elsewhere(Some(NestedService::new(Arc::clone(&outer), "p/")));
    let refused = placed.migrate(&bucket(), options()).await;
    assert!(matches!(refused, Err(MigrationError::Occupied { place }) if place == "outer/p/moving/"));
    outer.delete(&key("p/moving/theirs")).await.expect("deleted");
    NestedService::new(Arc::clone(&outer), "p/").create_bucket(&bucket()).await.expect("created");
    let refused = placed.migrate(&bucket(), options()).await;
    assert!(matches!(refused, Err(MigrationError::Occupied { .. })));
    assert!(outer.head(&key("p/moving/a"), Conditions::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn uploads_in_progress_are_waited_for_or_aborted() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    placed.set_elsewhere(Some(NestedService::new(memory_bucket().await, "")));
    let store = placed.bucket(&bucket());
    let request = CreateUpload { key: key("half"), metadata: ObjectMetadata::default() };
    let upload = store.create_upload(request).await.expect("begun");
    let status = moved(&placed, options()).await;
    let Some(MigrationOutcome::Failed { reason }) = status.outcome else { panic!("{status:?}") };
    assert!(reason.contains("1 multipart upload") && reason.contains("half"), "{reason}");
    let part = store.upload_part(&upload, 1, Body::Bytes("part".into())).await.expect("it still lives");
    // One that ends while it is waited for arrives. The store's threads know no paused time.
    tokio::time::resume();
    placed.migrate(&bucket(), options()).await.expect("it begins");
    let parts = [CompletedPart { number: 1, etag: part }];
    store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("made");
    assert_eq!(ended(&placed).await.outcome, kept("moving-moved"));
    assert_eq!(everything(&*store).await["half"].0, b"part");
}

#[tokio::test(start_paused = true)]
async fn uploads_are_aborted_where_that_is_wanted() {
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    placed.set_elsewhere(Some(NestedService::new(memory_bucket().await, "")));
    let store = placed.bucket(&bucket());
    let request = CreateUpload { key: key("half"), metadata: ObjectMetadata::default() };
    let upload = store.create_upload(request).await.expect("begun");
    let status = moved(&placed, MigrationOptions { abort_uploads: true, ..options() }).await;
    assert_eq!(status.outcome, kept("moving-moved"));
    let gone = store.upload_part(&upload, 1, Body::Bytes("part".into())).await;
    assert!(matches!(gone, Err(Error::NoSuchUpload { .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_pass_from_one_place_to_the_other() {
    use sandkeep_objects::{CopyRequest, CopySource, MetadataDirective};
    let directory = tempfile::tempdir().expect("a folder");
    let placed = with_bucket(directory.path()).await;
    let tags: BTreeMap<_, _> = [("a".to_owned(), "b".to_owned())].into();
    let metadata = ObjectMetadata { content_type: Some("x/y".into()), tags, ..Default::default() };
    put(&*placed.bucket(&bucket()), "from", b"0123456789", metadata.clone()).await;
    placed.set_elsewhere(Some(NestedService::new(memory_bucket().await, "")));
    let there: BucketName = "there".parse().expect("a name");
    placed.create_bucket(&there).await.expect("created");
    assert_eq!(placed.placement(&there), Placement::Elsewhere);
    let store = placed.bucket(&there);
    let source = CopySource { bucket: Some(bucket()), key: key("from"), conditions: Conditions::default() };
    let request = CopyRequest {
        source: source.clone(),
        key: key("to"),
        metadata: MetadataDirective::Copy,
        conditions: WriteConditions::None,
        checksum: None,
    };
    store.copy(request).await.expect("copied");
    let upload = CreateUpload { key: key("part"), metadata: ObjectMetadata::default() };
    let upload = store.create_upload(upload).await.expect("begun");
    let etag = store.upload_part_copy(&upload, 1, source, 2..5).await.expect("copied");
    let parts = [CompletedPart { number: 1, etag }];
    store.complete_upload(&upload, &parts, WriteConditions::None).await.expect("made");
    let found = everything(&*store).await;
    assert_eq!((&found["to"].0[..], &found["to"].2), (&b"0123456789"[..], &metadata));
    assert_eq!(found["part"].0, b"234");
}

#[tokio::test]
async fn the_folder_of_a_bucket_is_no_object_of_it() {
    let outer = memory_bucket().await;
    put(&*outer, "p/moving/", b"", ObjectMetadata::default()).await;
    let elsewhere = NestedService::new(Arc::clone(&outer), "p/");
    elsewhere.create_bucket(&bucket()).await.expect("created");
    put(&*elsewhere.bucket(&bucket()), "a", b"x", ObjectMetadata::default()).await;
    assert_eq!(everything(&*elsewhere.bucket(&bucket())).await.into_keys().collect::<Vec<_>>(), ["a"]);
    let refused = elsewhere.delete_bucket(&bucket()).await;
    assert!(matches!(refused, Err(Error::BucketNotEmpty { .. })), "{refused:?}");
    elsewhere.bucket(&bucket()).delete(&key("a")).await.expect("deleted");
    elsewhere.delete_bucket(&bucket()).await.expect("it is empty");
}

#[tokio::test]
async fn rules_are_followed_elsewhere_too() {
    let elsewhere = NestedService::new(memory_bucket().await, "");
    elsewhere.create_bucket(&bucket()).await.expect("created");
    let store = elsewhere.bucket(&bucket());
    put(&*store, "logs/a", b"x", ObjectMetadata::default()).await;
    put(&*store, "kept", b"x", ObjectMetadata::default()).await;
    let upload = CreateUpload { key: key("logs/u"), metadata: ObjectMetadata::default() };
    store.create_upload(upload).await.expect("begun");
    let rule = LifecycleRule {
        id: "r".into(),
        plain_prefix: false,
        prefix: "logs/".into(),
        enabled: true,
        expire_after_days: Some(2),
        abort_uploads_after_days: Some(1),
    };
    elsewhere.set_lifecycle(&bucket(), vec![rule]).await.expect("set");
    let days = |days: u64| SystemTime::now() + Duration::from_secs(days * 86_400 + 10);
    let expired = elsewhere.expire(days(1)).await.expect("run");
    assert_eq!((expired.objects, expired.uploads), (0, 1));
    let expired = elsewhere.expire(days(2)).await.expect("run");
    assert_eq!((expired.objects, expired.uploads), (1, 0));
    assert_eq!(everything(&*store).await.into_keys().collect::<Vec<_>>(), ["kept"]);
}

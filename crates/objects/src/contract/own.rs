//! What our own stores keep besides contents and headers: checksums, tags, rules of buckets; and what deletions may
//! depend on. S3 servers of others have only a part of it, or their client does not ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Fixture, assert_refused, key, part, pattern, source};
use super::{PART, buckets};
use crate::{
    Body, Checksum, ChecksumAlgorithm, ChecksumKind, Conditions, CopyRequest, CorsRule, CreateUpload,
    DeleteConditions, ETag, Error, LateChecksum, LifecycleRule, MetadataDirective, ObjectMetadata,
    ObjectService, PartsChecksum, PutRequest, WriteConditions,
};

/// Runs the checks in buckets of their own.
///
/// # Panics
/// If the service does not keep this.
pub async fn run_own(service: Arc<dyn ObjectService>) {
    let name = "own-rules".parse().expect("a name");
    let fixture = |name, store| Fixture::new(name, store);
    let store = buckets::fresh(&*service, "own-rules").await;
    rules_of_buckets_are_kept(&*service, &name).await;
    checksums_are_kept(fixture("own::checksums_are_kept", Arc::clone(&store))).await;
    tags_are_replaced(fixture("own::tags_are_replaced", Arc::clone(&store))).await;
    deletions_are_conditional(fixture("own::deletions_are_conditional", Arc::clone(&store))).await;
    writes_refuse_a_version(fixture("own::writes_refuse_a_version", Arc::clone(&store))).await;
    parts_are_remembered(fixture("own::parts_are_remembered", store)).await;
}

/// Runs the check of tags, which S3 servers have as well.
///
/// # Panics
/// If the service does not keep them.
pub async fn run_tags(service: Arc<dyn ObjectService>) {
    let store = buckets::fresh(&*service, "own-tags").await;
    tags_are_replaced(Fixture::new("own::tags_are_replaced", store)).await;
}

async fn rules_of_buckets_are_kept(service: &dyn ObjectService, bucket: &crate::BucketName) {
    assert_eq!(service.cors(bucket).await.expect("none"), []);
    assert_eq!(service.lifecycle(bucket).await.expect("none"), []);
    let cors =
        vec![CorsRule { origins: vec!["*".into()], methods: vec!["GET".into()], ..CorsRule::default() }];
    let lifecycle =
        vec![LifecycleRule { id: "a".into(), expire_after_days: Some(3), ..LifecycleRule::default() }];
    service.set_cors(bucket, cors.clone()).await.expect("rules");
    service.set_lifecycle(bucket, lifecycle.clone()).await.expect("rules");
    assert_eq!(service.cors(bucket).await.expect("rules"), cors);
    assert_eq!(service.lifecycle(bucket).await.expect("rules"), lifecycle);
    service.set_cors(bucket, Vec::new()).await.expect("none");
    assert_eq!(service.cors(bucket).await.expect("none"), []);
    let missing = "own-missing".parse().expect("a name");
    assert!(matches!(service.set_cors(&missing, cors).await, Err(Error::NoSuchBucket { .. })));
}

async fn checksums_are_kept(fixture: Fixture) {
    let checksum = Checksum { algorithm: ChecksumAlgorithm::Crc32, value: "y/Q5Jg==".into() };
    let late = LateChecksum::default();
    late.set(checksum.clone());
    let stream = Body::from(bytes::Bytes::from_static(b"123456789")).into_stream();
    let body = Body::Verified { length: 9, stream, checksum: late };
    let metadata = ObjectMetadata::default();
    let request = PutRequest { key: key("summed"), metadata, conditions: WriteConditions::None };
    fixture.works(fixture.store.put(request, body).await);
    let head = async |name: &str| fixture.works(fixture.store.head(&key(name), Conditions::default()).await);
    assert_eq!(head("summed").await.checksum, Some(checksum.clone()), "{}", fixture.name);
    let other = Checksum { algorithm: ChecksumAlgorithm::Crc32c, value: "4waSgw==".into() };
    for (to, given, expected) in [("same", None, checksum), ("other", Some(other.clone()), other)] {
        let request = CopyRequest {
            source: source("summed"),
            key: key(to),
            metadata: MetadataDirective::Copy,
            conditions: WriteConditions::None,
            checksum: given,
        };
        fixture.works(fixture.store.copy(request).await);
        assert_eq!(head(to).await.checksum, Some(expected), "{}", fixture.name);
    }
}

async fn tags_are_replaced(fixture: Fixture) {
    let before = fixture.put("tagged", b"text").await;
    let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    fixture.works(fixture.store.set_tags(&key("tagged"), tags.clone()).await);
    let info = fixture.works(fixture.store.head(&key("tagged"), Conditions::default()).await);
    assert_eq!(info.etag, before.etag, "{}", fixture.name);
    assert_eq!(fixture.works(fixture.store.tags(&key("tagged")).await), tags, "{}", fixture.name);
    fixture.works(fixture.store.set_tags(&key("tagged"), BTreeMap::new()).await);
    assert_eq!(fixture.works(fixture.store.tags(&key("tagged")).await), BTreeMap::new(), "{}", fixture.name);
    let metadata = ObjectMetadata { tags: tags.clone(), ..ObjectMetadata::default() };
    let request = PutRequest { key: key("born"), metadata, conditions: WriteConditions::None };
    fixture.works(fixture.store.put(request, bytes::Bytes::from_static(b"text").into()).await);
    assert_eq!(fixture.works(fixture.store.tags(&key("born")).await), tags, "{}", fixture.name);
    let missing = fixture.store.set_tags(&key("none"), BTreeMap::new()).await;
    assert_refused!(fixture, missing, Error::NoSuchKey { .. });
}

async fn deletions_are_conditional(fixture: Fixture) {
    let put = fixture.put("victim", b"four").await;
    let info = fixture.works(fixture.store.head(&key("victim"), Conditions::default()).await);
    let other_time = info.last_modified - Duration::from_secs(2);
    for wrong in [
        DeleteConditions { if_match: Some(ETag("other".into())), ..DeleteConditions::default() },
        DeleteConditions { size: Some(5), ..DeleteConditions::default() },
        DeleteConditions { last_modified: Some(other_time), ..DeleteConditions::default() },
        DeleteConditions { if_match: Some(put.etag.clone()), size: Some(5), last_modified: None },
    ] {
        let refused = fixture.store.delete_if(&key("victim"), wrong.clone()).await;
        assert_refused!(fixture, refused, Error::PreconditionFailed);
        fixture.works(fixture.store.delete_if(&key("nobody"), wrong).await);
    }
    let right =
        DeleteConditions { if_match: Some(put.etag), size: Some(4), last_modified: Some(info.last_modified) };
    fixture.works(fixture.store.delete_if(&key("victim"), right).await);
    assert!(!fixture.exists("victim").await, "{}", fixture.name);
}

async fn writes_refuse_a_version(fixture: Fixture) {
    let put = |text: &'static str, conditions| {
        let bytes = bytes::Bytes::from_static(text.as_bytes());
        let request = PutRequest { key: key("version"), metadata: ObjectMetadata::default(), conditions };
        fixture.store.put(request, bytes.into())
    };
    let other_than = |tag: &ETag| WriteConditions::IfNoneMatch(tag.clone());
    let first = fixture.works(put("first", other_than(&ETag("none".into()))).await);
    assert_refused!(fixture, put("never", other_than(&first.etag)).await, Error::PreconditionFailed);
    let second = fixture.works(put("second", other_than(&ETag("other".into()))).await);
    fixture.works(put("third", other_than(&first.etag)).await);
    assert!(second.etag != first.etag, "{}", fixture.name);
}

async fn parts_are_remembered(fixture: Fixture) {
    let begun = PartsChecksum { algorithm: ChecksumAlgorithm::Sha256, kind: ChecksumKind::Composite };
    let create = CreateUpload { key: key("parts"), metadata: ObjectMetadata::default() };
    let upload = fixture.works(fixture.store.create_checked_upload(create, begun).await);
    assert_eq!(fixture.works(fixture.store.upload_checksum(&upload).await), Some(begun), "{}", fixture.name);
    let bodies = [pattern(1, PART), pattern(2, 3)];
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let etag = fixture.works(fixture.store.upload_part(&upload, number, body.into()).await);
        parts.push(part(number, &etag));
    }
    let listed = fixture.works(fixture.store.list_parts(&upload).await);
    fixture.works(fixture.store.complete_upload(&upload, &parts, WriteConditions::None).await);
    let info = fixture.works(fixture.store.head(&key("parts"), Conditions::default()).await);
    let sums = || listed.iter().map(|part| (part.checksum.as_ref(), part.size));
    assert!(sums().all(|(checksum, _)| checksum.is_some()), "{}", fixture.name);
    assert_eq!(info.checksum, begun.combine(sums()), "{}", fixture.name);
    let remembered = fixture.works(fixture.store.object_parts(&key("parts")).await);
    let sizes: Vec<_> =
        remembered.iter().map(|part| (part.number, part.size, part.checksum.as_ref())).collect();
    let expected: Vec<_> =
        listed.iter().map(|part| (part.number, part.size, part.checksum.as_ref())).collect();
    assert_eq!(sizes, expected, "{}", fixture.name);
    assert_refused!(fixture, fixture.store.upload_checksum(&upload).await, Error::NoSuchUpload { .. });
}

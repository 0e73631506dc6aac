//! Services: buckets, and what needs two of them.

use std::sync::Arc;

use super::fixture::{Fixture, assert_refused, key, source};
use crate::{
    BucketName, Conditions, CopySource, CreateUpload, Error, GetRequest, ListRequest, ObjectMetadata,
    ObjectService, ObjectStore, WriteConditions,
};

fn name(text: &str) -> BucketName {
    text.parse().expect("checks use valid names")
}

/// The store of a new bucket.
pub(super) async fn fresh(service: &dyn ObjectService, text: &str) -> Arc<dyn ObjectStore> {
    let name = name(text);
    service.create_bucket(&name).await.unwrap_or_else(|error| panic!("bucket {text}: {error:?}"));
    service.bucket(&name)
}

pub(super) async fn buckets_come_and_go(service: &dyn ObjectService) {
    let fixture = Fixture::new("buckets::buckets_come_and_go", fresh(service, "first.bucket-1").await);
    assert_eq!(fixture.store.bucket_name().as_str(), "first.bucket-1");
    let (first, missing) = (name("first.bucket-1"), name("missing"));
    assert_refused!(fixture, service.create_bucket(&first).await, Error::BucketExists { .. });
    assert_eq!(fixture.works(service.head_bucket(&first).await).name, first);
    assert_refused!(fixture, service.head_bucket(&missing).await, Error::NoSuchBucket { bucket } if bucket == "missing");
    assert_refused!(fixture, service.delete_bucket(&missing).await, Error::NoSuchBucket { .. });
    let names: Vec<BucketName> =
        fixture.works(service.list_buckets().await).into_iter().map(|info| info.name).collect();
    assert!(names.contains(&first) && names.is_sorted(), "{names:?}");

    let nowhere = Fixture::new(fixture.name, service.bucket(&missing));
    assert_refused!(fixture, nowhere.store.list(ListRequest::default()).await, Error::NoSuchBucket { .. });
    assert_refused!(
        fixture,
        nowhere.store.get(GetRequest::whole(key("k"))).await,
        Error::NoSuchBucket { .. }
    );
    let body = bytes::Bytes::from_static(b"x");
    let put = nowhere.try_put(&key("k"), body, WriteConditions::None).await;
    assert_refused!(fixture, put, Error::NoSuchBucket { .. });
    let upload = CreateUpload { key: key("k"), metadata: ObjectMetadata::default() };
    assert_refused!(fixture, nowhere.store.create_upload(upload).await, Error::NoSuchBucket { .. });
    // HEAD has no body that could tell a missing bucket from a missing key.
    let head = nowhere.store.head(&key("k"), Conditions::default()).await;
    assert_refused!(fixture, head, Error::NoSuchBucket { .. } | Error::NoSuchKey { .. });

    fixture.put("object", b"x").await;
    assert_refused!(fixture, service.delete_bucket(&first).await, Error::BucketNotEmpty { .. });
    fixture.works(fixture.store.delete(&key("object")).await);
    fixture.works(service.delete_bucket(&first).await);
    assert_refused!(fixture, service.head_bucket(&first).await, Error::NoSuchBucket { .. });
}

pub(super) async fn objects_are_copied_between_buckets(service: &dyn ObjectService) {
    let check = "buckets::objects_are_copied_between_buckets";
    let from = Fixture::new(check, fresh(service, "copy-from").await);
    let to = Fixture::new(check, fresh(service, "copy-to").await);
    from.put("object", b"across").await;
    to.put("object", b"of the target's own").await;
    let across = |bucket: &str| CopySource { bucket: Some(name(bucket)), ..source("object") };
    to.works(to.try_copy(across("copy-from"), "copy").await);
    assert_eq!(to.get("copy").await, b"across");
    assert_refused!(to, to.try_copy(across("missing"), "copy").await, Error::NoSuchBucket { .. });
    let upload = to.start_upload("part").await;
    match to.store.upload_part_copy(&upload, 1, across("copy-from"), 0..3).await {
        Err(Error::Unsupported { .. }) => {}
        result => {
            let etag = to.works(result);
            to.works(to.try_complete(&upload, &[super::fixture::part(1, &etag)]).await);
            assert_eq!(to.get("part").await, b"acr");
        }
    }
    assert_eq!(to.get("object").await, b"of the target's own");
}

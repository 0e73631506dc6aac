//! Writing, reading and describing whole objects.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use super::fixture::{Fixture, assert_refused, collect, key, pattern};
use crate::{Body, Conditions, Error, GetRequest, ObjectMetadata, PutRequest, WriteConditions};

pub(super) async fn bytes_are_kept(fixture: Fixture) {
    for length in [0, 1, 4_095, 4_096, 65_537, 1 << 20, (3 << 20) + 7] {
        let bytes = pattern(length as u64, length);
        let written = fixture.put("object", &bytes).await;
        let read = fixture.works(fixture.store.get(GetRequest::whole(key("object"))).await);
        let info = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await);
        assert_eq!(info, read.info, "{}: HEAD and GET agree", fixture.name);
        assert_eq!((info.size, &info.etag), (length as u64, &written.etag), "{}", fixture.name);
        assert_eq!(info.etag.0, HEXLOWER.encode(&Md5::digest(&bytes)), "{}: the ETag of a PUT", fixture.name);
        assert_eq!(read.range, 0..length as u64, "{}", fixture.name);
        assert!(fixture.works(collect(read.body).await) == bytes, "{}: {length} bytes", fixture.name);
        let age = SystemTime::now().duration_since(info.last_modified).unwrap_or_default();
        assert!(age < Duration::from_secs(600), "{}: the time of writing is {age:?} ago", fixture.name);
    }
}

pub(super) async fn an_object_is_replaced(fixture: Fixture) {
    let first = fixture.put("object", b"a longer first version").await;
    let second = fixture.put("object", b"second").await;
    assert_ne!(first.etag, second.etag, "{}: the ETag follows the content", fixture.name);
    assert_eq!(fixture.get("object").await, b"second");
}

pub(super) async fn metadata_are_kept(fixture: Fixture) {
    let text = |text: &str| Some(text.to_owned());
    let metadata = ObjectMetadata {
        content_type: text("text/x-check; charset=utf-8"),
        cache_control: text("max-age=60, private"),
        content_disposition: text("attachment; filename=\"a b.txt\""),
        content_encoding: text("identity"),
        content_language: text("de, en"),
        expires: text("Fri, 01 Jan 2100 00:00:00 GMT"),
        user: [("mode", "33188"), ("mtime", "1700000000.123456789"), ("with-dash", "a=b;c, d")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..ObjectMetadata::default()
    };
    let request =
        PutRequest { key: key("object"), metadata: metadata.clone(), conditions: WriteConditions::None };
    fixture.works(fixture.store.put(request, Body::Bytes(Bytes::from_static(b"x"))).await);
    let info = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await);
    assert_eq!(info.metadata, metadata, "{}", fixture.name);
    fixture.put("object", b"x").await;
    let info = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await);
    assert!(info.metadata.user.is_empty(), "{}: a new object has none of the old metadata", fixture.name);
}

pub(super) async fn a_missing_object_is_told(fixture: Fixture) {
    let missing = key("missing");
    assert_refused!(
        fixture,
        fixture.store.head(&missing, Conditions::default()).await,
        Error::NoSuchKey { .. }
    );
    let result = fixture.store.get(GetRequest::whole(missing)).await;
    assert_refused!(fixture, result, Error::NoSuchKey { key } if key == "missing");
}

//! Copies on the server.

use bytes::Bytes;

use super::fixture::{Fixture, assert_refused, key, pattern, source};
use crate::{
    Body, Conditions, CopyRequest, CopySource, ETag, Error, MetadataDirective, ObjectMetadata, PutRequest,
    WriteConditions,
};

fn metadata(content_type: &str, value: &str) -> ObjectMetadata {
    ObjectMetadata {
        content_type: Some(content_type.to_owned()),
        user: [("name".to_owned(), value.to_owned())].into(),
        ..ObjectMetadata::default()
    }
}

pub(super) async fn a_copy_takes_metadata_or_not(fixture: Fixture) {
    let bytes = pattern(9, 300_000);
    let odd = "a b+c%?#&\u{e9}/";
    let request =
        PutRequest { key: key(odd), metadata: metadata("text/a", "old"), conditions: WriteConditions::None };
    let written = fixture.works(fixture.store.put(request, Body::Bytes(bytes.clone())).await);

    let copied = fixture.works(fixture.try_copy(source(odd), "kept").await);
    let kept = fixture.works(fixture.store.head(&key("kept"), Conditions::default()).await);
    assert_eq!((&kept.metadata, &kept.etag), (&metadata("text/a", "old"), &copied.etag), "{}", fixture.name);
    assert_eq!(copied.etag, written.etag, "{}: the same bytes", fixture.name);

    let replace = |to: &str| CopyRequest {
        source: source(odd),
        key: key(to),
        metadata: MetadataDirective::Replace(metadata("text/b", "new")),
        conditions: WriteConditions::None,
        checksum: None,
    };
    // Onto itself is how metadata are changed.
    for to in ["replaced", odd] {
        fixture.works(fixture.store.copy(replace(to)).await);
        let info = fixture.works(fixture.store.head(&key(to), Conditions::default()).await);
        assert_eq!(info.metadata, metadata("text/b", "new"), "{}: {to}", fixture.name);
        assert!(fixture.get(to).await == bytes, "{}: {to}", fixture.name);
    }
    fixture.works(fixture.store.delete(&key(odd)).await);
    assert!(fixture.get("kept").await == bytes, "{}: copies live on", fixture.name);
}

pub(super) async fn copies_are_conditional(fixture: Fixture) {
    let written = fixture.put("from", b"x").await;
    let other = ETag("d41d8cd98f00b204e9800998ecf8427e".into());
    let on = |conditions| CopySource { conditions, ..source("from") };
    let refused = [
        Conditions { if_match: Some(other.clone()), ..Conditions::default() },
        Conditions { if_none_match: Some(written.etag.clone()), ..Conditions::default() },
    ];
    for conditions in refused {
        assert_refused!(fixture, fixture.try_copy(on(conditions), "to").await, Error::PreconditionFailed);
    }
    assert!(!fixture.exists("to").await, "{}", fixture.name);
    let same = Conditions { if_match: Some(written.etag), ..Conditions::default() };
    fixture.works(fixture.try_copy(on(same), "to").await);

    fixture.put("target", b"there").await;
    for conditions in [WriteConditions::IfAbsent, WriteConditions::IfMatch(other)] {
        let request = CopyRequest {
            source: source("from"),
            key: key("target"),
            metadata: MetadataDirective::Copy,
            conditions,
            checksum: None,
        };
        assert_refused!(fixture, fixture.store.copy(request).await, Error::PreconditionFailed);
    }
    assert_eq!(fixture.get("target").await, Bytes::from_static(b"there"), "{}", fixture.name);
}

pub(super) async fn a_missing_source_is_told(fixture: Fixture) {
    let result = fixture.try_copy(source("missing"), "to").await;
    assert_refused!(fixture, result, Error::NoSuchKey { key } if key == "missing");
}

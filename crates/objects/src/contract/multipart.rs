//! Multipart uploads.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use super::PART;
use super::fixture::{Fixture, assert_refused, key, part, pattern, source};
use crate::{Body, Conditions, CreateUpload, ETag, Error, ObjectMetadata, Upload, UploadId, WriteConditions};

pub(super) async fn parts_become_an_object(fixture: Fixture) {
    let metadata = ObjectMetadata {
        content_type: Some("text/x-parts".into()),
        user: [("name".to_owned(), "value".to_owned())].into(),
        ..ObjectMetadata::default()
    };
    let request = CreateUpload { key: key("object"), metadata: metadata.clone() };
    let upload = fixture.works(fixture.store.create_upload(request).await);
    assert!(!fixture.exists("object").await, "{}: nothing is visible yet", fixture.name);
    let (first, second, last) = (pattern(1, PART), pattern(2, PART + 1), pattern(3, 11));
    // Sent out of order and with gaps between the numbers, as parallel clients do.
    let third_tag = fixture.upload_part(&upload, 9, &last).await;
    let first_tag = fixture.upload_part(&upload, 2, &first).await;
    let second_tag = fixture.upload_part(&upload, 3, &second).await;

    let listed = fixture.works(fixture.store.list_parts(&upload).await);
    let listed: Vec<_> = listed.into_iter().map(|part| (part.number, part.size, part.etag)).collect();
    let expected = [(2, PART as u64, &first_tag), (3, PART as u64 + 1, &second_tag), (9, 11, &third_tag)]
        .map(|(n, s, t)| (n, s, t.clone()));
    assert_eq!(listed, expected, "{}", fixture.name);

    let parts = [part(2, &first_tag), part(3, &second_tag), part(9, &third_tag)];
    let made = fixture.works(fixture.try_complete(&upload, &parts).await);
    let digests: Vec<u8> =
        [&first, &second, &last].iter().flat_map(|part| Md5::digest(part).to_vec()).collect();
    assert_eq!(made.etag.0, format!("{}-3", HEXLOWER.encode(&Md5::digest(digests))), "{}", fixture.name);
    let info = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await);
    assert_eq!((&info.etag, &info.metadata), (&made.etag, &metadata), "{}", fixture.name);
    assert!(fixture.get("object").await == [first, second, last].concat(), "{}: the bytes", fixture.name);
    let again = fixture.store.upload_part(&upload, 1, Body::Bytes(Bytes::new())).await;
    assert_refused!(fixture, again, Error::NoSuchUpload { .. });
}

pub(super) async fn a_part_is_replaced(fixture: Fixture) {
    let upload = fixture.start_upload("object").await;
    let old = fixture.upload_part(&upload, 1, &pattern(1, 100)).await;
    let new = fixture.upload_part(&upload, 1, &pattern(2, 50)).await;
    let unused = fixture.upload_part(&upload, 2, &pattern(3, 50)).await;
    let stale = fixture.try_complete(&upload, &[part(1, &old)]).await;
    assert_refused!(fixture, stale, Error::InvalidPart { .. });
    assert_ne!(new, unused, "{}", fixture.name);
    // A part that is not named is left out.
    fixture.works(fixture.try_complete(&upload, &[part(1, &new)]).await);
    assert!(fixture.get("object").await == pattern(2, 50), "{}", fixture.name);
}

pub(super) async fn wrong_parts_are_refused(fixture: Fixture) {
    let upload = fixture.start_upload("object").await;
    let first = fixture.upload_part(&upload, 1, &pattern(1, PART)).await;
    let second = fixture.upload_part(&upload, 2, &pattern(2, 10)).await;
    let wrong = ETag("d41d8cd98f00b204e9800998ecf8427e".into());
    let cases = [
        vec![part(1, &first), part(2, &wrong)],
        vec![part(2, &second), part(1, &first)],
        vec![part(1, &first), part(3, &second)],
    ];
    for parts in cases {
        assert_refused!(fixture, fixture.try_complete(&upload, &parts).await, Error::InvalidPart { .. });
    }
    assert!(fixture.try_complete(&upload, &[]).await.is_err(), "{}: an upload has a part", fixture.name);
    for number in [0, 10_001] {
        let result = fixture.store.upload_part(&upload, number, Body::Bytes(Bytes::from_static(b"x"))).await;
        assert!(result.is_err(), "{}: there is no part {number}", fixture.name);
    }
    assert!(!fixture.exists("object").await, "{}: nothing was published", fixture.name);
    // The upload is still there for a better list.
    fixture.works(fixture.try_complete(&upload, &[part(1, &first), part(2, &second)]).await);
}

pub(super) async fn uploads_are_listed_and_aborted(fixture: Fixture) {
    assert!(fixture.works(fixture.store.list_uploads(b"").await).is_empty(), "{}", fixture.name);
    let mut uploads = Vec::new();
    for name in ["b/1", "a b+c%?#&\u{e9}", "b/2"] {
        uploads.push(fixture.start_upload(name).await);
    }
    let second = fixture.start_upload("b/1").await;
    let listed = |prefix: &'static [u8]| fixture.store.list_uploads(prefix);
    let keys = |uploads: Vec<crate::UploadInfo>| -> Vec<String> {
        uploads.into_iter().map(|info| info.upload.key.display()).collect()
    };
    let all = keys(fixture.works(listed(b"").await));
    assert_eq!(all, ["a b+c%?#&\u{e9}", "b/1", "b/1", "b/2"], "{}", fixture.name);
    assert_eq!(keys(fixture.works(listed(b"b/2").await)), ["b/2"], "{}", fixture.name);
    fixture.upload_part(&uploads[0], 1, &pattern(1, 10)).await;
    for upload in uploads.iter().chain([&uploads[0]]) {
        fixture.works(fixture.store.abort_upload(upload).await);
    }
    let left = fixture.works(listed(b"").await);
    assert_eq!(left.into_iter().map(|info| info.upload).collect::<Vec<_>>(), [second], "{}", fixture.name);
    assert!(!fixture.exists("b/1").await, "{}", fixture.name);
}

pub(super) async fn unknown_uploads_are_told(fixture: Fixture) {
    let known = fixture.start_upload("object").await;
    let etag = fixture.upload_part(&known, 1, &pattern(1, 10)).await;
    fixture.works(fixture.store.abort_upload(&known).await);
    let unknown = Upload { key: key("object"), id: UploadId("doesnotexist".into()) };
    for upload in [known, unknown] {
        let sent = fixture.store.upload_part(&upload, 1, Body::Bytes(Bytes::from_static(b"x"))).await;
        assert_refused!(fixture, sent, Error::NoSuchUpload { .. });
        let listed = fixture.store.list_parts(&upload).await;
        assert_refused!(fixture, listed, Error::NoSuchUpload { upload: id } if id == upload.id.0);
        let completed = fixture.try_complete(&upload, &[part(1, &etag)]).await;
        assert_refused!(fixture, completed, Error::NoSuchUpload { .. });
        fixture.works(fixture.store.abort_upload(&upload).await);
    }
}

pub(super) async fn parts_are_copied(fixture: Fixture) {
    let bytes = pattern(7, PART + 1_000);
    let written = fixture.put("from+ %", &bytes).await;
    let upload = fixture.start_upload("object").await;
    let copy =
        |number, from: &str, range| fixture.store.upload_part_copy(&upload, number, source(from), range);
    let first = match copy(1, "from+ %", 0..PART as u64).await {
        Err(Error::Unsupported { .. }) => return,
        result => fixture.works(result),
    };
    let second = fixture.works(copy(2, "from+ %", 500..1_500).await);
    let last = fixture.works(copy(3, "from+ %", 0..10).await);
    let missing = copy(4, "missing", 0..10).await;
    assert_refused!(fixture, missing, Error::NoSuchKey { .. });
    assert!(copy(4, "from+ %", 0..bytes.len() as u64 + 1).await.is_err(), "{}: past the end", fixture.name);
    let mut changed = source("from+ %");
    changed.conditions.if_none_match = Some(written.etag);
    let refused = fixture.store.upload_part_copy(&upload, 4, changed, 0..10).await;
    assert_refused!(fixture, refused, Error::PreconditionFailed);
    // The second part is small, which only the last may be: S3 says so, others take it.
    let parts = [part(1, &first), part(2, &second), part(3, &last)];
    match fixture.try_complete(&upload, &parts).await {
        Err(Error::PartTooSmall { .. }) => {
            fixture.works(fixture.try_complete(&upload, &[part(1, &first), part(2, &second)]).await);
            let expected = [&bytes[..PART], &bytes[500..1_500]].concat();
            assert!(fixture.get("object").await == expected, "{}", fixture.name);
        }
        result => {
            fixture.works(result);
            let expected = [&bytes[..PART], &bytes[500..1_500], &bytes[..10]].concat();
            assert!(fixture.get("object").await == expected, "{}", fixture.name);
        }
    }
}

pub(super) async fn completions_are_conditional(fixture: Fixture) {
    let old = fixture.put("object", b"old").await;
    let upload = fixture.start_upload("object").await;
    let parts = [part(1, &fixture.upload_part(&upload, 1, &pattern(1, 10)).await)];
    let complete = |conditions| fixture.store.complete_upload(&upload, &parts, conditions);
    let other = ETag("d41d8cd98f00b204e9800998ecf8427e".into());
    assert_refused!(fixture, complete(WriteConditions::IfAbsent).await, Error::PreconditionFailed);
    assert_refused!(fixture, complete(WriteConditions::IfMatch(other)).await, Error::PreconditionFailed);
    assert_eq!(fixture.get("object").await, b"old", "{}", fixture.name);
    fixture.works(complete(WriteConditions::IfMatch(old.etag)).await);
    assert!(fixture.get("object").await == pattern(1, 10), "{}", fixture.name);
}

//! Bodies as streams: large, wrong, failing.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::PART;
use super::fixture::{Fixture, assert_refused, collect, key, part, pattern, streamed};
use crate::{Body, Error, GetRequest, Result, WriteConditions};

/// The longest piece that a reader must be ready for.
const LONGEST_PIECE: usize = 4 << 20;

pub(super) async fn streams_are_kept(fixture: Fixture) {
    let (piece, count) = (64 << 10, 256_u64);
    let length = count * piece as u64;
    // Made as it is asked for: a store that reads ahead without limit would show in its memory, not here.
    let lazily = stream::iter(0..count).map(move |seed| Ok(pattern(seed, piece))).boxed();
    let body = Body::Stream { length, stream: lazily };
    fixture.works(fixture.try_put(&key("object"), body, WriteConditions::None).await);
    let response = fixture.works(fixture.store.get(GetRequest::whole(key("object"))).await);
    assert_eq!(response.info.size, length, "{}", fixture.name);
    let expected: Vec<Bytes> = (0..count).map(|seed| pattern(seed, piece)).collect();
    let mut read = Vec::with_capacity(length as usize);
    let mut body = response.body;
    while let Some(bytes) = body.next().await {
        let bytes = fixture.works(bytes);
        assert!(bytes.len() <= LONGEST_PIECE, "{}: a piece of {} bytes", fixture.name, bytes.len());
        read.extend_from_slice(&bytes);
    }
    assert!(read == expected.concat(), "{}: the bytes", fixture.name);
}

fn ok(text: &'static str) -> Result<Bytes> {
    Ok(Bytes::from_static(text.as_bytes()))
}

fn broken() -> Result<Bytes> {
    Err(Error::Corrupt { what: "the source of the check".into() })
}

pub(super) async fn bodies_of_a_wrong_length_are_refused(fixture: Fixture) {
    fixture.put("object", b"old").await;
    let wrong = || {
        [
            streamed(4, vec![ok("abc")]),
            streamed(4, vec![]),
            streamed(4, vec![ok("ab"), ok("cde")]),
            streamed(4, vec![ok("abcd"), ok("e")]),
            streamed(0, vec![ok("e")]),
        ]
    };
    for body in wrong() {
        let result = fixture.try_put(&key("object"), body, WriteConditions::None).await;
        assert_refused!(fixture, result, Error::Corrupt { .. });
    }
    assert_eq!(fixture.get("object").await, b"old", "{}: nothing was published", fixture.name);
    let upload = fixture.start_upload("parts").await;
    for body in wrong() {
        assert_refused!(fixture, fixture.store.upload_part(&upload, 1, body).await, Error::Corrupt { .. });
    }
    assert!(fixture.works(fixture.store.list_parts(&upload).await).is_empty(), "{}", fixture.name);
    fixture.works(
        fixture
            .try_put(&key("object"), streamed(4, vec![ok("ab"), ok(""), ok("cd")]), WriteConditions::None)
            .await,
    );
    assert_eq!(fixture.get("object").await, b"abcd", "{}", fixture.name);
}

pub(super) async fn failing_bodies_publish_nothing(fixture: Fixture) {
    for before in [0, 1, 200] {
        let mut pieces: Vec<Result<Bytes>> = (0..before).map(|seed| Ok(pattern(seed, 32 << 10))).collect();
        pieces.push(broken());
        let result = fixture.try_put(&key("object"), streamed(64 << 20, pieces), WriteConditions::None).await;
        assert_refused!(fixture, result, Error::Corrupt { what } if what == "the source of the check");
    }
    assert!(!fixture.exists("object").await, "{}", fixture.name);
}

pub(super) async fn readers_keep_what_they_opened(fixture: Fixture) {
    let old = pattern(1, 2 * PART);
    fixture.put("object", &old).await;
    let open = |fixture: &Fixture| {
        let store = std::sync::Arc::clone(&fixture.store);
        async move { store.get(GetRequest::whole(key("object"))).await }
    };
    let first = fixture.works(open(&fixture).await);
    fixture.put("object", b"new").await;
    let second = fixture.works(open(&fixture).await);
    let upload = fixture.start_upload("object").await;
    let tag = fixture.upload_part(&upload, 1, &pattern(3, 10)).await;
    fixture.works(fixture.try_complete(&upload, &[part(1, &tag)]).await);
    fixture.works(fixture.store.delete(&key("object")).await);
    assert!(fixture.works(collect(first.body).await) == old, "{}: the old one, whole", fixture.name);
    assert_eq!(fixture.works(collect(second.body).await), b"new", "{}", fixture.name);
}

//! Listings: ordered, complete, paged, grouped.

use super::fixture::{Fixture, key};
use crate::{Conditions, ListRequest};

fn bytes(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

async fn filled(fixture: &Fixture, names: &[&str]) {
    for name in names {
        fixture.put(name, b"x").await;
    }
}

/// What a listing gives, whatever the size of its pages.
async fn check(fixture: &Fixture, request: ListRequest, keys: &[&str], groups: &[&str]) {
    for limit in [0, 1, 2, 1_000] {
        let found = fixture.walk(ListRequest { limit, ..request.clone() }).await;
        assert_eq!(found, (bytes(keys), bytes(groups)), "{}: {request:?} by {limit}", fixture.name);
    }
}

pub(super) async fn keys_come_in_order_page_by_page(fixture: Fixture) {
    check(&fixture, ListRequest::default(), &[], &[]).await;
    filled(&fixture, &["b", "a/b", "a", "a!", "a/", "B", "aa", "\u{e9}"]).await;
    check(&fixture, ListRequest::default(), &["B", "a", "a!", "a/", "a/b", "aa", "b", "\u{e9}"], &[]).await;
    let exact = fixture.list(ListRequest { limit: 8, ..ListRequest::default() }).await;
    assert!(exact.next.is_none(), "{}: a page that holds all of them is the last", fixture.name);
}

pub(super) async fn a_delimiter_groups(fixture: Fixture) {
    filled(&fixture, &["a", "a/1", "a/2", "a/b/3", "a//4", "b/", "b/5", "c", "d/e/6", "/7"]).await;
    let listed = |prefix: &str, delimiter: &str| ListRequest {
        prefix: prefix.into(),
        delimiter: delimiter.into(),
        ..ListRequest::default()
    };
    check(&fixture, listed("", "/"), &["a", "c"], &["/", "a/", "b/", "d/"]).await;
    check(&fixture, listed("a/", "/"), &["a/1", "a/2"], &["a//", "a/b/"]).await;
    check(&fixture, listed("b/", "/"), &["b/", "b/5"], &[]).await;
    check(&fixture, listed("a", "/"), &["a"], &["a/"]).await;
    check(&fixture, listed("d/", "/6"), &[], &["d/e/6"]).await;
    check(&fixture, listed("nothing", "/"), &[], &[]).await;
}

pub(super) async fn listings_start_after(fixture: Fixture) {
    filled(&fixture, &["a", "b", "c/1", "c/2", "d"]).await;
    let after = |start_after: &str, delimiter: &str| ListRequest {
        start_after: start_after.into(),
        delimiter: delimiter.into(),
        ..ListRequest::default()
    };
    check(&fixture, after("a", ""), &["b", "c/1", "c/2", "d"], &[]).await;
    check(&fixture, after("aa", ""), &["b", "c/1", "c/2", "d"], &[]).await;
    check(&fixture, after("c/1", ""), &["c/2", "d"], &[]).await;
    check(&fixture, after("b", "/"), &["d"], &["c/"]).await;
    check(&fixture, after("c0", "/"), &["d"], &[]).await;
    check(&fixture, after("d", ""), &[], &[]).await;
    let below = ListRequest { prefix: b"c/".into(), ..after("a", "") };
    check(&fixture, below, &["c/1", "c/2"], &[]).await;
}

pub(super) async fn prefixes_are_bytes(fixture: Fixture) {
    for name in [b"p\xff\xff".as_slice(), b"p\xff", b"p\xfe", b"q", b"p_1", b"p%1"] {
        fixture.put(name, b"x").await;
    }
    let under = |prefix: &[u8]| ListRequest { prefix: prefix.to_vec(), ..ListRequest::default() };
    let (keys, _) = fixture.walk(ListRequest { limit: 1, ..under(b"p\xff") }).await;
    assert_eq!(keys, [b"p\xff".to_vec(), b"p\xff\xff".to_vec()], "{}", fixture.name);
    assert_eq!(fixture.walk(under(b"p_")).await.0, [b"p_1".to_vec()], "{}: no wildcard", fixture.name);
    assert_eq!(fixture.walk(under(b"p%")).await.0, [b"p%1".to_vec()], "{}: no wildcard", fixture.name);
    let grouped = ListRequest { delimiter: b"\xff".to_vec(), ..ListRequest::default() };
    let (keys, groups) = fixture.walk(grouped).await;
    assert_eq!(groups, [b"p\xff".to_vec()], "{}", fixture.name);
    assert_eq!(keys.len(), 4, "{}", fixture.name);
}

pub(super) async fn entries_tell_size_and_tag(fixture: Fixture) {
    let written = fixture.put("object", b"12345").await;
    let page = fixture.list(ListRequest::default()).await;
    let info = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await);
    let [object] = page.objects.as_slice() else { panic!("{}: {page:?}", fixture.name) };
    assert_eq!((object.size, &object.etag), (5, &written.etag), "{}", fixture.name);
    let metadata = object.metadata.clone().unwrap_or_else(|| info.metadata.clone());
    assert_eq!(metadata, info.metadata, "{}: listed metadata are those of HEAD", fixture.name);
    // HEAD has whole seconds on the wire, a listing may have more.
    let apart = object.last_modified.duration_since(info.last_modified).unwrap_or_default();
    assert!(apart.as_secs() < 1, "{}: both tell the same time", fixture.name);
}

//! Keys are bytes: nothing is normalised, nothing is a directory.

use super::fixture::{Fixture, key};
use crate::{Conditions, ListRequest, ObjectKey};

/// Keys that one server or another confuses.
fn odd_keys(longest: usize) -> Vec<Vec<u8>> {
    let texts = [
        "a b+c%?#&\u{e9}",
        "a+b",
        "a b",
        "a%20b",
        "a%2Fb",
        "a%252Fb",
        "dir/",
        "dir//",
        "a//b",
        "a/b",
        "/lead",
        "//",
        "/",
        ".",
        "..",
        "./a",
        "../a",
        "a/./b",
        "a/../b",
        "a/..",
        "trail.",
        "trail ",
        " lead",
        "quo\"te'",
        "<&>;=:@!$*,",
        "back\\slash",
        "tab\tnew\nline\rreturn",
        "\u{1}\u{7f}",
        "nul\0byte",
        "e\u{301}",
        "\u{e9}",
        "\u{1f980}",
        "UPPER",
        "upper",
        "~tilde|pipe^",
        "{}[]()`",
    ];
    let mut keys: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    keys.extend([vec![0xff, 0xfe], b"latin-\xe9".to_vec(), vec![b'k'; longest]]);
    keys
}

pub(super) async fn any_bytes_are_a_key(fixture: Fixture) {
    let mut keys = odd_keys(fixture.store.longest_key());
    for (number, name) in keys.iter().enumerate() {
        fixture.put(name, format!("content {number}").as_bytes()).await;
    }
    for (number, name) in keys.iter().enumerate() {
        let read = fixture.get(name).await;
        assert_eq!(read, format!("content {number}").as_bytes(), "{}: {:?}", fixture.name, key(name));
    }
    let (listed, _) = fixture.walk(ListRequest { limit: 7, ..ListRequest::default() }).await;
    let expected: Vec<ObjectKey> = keys.iter().map(key).collect();
    keys.sort();
    assert_eq!(listed, keys, "{}: all of them are listed, in byte order", fixture.name);
    let outcomes = fixture.works(fixture.store.delete_many(&expected).await);
    outcomes.into_iter().for_each(|outcome| fixture.works(outcome));
    assert!(fixture.walk(ListRequest::default()).await.0.is_empty(), "{}: all are deleted", fixture.name);
}

pub(super) async fn a_key_beside_a_key_below_it(fixture: Fixture) {
    for name in ["a", "a/", "a/b", "a/b/c"] {
        fixture.put(name, name.as_bytes()).await;
    }
    for name in ["a", "a/", "a/b", "a/b/c"] {
        assert_eq!(fixture.get(name).await, name.as_bytes(), "{}", fixture.name);
    }
    fixture.works(fixture.store.delete(&key("a")).await);
    fixture.works(fixture.store.delete(&key("a/b")).await);
    assert!(!fixture.exists("a").await && fixture.exists("a/").await, "{}", fixture.name);
    assert!(!fixture.exists("a/b").await && fixture.exists("a/b/c").await, "{}", fixture.name);
    let info = fixture.works(fixture.store.head(&key("a/"), Conditions::default()).await);
    assert_eq!(info.size, 2, "{}", fixture.name);
}

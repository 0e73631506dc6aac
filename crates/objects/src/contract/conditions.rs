//! Conditional reads and writes.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use super::fixture::{Fixture, assert_refused, key};
use crate::{Conditions, ETag, Error, GetRequest, Result, WriteConditions};

/// HEAD and GET judge alike.
async fn read(fixture: &Fixture, conditions: Conditions) -> Result<()> {
    let headed = fixture.store.head(&key("object"), conditions.clone()).await.map(drop);
    let request = GetRequest { conditions, ..GetRequest::whole(key("object")) };
    let got = fixture.store.get(request).await.map(drop);
    assert_eq!(format!("{headed:?}"), format!("{got:?}"), "{}: HEAD and GET agree", fixture.name);
    got
}

pub(super) async fn reads_are_conditional(fixture: Fixture) {
    let written = fixture.put("object", b"x").await;
    let time = fixture.works(fixture.store.head(&key("object"), Conditions::default()).await).last_modified;
    let (same, other) = (Some(written.etag), Some(ETag("d41d8cd98f00b204e9800998ecf8427e".into())));
    let (hour, none) = (Duration::from_secs(3_600), Conditions::default());

    let if_match = |tag: &Option<ETag>| Conditions { if_match: tag.clone(), ..none.clone() };
    fixture.works(read(&fixture, if_match(&same)).await);
    fixture.works(read(&fixture, if_match(&Some(ETag("*".into())))).await);
    assert_refused!(fixture, read(&fixture, if_match(&other)).await, Error::PreconditionFailed);

    let if_none_match = |tag: &Option<ETag>| Conditions { if_none_match: tag.clone(), ..none.clone() };
    fixture.works(read(&fixture, if_none_match(&other)).await);
    assert_refused!(fixture, read(&fixture, if_none_match(&same)).await, Error::NotModified);
    assert_refused!(
        fixture,
        read(&fixture, if_none_match(&Some(ETag("*".into())))).await,
        Error::NotModified
    );

    let modified_since = |time| Conditions { if_modified_since: Some(time), ..none.clone() };
    fixture.works(read(&fixture, modified_since(time - hour)).await);
    assert_refused!(fixture, read(&fixture, modified_since(time)).await, Error::NotModified);

    let unmodified_since = |time| Conditions { if_unmodified_since: Some(time), ..none.clone() };
    fixture.works(read(&fixture, unmodified_since(time)).await);
    assert_refused!(fixture, read(&fixture, unmodified_since(time - hour)).await, Error::PreconditionFailed);

    // A tag that holds hides the date beside it.
    fixture.works(read(&fixture, Conditions { if_match: same, ..unmodified_since(time - hour) }).await);
}

pub(super) async fn writes_are_conditional(fixture: Fixture) {
    let object = key("object");
    let put = |text: &'static str, conditions| {
        fixture.try_put(&object, Bytes::from_static(text.as_bytes()), conditions)
    };
    let missing = WriteConditions::IfMatch(ETag("d41d8cd98f00b204e9800998ecf8427e".into()));
    assert_refused!(fixture, put("never", missing.clone()).await, Error::PreconditionFailed);
    assert!(!fixture.exists("object").await, "{}: a refused write leaves nothing", fixture.name);

    let first = fixture.works(put("first", WriteConditions::IfAbsent).await);
    assert_refused!(fixture, put("never", WriteConditions::IfAbsent).await, Error::PreconditionFailed);
    assert_refused!(fixture, put("never", missing).await, Error::PreconditionFailed);
    assert_eq!(fixture.get("object").await, b"first", "{}: a refused write changes nothing", fixture.name);

    let second = fixture.works(put("second", WriteConditions::IfMatch(first.etag.clone())).await);
    assert_refused!(
        fixture,
        put("never", WriteConditions::IfMatch(first.etag)).await,
        Error::PreconditionFailed
    );
    assert_eq!(fixture.get("object").await, b"second", "{}", fixture.name);
    fixture.works(fixture.store.delete(&object).await);
    let gone = put("never", WriteConditions::IfMatch(second.etag)).await;
    assert_refused!(fixture, gone, Error::PreconditionFailed);
    fixture.works(put("third", WriteConditions::IfAbsent).await);
}

pub(super) async fn one_of_many_creators_wins(fixture: Fixture) {
    let object = key("lock");
    let writes = (0..16)
        .map(|number: u8| fixture.try_put(&object, Bytes::from(vec![number; 3]), WriteConditions::IfAbsent));
    let results = join_all(writes).await;
    let winners: Vec<u8> = (0..16).filter(|&number| results[usize::from(number)].is_ok()).collect();
    let [winner] = winners[..] else { panic!("{}: {} creators won", fixture.name, winners.len()) };
    assert_eq!(fixture.get("lock").await, vec![winner; 3], "{}", fixture.name);
    for result in results.into_iter().filter(Result::is_err) {
        assert_refused!(fixture, result, Error::PreconditionFailed);
    }
}

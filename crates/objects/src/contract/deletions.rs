//! Deleting one and many.

use super::fixture::{Fixture, key};
use crate::{ListRequest, ObjectKey};

pub(super) async fn deleting_twice_succeeds(fixture: Fixture) {
    fixture.put("object", b"x").await;
    fixture.works(fixture.store.delete(&key("object")).await);
    fixture.works(fixture.store.delete(&key("object")).await);
    assert!(!fixture.exists("object").await, "{}", fixture.name);
}

pub(super) async fn many_are_deleted_at_once(fixture: Fixture) {
    assert!(fixture.works(fixture.store.delete_many(&[]).await).is_empty(), "{}", fixture.name);
    for number in 0..40 {
        fixture.put(format!("object-{number:02}"), b"x").await;
    }
    let missing = (40..50).chain(0..39);
    let keys: Vec<ObjectKey> = missing.map(|number| key(format!("object-{number:02}"))).collect();
    let outcomes = fixture.works(fixture.store.delete_many(&keys).await);
    assert_eq!(outcomes.len(), keys.len(), "{}: an outcome for each key", fixture.name);
    outcomes.into_iter().for_each(|outcome| fixture.works(outcome));
    let (left, _) = fixture.walk(ListRequest::default()).await;
    assert_eq!(left, [b"object-39".to_vec()], "{}", fixture.name);
}

//! The key file.

use std::os::unix::fs::PermissionsExt;

use sandkeep_gateway::{Access, AccessKey, AccessMode, KeyRing};
use sandkeep_objects::{Credentials, ObjectService};

use crate::fixture::{Fixture, put};
use crate::raw::Raw;

#[test]
fn keys_are_made_once_and_stay_secret() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("keys.json");
    let ring = KeyRing::load_or_create(&path, None).expect("new keys");
    let names: Vec<&str> = ring.keys().iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["default", "internal"]);
    let pair = &ring.named("default").expect("a pair").credentials;
    assert_eq!((pair.access_key_id.0.len(), pair.secret_access_key.expose().len()), (20, 40));
    let again = KeyRing::load_or_create(&path, None).expect("the same keys");
    assert_eq!(again.named("default").expect("a pair").credentials, *pair);
    assert_ne!(again.named("internal").expect("a pair").credentials, *pair);

    assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).expect("the directory").count(), 1);
    assert!(!format!("{ring:?}").contains(pair.secret_access_key.expose()));
}

#[test]
fn a_given_pair_replaces_the_default_one_but_not_in_the_file() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("keys.json");
    let own = KeyRing::load_or_create(&path, None).expect("new keys");
    let given = Credentials::new("given", "secret");
    let ring = KeyRing::load_or_create(&path, Some(given.clone())).expect("keys");
    assert_eq!(ring.keys().len(), 2);
    assert_eq!(ring.named("default").expect("a pair").credentials, given);
    let later = KeyRing::load_or_create(&path, None).expect("keys");
    assert_eq!(
        later.named("default").expect("a pair").credentials,
        own.named("default").expect("a pair").credentials
    );
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("keys.json");
    std::fs::write(&path, "{").expect("write");
    let refusal = KeyRing::load_or_create(&path, None).expect_err("it is damaged").to_string();
    assert_eq!(refusal, format!("cannot use the key file {}", path.display()));
}

fn access(places: &[&str], mode: AccessMode) -> Access {
    let places = places.iter().map(|place| place.parse().expect("a place")).collect();
    Access { places: Some(places), mode, expires: None }
}

#[tokio::test]
async fn a_key_sees_only_its_places_while_it_is_there() {
    let fixture = Fixture::new().await;
    for (bucket, name) in [("bucket", "mine/k"), ("bucket", "other/k")] {
        put(&*fixture.client.bucket(&bucket.parse().expect("a name")), name, "text").await;
    }
    fixture.client.create_bucket(&"hidden".parse().expect("a name")).await.expect("create");
    let file = fixture.gateway.key_file();
    let key = KeyRing::create(&file, "mine", access(&["bucket/mine"], AccessMode::ReadWrite)).expect("a key");
    let taken = KeyRing::create(&file, "mine", Access::default()).expect_err("the name is taken");
    assert_eq!(taken.to_string(), "there is a key named \"mine\" already");

    let send = |line: &str, body: &'static str| {
        Raw::new(&fixture, line).credentials(key.credentials.clone()).body(body).send()
    };
    let buckets = send("GET /", "").await;
    assert!(buckets.body.contains("<Name>bucket</Name>") && !buckets.body.contains("hidden"), "{buckets:?}");
    send("PUT /bucket/mine/new", "new").await.check(200, "");
    send("GET /bucket?list-type=2&prefix=mine%2F", "").await.check(200, "");
    for line in
        ["GET /bucket/other/k", "GET /bucket", "DELETE /bucket", "GET /hidden", "PUT /made", "PUT /bucket/k"]
    {
        send(line, "").await.check(403, "AccessDenied");
    }
    let many = "<Delete><Object><Key>mine/k</Key></Object><Object><Key>other/k</Key></Object></Delete>";
    let deleted = send("POST /bucket?delete", many).await;
    assert!(deleted.body.contains("<Key>other/k</Key><Code>AccessDenied</Code>"), "{deleted:?}");
    assert_eq!(fixture.stored_keys().await, ["mine/new", "other/k"]);

    KeyRing::remove(&file, "mine").expect("remove");
    send("GET /bucket/mine/new", "").await.check(403, "InvalidAccessKeyId");
    assert!(matches!(KeyRing::remove(&file, "internal"), Err(sandkeep_gateway::Error::KeyNeeded { .. })));
    assert!(matches!(KeyRing::remove(&file, "mine"), Err(sandkeep_gateway::Error::NoSuchKeyPair { .. })));
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn keys_expire_and_may_be_for_reading() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    let file = fixture.gateway.key_file();
    let reader = KeyRing::create(&file, "reader", access(&["bucket"], AccessMode::ReadOnly)).expect("a key");
    let send =
        |line: &str, key: &AccessKey| Raw::new(&fixture, line).credentials(key.credentials.clone()).send();
    send("GET /bucket/k", &reader).await.check(200, "");
    send("DELETE /bucket/k", &reader).await.check(403, "AccessDenied");
    let over = Access { expires: Some(1), ..Access::default() };
    let expired = KeyRing::create(&file, "expired", over).expect("a key");
    send("GET /bucket/k", &expired).await.check(400, "ExpiredToken");
    assert_eq!(fixture.stored_keys().await, ["k"]);
}

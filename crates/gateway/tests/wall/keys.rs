//! The key file.

use std::os::unix::fs::PermissionsExt;

use sandkeep_gateway::KeyRing;
use sandkeep_objects::Credentials;

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

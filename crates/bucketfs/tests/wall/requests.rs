//! How many requests an operation takes: each is a round trip that a program waits for.

use std::fs;
use std::time::Duration;

use sandkeep_bucketfs::BucketFsSettings;

use crate::store::Action::{self, *};
use crate::world::{Mounted, World, names, noise, settings};

/// What was just listed stays so on a slow machine too.
fn patient() -> BucketFsSettings {
    BucketFsSettings { metadata_age: Duration::from_secs(3600), ..settings() }
}

/// The requests of `work` after `before`, in order of their kinds.
fn check(before: impl FnOnce(&Mounted), work: impl FnOnce(&Mounted), expected: &[Action]) {
    let world = World::new();
    world.put("known", "content");
    world.put("other", "content");
    let mount = world.mount_with(patient());
    before(&mount);
    world.store.take_calls();
    work(&mount);
    let mut actions = world.store.take_actions();
    actions.sort();
    assert_eq!(actions, expected);
}

fn list(mount: &Mounted) {
    assert!(names(mount.path("")).len() >= 2);
}

#[test]
fn creating_a_small_file_takes_its_put_after_one_look() {
    check(list, |mount| fs::write(mount.path("new"), "x").unwrap(), &[Put, List]);
}

#[test]
fn a_name_that_others_begin_with_is_asked_for_twice() {
    check(list, |mount| fs::write(mount.path("know"), "x").unwrap(), &[Head, Put, List, List]);
}

#[test]
fn reading_a_small_known_file_takes_one_request() {
    check(list, |mount| assert_eq!(fs::read(mount.path("known")).unwrap(), b"content"), &[Get]);
}

#[test]
fn attributes_of_what_was_just_listed_take_none() {
    check(list, |mount| assert_eq!(fs::metadata(mount.path("known")).unwrap().len(), 7), &[]);
}

#[test]
fn removing_a_known_file_takes_one_request() {
    check(list, |mount| fs::remove_file(mount.path("known")).unwrap(), &[Delete]);
}

#[test]
fn making_a_directory_takes_its_put_after_one_look() {
    check(list, |mount| fs::create_dir(mount.path("new")).unwrap(), &[Put, List]);
}

#[test]
fn renaming_a_known_file_takes_copy_and_delete_after_one_look() {
    let renamed = |mount: &Mounted| fs::rename(mount.path("known"), mount.path("new")).unwrap();
    check(list, renamed, &[Delete, Copy, List]);
}

#[test]
fn reading_what_was_just_written_takes_one_request() {
    let write = |mount: &Mounted| fs::write(mount.path("new"), "x").unwrap();
    check(write, |mount| assert_eq!(fs::read(mount.path("new")).unwrap(), b"x"), &[Get]);
}

#[test]
fn sequential_reading_fetches_every_byte_about_once_and_ahead() {
    let world = World::new();
    world.put("large", noise(64 << 20, 1));
    let mount = world.mount_with(patient());
    list_once(&mount);
    world.store.take_calls();
    assert_eq!(fs::read(mount.path("large")).unwrap().len(), 64 << 20);
    let calls = world.store.take_actions();
    assert!(calls.iter().all(|call| *call == Get));
    assert!(calls.len() < 40, "{} requests", calls.len());
}

fn list_once(mount: &Mounted) {
    assert_eq!(names(mount.path("")), ["large"]);
}

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

/// Makes names until the mount has noticed.
fn get_busy(mount: &Mounted) {
    list(mount);
    for name in ["one", "two"] {
        fs::write(mount.path(name), "x").unwrap();
    }
}

#[test]
fn whoever_makes_many_files_waits_for_one_request_each() {
    let make = |mount: &Mounted| {
        for number in 0..5 {
            fs::write(mount.path(format!("new{number}")), "x").unwrap();
        }
        fs::create_dir(mount.path("directory")).unwrap();
        fs::write(mount.path("directory/new"), "x").unwrap();
    };
    check(get_busy, make, &[Put; 7]);
}

#[test]
fn whoever_removes_many_names_waits_for_one_request_each() {
    let make = |mount: &Mounted| {
        for number in 0..9 {
            fs::write(mount.path(format!("new{number}")), "x").unwrap();
        }
        list(mount);
    };
    let remove = |mount: &Mounted| {
        for number in 0..9 {
            fs::remove_file(mount.path(format!("new{number}"))).unwrap();
        }
    };
    check(make, remove, &[Delete; 9]);
}

/// A mount of a directory of 100 files that was just listed.
fn hundred(world: &World) -> (Mounted, Vec<String>) {
    for number in 0..100 {
        world.put(&format!("many/f{number:02}"), format!("content {number:02}"));
    }
    let mount = world.mount_with(patient());
    let names = names(mount.path("many"));
    world.store.take_calls();
    (mount, names)
}

#[test]
fn files_read_in_their_order_are_fetched_before_they_are_asked_for_and_once() {
    let world = World::new();
    let (mount, names) = hundred(&world);
    let read = |name: &String| fs::read(mount.path("many").join(name)).unwrap();
    let first: Vec<_> = names[..10].iter().map(read).collect();
    assert_eq!(first[7], b"content 07");
    let ahead = world.store.take_actions();
    assert!(ahead.len() > 12 && ahead.iter().all(|action| *action == Get), "{ahead:?}");
    let rest: Vec<_> = names[10..].iter().map(read).collect();
    assert_eq!(rest[89], b"content 99");
    assert_eq!(ahead.len() + world.store.take_actions().len(), 100);
}

#[test]
fn files_read_here_and_there_are_not_fetched_ahead() {
    let world = World::new();
    let (mount, names) = hundred(&world);
    for number in [50, 3, 90, 40, 10, 70] {
        fs::read(mount.path("many").join(&names[number])).unwrap();
    }
    assert_eq!(world.store.take_actions(), [Get; 6]);
}

#[test]
fn a_file_replaced_after_it_was_fetched_ahead_is_read_whole_within_the_age() {
    let world = World::new();
    let (mount, names) = hundred(&world);
    let read = |name: &String| fs::read(mount.path("many").join(name)).unwrap();
    world.put("many/f06", "something longer than before");
    for name in &names[..6] {
        read(name);
    }
    assert_eq!(read(&names[6]), b"something longer than before");
    assert_eq!(read(&names[7]), b"content 07");
}

/// A tree of 30 directories with 20 files each, of which the first three were listed.
fn walked(world: &World) -> Mounted {
    for directory in 0..30 {
        for file in 0..20 {
            world.put(&format!("tree/d{directory:02}/f{file:02}"), "x");
        }
    }
    let mount = world.mount_with(patient());
    assert_eq!(names(mount.path("tree")).len(), 30);
    for directory in ["d00", "d01", "d02"] {
        assert_eq!(names(mount.path("tree").join(directory)).len(), 20);
    }
    mount
}

#[test]
fn directories_of_a_tree_are_listed_together() {
    let world = World::new();
    let mount = walked(&world);
    for directory in 3..30 {
        assert_eq!(names(mount.path(format!("tree/d{directory:02}"))).len(), 20);
    }
    let lists = world.store.take_actions().into_iter().filter(|action| *action == List).count();
    // What is asked before the mount knows better: the root, the tree and two directories, and whether they exist.
    assert!(lists <= 10, "{lists}");
}

#[test]
fn own_changes_are_in_the_listings_of_a_walk() {
    let world = World::new();
    let mount = walked(&world);
    fs::write(mount.path("tree/d20/new"), "x").unwrap();
    fs::remove_file(mount.path("tree/d21/f05")).unwrap();
    fs::rename(mount.path("tree/d22"), mount.path("tree/d29x")).unwrap();
    assert_eq!(names(mount.path("tree/d19")).len(), 20);
    assert!(names(mount.path("tree/d20")).contains(&"new".to_owned()));
    assert!(!names(mount.path("tree/d21")).contains(&"f05".to_owned()));
    assert!(fs::read_dir(mount.path("tree/d22")).is_err());
    assert_eq!(names(mount.path("tree/d29x")).len(), 20);
}

#[test]
fn whoever_searches_for_many_names_is_answered_from_a_listing() {
    let search = |mount: &Mounted| {
        for number in 0..30 {
            assert!(fs::metadata(mount.path(format!("absent{number}"))).is_err());
        }
    };
    check(list, search, &[List; 11]);
}

//! Buckets that other programs have filled, in ways that no path describes.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

use sandkeep_objects::MemorySettings;
use sandkeep_vfs::Errno;

use crate::store::Action;
use crate::world::{World, errno, names};

#[test]
fn objects_without_metadata_have_defaults() {
    let world = World::new();
    world.put("dir/file", "x");
    let mount = world.mount();
    let mode = |name: &str| fs::metadata(mount.path(name)).unwrap().mode();
    assert_eq!((mode("dir"), mode("dir/file")), (0o040_755, 0o100_644));
}

#[test]
fn markers_and_markerless_directories_are_directories() {
    let world = World::new();
    world.put("marked/", "");
    world.put("implied/deep/file", "x");
    let mount = world.mount();
    assert_eq!(names(mount.path("")), ["implied", "marked"]);
    assert_eq!(names(mount.path("marked")), [""; 0]);
    assert_eq!(names(mount.path("implied/deep")), ["file"]);
    fs::remove_file(mount.path("implied/deep/file")).unwrap();
    assert_eq!(names(mount.path("implied")), ["deep"]);
    fs::remove_dir(mount.path("implied/deep")).unwrap();
    fs::remove_dir(mount.path("marked")).unwrap();
    assert_eq!(names(mount.path("")), ["implied"]);
}

#[test]
fn keys_that_no_path_reaches_are_never_destroyed() {
    let world = World::new();
    let odd = ["a", "a/b", "d//x", "d/.", "d/..", "d/./y", "e/f", "e/f/"];
    for key in odd {
        world.put(key, "kept");
    }
    let mount = world.mount();
    assert_eq!(names(mount.path("")), ["a", "d", "e"]);
    assert_eq!(names(mount.path("a")), ["b"]);
    assert_eq!(errno(fs::remove_dir(mount.path("d"))), Errno::ENOTEMPTY);
    assert_eq!(errno(fs::remove_dir_all(mount.path("d"))), Errno::ENOTEMPTY);
    fs::write(mount.path("a/c"), "new").unwrap();
    let keys: HashSet<String> = world.keys().into_iter().collect();
    assert!(odd.iter().all(|key| keys.contains(*key)), "{keys:?}");
    fs::rename(mount.path("d"), mount.path("moved")).unwrap();
    assert_eq!(world.get("moved//x").as_deref(), Some(b"kept".as_slice()));
    assert_eq!(world.get("moved/.").as_deref(), Some(b"kept".as_slice()));
    assert_eq!(world.get("a").as_deref(), Some(b"kept".as_slice()));
}

/// Hadoop's markers: `dir_$folder$` beside keys below `dir/`.
#[test]
fn markers_of_hadoop_are_kept_and_their_directories_usable() {
    let world = World::new();
    world.put("dir_$folder$", "");
    world.put("dir/file", "x");
    let mount = world.mount();
    assert_eq!(fs::read(mount.path("dir/file")).unwrap(), b"x");
    fs::write(mount.path("dir/new"), "y").unwrap();
    mount.close();
    assert_eq!(world.keys(), ["dir/file", "dir/new", "dir_$folder$"]);
}

fn check_large_directory(lists_metadata: bool) {
    let world = World::with(MemorySettings { lists_metadata, ..MemorySettings::default() });
    for index in 0..3000 {
        world.put(&format!("dir/{index:04}"), "x");
    }
    let mount = world.mount();
    world.store.take_calls();
    let mut seen = HashSet::new();
    for entry in fs::read_dir(mount.path("dir")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().ino(), entry.ino());
        assert!(seen.insert(entry.file_name()));
    }
    assert_eq!(seen.len(), 3000);
    let calls = world.store.take_calls();
    let pages = calls.iter().filter(|call| call.action == Action::List && call.key == "dir/").count();
    assert!(pages <= 4, "{pages} listings");
    let heads = calls.iter().filter(|call| call.action == Action::Head && call.key.len() > 4).count();
    assert!(heads <= if lists_metadata { 0 } else { 3300 }, "{heads} HEADs");
}

#[test]
fn three_thousand_names_with_attributes_take_four_requests() {
    check_large_directory(true);
}

#[test]
fn three_thousand_names_take_a_head_each_where_listings_carry_no_metadata() {
    check_large_directory(false);
}

//! What close() and fsync() promise, also when the store fails.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

use sandkeep_objects::Error;
use sandkeep_vfs::Errno;

use crate::store::{Action, Verdict, server, unreachable};
use crate::world::{World, errno, noise};

const MIB: usize = 1 << 20;

#[test]
fn nothing_is_visible_before_close_and_all_of_it_after() {
    let world = World::new();
    let mount = world.mount();
    let mut file = File::create(mount.path("file")).unwrap();
    file.write_all(&noise(5 * MIB, 1)).unwrap();
    assert_eq!(world.get("file"), None);
    assert_eq!(fs::read(mount.path("file")).unwrap().len(), 5 * MIB);
    drop(file);
    assert!(world.get("file").unwrap() == noise(5 * MIB, 1));
}

#[test]
fn fsync_publishes_and_the_next_version_comes_with_close() {
    let world = World::new();
    let mount = world.mount();
    let mut file = File::create(mount.path("file")).unwrap();
    file.write_all(b"one").unwrap();
    file.sync_all().unwrap();
    assert_eq!(world.get("file").unwrap(), b"one");
    file.write_all(b"two").unwrap();
    assert_eq!(world.get("file").unwrap(), b"one");
    drop(file);
    assert_eq!(world.get("file").unwrap(), b"onetwo");
}

/// What fsync(2) says of a failed upload, and that the old version stays.
fn check_failed(action: Action, length: usize, error: Error, expected: Errno) {
    let world = World::new();
    world.put("file", "old");
    let mount = world.mount();
    world.store.fail(action, error);
    let mut file = File::create(mount.path("file")).unwrap();
    let written = file.write_all(&noise(length, 1));
    let outcome = written.and_then(|()| file.sync_all());
    assert_eq!(errno(outcome), expected, "{action:?}");
    drop(file);
    assert_eq!(world.get("file").unwrap(), b"old");
    // Descriptors are let go of after close() has returned; at the end of the mount all are.
    mount.close();
    world.store.heal();
    assert_eq!(world.get("file").unwrap(), b"old");
    world.await_no_uploads();
}

#[test]
fn failed_uploads_are_reported_and_the_old_version_stays() {
    for (error, expected) in [
        (Error::AccessDenied, Errno::EACCES),
        (server(500), Errno::EIO),
        (server(507), Errno::ENOSPC),
        (Error::NoSpace, Errno::ENOSPC),
        (unreachable(), Errno::ETIMEDOUT),
    ] {
        check_failed(Action::Put, 100, error.clone(), expected);
        check_failed(Action::CreateUpload, 5 * MIB, error.clone(), expected);
        check_failed(Action::UploadPart, 5 * MIB, error.clone(), expected);
        check_failed(Action::CompleteUpload, 5 * MIB, error, expected);
    }
}

#[test]
fn a_new_file_that_could_not_be_uploaded_leaves_no_name() {
    let world = World::new();
    let mount = world.mount();
    world.store.fail(Action::Put, Error::AccessDenied);
    let mut file = File::create(mount.path("file")).unwrap();
    file.write_all(b"lost").unwrap();
    assert_eq!(errno(file.sync_all()), Errno::EACCES);
    drop(file);
    world.store.heal();
    // The release that gives the file up comes after close() has returned.
    mount.close();
    assert_eq!(world.keys(), [""; 0]);
}

/// Rust's `File` swallows what close(2) says; dd(1) does not.
#[test]
fn close_reports_a_failed_upload() {
    let world = World::alone();
    let mount = world.mount();
    world.store.fail(Action::Put, Error::AccessDenied);
    let target = format!("of={}", mount.path("file").display());
    let dd = Command::new("dd").args(["if=/dev/zero", "bs=100", "count=1", &target]).output().unwrap();
    assert!(!dd.status.success());
    assert!(String::from_utf8_lossy(&dd.stderr).contains("Permission denied"), "{dd:?}");
}

#[test]
fn a_failed_upload_can_be_tried_again_through_the_same_descriptor() {
    let world = World::new();
    let mount = world.mount();
    for (action, length) in
        [(Action::Put, 100), (Action::UploadPart, 5 * MIB), (Action::CompleteUpload, 5 * MIB)]
    {
        world.store.fail(action, server(500));
        let mut file = File::create(mount.path("file")).unwrap();
        let written = file.write_all(&noise(length, 3));
        assert_eq!(errno(written.and_then(|()| file.sync_all())), Errno::EIO);
        world.store.heal();
        rustix::io::pwrite(&file, &noise(length, 3), 0).unwrap();
        file.sync_all().unwrap();
        assert!(world.get("file").unwrap() == noise(length, 3), "{action:?}");
    }
    mount.close();
    world.await_no_uploads();
}

#[test]
fn a_lost_answer_leaves_one_of_the_two_versions() {
    let world = World::new();
    world.put("file", "old");
    let mount = world.mount();
    let mut lost = false;
    world.store.script(move |call| match call.action == Action::Put && !std::mem::replace(&mut lost, true) {
        true => Verdict::Lose(unreachable()),
        false => Verdict::Pass,
    });
    let mut file = File::create(mount.path("file")).unwrap();
    file.write_all(b"new").unwrap();
    assert_eq!(errno(file.sync_all()), Errno::ETIMEDOUT);
    assert_eq!(world.get("file").unwrap(), b"new");
    file.sync_all().unwrap();
    drop(file);
    assert_eq!(world.get("file").unwrap(), b"new");
}

#[test]
fn a_stalled_upload_holds_close_up_and_nothing_else() {
    let world = World::new();
    world.put("other", "served");
    let mount = world.mount();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = std::sync::Arc::clone(&gate);
    world.store.script(move |call| match call.action {
        Action::Put => Verdict::Hold(std::sync::Arc::clone(&held)),
        _ => Verdict::Pass,
    });
    let path = mount.path("file");
    let writer = std::thread::spawn(move || fs::write(path, "late"));
    assert_eq!(fs::read(mount.path("other")).unwrap(), b"served");
    assert_eq!(world.get("file"), None);
    gate.add_permits(100);
    writer.join().unwrap().unwrap();
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"late");
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_never_short() {
    let world = World::new();
    world.put("file", noise(3 * MIB, 1));
    let mount = world.mount();
    world.store.script(|call| if call.action == Action::Get { Verdict::Cut } else { Verdict::Pass });
    assert_eq!(errno(fs::read(mount.path("file"))), Errno::EIO);
    world.store.heal();
    assert!(fs::read(mount.path("file")).unwrap() == noise(3 * MIB, 1));
}

#[test]
fn refusals_are_never_absence() {
    let world = World::new();
    world.put("dir/file", "x");
    let mount = world.mount_forgetful();
    for (error, expected) in [(Error::AccessDenied, Errno::EACCES), (server(500), Errno::EIO)] {
        world.store.fail(Action::Head, error.clone());
        assert_eq!(errno(fs::metadata(mount.path("dir/file"))), expected);
        world.store.fail(Action::List, error.clone());
        assert_eq!(errno(fs::read_dir(mount.path("dir")).and_then(|mut all| all.next().unwrap())), expected);
        assert_eq!(errno(fs::metadata(mount.path("absent"))), expected);
    }
}

#[test]
fn a_large_file_streams_with_bounded_memory() {
    let world = World::new();
    let settings = sandkeep_bucketfs::BucketFsSettings {
        part_size: 8 << 20,
        memory_budget: 64 << 20,
        spool_limit: 32 << 20,
        ..sandkeep_bucketfs::BucketFsSettings::default()
    };
    let mount = world.mount_with(settings);
    world.store.take_calls();
    let content = noise(100 * MIB, 9);
    let mut file = File::create(mount.path("large")).unwrap();
    for chunk in content.chunks(MIB) {
        file.write_all(chunk).unwrap();
    }
    drop(file);
    let calls = world.store.take_actions();
    let count = |action| calls.iter().filter(|call| **call == action).count();
    assert_eq!(
        (count(Action::CreateUpload), count(Action::UploadPart), count(Action::CompleteUpload)),
        (1, 13, 1)
    );
    assert_eq!((count(Action::Put), count(Action::Copy)), (0, 0));
    assert!(world.store.most_uploading() <= 32 << 20, "{}", world.store.most_uploading());
    assert!(world.get("large").unwrap() == content);
}

/// Parts of later stages of a very large file do not fit in memory.
#[test]
fn parts_larger_than_memory_are_read_from_the_spool_while_they_are_sent() {
    let world = World::new();
    let settings = sandkeep_bucketfs::BucketFsSettings {
        part_size: 20 << 20,
        memory_budget: 16 << 20,
        ..sandkeep_bucketfs::BucketFsSettings::default()
    };
    let mount = world.mount_with(settings);
    let mut failures = 2;
    world.store.script(move |call| match call.action == Action::UploadPart && failures > 0 {
        true => {
            failures -= 1;
            Verdict::Fail(server(503))
        }
        false => Verdict::Pass,
    });
    let mut content = noise(50 * MIB, 9);
    fs::write(mount.path("large"), &content).unwrap();
    assert!(world.get("large").unwrap() == content);
    let file = File::options().write(true).open(mount.path("large")).unwrap();
    rustix::io::pwrite(&file, b"changed", 21 * MIB as u64).unwrap();
    drop(file);
    content[21 * MIB..21 * MIB + 7].copy_from_slice(b"changed");
    assert!(world.get("large").unwrap() == content);
}

#[test]
fn a_file_ends_where_an_object_does() {
    let world = World::new();
    let mount = world.mount_with(sandkeep_bucketfs::BucketFsSettings::default());
    let file = File::create(mount.path("file")).unwrap();
    file.set_len(5 << 40).unwrap();
    assert_eq!(errno(file.set_len((5 << 40) + 1)), Errno::EFBIG);
    file.set_len(0).unwrap();
    drop(file);
    let equal = sandkeep_bucketfs::BucketFsSettings {
        equal_parts: true,
        ..sandkeep_bucketfs::BucketFsSettings::default()
    };
    let mount = world.mount_with(equal);
    let file = File::create(mount.path("file")).unwrap();
    file.set_len(160_000 * MIB as u64).unwrap();
    assert_eq!(errno(file.set_len(160_001 * MIB as u64)), Errno::EFBIG);
    file.set_len(0).unwrap();
}

#[test]
fn an_abandoned_mount_leaves_no_half_object() {
    let world = World::new();
    let mount = world.mount();
    fs::write(mount.path("closed"), "whole").unwrap();
    let mut file = File::create(mount.path("open")).unwrap();
    file.write_all(&noise(5 * MIB, 1)).unwrap();
    assert_eq!(world.uploads(), 1);
    // From here on nothing reaches the bucket, as if the process had been killed.
    world.store.script(|_| Verdict::Fail(unreachable()));
    mount.abandon();
    drop(file);
    assert_eq!(world.keys(), ["closed"]);
    assert_eq!(world.get("closed").unwrap(), b"whole");
}

#[test]
fn uploads_of_a_dead_mount_are_aborted_by_the_next_and_those_of_the_living_are_not() {
    let world = World::new();
    let noted = tempfile::tempdir().unwrap();
    let settings = || sandkeep_bucketfs::BucketFsSettings {
        uploads_directory: Some(noted.path().to_owned()),
        ..crate::world::settings()
    };
    let mount = world.mount_with(settings());
    let mut file = File::create(mount.path("dead")).unwrap();
    file.write_all(&noise(5 * MIB, 1)).unwrap();
    world.store.script(|_| Verdict::Fail(unreachable()));
    mount.abandon();
    drop(file);
    assert_eq!(world.uploads(), 1);
    world.store.heal();
    let living = world.mount_with(settings());
    world.await_no_uploads();
    let mut file = File::create(living.path("living")).unwrap();
    file.write_all(&noise(5 * MIB, 2)).unwrap();
    world.store.take_calls();
    world.mount_with(settings()).close();
    drop(file);
    assert!(!world.store.take_actions().contains(&Action::AbortUpload));
    assert!(world.get("living").unwrap() == noise(5 * MIB, 2));
    living.close();
    assert_eq!(fs::read_dir(noted.path()).unwrap().count(), 0);
}

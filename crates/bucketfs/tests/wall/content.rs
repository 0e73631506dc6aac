//! Changing what is in the bucket, and what is kept thereby.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use sandkeep_objects::{Error, ObjectMetadata};
use sandkeep_vfs::Errno;

use crate::store::{Action, Verdict, server};
use crate::world::{Mounted, World, errno, names, noise};

const MIB: usize = 1 << 20;

#[test]
fn a_change_in_the_middle_sends_only_what_changed() {
    let world = World::new();
    let mut content = noise(16 * MIB, 1);
    world.put("file", content.clone());
    let mount = world.mount();
    let file = OpenOptions::new().write(true).open(mount.path("file")).unwrap();
    world.store.take_calls();
    file.write_all_at(&[7; 4096], 9 * MIB as u64).unwrap();
    drop(file);
    content[9 * MIB..9 * MIB + 4096].fill(7);
    assert!(world.get("file").unwrap() == content);
    let calls = world.store.take_calls();
    let sent: u64 =
        calls.iter().filter(|call| call.action == Action::UploadPart).map(|call| call.bytes).sum();
    assert_eq!(sent, MIB as u64);
    assert!(calls.iter().any(|call| call.action == Action::UploadPartCopy));
}

#[test]
fn appending_copies_the_head_on_the_server() {
    let world = World::new();
    world.put("file", noise(8 * MIB, 1));
    let mount = world.mount();
    let mut file = OpenOptions::new().append(true).open(mount.path("file")).unwrap();
    world.store.take_calls();
    file.write_all(b"tail").unwrap();
    drop(file);
    let sent: u64 = world.store.take_calls().iter().map(|call| call.bytes).sum();
    assert!(sent <= MIB as u64, "{sent}");
    assert!(world.get("file").unwrap() == [noise(8 * MIB, 1), b"tail".to_vec()].concat());
}

/// truncate(1), which opens for writing, truncates and closes.
fn truncate(mount: &Mounted, size: u64) {
    OpenOptions::new().write(true).open(mount.path("file")).unwrap().set_len(size).unwrap();
}

#[test]
fn truncating_a_closed_file_keeps_its_head_and_extends_with_zeros() {
    let world = World::new();
    world.put("file", noise(3 * MIB, 1));
    let mount = world.mount();
    truncate(&mount, 2 * MIB as u64 + 5);
    assert!(world.get("file").unwrap() == noise(3 * MIB, 1)[..2 * MIB + 5]);
    truncate(&mount, 4 * MIB as u64);
    let expected = [&noise(3 * MIB, 1)[..2 * MIB + 5], &vec![0; 2 * MIB - 5]].concat();
    assert!(world.get("file").unwrap() == expected);
}

#[test]
fn holes_are_zeros_in_the_bucket() {
    let world = World::new();
    let mount = world.mount();
    let mut file = File::create(mount.path("file")).unwrap();
    file.seek(SeekFrom::Start(3 * MIB as u64)).unwrap();
    file.write_all(b"end").unwrap();
    drop(file);
    assert!(world.get("file").unwrap() == [vec![0; 3 * MIB], b"end".to_vec()].concat());
}

#[test]
fn punched_and_zeroed_ranges_are_zeros_in_the_bucket() {
    use rustix::fs::{FallocateFlags, fallocate};
    const KIB: usize = 1 << 10;
    for length in [40 * KIB, 5 * MIB] {
        let world = World::new();
        let mut content = noise(length, 1);
        world.put("file", content.clone());
        let mount = world.mount();
        let file = OpenOptions::new().read(true).write(true).open(mount.path("file")).unwrap();
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, punch, 10, 20 * KIB as u64).unwrap();
        fallocate(&file, punch, length as u64 - 5, 100).unwrap();
        fallocate(&file, FallocateFlags::ZERO_RANGE, length as u64 - 9, 100).unwrap();
        content[10..10 + 20 * KIB].fill(0);
        content[length - 9..].fill(0);
        content.resize(length + 91, 0);
        let mut read = vec![0; content.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == content);
        drop(file);
        assert!(world.get("file").unwrap() == content);
    }
}

#[test]
fn a_name_that_the_store_does_not_take_is_no_legal_sequence() {
    let world = World::new();
    let mount = world.mount();
    let message = "Couldn't parse the specified URI.".to_owned();
    world.store.fail(Action::Put, Error::Server { status: 400, code: "InvalidURI".to_owned(), message });
    let file = File::create(mount.path("odd")).unwrap();
    assert_eq!(errno(file.sync_all()), Errno::EILSEQ);
}

#[test]
fn a_name_that_the_store_does_not_even_look_up_is_no_legal_sequence_or_too_long() {
    let check = |code: &'static str, expected| {
        let world = World::new();
        let mount = world.mount();
        let refusal =
            |code: &str| Error::Server { status: 400, code: code.to_owned(), message: String::new() };
        world.store.script(move |call| match call.action {
            // Has no body, so no code.
            Action::Head => Verdict::Fail(refusal("")),
            Action::Get => Verdict::Fail(refusal(code)),
            _ => Verdict::Pass,
        });
        assert_eq!(errno(fs::metadata(mount.path("odd"))), expected, "{code}");
    };
    check("InvalidURI", Errno::EILSEQ);
    check("KeyTooLongError", Errno::ENAMETOOLONG);
    check("ExpiredToken", Errno::EIO);
}

fn published_metadata() -> ObjectMetadata {
    ObjectMetadata {
        content_type: Some("text/x-odd".to_owned()),
        cache_control: Some("max-age=7".to_owned()),
        content_disposition: Some("attachment".to_owned()),
        user: [("colour".to_owned(), "blue".to_owned())].into(),
        ..ObjectMetadata::default()
    }
}

/// What others have stored with an object is still there after `change`.
fn check_kept(length: usize, target: &str, change: impl FnOnce(&Mounted)) {
    let world = World::new();
    world.put_with("file", noise(length, 1), published_metadata());
    let mount = world.mount();
    change(&mount);
    let mut metadata = world.metadata(target);
    metadata.user.retain(|name, _| name == "colour");
    assert_eq!(metadata, published_metadata());
}

#[test]
fn headers_of_others_survive_every_change() {
    for length in [10, 4 * MIB] {
        check_kept(length, "file", |mount| {
            fs::set_permissions(mount.path("file"), fs::Permissions::from_mode(0o600)).unwrap();
        });
        check_kept(length, "file", |mount| {
            let file = File::options().write(true).open(mount.path("file")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        });
        check_kept(length, "moved", |mount| fs::rename(mount.path("file"), mount.path("moved")).unwrap());
        check_kept(length, "file", |mount| {
            File::options().append(true).open(mount.path("file")).unwrap().write_all(b"more").unwrap();
        });
        check_kept(length, "file", |mount| truncate(mount, 5));
    }
}

#[test]
fn a_time_set_before_close_holds() {
    for length in [10, 5 * MIB] {
        let world = World::new();
        let mount = world.mount();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
        let mut file = File::create(mount.path("file")).unwrap();
        file.write_all(&noise(length, 1)).unwrap();
        file.set_modified(time).unwrap();
        drop(file);
        assert_eq!(fs::metadata(mount.path("file")).unwrap().modified().unwrap(), time);
        assert_eq!(world.user_metadata("file", "mtime").as_deref(), Some("1000000000.000000005"));
        assert_eq!(world.metadata("file").content_type.as_deref(), Some("application/octet-stream"));
    }
}

#[test]
fn an_exclusive_creation_does_not_replace_what_others_made_meanwhile() {
    let world = World::new();
    let mount = world.mount();
    let mut file = File::create_new(mount.path("file")).unwrap();
    world.put("file", "theirs");
    file.write_all(b"ours").unwrap();
    assert_eq!(errno(file.sync_all()), Errno::EEXIST);
    drop(file);
    assert_eq!(world.get("file").unwrap(), b"theirs");
}

#[test]
fn an_unlinked_open_file_is_gone_from_the_bucket_and_readable_by_its_holder() {
    let world = World::new();
    world.put("file", noise(3 * MIB, 1));
    let mount = world.mount();
    let file = File::open(mount.path("file")).unwrap();
    fs::remove_file(mount.path("file")).unwrap();
    assert_eq!((world.keys(), names(mount.path(""))), (vec![], vec![]));
    let mut bytes = vec![0; 3 * MIB];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == noise(3 * MIB, 1));
}

#[test]
fn a_directory_rename_that_fails_midway_loses_nothing() {
    let world = World::new();
    for index in 0..20 {
        world.put(&format!("old/{index:02}"), format!("{index}"));
    }
    let mount = world.mount();
    let before = world.keys();
    let mut copies = 0;
    world.store.script(move |call| {
        copies += u32::from(call.action == Action::Copy);
        if copies > 10 && call.action == Action::Copy { Verdict::Fail(server(500)) } else { Verdict::Pass }
    });
    assert_eq!(errno(fs::rename(mount.path("old"), mount.path("new"))), Errno::EIO);
    assert_eq!(world.keys(), before);
    world.store.fail(Action::DeleteMany, Error::AccessDenied);
    assert_eq!(errno(fs::rename(mount.path("old"), mount.path("new"))), Errno::EACCES);
    let keys = world.keys();
    assert!(
        before.iter().all(|key| keys.contains(key) || keys.contains(&key.replace("old", "new"))),
        "{keys:?}"
    );
    world.store.heal();
    for index in 0..20 {
        assert!(["old", "new"].iter().any(|dir| {
            fs::read(mount.path(format!("{dir}/{index:02}")))
                .is_ok_and(|bytes| bytes == format!("{index}").as_bytes())
        }));
    }
}

#[test]
fn a_file_rename_that_fails_midway_loses_nothing() {
    let world = World::new();
    world.put("old", "content");
    let mount = world.mount();
    for action in [Action::Copy, Action::Delete] {
        world.store.fail(action, Error::AccessDenied);
        assert_eq!(errno(fs::rename(mount.path("old"), mount.path("new"))), Errno::EACCES);
        assert!(["old", "new"].iter().any(|key| world.get(key).as_deref() == Some(b"content".as_slice())));
    }
}

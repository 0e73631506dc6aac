//! Several clients of one bucket: other mounts of this host, other programs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::Duration;

use sandkeep_bucketfs::BucketFsSettings;
use sandkeep_vfs::Errno;

use crate::world::{Mounted, World, errno, names, noise, settings};

fn prefixed(prefix: &str) -> BucketFsSettings {
    BucketFsSettings { prefix: prefix.to_owned(), ..settings() }
}

#[test]
fn a_name_made_elsewhere_is_found_at_once_although_its_directory_was_just_listed() {
    let world = World::new();
    world.put("ml/training/old", "old");
    let (all, part) = (world.mount(), world.mount_with(prefixed("ml/training/")));
    assert_eq!(names(all.path("ml/training")), ["old"]);
    assert_eq!(errno(fs::metadata(all.path("ml/training/new"))), Errno::ENOENT);
    fs::write(part.path("new"), "new").unwrap();
    assert_eq!(fs::read(all.path("ml/training/new")).unwrap(), b"new");
    fs::create_dir(part.path("sub")).unwrap();
    fs::write(part.path("sub/file"), "deep").unwrap();
    assert_eq!(fs::read(all.path("ml/training/sub/file")).unwrap(), b"deep");
    assert_eq!(names(all.path("ml/training")), ["new", "old", "sub"]);
}

#[test]
fn a_name_removed_elsewhere_is_gone_from_the_next_listing() {
    let world = World::new();
    world.put("a", "1");
    let (one, two) = (world.mount(), world.mount());
    assert_eq!(names(one.path("")), ["a"]);
    fs::remove_file(two.path("a")).unwrap();
    assert_eq!(names(one.path("")), [""; 0]);
}

#[test]
fn a_directory_made_here_shows_what_others_put_into_it() {
    let world = World::new();
    let mount = world.mount();
    fs::create_dir(mount.path("new")).unwrap();
    world.put("new/theirs", "x");
    assert_eq!(fs::read(mount.path("new/theirs")).unwrap(), b"x");
    assert_eq!(names(mount.path("new")), ["theirs"]);
}

#[test]
fn a_file_replaced_after_its_attributes_were_read_is_read_whole() {
    let world = World::new();
    world.put("file", "short");
    let mount = world.mount();
    assert_eq!(fs::metadata(mount.path("file")).unwrap().len(), 5);
    world.put("file", "a longer version");
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"a longer version");
}

#[test]
fn changes_of_others_are_seen_once_the_metadata_age_is_over() {
    let world = World::new();
    world.put("file", "one");
    let mount = world.mount_forgetful();
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"one");
    world.put("file", "three");
    assert_eq!(fs::read(mount.path("file")).unwrap(), b"three");
    world.delete("file");
    assert_eq!(errno(fs::read(mount.path("file"))), Errno::ENOENT);
}

#[test]
fn an_object_replaced_during_a_read_gives_old_bytes_or_an_error() {
    let world = World::new();
    let (old, new) = (noise(24 << 20, 1), noise(24 << 20, 2));
    world.put("file", old.clone());
    let mount = world.mount_forgetful();
    let file = fs::File::open(mount.path("file")).unwrap();
    let mut bytes = vec![0; 4096];
    file.read_exact_at(&mut bytes, 0).unwrap();
    world.put("file", new.clone());
    for offset in [0, 10 << 20, 20 << 20] {
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => assert_eq!(bytes, old[offset as usize..][..4096]),
            Err(error) => assert!([Errno::ESTALE, Errno::EIO].contains(&errno::<()>(Err(error)))),
        }
    }
    let mut again = Vec::new();
    fs::File::open(mount.path("file")).unwrap().read_to_end(&mut again).unwrap();
    assert!(again == new);
}

#[test]
fn a_prefix_shows_nothing_of_its_siblings() {
    let world = World::new();
    for key in ["team/a", "team-b/secret", "team", "teams", "other"] {
        world.put(key, "x");
    }
    let mount = world.mount_with(prefixed("team/"));
    assert_eq!(names(mount.path("")), ["a"]);
    assert_eq!(errno(fs::metadata(mount.path("secret"))), Errno::ENOENT);
    fs::write(mount.path("new"), "y").unwrap();
    fs::rename(mount.path("a"), mount.path("b")).unwrap();
    mount.close();
    assert_eq!(world.keys(), ["other", "team", "team-b/secret", "team/b", "team/new", "teams"]);
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let world = World::new();
    world.put("file", "kept");
    world.put("dir/file", "kept");
    let mount = world.mount_with(BucketFsSettings { read_only: true, ..settings() });
    let (file, new) = (mount.path("file"), mount.path("new"));
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    let refused = [
        errno(fs::write(&file, "x")),
        errno(fs::write(&new, "x")),
        errno(fs::OpenOptions::new().append(true).open(&file)),
        errno(fs::create_dir(&new)),
        errno(fs::remove_file(&file)),
        errno(fs::remove_dir(mount.path("dir"))),
        errno(fs::rename(&file, &new)),
        errno(std::os::unix::fs::symlink("file", &new)),
        errno(fs::set_permissions(&file, fs::Permissions::from_mode(0o600))),
        errno(std::os::unix::fs::chown(&file, Some(1), Some(1))),
    ];
    assert!(refused.iter().all(|&errno| errno == Errno::EROFS), "{refused:?}");
    mount.close();
    assert_eq!(world.keys(), ["dir/file", "file"]);
}

#[test]
fn attributes_are_read_back_by_a_second_mount() {
    let world = World::new();
    let mount = world.mount();
    let path = mount.path("file.txt");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o2751)).unwrap();
    std::os::unix::fs::chown(&path, Some(1234), Some(5678)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o2751)).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    std::os::unix::fs::symlink("file.txt", mount.path("link")).unwrap();
    let second = world.mount();
    let seen = fs::metadata(second.path("file.txt")).unwrap();
    assert_eq!((seen.mode() & 0o7777, seen.uid(), seen.gid()), (0o2751, 1234, 5678));
    assert_eq!((seen.mtime(), seen.mtime_nsec()), (1_234_567_890, 123_456_789));
    assert_eq!(fs::read_link(second.path("link")).unwrap().to_str(), Some("file.txt"));
    let stored = |name| world.user_metadata("file.txt", name);
    assert_eq!(stored("mode"), Some((0o102_751).to_string()));
    assert_eq!(stored("uid").as_deref(), Some("1234"));
    assert_eq!(stored("mtime").as_deref(), Some("1234567890.123456789"));
    assert_eq!(world.user_metadata("link", "mode"), Some((0o120_777).to_string()));
}

#[test]
fn extended_attributes_are_read_back_by_a_second_mount() {
    let world = World::new();
    let mount = world.mount();
    let flags = rustix::fs::XattrFlags::empty();
    for name in ["file", "dir"] {
        match name {
            "dir" => fs::create_dir(mount.path(name)).unwrap(),
            _ => fs::write(mount.path(name), "x").unwrap(),
        }
        rustix::fs::setxattr(mount.path(name), "user.colour", b"blue\xff", flags).unwrap();
        let mut value = [0; 32];
        let second = world.mount();
        let length = rustix::fs::getxattr(second.path(name), "user.colour", &mut value).unwrap();
        assert_eq!(value[..length], *b"blue\xff");
    }
}

#[test]
fn a_bucket_pretends_to_have_room() {
    let world = World::new();
    let room = rustix::fs::statvfs(world.mount().path("")).unwrap();
    assert_eq!((room.f_blocks * room.f_frsize, room.f_namemax), (1 << 50, 255));
}

/// A mount whose only writer has made so many names that it is no longer asked whether the next one is there.
fn busy(world: &World) -> Mounted {
    let mount = world.mount_with(BucketFsSettings { metadata_age: Duration::from_secs(3600), ..settings() });
    assert!(names(mount.path("")).is_empty());
    for name in ["one", "two"] {
        fs::write(mount.path(name), "x").unwrap();
    }
    mount
}

#[test]
fn a_file_made_elsewhere_under_a_name_presumed_absent_is_treated_as_if_it_had_been_known() {
    let world = World::new();
    let mount = busy(&world);
    let write = |name: &str, options: &mut fs::OpenOptions| {
        world.put(name, "theirs");
        options.write(true).create(true).open(mount.path(name)).unwrap().write_all(b"our").unwrap();
        world.get(name).unwrap()
    };
    assert_eq!(write("replaced", fs::OpenOptions::new().truncate(true)), b"our");
    assert_eq!(write("overlaid", &mut fs::OpenOptions::new()), b"ourirs");
    assert_eq!(write("appended", fs::OpenOptions::new().append(true)), b"theirsour");
    world.put("exclusive", "theirs");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(mount.path("exclusive")).unwrap();
    file.write_all(b"our").unwrap();
    assert_eq!(errno(file.sync_all()), Errno::EEXIST);
    assert_eq!(world.get("exclusive").unwrap(), b"theirs");
    assert_eq!(fs::read(mount.path("appended")).unwrap(), b"theirsour");
}

#[test]
fn whoever_waits_for_a_name_finds_it_although_it_makes_many_itself() {
    let world = World::new();
    let mount = busy(&world);
    world.put("answer", "42");
    let looks = (1..10).find(|_| fs::metadata(mount.path("answer")).is_ok());
    assert!(looks.is_some_and(|looks| looks <= 3), "{looks:?}");
}

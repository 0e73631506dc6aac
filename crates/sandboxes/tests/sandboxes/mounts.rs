//! Mounts that come and go while programs run.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};
use sandkeep_sandboxes::{Detach, Error, Features, Placement, Runtime, Sandbox, SandboxSpec};

use crate::world::{World, code, run, sh, shell, until};

/// A detached tmpfs that belongs to root of a sandbox, with a file `name` in it.
pub(crate) fn tmpfs(sandbox: &Sandbox, name: &str) -> OwnedFd {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let id = sandbox.id_base().to_string();
    for (option, value) in [("uid", id.as_str()), ("gid", id.as_str()), ("size", "1m"), ("mode", "755")] {
        fsconfig_set_string(&context, option, value).unwrap();
    }
    fsconfig_create(&context).unwrap();
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&mount, name, flags, rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    rustix::io::write(&file, name.as_bytes()).unwrap();
    mount
}

fn open_root(mount: &OwnedFd) -> OwnedFd {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
    rustix::fs::openat(mount, ".", flags, rustix::fs::Mode::empty()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_come_and_go_in_a_running_sandbox() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let made = sandbox.attach(tmpfs(&sandbox, "a"), "/new/deep/place", Placement::OnTop).await.unwrap();
    assert!(made);
    assert_eq!(sh(&sandbox, "cat /new/deep/place/a; stat -c %u /new /new/deep").await, "a0\n0");
    sh(&sandbox, "echo x > /new/deep/place/x").await;
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains("/new/deep"));
    sandbox.detach("/new/deep/place", Detach::Polite, true).await.unwrap();
    assert_eq!(sh(&sandbox, "ls -A /new/deep").await, "");
    let made = sandbox.attach(tmpfs(&sandbox, "b"), "/data", Placement::OnTop).await.unwrap();
    assert!(!made);
    sandbox.detach("/data", Detach::Polite, false).await.unwrap();
    assert_eq!(sh(&sandbox, "ls -Ad /data; ls -A /data").await, "/data");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_mount_names_its_holders() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    for (number, line) in ["cd /data; sleep 1003", "exec 5</data/a; sleep 1003"].into_iter().enumerate() {
        sandbox.attach(tmpfs(&sandbox, "a"), "/data", Placement::OnTop).await.unwrap();
        let started = format!("/tmp/started-{number}");
        let (before, last) = line.split_once("; ").unwrap();
        let holder = sandbox.exec(shell(&format!("{before}; touch {started}; {last}"))).await.unwrap();
        until(async || code(&sandbox, &format!("test -e {started}")).await == 0).await;
        match sandbox.detach("/data", Detach::Polite, false).await {
            Err(Error::Busy { path, holders }) => {
                assert_eq!(path, "/data");
                assert!(holders.iter().any(|holder| holder.command.contains("sleep 1003")), "{holders:?}");
            }
            other => panic!("{other:?}"),
        }
        sandbox.detach("/data", Detach::Force, false).await.unwrap();
        assert_eq!(sh(&sandbox, "ls -A /data").await, "");
        drop(holder);
    }
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_attached_can_be_detached_or_replaced() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    for path in ["/", "/usr", "/proc", "/dev", "/dev/shm", "/dev/pts", "/workspace", "/missing", "/proc/keys"]
    {
        for how in [Detach::Polite, Detach::Force] {
            assert!(matches!(sandbox.detach(path, how, true).await, Err(Error::Path { .. })), "{path}");
        }
    }
    for path in
        ["/", "/usr", "/proc", "/proc/1", "/dev", "/dev/shm", "/proc/new", "/etc/passwd", "/etc/passwd/x"]
    {
        for placement in [Placement::OnTop, Placement::Replace] {
            let result = sandbox.attach(tmpfs(&sandbox, "a"), path, placement).await;
            assert!(matches!(result, Err(Error::Path { .. })), "{path}");
        }
    }
    assert_eq!(sh(&sandbox, "echo fine").await, "fine");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_paths_stay_inside() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    sh(
        &sandbox,
        "ln -s /etc /evil; ln -s ../../../../../tmp /evil2; ln -s /proc/1/root /evil3; ln -s loop /loop",
    )
    .await;
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for (path, lands_at) in [
        ("/evil/below", Some("/etc/below")),
        ("/evil2/below", Some("/tmp/below")),
        ("/../../../up", Some("/up")),
        ("/evil3/x", None),
        ("/loop/x", None),
        ("/proc/self/cwd/x", None),
    ] {
        let result = sandbox.attach(tmpfs(&sandbox, "a"), path, Placement::OnTop).await;
        match lands_at {
            Some(place) => {
                result.unwrap();
                assert_eq!(sh(&sandbox, &format!("cat {place}/a")).await, "a");
                sandbox.detach(path, Detach::Polite, true).await.unwrap();
            }
            None => assert!(result.is_err(), "{path}"),
        }
        assert!(lands_at.is_none_or(|place| !Path::new(place).exists()), "{path}");
    }
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), table);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_leaves_no_gap() {
    let world = World::shared().await;
    replace_while_someone_looks(&world).await;
}

/// As on kernels before 6.5.
#[tokio::test(flavor = "multi_thread")]
async fn without_mounting_beneath_there_is_no_gap_either() {
    let mut world = World::new().await;
    let features = Features { mount_beneath: false, ..world.runtime().features().clone() };
    world.runtime = Some(Runtime::start_with(world.settings(), features).await.unwrap());
    replace_while_someone_looks(&world).await;
}

async fn replace_while_someone_looks(world: &World) {
    let sandbox = world.sandbox().await;
    sandbox.attach(tmpfs(&sandbox, "file"), "/workspace", Placement::Replace).await.unwrap();
    sandbox.attach(tmpfs(&sandbox, "bucket"), "/workspace/mnt/b", Placement::OnTop).await.unwrap();
    let watcher = "import os\nn = 0\nwhile not os.path.exists('/tmp/stop'):\n  os.stat('/workspace/file'); \
                   os.stat('/workspace/mnt/b/bucket'); n += 1\n  if n == 1: open('/tmp/begun', 'x')\n\
                   print('looked', n > 0)";
    let watching = tokio::spawn({
        let sandbox = sandbox.clone();
        async move {
            let request = crate::world::argv(&[b"python3", b"-c", watcher.as_bytes()]);
            run(&sandbox, sandkeep_sandboxes::ExecRequest { cwd: Some("/".into()), ..request }).await
        }
    });
    until(async || code(&sandbox, "test -e /tmp/begun").await == 0).await;
    for _ in 0..50 {
        sandbox.attach(tmpfs(&sandbox, "file"), "/workspace", Placement::Replace).await.unwrap();
    }
    sh(&sandbox, "touch /tmp/stop").await;
    let output = watching.await.unwrap();
    assert_eq!((output.text().as_str(), output.errors().as_str()), ("looked True", ""));
    assert_eq!(
        sh(
            &sandbox,
            "grep -c ' /workspace ' /proc/self/mountinfo; grep -c ' /workspace/mnt/b ' /proc/self/mountinfo"
        )
        .await,
        "1\n1"
    );
    sandbox.detach("/workspace/mnt/b", Detach::Polite, false).await.unwrap();
    sandbox.detach("/workspace", Detach::Polite, false).await.unwrap();
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn covering_a_directory_keeps_the_mounts_below() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    sandbox.attach(tmpfs(&sandbox, "bucket"), "/workspace/b", Placement::OnTop).await.unwrap();
    sandbox.attach(tmpfs(&sandbox, "restored"), "/workspace", Placement::OnTop).await.unwrap();
    assert_eq!(sh(&sandbox, "cat /workspace/restored /workspace/b/bucket").await, "restoredbucket");
    sandbox.detach("/workspace/b", Detach::Polite, true).await.unwrap();
    sandbox.detach("/workspace", Detach::Polite, false).await.unwrap();
    assert_eq!(sh(&sandbox, "find /workspace").await, "/workspace\n/workspace/b");
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn overlays_keep_the_lower_untouched() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let lower = tmpfs(&sandbox, "kept");
    let mode = rustix::fs::Mode::from_raw_mode(0o751);
    rustix::fs::chmodat(&lower, ".", mode, rustix::fs::AtFlags::empty()).unwrap();
    rustix::fs::mkdirat(&lower, "directory", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    let again = rustix::io::fcntl_dupfd_cloexec(&lower, 0).unwrap();
    let overlay = sandbox.overlay(lower, "backup/1 é").await.unwrap();
    sandbox.attach(overlay, "/workspace", Placement::Replace).await.unwrap();
    assert_eq!(
        sh(&sandbox, "stat -c %a .; cat kept; mv directory moved; echo new > kept; ls").await,
        "751\nkeptkept\nmoved"
    );
    assert_eq!(code(&sandbox, "grep -q /var/tmp /proc/self/mountinfo").await, 1);
    let names =
        rustix::fs::Dir::read_from(open_root(&again)).unwrap().map(|e| e.unwrap().file_name().to_owned());
    assert!(names.into_iter().any(|name| name.to_bytes() == b"directory"));
    sandbox.detach("/workspace", Detach::Force, false).await.unwrap();
    sandbox.drop_overlay("backup/1 é").await.unwrap();
    sandbox.drop_overlay("backup/1 é").await.unwrap();
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mount_points_are_found_again_after_a_restart() {
    let mut world = World::new().await;
    let sandbox = world.create("kept", &SandboxSpec::default()).await;
    sandbox.attach(tmpfs(&sandbox, "a"), "/data", Placement::OnTop).await.unwrap();
    drop(sandbox);
    world.restart().await;
    let sandbox = world.runtime().adopt().await.unwrap().pop().unwrap();
    assert!(sandbox.detach("/usr", Detach::Force, false).await.is_err());
    sandbox.detach("/data", Detach::Polite, false).await.unwrap();
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_mount_refuses_writers_on_both_sides() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_create(&context).unwrap();
    let flags = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY);
    let mount = fsmount(&context, flags.0, flags.1).unwrap();
    sandbox.attach(mount, "/data", Placement::OnTop).await.unwrap();
    for path in ["/data/file", "/data/new/file"] {
        match sandbox.write_file(path, "x".into()).await {
            Err(Error::Path { source, .. }) => {
                assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(run(&sandbox, shell("touch /data/x")).await.errors().ends_with("Read-only file system"));
    match sandbox.attach(tmpfs(&sandbox, "a"), "/data/below", Placement::OnTop).await {
        Err(Error::Path { source, .. }) => assert_eq!(source.raw_os_error(), Some(30)),
        other => panic!("{other:?}"),
    }
    sandbox.destroy().await.unwrap();
}

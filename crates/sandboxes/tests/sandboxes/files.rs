//! Files from outside: exact, atomic, and never out of the sandbox.

use std::io::{ErrorKind, Read};
use std::path::Path;

use bytes::Bytes;
use sandkeep_sandboxes::{Error, Sandbox};

use crate::world::{World, code, sh};

fn kind_of<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    match result.unwrap_err() {
        Error::Path { source, .. } => source.kind(),
        other => panic!("another error: {other:?}"),
    }
}

async fn read(sandbox: &Sandbox, path: &str) -> Vec<u8> {
    let (mut file, info) = sandbox.open_file(path).await.unwrap();
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    assert_eq!(info.size, content.len() as u64);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_by_both_sides() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let content = Bytes::from((0..=255).cycle().take(1_000_000).collect::<Vec<u8>>());
    sandbox.write_file("deep/er/file name", content.clone()).await.unwrap();
    assert_eq!(read(&sandbox, "/workspace/deep/er/file name").await, content);
    let look = sh(&sandbox, "stat -c '%u %g %a' deep deep/er 'deep/er/file name'").await;
    assert_eq!(look, "0 0 755\n0 0 755\n0 0 644");
    sh(&sandbox, "echo '#!/bin/sh' > run; chmod 4711 run; ln -s run link; ln -s /tmp/target absolute").await;
    sandbox.write_file("link", Bytes::from_static(b"#!/bin/sh\necho new\n")).await.unwrap();
    assert_eq!(sh(&sandbox, "./run; stat -c %a run; readlink link").await, "new\n4711\nrun");
    sandbox.write_file("absolute", Bytes::from_static(b"through")).await.unwrap();
    assert_eq!(sh(&sandbox, "cat /tmp/target").await, "through");
    sandbox.write_file("/usr/local/lib/new", Bytes::from_static(b"over /usr")).await.unwrap();
    assert_eq!(
        sh(&sandbox, "cat /usr/local/lib/new; echo; ls -A | grep -c sandkeep || true").await,
        "over /usr\n0"
    );
    assert!(!Path::new("/usr/local/lib/new").exists());
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_those_of_the_system() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    sh(&sandbox, "mkdir dir; mkfifo fifo; ln -s loop loop; touch plain").await;
    let read = async |path: &str| kind_of(sandbox.open_file(path).await);
    let write = async |path: &str| kind_of(sandbox.write_file(path, Bytes::new()).await);
    assert_eq!(read("missing").await, ErrorKind::NotFound);
    assert_eq!(read("dir").await, ErrorKind::IsADirectory);
    assert_eq!(read("fifo").await, ErrorKind::InvalidInput);
    assert_eq!(read("/dev/null").await, ErrorKind::InvalidInput);
    assert_eq!(read("plain/below").await, ErrorKind::NotADirectory);
    assert_eq!(read("nul\0").await, ErrorKind::InvalidInput);
    assert_eq!(read("loop").await.to_string(), "filesystem loop or indirection limit (e.g. symlink loop)");
    assert_eq!(write("dir").await, ErrorKind::IsADirectory);
    assert_eq!(write("new/").await, ErrorKind::IsADirectory);
    assert_eq!(write("fifo").await, ErrorKind::InvalidInput);
    assert_eq!(write("plain/below").await, ErrorKind::NotADirectory);
    assert_eq!(write("loop").await.to_string(), "filesystem loop or indirection limit (e.g. symlink loop)");
    assert_eq!(kind_of(sandbox.open_directory("plain").await), ErrorKind::NotADirectory);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_or_into_proc() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "host").unwrap();
    let (secret, outside) = (secret.to_str().unwrap(), outside.path().to_str().unwrap());
    sh(&sandbox, &format!("ln -s {secret} link; ln -s /../../../..{secret} up; ln -s /proc/1/root magic"))
        .await;
    for path in ["link", "up", &format!("../../../../../..{secret}"), &format!("magic{secret}")] {
        assert!(sandbox.open_file(path).await.is_err(), "{path}");
    }
    sandbox.write_file("link", Bytes::from_static(b"inside")).await.unwrap();
    assert_eq!(std::fs::read(secret).unwrap(), b"host");
    assert_eq!(sh(&sandbox, &format!("cat {secret}; echo; ls {outside}")).await, "inside\nsecret");
    for path in ["/proc/sys/kernel/core_pattern", "/proc/1/environ", "/proc/sysrq-trigger", "/proc/new"] {
        assert!(sandbox.write_file(path, Bytes::from_static(b"x")).await.is_err(), "{path}");
        assert!(sandbox.open_file(path).await.is_err(), "{path}");
    }
    assert_eq!(kind_of(sandbox.open_directory("/proc").await), ErrorKind::PermissionDenied);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_links_never_win() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let target = tempfile::tempdir().unwrap();
    let path = target.path().to_str().unwrap().to_owned();
    let line = format!("mkdir real; while :; do rm -rf p; ln -s {path} p; rm p; cp -r real p; done");
    let swapper = sandbox.exec(crate::world::shell(&line)).await.unwrap();
    for _ in 0..300 {
        drop(sandbox.write_file("p/file", Bytes::from_static(b"x")).await);
    }
    drop(swapper);
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
    sandbox.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_the_old_or_the_new_file() {
    let world = World::shared().await;
    let sandbox = world.sandbox().await;
    let of = |letter: u8| Bytes::from(vec![letter; 100_000]);
    sandbox.write_file("file", of(b'a')).await.unwrap();
    let line = "while [ ! -e stop ]; do s=$(cat file | tr -s ab | tr -d '\\n'); \
                [ \"$s\" = a ] || [ \"$s\" = b ] || echo torn; [ $(stat -c %s file) = 100000 ] || echo short; done";
    let reading = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sh(&sandbox, line).await }
    });
    for round in 0..100 {
        sandbox.write_file("file", of(b'a' + round % 2)).await.unwrap();
    }
    sandbox.write_file("stop", Bytes::new()).await.unwrap();
    assert_eq!(reading.await.unwrap(), "");
    assert_eq!(code(&sandbox, "ls -A | grep sandkeep").await, 1);
    sandbox.destroy().await.unwrap();
}

//! Further clients, each with one round of what it is used for.

use std::path::Path;

use crate::clients::{assert_same, client, command, make_tree, run};
use crate::fixture::{Fixture, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3cmd_works() {
    let fixture = Fixture::new().await;
    let program = client("s3cmd");
    let tree = make_tree(fixture.directory.path());
    let host = fixture.host();
    let s3cmd = async |line: &str| {
        let mut command = command(&fixture, &program);
        command.current_dir(fixture.directory.path()).args(["--no-ssl", "--no-progress", "--no-check-md5"]);
        command.args(["--host", &host, "--host-bucket", &host, "--region", "us-east-1"]);
        run(command, line.split(' ')).await
    };
    s3cmd("mb s3://made").await;
    s3cmd("sync tree s3://bucket").await;
    let listed = s3cmd("ls -r s3://bucket").await;
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(s3cmd("info s3://bucket/tree/small.txt").await.contains("File size: 5"));
    s3cmd("cp s3://bucket/tree/large.bin s3://made/copied.bin").await;
    s3cmd("get s3://made/copied.bin copied.bin").await;
    assert_same(&tree.join("large.bin"), &fixture.directory.path().join("copied.bin"));
    std::fs::create_dir(fixture.directory.path().join("back")).expect("a directory");
    s3cmd("sync s3://bucket/tree/ back/").await;
    assert_same(&tree, &fixture.directory.path().join("back"));
    s3cmd("del -r -f s3://bucket/tree").await;
    assert!(fixture.stored_keys().await.is_empty());
    s3cmd("rb -r -f s3://made").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio_for_python_works() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/minio_session.py");
    run(command(&fixture, &client("python")), [script]).await;
    assert_eq!(fixture.stored_keys().await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pandas_and_pyarrow_work() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/arrow_session.py");
    run(command(&fixture, &client("python")), [script]).await;
    assert!(fixture.stored_keys().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_store_works() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/object_store_session.py");
    run(command(&fixture, &client("python")), [script]).await;
    assert!(fixture.stored_keys().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_signs_by_itself() {
    let fixture = Fixture::new().await;
    let program = client("curl");
    let credentials = fixture.credentials();
    let user = format!("{}:{}", credentials.access_key_id.0, credentials.secret_access_key.expose());
    let curl = async |arguments: &[&str]| {
        let mut command = command(&fixture, &program);
        command.args(["-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user]);
        run(command, arguments).await
    };
    let url = |path: &str| format!("{}/bucket/{path}", fixture.gateway.endpoint());
    let file = fixture.directory.path().join("file");
    std::fs::write(&file, vec![b'c'; 3_000_000]).expect("a file");
    // curl of Debian 12 signs the hash of nothing for a file that it sends, unless it is told otherwise.
    let unsigned = "x-amz-content-sha256: UNSIGNED-PAYLOAD";
    curl(&["-H", unsigned, "-T", &file.display().to_string(), &url("a/file")]).await;
    assert_eq!(get(&*fixture.store, "a/file").await.len(), 3_000_000);
    assert_eq!(curl(&["-r", "0-3", &url("a/file")]).await, "cccc");
    assert!(curl(&[&url("?list-type=2&prefix=a")]).await.contains("<Key>a/file</Key>"));
    curl(&["-X", "DELETE", &url("a/file")]).await;
    assert!(fixture.stored_keys().await.is_empty());
}

/// Unmounts also when a check fails.
struct Mounted<'p>(&'p Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3fs_mounts_a_bucket() {
    let fixture = Fixture::new().await;
    let program = client("s3fs");
    let tree = make_tree(fixture.directory.path());
    let mount = fixture.directory.path().join("mount");
    std::fs::create_dir(&mount).expect("a directory");
    let mut s3fs = command(&fixture, &program);
    s3fs.arg("bucket").arg(&mount).args(["-o", &format!("url={}", fixture.gateway.endpoint())]);
    s3fs.args(["-o", "use_path_request_style", "-o", "endpoint=us-east-1", "-o", "multipart_size=5"]);
    run(s3fs, Vec::<String>::new()).await;
    let mounted = Mounted(&mount);
    let shell = async |script: &str| {
        let mut command = command(&fixture, Path::new("/bin/sh"));
        command.current_dir(fixture.directory.path()).args(["-euc", script]);
        run(command, Vec::<String>::new()).await
    };
    shell("cp -r tree mount/ && mkdir mount/dir && mv mount/tree/small.txt mount/dir/moved && sync").await;
    assert_eq!(get(&*fixture.store, "dir/moved").await, b"hello");
    assert_eq!(
        shell("cat mount/dir/moved && rm -r mount/dir && cp tree/small.txt mount/tree/").await,
        "hello"
    );
    shell("chmod 600 mount/tree/small.txt && diff -r tree mount/tree && ls -l mount/tree").await;
    assert_same(&tree, &mount.join("tree"));
    shell("umount mount").await;
    drop(mounted);
    assert!(fixture.stored_keys().await.contains(&"tree/large.bin".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_for_javascript_works() {
    let fixture = Fixture::new().await;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let modules = std::env::var_os("SANDKEEP_TEST_NODE_MODULES")
        .map_or_else(|| workspace.join("target/test-clients-node/node_modules"), Into::into);
    assert!(modules.is_dir(), "{} is missing: ./scripts/setup test installs it", modules.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/javascript_session.cjs");
    let mut node = command(&fixture, &client("node"));
    node.env("NODE_PATH", modules).env("AWS_REGION", "us-east-1");
    run(node, [script]).await;
    assert_eq!(fixture.stored_keys().await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restic_backs_up_and_restores() {
    let fixture = Fixture::new().await;
    let program = client("restic");
    let tree = make_tree(fixture.directory.path());
    let restic = async |line: &str| {
        let mut command = command(&fixture, &program);
        command.current_dir(fixture.directory.path()).env("RESTIC_PASSWORD", "only a test");
        command.args([
            "--no-cache",
            "--repo",
            &format!("s3:{}/bucket/repository", fixture.gateway.endpoint()),
        ]);
        run(command, line.split(' ')).await
    };
    restic("init").await;
    restic("backup tree").await;
    std::fs::write(tree.join("small.txt"), "changed").expect("a file");
    restic("backup tree").await;
    restic("check --read-data").await;
    restic("restore latest --target back").await;
    assert_same(&tree, &fixture.directory.path().join("back/tree"));
    restic("forget --keep-last 1 --prune").await;
    assert_eq!(restic("snapshots --compact").await.matches("snapshots").count(), 1);
}

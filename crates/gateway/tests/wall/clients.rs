//! The clients people have, with their default settings.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::fixture::{Fixture, get};

/// Bytes that both aws-cli and rclone send in parts.
const LARGE: usize = 20 * 1024 * 1024;

/// Finds a client in $SANDKEEP_TEST_CLIENTS or PATH. A missing client is a failure: what was not run is not known.
pub(crate) fn client(name: &str) -> PathBuf {
    let own = std::env::var_os("SANDKEEP_TEST_CLIENTS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = own.into_iter().chain(std::env::split_paths(&path)).map(|place| place.join(name));
    places.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{name} is missing: ./scripts/test installs it and sets SANDKEEP_TEST_CLIENTS")
    })
}

/// A client that sees nothing of the machine's own settings.
pub(crate) fn command(fixture: &Fixture, program: &Path) -> Command {
    let credentials = fixture.credentials();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", fixture.directory.path())
        .env("LANG", "C.UTF-8")
        .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id.0)
        .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", fixture.gateway.endpoint())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("RCLONE_CONFIG_SK_TYPE", "s3")
        .env("RCLONE_CONFIG_SK_PROVIDER", "Other")
        .env("RCLONE_CONFIG_SK_ENV_AUTH", "true")
        .env("RCLONE_CONFIG_SK_ENDPOINT", fixture.gateway.endpoint())
        .kill_on_drop(true);
    command
}

pub(crate) async fn run<S: AsRef<OsStr>>(
    mut command: Command,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    let output = command.args(arguments).output().await.expect("the client starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// Makes `tree/` with a small file, a large one, an empty one and odd names.
pub(crate) fn make_tree(directory: &Path) -> PathBuf {
    let tree = directory.join("tree");
    std::fs::create_dir_all(tree.join("sub dir")).expect("directories");
    let large: Vec<u8> = (0..LARGE).map(|at| (at / 7) as u8).collect();
    let files: [(&str, &[u8]); 4] =
        [("small.txt", b"hello"), ("large.bin", &large), ("empty", b""), ("sub dir/ü +&%.txt", b"odd")];
    for (name, content) in files {
        std::fs::write(tree.join(name), content).expect("a file");
    }
    tree
}

pub(crate) fn assert_same(left: &Path, right: &Path) {
    let diff = std::process::Command::new("diff").arg("-r").args([left, right]).output().expect("diff");
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

const NAMES: [&str; 4] = ["tree/empty", "tree/large.bin", "tree/small.txt", "tree/sub dir/ü +&%.txt"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_cli_works_with_default_settings() {
    let fixture = Fixture::new().await;
    let program = client("aws");
    let tree = make_tree(fixture.directory.path());
    let aws = async |line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = command(&fixture, &program);
        command.current_dir(fixture.directory.path());
        run(command, arguments).await
    };
    aws("s3 mb s3://made").await;
    aws("s3 sync --no-progress tree s3://bucket/tree").await;
    assert_eq!(fixture.stored_keys().await, NAMES);
    assert_eq!(get(&*fixture.store, "tree/small.txt").await, b"hello");
    let again = aws("s3 sync --no-progress tree s3://bucket/tree").await;
    assert_eq!(again, "", "nothing has changed");
    let listed = aws("s3 ls s3://bucket/tree/").await;
    assert!(listed.contains("PRE sub dir/") && listed.contains("20971520 large.bin"), "{listed}");
    aws("s3 cp --no-progress s3://bucket/tree/large.bin s3://made/copied.bin").await;
    aws("s3 cp --no-progress s3://made/copied.bin copied.bin").await;
    assert_eq!(std::fs::read(fixture.directory.path().join("copied.bin")).expect("copied").len(), LARGE);
    aws("s3 sync --no-progress s3://bucket/tree back").await;
    assert_same(&tree, &fixture.directory.path().join("back"));
    aws("s3 rm --recursive s3://bucket/tree").await;
    assert!(fixture.stored_keys().await.is_empty());
    aws("s3 rb --force s3://made").await;
    assert_eq!(aws("s3 ls").await.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rclone_works_with_default_settings() {
    let fixture = Fixture::new().await;
    let program = client("rclone");
    let tree = make_tree(fixture.directory.path());
    let rclone = async |arguments: &[&str]| {
        let mut command = command(&fixture, &program);
        command.current_dir(fixture.directory.path());
        run(command, arguments).await
    };
    rclone(&["mkdir", "sk:made"]).await;
    rclone(&["sync", "--s3-upload-cutoff", "8M", "tree", "sk:bucket/tree"]).await;
    assert_eq!(fixture.stored_keys().await, NAMES);
    rclone(&["check", "--download", "tree", "sk:bucket/tree"]).await;
    rclone(&["copy", "sk:bucket/tree", "sk:made/copy"]).await;
    rclone(&["copy", "sk:made/copy", "back"]).await;
    assert_same(&tree, &fixture.directory.path().join("back"));
    let listed = rclone(&["lsf", "-R", "sk:made"]).await;
    assert!(listed.contains("copy/sub dir/ü +&%.txt"), "{listed}");
    rclone(&["purge", "sk:made"]).await;
    rclone(&["delete", "sk:bucket/tree"]).await;
    assert!(fixture.stored_keys().await.is_empty());
    assert_eq!(rclone(&["lsd", "sk:"]).await.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_works_with_default_settings() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/boto3_session.py");
    run(command(&fixture, &client("python")), [script]).await;
    assert_eq!(fixture.stored_keys().await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checksums_are_kept_with_objects() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/checksums_session.py");
    run(command(&fixture, &client("python")), [script]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_follow_their_objects() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/tagging_session.py");
    run(command(&fixture, &client("python")), [script]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_s3_does() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/operations_session.py");
    run(command(&fixture, &client("python")), [script]).await;
    assert_eq!(fixture.stored_keys().await, ["k", "parts", "source"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_as_clients_make_them_open() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/links_session.py");
    run(command(&fixture, &client("python")), [script]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_of_browsers_upload() {
    let fixture = Fixture::new().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wall/forms_session.py");
    run(command(&fixture, &client("python")), [script]).await;
}

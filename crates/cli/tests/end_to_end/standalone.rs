//! `sandkeep mount` and `sandkeep backup create --to` against the endpoint, without the service's help.

use std::path::Path;
use std::process::Command;

use super::service::Service;

pub(crate) fn with_keys(service: &Service) -> Command {
    let (id, secret) = service.keys();
    let mut command = service.command();
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    command.env("AWS_ENDPOINT_URL", service.endpoint());
    command
}

/// Unmounts also when the test fails.
struct Unmounted<'a>(&'a Path);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).stderr(std::process::Stdio::null()).status());
    }
}

#[test]
fn a_bucket_is_mounted_on_the_host() {
    let service = Service::start();
    service.ok(&["bucket", "create", "host"]);
    let directory = service.path("mnt");
    std::fs::create_dir(&directory).expect("a folder");
    let guard = Unmounted(&directory);
    let mounted =
        with_keys(&service).args(["mount", "s3://host/prefix"]).arg(&directory).output().expect("it starts");
    assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    std::fs::create_dir(directory.join("d")).expect("mkdir");
    std::fs::write(directory.join("d/file"), vec![7; 20 << 20]).expect("a file of three parts");
    assert_eq!(std::fs::read(directory.join("d/file")).expect("it is there").len(), 20 << 20);
    let unmounted = Command::new("umount").arg(&directory).status().expect("umount runs");
    assert!(unmounted.success());
    drop(guard);
    service.ok(&["sandbox", "mount", "demo", "host", "/data"]);
    assert_eq!(service.shell("demo", "stat -c %s /data/prefix/d/file"), format!("{}\n", 20 << 20));
}

/// As mount(8) starts it for `mount -t sandkeep` and for fstab.
#[test]
fn the_helper_of_mount_mounts_with_keys_from_a_file() {
    use std::os::unix::fs::PermissionsExt;

    let service = Service::start();
    service.ok(&["bucket", "create", "host"]);
    let directory = service.path("mnt");
    std::fs::create_dir(&directory).expect("a folder");
    let (id, secret) = service.keys();
    let keys = service.path("mount-keys");
    std::fs::write(&keys, format!("other:no:no\nhost:{id}:{secret}\n")).expect("a file of keys");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let helper = service.path("mount.sandkeep");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sandkeep"), &helper).expect("a link");
    let mount = |options: &str| {
        let options = format!("{options},endpoint={},passwd_file={}", service.endpoint(), keys.display());
        let mut command = Command::new(&helper);
        command.arg("s3://host/p").arg(&directory).args(["-v", "-o", &options]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.output().expect("it starts")
    };
    let guard = Unmounted(&directory);
    let refused = mount("rw,colour=blue");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("colour"), "{text}");
    let mounted = mount("rw,_netdev,uid=7,umask=027");
    assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    std::fs::write(directory.join("file"), "text").expect("a file");
    assert!(Command::new("umount").arg(&directory).status().expect("umount runs").success());
    service.wait_until("the helper's mount ends", |_| {
        std::fs::read_dir(&directory).is_ok_and(|mut left| left.next().is_none())
    });
    assert!(mount("ro").status.success());
    assert_eq!(std::fs::read(directory.join("file")).expect("it is there"), b"text");
    assert!(std::fs::write(directory.join("other"), "text").is_err());
    assert!(Command::new("umount").arg(&directory).status().expect("umount runs").success());
    drop(guard);
}

#[test]
fn a_mount_that_cannot_be_says_why() {
    let service = Service::start();
    let directory = service.path("mnt");
    std::fs::create_dir(&directory).expect("a folder");
    let output =
        with_keys(&service).args(["mount", "s3://missing"]).arg(&directory).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("missing") && text.contains("hint"), "{text}");
}

#[test]
fn a_directory_of_the_host_is_backed_up_and_judged_by_unsquashfs() {
    let service = Service::start();
    service.ok(&["bucket", "create", "archives"]);
    let tree = service.path("tree");
    std::fs::create_dir_all(tree.join("d")).expect("a folder");
    std::fs::write(tree.join("d/file"), "text").expect("a file");
    std::os::unix::fs::symlink("d/file", tree.join("link")).expect("a link");
    let created = with_keys(&service)
        .args(["--json", "backup", "create"])
        .arg(&tree)
        .args(["--to", "s3://archives/mine"])
        .output();
    let created = created.expect("it starts");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let manifest: serde_json::Value = serde_json::from_slice(&created.stdout).expect("JSON");
    let id = manifest["id"].as_str().expect("an id");
    let (key, secret) = service.keys();
    let archive = service.path("archive.sqsh");
    let url = format!("{}/archives/mine/backups/{id}/data.sqsh", service.endpoint());
    let curl = [
        "-sf",
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        "--user",
    ];
    let got = Command::new("curl")
        .args(curl)
        .arg(format!("{key}:{secret}"))
        .arg("-o")
        .arg(&archive)
        .arg(&url)
        .status();
    assert!(got.expect("curl runs").success());
    let copy = service.path("copy");
    let extracted =
        Command::new("unsquashfs").arg("-q").arg("-n").arg("-d").arg(&copy).arg(&archive).status();
    assert!(extracted.expect("unsquashfs runs").success());
    assert!(Command::new("diff").arg("-r").arg(&tree).arg(&copy).status().expect("diff runs").success());
}

#[test]
fn two_services_on_one_host_do_not_meet() {
    let (one, other) = (Service::start_by_data(), Service::start_by_data());
    one.ok(&["bucket", "create", "first"]);
    one.ok(&["sandbox", "mount", "demo", "first", "/data"]);
    other.shell("demo", "test ! -e /data/x");
    assert_eq!(other.json(&["bucket", "ls"]), serde_json::json!([]));
    let data = one.path("data").display().to_string();
    let again = one.run(&["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data", &data]);
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && text.contains("another daemon uses"), "{text}");
    one.shell("demo", "echo there >/data/x");
}

#[test]
fn keys_are_made_bound_and_removed_and_a_store_is_checked() {
    let mut service = Service::start();
    service.ok(&["bucket", "create", "open"]);
    service.ok(&["bucket", "create", "closed"]);
    let data = service.path("data").display().to_string();
    let create = ["keys", "create", "narrow", "--allow", "open/in", "--expires-in", "1h", "--data", &data];
    let key = service.json(&create);
    let text = |name: &str| key[name].as_str().expect("a string").to_owned();
    let user = format!("{}:{}", text("accessKeyId"), text("secretAccessKey"));
    let put = |path: &str| {
        let url = format!("{}/{path}", service.endpoint());
        let curl =
            ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user"];
        let output = Command::new("curl").args(curl).arg(&user).args(["-X", "PUT", &url]).output();
        String::from_utf8_lossy(&output.expect("curl runs").stdout).into_owned()
    };
    assert_eq!(
        (put("open/in/a"), put("open/out"), put("closed/in/a")),
        ("200".into(), "403".into(), "403".into())
    );
    let listed = service.ok(&["keys", "ls", "--data", &data]);
    assert!(listed.contains("open/in") && !listed.contains(&text("secretAccessKey")), "{listed}");
    service.ok(&["keys", "rm", "narrow", "--data", &data]);
    assert_eq!(put("open/in/a"), "403");
    assert!(!service.run(&["keys", "rm", "internal", "--data", &data]).status.success());
    service.ok(&["bucket", "rm", "closed"]);
    assert!(!service.run(&["bucket", "rm", "open"]).status.success(), "it is not empty");
    let store = service.path("data/s3").display().to_string();
    let served = service.run(&["s3", "fsck", "--data", &store]);
    assert!(!served.status.success(), "a store that is being served is not opened");
    service.stop();
    let report = service.json(&["s3", "fsck", "--data", &store]);
    assert_eq!((report["objects"].as_u64(), &report["damaged"]), (Some(1), &serde_json::json!([])));
}

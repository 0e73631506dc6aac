//! SIGKILL of the daemon: what was running runs on, and the next daemon finds it again.

use super::service::{Service, kill};

#[test]
fn everything_survives_the_daemon() {
    let mut service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.shell("demo", "echo kept >/data/note && (setsid sh -c 'while :; do date +%s%N >/data/beat; sleep 0.05; done' >/dev/null 2>&1 &)");
    service.kill_daemon();
    // The S3 endpoint still serves, and the sandbox still writes through its mount.
    let (id, secret) = service.keys();
    let get = || {
        let url = format!("{}/bucket/beat", service.endpoint());
        let user = format!("{id}:{secret}");
        let curl = [
            "-sf",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            &user,
            "-H",
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
            &url,
        ];
        let output = std::process::Command::new("curl").args(curl).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = get();
    assert!(!first.is_empty(), "the S3 endpoint died with the daemon");
    service.wait_until("the sandbox goes on writing", |_| get() != first);
    service.start_daemon();
    assert_eq!(service.shell("demo", "cat /data/note"), "kept\n");
    let sandboxes = service.json(&["sandbox", "ls"]);
    assert_eq!(sandboxes[0]["mounts"][0]["mountPath"], "/data");
    service.ok(&["sandbox", "unmount", "demo", "/data"]).contains("unmounted");
    service.ok(&["sandbox", "rm", "demo"]);
}

#[test]
fn a_restored_directory_survives_its_worker() {
    let service = Service::start();
    service.shell("demo", "mkdir -p /workspace/d && seq 1000 >/workspace/d/numbers");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    service.ok(&["backup", "restore", "--sandbox", "demo", backup["id"].as_str().expect("an id")]);
    for pid in workers(&service) {
        kill(pid);
    }
    assert_eq!(service.shell("demo", "tail -n 1 /workspace/d/numbers"), "1000\n");
}

/// Process ids of workers whose keeper belongs to this service.
fn workers(service: &Service) -> Vec<u32> {
    let run = service.path("run").display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("it can be read").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let log = std::fs::read_link(entry.path().join("fd/2")).unwrap_or_default();
        if command.windows(8).any(|word| word == b"__worker") && log.starts_with(&run) {
            found.push(pid);
        }
    }
    found
}

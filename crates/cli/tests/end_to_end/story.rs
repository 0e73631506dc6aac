//! The main job: a sandbox is destroyed, its data is still there; a directory is wrecked, and restored.

use super::service::{CANARY, Service};

const TUTORIAL: &str = r"import json
import os
from datetime import datetime
data = [{'id': 1, 'value': 42}, {'id': 2, 'value': 87}, {'id': 3, 'value': 15}]
total = sum(item['value'] for item in data)
avg = total / len(data)
result = {'timestamp': datetime.now().isoformat(), 'total': total, 'average': avg, 'processed_count': len(data)}
os.makedirs('/data/results', exist_ok=True)
with open('/data/results/latest.json', 'w') as f:
    json.dump(result, f, indent=2)
print(json.dumps(result))
";

fn mount(service: &Service) {
    service.ok(&[
        "sandbox",
        "mount",
        "data-processor",
        "my-data-bucket",
        "/data",
        "--endpoint",
        &service.endpoint(),
    ]);
}

#[test]
fn data_in_a_bucket_outlives_the_sandbox() {
    let service = Service::start();
    service.ok(&["bucket", "create", "my-data-bucket"]);
    mount(&service);
    let printed = service.ok(&["sandbox", "exec", "data-processor", "--", "python", "-c", TUTORIAL]);
    assert!(printed.contains(r#""total": 144"#), "{printed}");
    let before = service.ok(&["sandbox", "exec", "data-processor", "--", "cat", "/data/results/latest.json"]);
    service.ok(&["sandbox", "rm", "data-processor"]);
    mount(&service);
    let after = service.ok(&["sandbox", "exec", "data-processor", "--", "cat", "/data/results/latest.json"]);
    assert_eq!(before, after);
    // The tutorial mounts on every request: the same mount again changes nothing.
    mount(&service);
}

#[test]
fn a_restored_directory_is_exactly_as_it_was() {
    let service = Service::start();
    service.shell(
        "demo",
        "cd /workspace && echo one >a && mkdir -p d/e && ln -s ../a d/link && ln a d/hard && chmod 4751 a &&
         head -c 3000000 /dev/urandom >d/e/big && truncate -s 5M sparse && touch -d 2020-01-02 d",
    );
    // Without sizes of directories, which every filesystem counts in its own way.
    let picture = "cd /workspace && find . -printf '%p %y %m %U:%G %n %l %Ts\\n' | sort &&
         find . -type f -printf '%p %s\\n' | sort && sha256sum a d/e/big";
    let original = service.shell("demo", picture);
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace", "--name", "first"]);
    let id = backup["id"].as_str().expect("an id");
    service.shell("demo", "rm -rf /workspace/d && echo two >/workspace/a && touch /workspace/new");
    service.ok(&["backup", "restore", "--sandbox", "demo", id]);
    assert_eq!(service.shell("demo", picture), original);
    service.shell("demo", "cd /workspace && mv d moved && echo three >a && rm sparse");
    assert!(service.shell("demo", "ls /workspace/moved").contains("hard"));
    service.ok(&["backup", "restore", "--sandbox", "demo", id]);
    assert_eq!(service.shell("demo", picture), original);
    // From another sandbox, into another directory.
    service.ok(&["backup", "restore", "--sandbox", "other", id, "--dir", "/home/copy"]);
    assert_eq!(service.shell("other", "cat /home/copy/a"), "one\n");
    let list = service.json(&["backup", "ls"]);
    assert_eq!((list[0]["id"].as_str(), list[0]["name"].as_str()), (Some(id), Some("first")));
}

#[test]
fn read_only_and_prefix_mounts_are_what_they_say() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/all", "--create"]);
    service.shell("demo", "mkdir -p /all/ml/training /all/ml/training2 && echo x >/all/ml/training/a && echo y >/all/ml/training2/b");
    service.ok(&["sandbox", "mount", "demo", "bucket", "/part", "--prefix", "/ml/training/"]);
    service.ok(&["sandbox", "mount", "demo", "bucket", "/locked", "--read-only"]);
    assert_eq!(service.shell("demo", "ls /part"), "a\n");
    service.shell("demo", "echo z >/part/c && cat /all/ml/training/c | grep -q z");
    let refused =
        service.shell("demo", "echo no 2>&1 >/locked/no || true; echo no >/locked/no 2>&1 || echo refused");
    assert!(refused.contains("refused"), "{refused}");
    let (status, body) = service.http("PUT", "/v1/sandboxes/demo/files?path=/locked/file", Some("text"));
    assert_ne!(status, 200);
    assert!(
        body.to_lowercase().contains("read-only file system") && body.contains("Read-only filesystem"),
        "{body}"
    );
    service.ok(&["sandbox", "unmount", "demo", "/part"]);
    assert_eq!(service.shell("demo", "ls /part 2>/dev/null | wc -l"), "0\n");
}

#[test]
fn a_program_of_any_kind_runs_verbatim() {
    let service = Service::start();
    let output =
        service.run(&["sandbox", "exec", "demo", "--", "printf", "%s|", "a b", "$HOME", "it's", "\u{e9}\n"]);
    assert_eq!(output.stdout, "a b|$HOME|it's|\u{e9}\n|".as_bytes());
    let bytes = service.run(&["sandbox", "exec", "demo", "--shell", r"printf '\377\0\n\200'"]);
    assert_eq!(bytes.stdout, b"\xff\0\n\x80");
    let code = |arguments: &[&str]| service.run(arguments).status.code();
    assert_eq!(code(&["sandbox", "exec", "demo", "--shell", "exit 3"]), Some(3));
    assert_eq!(code(&["sandbox", "exec", "demo", "--", "no-such-program"]), Some(127));
    let late = service.run(&["sandbox", "exec", "demo", "--timeout", "0.3", "--", "sleep", "60"]);
    assert_eq!((late.status.code(), &late.stderr[..]), (Some(124), &b"Command timed out after 300ms\n"[..]));
    assert_eq!(
        service.ok(&["sandbox", "exec", "demo", "--cwd", "/tmp", "--env", "A=b", "--shell", "pwd; echo $A"]),
        "/tmp\nb\n"
    );
    assert_eq!(service.shell("demo", "pwd; id -u; echo $HOME"), "/workspace\n0\n/root\n");
}

#[test]
fn no_key_is_visible_inside() {
    let service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    let (id, secret) = service.keys();
    let search = "cat /proc/*/environ /proc/*/cmdline /proc/*/mountinfo /proc/self/mounts 2>/dev/null | tr '\\0' '\\n';
        env; find / -xdev -type f -size -1M -not -path '/usr/*' -not -path '/proc/*' -exec cat {} + 2>/dev/null";
    let output = service.run(&["sandbox", "exec", "demo", "--shell", search]);
    let seen = String::from_utf8_lossy(&output.stdout);
    let folder = service.folder.path().display().to_string();
    for hidden in [&secret, &id, CANARY, &folder] {
        assert!(!seen.contains(hidden), "{hidden} shows inside");
    }
    assert!(seen.contains("/workspace"), "the search itself works");
}

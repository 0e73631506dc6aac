//! Every kind of bad input: the contract's error, and nothing left behind (the service's guard checks that).

use serde_json::{Value, json};

use super::service::Service;

/// A request on our routes, and the code and status that must answer it.
#[track_caller]
fn refused(service: &Service, method: &str, path: &str, body: &Value, status: u16, code: &str) -> String {
    let body = (!body.is_null()).then(|| body.to_string());
    let (found, answer) = service.http(method, path, body.as_deref());
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no JSON: {found} {answer}"));
    assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    answer["message"].as_str().expect("a message").to_owned()
}

#[test]
fn mounts_are_refused_by_the_contract() {
    let service = Service::start();
    service.ok(&["bucket", "create", "there"]);
    let mounts = "/v1/sandboxes/demo/mounts";
    let own = service.endpoint();
    let mount = |bucket: &str, path: &str, options: Value| json!({ "bucket": bucket, "mountPath": path, "options": options });
    let invalid = |body: Value| refused(&service, "POST", mounts, &body, 400, "INVALID_MOUNT_CONFIG");
    assert!(invalid(mount("NOPE", "/data", json!({}))).contains(r#"R2 binding "NOPE" not found"#));
    invalid(mount("Bad_Name", "/data", json!({ "endpoint": own })));
    invalid(mount("there", "data", json!({ "endpoint": own })));
    invalid(mount("there", "/data", json!({ "endpoint": own, "prefix": "x" })));
    invalid(mount("there", "/data", json!({ "endpoint": "not a url" })));
    let failed = |body: Value| refused(&service, "POST", mounts, &body, 500, "S3FS_MOUNT_ERROR");
    assert!(failed(mount("missing", "/data", json!({ "endpoint": own }))).contains("missing"));
    let wrong = json!({ "accessKeyId": "AKIAWRONG", "secretAccessKey": "wrong" });
    failed(mount("there", "/data", json!({ "endpoint": own, "credentials": wrong })));
    failed(mount("there", "/data", json!({ "endpoint": "http://127.0.0.1:1", "credentials": wrong })));
    let body = mount("there", "/data", json!({ "endpoint": "https://x.r2.cloudflarestorage.com" }));
    let text = refused(&service, "POST", mounts, &body, 400, "MISSING_CREDENTIALS");
    assert!(text.starts_with("No credentials found"), "{text}");
    service.ok(&["sandbox", "mount", "demo", "there", "/data"]);
    let text = invalid(mount("there", "/data", json!({ "endpoint": own, "readOnly": true })));
    assert!(text.contains("Mount path already in use"), "{text}");
    let text = refused(
        &service,
        "DELETE",
        &format!("{mounts}?path=/nothing"),
        &Value::Null,
        400,
        "INVALID_MOUNT_CONFIG",
    );
    assert!(text.contains("No active mount found at path: /nothing"), "{text}");
    assert_eq!(service.shell("demo", "ls -d /data && mount | grep -c ' /data '"), "/data\n1\n");
}

#[test]
fn backups_are_refused_by_the_contract() {
    let service = Service::start();
    service.ok(&["sandbox", "create", "demo"]);
    let create = |dir: &str, status, code| {
        refused(&service, "POST", "/v1/sandboxes/demo/backups", &json!({ "dir": dir }), status, code)
    };
    create("/etc", 400, "INVALID_BACKUP_CONFIG");
    create("workspace", 400, "INVALID_BACKUP_CONFIG");
    create("/workspace/missing", 500, "BACKUP_CREATE_FAILED");
    let restore = |body: Value, status, code| {
        refused(&service, "POST", "/v1/sandboxes/demo/restore", &body, status, code)
    };
    restore(json!({ "id": "nonsense", "dir": "/workspace" }), 400, "INVALID_BACKUP_CONFIG");
    restore(
        json!({ "id": "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e", "dir": "/workspace" }),
        404,
        "BACKUP_NOT_FOUND",
    );
    let short = json!({ "dir": "/workspace", "ttl": 1 }).to_string();
    let (status, handle) = service.http("POST", "/v1/sandboxes/demo/backups", Some(&short));
    assert_eq!(status, 200, "{handle}");
    restore(serde_json::from_str(&handle).expect("a handle"), 400, "BACKUP_EXPIRED");
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let service = Service::start();
    service.shell("demo", "echo here >/workspace/file");
    let backup = service.json(&["backup", "create", "--sandbox", "demo", "/workspace"]);
    let id = backup["id"].as_str().expect("an id");
    let (key, secret) = service.keys();
    let url = format!("{}/sandkeep-backups/backups/{id}/data.sqsh", service.endpoint());
    let user = format!("{key}:{secret}");
    let curl = [
        "-sf",
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        &user,
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
    ];
    let damaged = std::process::Command::new("curl")
        .args(curl)
        .args(["-X", "PUT", "--data-binary", "garbage", &url])
        .status();
    assert!(damaged.expect("curl runs").success());
    let body = json!({ "id": id, "dir": "/workspace" });
    refused(&service, "POST", "/v1/sandboxes/demo/restore", &body, 500, "BACKUP_RESTORE_FAILED");
    assert_eq!(service.shell("demo", "cat /workspace/file"), "here\n");
}

#[test]
fn what_is_no_request_is_a_4xx_with_json() {
    let service = Service::start_with(Some("the-key"));
    let status = |method: &str, path: &str, body: Option<&str>, headers: &[&str]| {
        let (status, answer) = service.http_with(method, path, body, headers);
        assert!(serde_json::from_str::<Value>(&answer).is_ok(), "{method} {path}: no JSON: {answer}");
        status
    };
    let key = ["Authorization: Bearer the-key"];
    assert_eq!(status("GET", "/health", None, &[]), 200);
    assert_eq!(status("GET", "/v1/sandboxes", None, &[]), 401);
    assert_eq!(status("GET", "/v1/sandboxes", None, &["Authorization: Bearer other"]), 401);
    assert_eq!(status("GET", "/v1/sandboxes", None, &key), 200);
    assert_eq!(
        status("POST", "/v1/sandbox/abc1/exec", Some("{}"), &[]),
        400,
        "the id is checked before the key"
    );
    assert_eq!(status("POST", "/v1/sandbox/abc/exec", Some("{}"), &[]), 401);
    assert_eq!(status("POST", "/v1/sandbox/abc/exec", Some("{"), &key), 400);
    assert_eq!(status("POST", "/v1/sandbox/abc/exec", Some(r#"{"argv":[]}"#), &key), 400);
    assert_eq!(status("GET", "/v1/sandbox/abc/file/../../etc/passwd", None, &key), 403);
    assert_eq!(status("PUT", "/v1/sandboxes/-x", Some("{}"), &key), 400);
    assert_eq!(status("PUT", "/v1/sandboxes/x", Some(r#"{"nonsense":1}"#), &key), 400);
    assert_eq!(status("GET", "/v1/nowhere", None, &key), 404);
    let large = service.path("large");
    std::fs::write(&large, vec![0; (32 << 20) + 1]).expect("space");
    let upload = format!("@{}", large.display());
    assert_eq!(status("PUT", "/v1/sandbox/abc/file/workspace/large", Some(&upload), &key), 413);
    assert_eq!(status("GET", "/health", None, &[]), 200);
}

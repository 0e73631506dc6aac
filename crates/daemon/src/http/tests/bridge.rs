//! The bridge's routes, up to the sandbox.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::{ID, TestDaemon};

fn at(route: &str) -> String {
    format!("/v1/sandbox/{ID}/{route}")
}

#[tokio::test]
async fn ids_are_26_characters_and_nothing_is_started() {
    let daemon = TestDaemon::new();
    let answer = daemon.call("POST", "/v1/sandbox", "anything").await;
    assert_eq!(answer.status, StatusCode::OK);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 26 && sandkeep_api::checks::bridge_sandbox_id(&id).is_ok(), "{id}");
    assert_eq!(daemon.get("/v1/sandboxes").await.json()["sandboxes"], json!([]));
}

#[tokio::test]
async fn commands_are_checked() {
    let daemon = TestDaemon::new();
    for (body, status, part) in [
        (json!({}), 400, "argv must be a non-empty array"),
        (json!({"argv": []}), 400, "argv must be a non-empty array"),
        (json!({"argv": "ls"}), 400, "argv must be a non-empty array"),
        (json!({"argv": [5]}), 400, "strings"),
        (json!({"argv": ["a\0b"]}), 400, "null bytes"),
        (json!({"argv": ["a"], "timeout_ms": "5"}), 400, "timeout_ms"),
        (json!({"argv": ["a"], "timeout_ms": -5}), 400, "timeout_ms"),
        (json!({"argv": ["a"], "cwd": 5}), 400, "cwd"),
        (json!({"argv": ["a"], "cwd": "/etc"}), 403, "cwd must resolve to a location within /workspace"),
        (json!({"argv": ["a"], "cwd": "../x"}), 403, "cwd must resolve"),
    ] {
        daemon.post(&at("exec"), &body).await.is_bridge(status, "invalid_request", part);
    }
    let fine = json!({"argv": ["a"], "cwd": "sub", "timeout_ms": 5.5, "unknown": true});
    daemon.post(&at("exec"), &fine).await.is_bridge(502, "exec_transport_error", "cannot start the sandbox");
}

#[tokio::test]
async fn file_paths_are_whole_decoded_and_inside_of_the_workspace() {
    let daemon = TestDaemon::new();
    for path in ["file/", "file"] {
        daemon.get(&at(path)).await.is_bridge(400, "invalid_request", "file path must not be empty");
    }
    for path in
        ["main.py", "etc/passwd", "workspace/%2e%2e/etc/passwd", "workspace%2f..%2f..%2fetc", "workspacex/a"]
    {
        let answer = daemon.get(&at(&format!("file/{path}"))).await;
        answer.is_bridge(403, "invalid_request", "path must resolve to a location within /workspace");
    }
    daemon.get(&at("file/workspace/%00")).await.is_bridge(400, "invalid_request", "null bytes");
    daemon.get(&at("file/workspace/%ff")).await.is_bridge(400, "invalid_request", "UTF-8");
    let long = format!("file/workspace/{}", "a".repeat(5000));
    daemon.get(&at(&long)).await.is_bridge(400, "invalid_request", "4096");
    for path in ["workspace/100%25", "workspace/a%3Fb%23c%26d", "/workspace/a"] {
        let answer = daemon.get(&at(&format!("file/{path}"))).await;
        answer.is_bridge(502, "exec_transport_error", "read failed: cannot start the sandbox");
    }
    let answer = daemon.call("PUT", &at("file/workspace/a"), "x").await;
    answer.is_bridge(502, "workspace_archive_write_error", "write failed: cannot start the sandbox");
}

#[tokio::test]
async fn mounts_are_checked() {
    let daemon = TestDaemon::new();
    for (body, part) in [
        (json!({"mountPath": "/d", "options": {}}), "bucket must be a non-empty string"),
        (json!({"bucket": "", "mountPath": "/d", "options": {}}), "bucket must be a non-empty string"),
        (json!({"bucket": "b", "options": {}}), "mountPath must be a non-empty string"),
        (json!({"bucket": "b", "mountPath": "d", "options": {}}), "mountPath must be an absolute path"),
        (json!({"bucket": "b", "mountPath": "/d", "options": "x"}), "options must be an object"),
        (
            json!({"bucket": "b", "mountPath": "/d", "options": {"endpoint": 5}}),
            "options.endpoint must be a string",
        ),
        (json!({"bucket": "b", "mountPath": "/d", "options": {"readOnly": "x"}}), "options"),
    ] {
        daemon.post(&at("mount"), &body).await.is_bridge(400, "invalid_request", part);
    }
    for (body, part) in [
        (
            json!({"bucket": "MY_BUCKET", "mountPath": "/d"}),
            "R2 binding \"MY_BUCKET\" not found in Worker env",
        ),
        (
            json!({"bucket": "A", "mountPath": "/d", "options": {"endpoint": "http://h"}}),
            "Invalid bucket name",
        ),
        (
            json!({"bucket": "b", "mountPath": "/d", "options": {"endpoint": "http://h"}}),
            "No credentials found",
        ),
    ] {
        let answer = daemon.post(&at("mount"), &body).await;
        answer.is_bridge(502, "mount_error", "mount failed: ");
        answer.is_bridge(502, "mount_error", part);
    }
}

#[tokio::test]
async fn prefixes_need_no_leading_slash_and_our_own_endpoint_no_keys() {
    let daemon = TestDaemon::new();
    for prefix in ["x", "/x/", "/"] {
        let options =
            json!({"endpoint": "http://localhost:9000", "prefix": prefix, "unknown": 1, "credentials": null});
        let body = json!({"bucket": "b", "mountPath": "/d", "options": options});
        daemon.post(&at("mount"), &body).await.is_bridge(502, "mount_error", "cannot start the sandbox");
    }
}

#[tokio::test]
async fn unmounts_are_checked() {
    let daemon = TestDaemon::new();
    for (body, part) in [
        (json!({}), "mountPath must be a non-empty string"),
        (json!({"mountPath": "d"}), "absolute"),
        (json!({"mountPath": "/a/.."}), "must not resolve to /"),
    ] {
        daemon.post(&at("unmount"), &body).await.is_bridge(400, "invalid_request", part);
    }
    let answer = daemon.post(&at("unmount"), &json!({"mountPath": "/mnt/my data/"})).await;
    answer.is_bridge(502, "unmount_error", "unmount failed: No active mount found at path: /mnt/my data");
}

#[tokio::test]
async fn backups_carry_the_code_of_the_sdk() {
    let daemon = TestDaemon::new();
    let answer = daemon.post(&at("backup"), &json!({"dir": "/etc"})).await;
    answer.is_bridge(400, "backup_error", "BackupOptions.dir must be inside");
    assert_eq!(answer.json()["errorCode"], "INVALID_BACKUP_CONFIG");
    let answer = daemon.post(&at("restore"), &json!({"id": "x", "dir": "/workspace"})).await;
    answer.is_bridge(400, "restore_error", "Invalid backup");
    let answer = daemon.post(&at("backup"), &json!({"dir": "/workspace", "unknown": 1})).await;
    answer.is_bridge(503, "backup_error", "cannot start the sandbox");
}

#[tokio::test]
async fn what_is_not_built_yet_says_so() {
    let daemon = TestDaemon::new();
    for (method, route) in [("POST", "persist"), ("POST", "hydrate"), ("POST", "tunnel/8080")] {
        daemon.call(method, &at(route), "").await.is_bridge(501, "not_supported", "not supported yet");
    }
    for path in ["/v1/pool/stats", "/v1/openapi.json"] {
        daemon.get(path).await.is_bridge(501, "not_supported", "not supported yet");
    }
}

#[tokio::test]
async fn sessions_and_terminals_are_checked() {
    let daemon = TestDaemon::new();
    for (session, status, code) in
        [("valid-1", 502, "exec_transport_error"), ("a..b", 400, "invalid_request")]
    {
        let request =
            Request::post(at("exec")).header("session-id", session).body(Body::from("{\"argv\":[\"a\"]}"));
        daemon.send(request.expect("a valid request")).await.is_bridge(status, code, "");
    }
    for body in [json!({"id": "a..b"}), json!({"id": 1}), json!({"id": ""}), json!({"env": []}), json!([])] {
        daemon.post(&at("session"), &body).await.is_bridge(400, "invalid_request", "");
    }
    for body in [json!({"cwd": ""}), json!({"env": {"A B": "x"}}), json!({"env": {"A": "\0"}})] {
        daemon.post(&at("session"), &body).await.is_bridge(502, "session_error", "session failed: ");
    }
    let unknown = json!({"unknown": 1, "id": "x"});
    daemon.post(&at("session"), &unknown).await.is_bridge(502, "session_error", "cannot start the sandbox");
    daemon.call("DELETE", &at("session/a%20b"), "").await.is_bridge(400, "invalid_request", "session ID");
    daemon.get(&at("pty")).await.is_bridge(400, "invalid_request", "WebSocket upgrade required");
    daemon.get(&at("pty?cols=0")).await.is_bridge(400, "invalid_request", "cols");
    daemon.get(&at("pty?session=a..b")).await.is_bridge(400, "invalid_request", "session ID");
}

#[tokio::test]
async fn running_and_deleting_never_fail() {
    let daemon = TestDaemon::new();
    assert_eq!(daemon.get(&at("running")).await.json(), json!({"running": false}));
    for _ in 0..2 {
        let answer = daemon.call("DELETE", &format!("/v1/sandbox/{ID}"), "").await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
}

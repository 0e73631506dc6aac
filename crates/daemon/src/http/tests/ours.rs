//! Our routes, up to the sandbox.

use axum::http::StatusCode;
use sandkeep_api::routes;
use serde_json::json;

use super::TestDaemon;

#[tokio::test]
async fn a_host_that_cannot_run_sandboxes_says_so_and_keeps_nothing() {
    let daemon = TestDaemon::new();
    for _ in 0..2 {
        let answer = daemon.post("/v1/sandboxes/a/exec", &json!({"command": "true"})).await;
        answer.is_ours(
            503,
            "CONTAINER_UNAVAILABLE",
            "cannot start the sandbox: this host cannot run sandboxes",
        );
    }
    daemon.get("/v1/sandboxes/a").await.is_ours(404, "SANDBOX_NOT_FOUND", "\"a\"");
    assert_eq!(daemon.get("/v1/sandboxes").await.json(), json!({"sandboxes": []}));
    assert_eq!(daemon.call("DELETE", "/v1/sandboxes/a", "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn options_that_are_not_built_yet_are_named() {
    let daemon = TestDaemon::new();
    for (body, part) in [
        (json!({"sleepAfter": "10m"}), "sleepAfter"),
        (json!({"persist": {"dir": "/workspace"}}), "persist"),
        (json!({"network": "host"}), "network"),
        (json!({"base": "debian"}), "base"),
    ] {
        daemon.call("PUT", "/v1/sandboxes/a", &body.to_string()).await.is_ours(501, "NOT_SUPPORTED", part);
    }
}

#[tokio::test]
async fn commands_are_checked() {
    let daemon = TestDaemon::new();
    for (body, code) in [
        (json!({"command": ""}), "INVALID_COMMAND"),
        (json!({"command": " "}), "INVALID_COMMAND"),
        (json!({"command": "a\0"}), "INVALID_COMMAND"),
        (json!({"command": "a", "args": ["\0"]}), "INVALID_COMMAND"),
        (json!({"command": "a", "env": {"A=B": "x"}}), "VALIDATION_FAILED"),
        (json!({"command": "a", "cwd": ""}), "VALIDATION_FAILED"),
        (json!({"command": "a", "timeout": -1}), "VALIDATION_FAILED"),
        (json!({"command": "a", "encoding": "utf-16"}), "VALIDATION_FAILED"),
    ] {
        daemon.post("/v1/sandboxes/a/exec", &body).await.is_ours(400, code, "");
    }
}

#[tokio::test]
async fn sessions_and_processes_are_checked() {
    let daemon = TestDaemon::new();
    let long = "x".repeat(129);
    for (path, body, code, part) in [
        ("exec", json!({"command": "a", "sessionId": ""}), "VALIDATION_FAILED", "sessionId"),
        ("exec", json!({"command": "a", "sessionId": 1}), "VALIDATION_FAILED", ""),
        ("sessions", json!({"id": ""}), "VALIDATION_FAILED", "id"),
        ("sessions", json!({"id": long}), "VALIDATION_FAILED", "id"),
        ("sessions", json!({"id": "a\nb"}), "VALIDATION_FAILED", "id"),
        ("sessions", json!({"cwd": ""}), "VALIDATION_FAILED", "cwd"),
        ("sessions", json!({"name": "x"}), "VALIDATION_FAILED", "name"),
        ("sessions", json!({"env": {"1A": "x"}}), "VALIDATION_FAILED", "1A"),
        ("env", json!({}), "VALIDATION_FAILED", "env"),
        ("env", json!({"env": {"A=B": "x"}}), "VALIDATION_FAILED", "A=B"),
        ("env", json!({"env": {"A-B": null}}), "VALIDATION_FAILED", "A-B"),
        ("env", json!({"env": {"A": "\0"}}), "VALIDATION_FAILED", "null"),
        ("processes", json!({}), "VALIDATION_FAILED", "command"),
        ("processes", json!({"command": " "}), "INVALID_COMMAND", ""),
        ("processes", json!({"command": "a", "cwd": ""}), "VALIDATION_FAILED", "cwd"),
        ("processes", json!({"command": "a", "env": {"A B": "x"}}), "VALIDATION_FAILED", "A B"),
        ("processes", json!({"command": "a", "processId": ""}), "VALIDATION_FAILED", "processId"),
        ("processes/p/wait-for-log", json!({"text": ""}), "VALIDATION_FAILED", "text"),
        ("processes/p/wait-for-log", json!({"text": "a\nb"}), "VALIDATION_FAILED", "text"),
        ("processes/p/wait-for-port", json!({"port": 0}), "VALIDATION_FAILED", "port"),
        ("processes/p/wait-for-port", json!({"port": 70000}), "VALIDATION_FAILED", ""),
        ("processes/p/wait-for-port", json!({"port": 80, "path": "x y"}), "VALIDATION_FAILED", "path"),
        ("processes/p/wait-for-port", json!({"port": 80, "mode": "udp"}), "VALIDATION_FAILED", "udp"),
        ("processes/p/wait-for-exit", json!({"timeout": -1}), "VALIDATION_FAILED", ""),
    ] {
        daemon.post(&format!("/v1/sandboxes/a/{path}"), &body).await.is_ours(400, code, part);
    }
    for query in ["?signal=SIGNO", "?signal=1&signal=2", "?sig=1", "?signal=0"] {
        let answer = daemon.call("DELETE", &format!("/v1/sandboxes/a/processes/p{query}"), "").await;
        answer.is_ours(400, "VALIDATION_FAILED", "signal");
    }
    daemon.get("/v1/sandboxes/a/pty").await.is_ours(400, "VALIDATION_FAILED", "WebSocket");
    daemon.get("/v1/sandboxes/a/pty?rows=x").await.is_ours(400, "VALIDATION_FAILED", "rows");
}

#[tokio::test]
async fn paths_of_files_are_checked() {
    let daemon = TestDaemon::new();
    let long = format!("?path={}", "a".repeat(4097));
    for query in ["", "?path=", "?path=%00", "?path=/a&x=1", "?path=/a&path=/b", "?Path=/a", &long] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = daemon.call(method, &format!("/v1/sandboxes/a/files{query}"), "").await;
            answer.is_ours(400, "VALIDATION_FAILED", "path");
        }
    }
}

#[tokio::test]
async fn unmounting_where_nothing_runs_is_unmounting_nothing() {
    let daemon = TestDaemon::new();
    let answer = daemon.call("DELETE", "/v1/sandboxes/a/mounts?path=/data", "").await;
    answer.is_ours(400, "INVALID_MOUNT_CONFIG", "No active mount found at path: /data");
}

#[tokio::test]
async fn buckets_are_made_listed_and_removed() {
    let daemon = TestDaemon::new();
    let body = json!({"name": "my-data-bucket"});
    assert_eq!(daemon.post("/v1/buckets", &body).await.status, StatusCode::CREATED);
    daemon.post("/v1/buckets", &body).await.is_ours(409, "BUCKET_EXISTS", "my-data-bucket");
    daemon.post("/v1/buckets", &json!({"name": "A"})).await.is_ours(400, "VALIDATION_FAILED", "bucket name");
    assert_eq!(daemon.get("/v1/buckets").await.json()["buckets"][0]["name"], "my-data-bucket");
    let removed = daemon.call("DELETE", "/v1/buckets/my-data-bucket", "").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let again = daemon.call("DELETE", "/v1/buckets/my-data-bucket", "").await;
    again.is_ours(404, "BUCKET_NOT_FOUND", "my-data-bucket");
}

#[tokio::test]
async fn without_backups_there_are_none() {
    let daemon = TestDaemon::new();
    assert_eq!(daemon.get("/v1/backups").await.json(), json!({"backups": []}));
    for id in ["0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e", "nonsense"] {
        daemon.get(&format!("/v1/backups/{id}")).await.is_ours(404, "BACKUP_NOT_FOUND", id);
        daemon.call("DELETE", &format!("/v1/backups/{id}"), "").await.is_ours(404, "BACKUP_NOT_FOUND", id);
    }
}

#[tokio::test]
async fn half_of_an_account_is_named_before_anything_is_started() {
    let daemon = TestDaemon::with(&[], &[("R2_ACCESS_KEY_ID", "x")]);
    let answer = daemon.post("/v1/sandboxes/a/backups", &json!({"dir": "/workspace"})).await;
    answer.is_ours(400, "INVALID_BACKUP_CONFIG", "R2_SECRET_ACCESS_KEY");
    let local = json!({"dir": "/workspace", "localBucket": true});
    daemon.post("/v1/sandboxes/a/backups", &local).await.is_ours(400, "INVALID_BACKUP_CONFIG", "R2_SECRET");
}

#[tokio::test]
async fn info_names_the_bindings_but_no_secret() {
    let file = (
        "sandkeep.toml",
        "[bindings]\nMINE = 'mine'\nFAR = {bucket='far', endpoint='https://h', access_key_id='i', secret_access_key='shh'}",
    );
    let daemon = TestDaemon::with(&[file], &[]);
    let answer = daemon.get("/v1/info").await;
    assert_eq!(answer.json()["s3Endpoint"], "http://127.0.0.1:9000");
    assert_eq!(
        answer.json()["bindings"][0],
        json!({"binding": "FAR", "bucket": "far", "endpoint": "https://h"})
    );
    assert!(!answer.text.contains("shh"));
}

#[tokio::test]
async fn the_routes_that_the_client_calls_are_there() {
    let daemon = TestDaemon::new();
    let of = |resource| routes::of_sandbox("a b/ü", resource);
    let at = |resource| routes::at_path("a b/ü", resource, "/x y/100%");
    for (method, path) in [
        ("GET", routes::HEALTH.to_owned()),
        ("GET", routes::INFO.to_owned()),
        ("GET", routes::SANDBOXES.to_owned()),
        ("POST", routes::SANDBOXES.to_owned()),
        ("PUT", routes::sandbox("a b/ü")),
        ("GET", routes::sandbox("a b/ü")),
        ("DELETE", routes::sandbox("a b/ü")),
        ("POST", of("exec")),
        ("GET", of("sessions")),
        ("POST", of("sessions")),
        ("GET", routes::session("a b/ü", "s/1")),
        ("DELETE", routes::session("a b/ü", "s/1")),
        ("POST", of("env")),
        ("GET", of("processes")),
        ("POST", of("processes")),
        ("DELETE", of("processes")),
        ("POST", of("processes/cleanup")),
        ("GET", routes::process("a b/ü", "p/1")),
        ("DELETE", routes::process("a b/ü", "p/1")),
        ("GET", routes::of_process("a b/ü", "p/1", "logs")),
        ("GET", routes::of_process("a b/ü", "p/1", "stream")),
        ("POST", routes::of_process("a b/ü", "p/1", "wait-for-log")),
        ("POST", routes::of_process("a b/ü", "p/1", "wait-for-port")),
        ("POST", routes::of_process("a b/ü", "p/1", "wait-for-exit")),
        ("GET", of("pty")),
        ("GET", at("files")),
        ("PUT", at("files")),
        ("DELETE", at("files")),
        ("GET", at("files/exists")),
        ("GET", at("directories")),
        ("POST", at("directories")),
        ("GET", of("mounts")),
        ("POST", of("mounts")),
        ("DELETE", at("mounts")),
        ("POST", of("backups")),
        ("POST", of("restore")),
        ("GET", routes::BACKUPS.to_owned()),
        ("GET", routes::backup("x")),
        ("DELETE", routes::backup("x")),
        ("POST", routes::of_backup("x", "verify")),
        ("POST", routes::of_backup("x", "copy")),
        ("GET", routes::of_backup("x", "export")),
        ("POST", routes::IMPORT.to_owned()),
        ("POST", routes::PRUNE.to_owned()),
        ("GET", routes::BUCKETS.to_owned()),
        ("POST", routes::BUCKETS.to_owned()),
        ("DELETE", routes::bucket("x")),
    ] {
        let answer = daemon.call(method, &path, "").await;
        for code in ["ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"] {
            assert!(!answer.text.contains(code), "{method} {path}: {answer:?}");
        }
    }
}

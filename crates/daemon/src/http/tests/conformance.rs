//! The tables of `conformance/`, over HTTP: refused rows give the table's code and text, accepted ones get as far as the
//! sandbox that this daemon cannot start.

use sandkeep_api::routes;
use serde_json::{Value, json};

use super::{Answer, TestDaemon};

fn table(name: &str) -> Vec<(Value, Value)> {
    let path = format!("{}/../../conformance/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the table");
    let table: Value = serde_json::from_str(&text).expect("the table is JSON");
    let rows = table["cases"].as_array().expect("the table has cases");
    rows.iter().map(|row| (row["input"].clone(), row["expect"].clone())).collect()
}

#[track_caller]
fn check(answer: &Answer, expected: &Value, input: &Value) {
    match expected["code"].as_str() {
        Some(code) => answer.is_ours(400, code, expected["messageHas"].as_str().expect("a text")),
        None => assert!([501, 503].contains(&answer.status.as_u16()), "{input}: {answer:?}"),
    }
}

#[tokio::test]
async fn sandbox_ids() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("sdk_sandbox_id") {
        let id = input.as_str().expect("a text");
        // No route has an empty segment.
        if !id.is_empty() {
            check(&daemon.call("PUT", &routes::sandbox(id), "").await, &expected, &input);
        }
    }
}

#[tokio::test]
async fn backup_options() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("backup_options") {
        check(&daemon.post("/v1/sandboxes/a/backups", &input).await, &expected, &input);
    }
}

#[tokio::test]
async fn restore_handles() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("restore_handle") {
        check(&daemon.post("/v1/sandboxes/a/restore", &input).await, &expected, &input);
    }
}

#[tokio::test]
async fn bucket_names() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("bucket_name") {
        let body =
            json!({"bucket": input, "mountPath": "/d", "options": {"endpoint": "http://127.0.0.1:9000"}});
        check(&daemon.post("/v1/sandboxes/a/mounts", &body).await, &expected, &input);
    }
}

#[tokio::test]
async fn binding_names() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("binding_name") {
        let answer =
            daemon.post("/v1/sandboxes/a/mounts", &json!({"bucket": input, "mountPath": "/d"})).await;
        match expected["ok"].as_bool() {
            Some(_) => answer.is_ours(400, "INVALID_MOUNT_CONFIG", "not found in Worker env"),
            None => check(&answer, &expected, &input),
        }
    }
}

#[tokio::test]
async fn mount_prefixes() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("mount_prefix") {
        let options = json!({"endpoint": "http://127.0.0.1:9000", "prefix": input});
        let body = json!({"bucket": "b", "mountPath": "/d", "options": options});
        check(&daemon.post("/v1/sandboxes/a/mounts", &body).await, &expected, &input);
    }
}

#[tokio::test]
async fn credentials() {
    for (input, expected) in table("credential_detection") {
        let daemon = TestDaemon::new();
        let mut options = json!({"endpoint": "https://s3.example.org"});
        if input["credentials"].is_object() {
            options["credentials"] = input["credentials"].clone();
        }
        let body = json!({"bucket": "b", "mountPath": "/d", "options": options, "env": input["env"]});
        check(&daemon.post("/v1/sandboxes/a/mounts", &body).await, &expected, &input);
    }
}

#[tokio::test]
async fn workspace_paths() {
    let daemon = TestDaemon::new();
    for (input, expected) in table("workspace_path") {
        let body = json!({"argv": ["true"], "cwd": input});
        let answer = daemon.post("/v1/sandbox/a/exec", &body).await;
        let status = if expected.is_null() { 403 } else { 502 };
        assert_eq!(answer.status.as_u16(), status, "{input}: {answer:?}");
    }
}

/// Every route of the bridge is known here, be it that it says `not_supported`.
#[tokio::test]
async fn routes_of_the_bridge() {
    let daemon = TestDaemon::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/bridge_openapi_paths.json");
    let table: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the table")).expect("JSON");
    for (path, methods) in table.as_object().expect("paths") {
        let segments = [("{id}", "abc"), ("{port}", "8080"), ("{path}", "workspace/a"), ("{sid}", "s")];
        let path = segments.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for method in methods.as_object().expect("methods").keys() {
            let answer = daemon.call(&method.to_uppercase(), &path, "{}").await;
            for code in ["not_found", "method_not_allowed", "ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"] {
                assert!(!answer.text.contains(&format!("\"{code}\"")), "{method} {path}: {answer:?}");
            }
        }
    }
}

//! Bodies that are too large, broken, or not JSON.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::{ID, TestDaemon};

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let daemon = TestDaemon::new();
    for body in ["{", "", "nonsense", "{\"argv\": [\"a\"]} x", "\u{feff}{}"] {
        let answer = daemon.call("POST", &format!("/v1/sandbox/{ID}/exec"), body).await;
        answer.is_bridge(400, "invalid_request", "Invalid JSON body");
    }
    for body in ["{", "nonsense"] {
        let answer = daemon.call("POST", "/v1/sandboxes/a/exec", body).await;
        answer.is_ours(400, "VALIDATION_FAILED", "Invalid JSON body");
    }
    for body in ["[]", "1", "null"] {
        let answer = daemon.call("POST", "/v1/sandboxes/a/backups", body).await;
        answer.is_ours(400, "VALIDATION_FAILED", "object");
    }
}

#[tokio::test]
async fn fields_are_named_when_they_are_wrong() {
    let daemon = TestDaemon::new();
    for (path, body, part) in [
        ("/v1/sandboxes/a/exec", json!({"command": "x", "tiemout": 5}), "tiemout"),
        ("/v1/sandboxes/a/exec", json!({"args": []}), "command"),
        (
            "/v1/sandboxes/a/mounts",
            json!({"bucket": "b", "mountPath": "/d", "options": {"readonly": true}}),
            "readonly",
        ),
        ("/v1/sandboxes/a/backups", json!({"dir": "/workspace", "tll": 5}), "tll"),
        ("/v1/sandboxes/a/restore", json!({"id": "x", "dir": "/workspace", "more": 1}), "more"),
        ("/v1/sandboxes", json!({"label": {}}), "label"),
        ("/v1/buckets", json!({"name": "b", "region": "x"}), "region"),
    ] {
        daemon.post(path, &body).await.is_ours(400, "VALIDATION_FAILED", part);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_both_ways_of_sending() {
    let daemon = TestDaemon::new();
    let content = vec![b'x'; (32 << 20) + 1];
    let announced = |path: &str| {
        let request =
            Request::put(path).header("content-length", content.len()).body(Body::from(content.clone()));
        request.expect("a valid request")
    };
    let bridge = format!("/v1/sandbox/{ID}/file/workspace/a");
    daemon.send(announced(&bridge)).await.is_bridge(
        413,
        "payload_too_large",
        "33554433 bytes exceeds the 33554432",
    );
    let ours = "/v1/sandboxes/a/files?path=/workspace/a";
    daemon.send(announced(ours)).await.is_ours(413, "PAYLOAD_TOO_LARGE", "33554433");
    let pieces =
        content.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let request = Request::put(ours).body(Body::from_stream(futures::stream::iter(pieces)));
    daemon.send(request.expect("a valid request")).await.is_ours(413, "PAYLOAD_TOO_LARGE", "33554432");
}

#[tokio::test]
async fn a_body_that_ends_early_is_refused() {
    let daemon = TestDaemon::new();
    let pieces = [Ok(b"{".to_vec()), Err(std::io::Error::other("reset"))];
    let request =
        Request::post("/v1/sandboxes/a/exec").body(Body::from_stream(futures::stream::iter(pieces)));
    let answer = daemon.send(request.expect("a valid request")).await;
    answer.is_ours(400, "VALIDATION_FAILED", "ended early");
}

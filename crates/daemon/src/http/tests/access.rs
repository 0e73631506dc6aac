//! Who may call what.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{Answer, ID, TestDaemon};

const KEYED: &[(&str, &str)] = &[("SANDBOX_API_KEY", "secret")];

async fn with_header(daemon: &TestDaemon, path: &str, authorization: &str) -> Answer {
    let request = Request::get(path).header("authorization", authorization).body(Body::empty());
    daemon.send(request.expect("a valid request")).await
}

#[tokio::test]
async fn health_is_open_and_everything_else_needs_the_key() {
    let daemon = TestDaemon::with(&[], KEYED);
    assert_eq!(daemon.get("/health").await.json()["ok"], true);
    daemon.get("/v1/sandboxes").await.is_ours(401, "UNAUTHORIZED", "Unauthorized");
    daemon.get("/v1/nothing").await.is_ours(401, "UNAUTHORIZED", "Unauthorized");
    daemon.get("/v1/pool/stats").await.is_bridge(401, "unauthorized", "Unauthorized");
    let path = format!("/v1/sandbox/{ID}/running");
    daemon.get(&path).await.is_bridge(401, "unauthorized", "Unauthorized");
    daemon.call("POST", "/v1/sandbox", "").await.is_bridge(401, "unauthorized", "Unauthorized");
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case_but_the_key_may_not() {
    let daemon = TestDaemon::with(&[], KEYED);
    for good in ["Bearer secret", "bearer secret", "BEARER secret"] {
        assert_eq!(with_header(&daemon, "/v1/sandboxes", good).await.status, StatusCode::OK, "{good}");
    }
    for bad in
        ["Bearer Secret", "Bearer secret2", "Bearer secre", "Bearer ", "Bearer", "Basic secret", "secret"]
    {
        with_header(&daemon, "/v1/sandboxes", bad).await.is_ours(401, "UNAUTHORIZED", "");
    }
}

#[tokio::test]
async fn the_bridge_checks_the_id_before_the_key() {
    let daemon = TestDaemon::with(&[], KEYED);
    let long = "a".repeat(129);
    for id in ["ABC", "abc1", "a-b", "%61", &long] {
        let answer = daemon.get(&format!("/v1/sandbox/{id}/running")).await;
        answer.is_bridge(400, "invalid_request", "Invalid sandbox ID format");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_answered_in_json() {
    let daemon = TestDaemon::new();
    daemon.get("/").await.is_ours(404, "ROUTE_NOT_FOUND", "GET /");
    daemon.get("/v1/sandboxes/a/nothing").await.is_ours(404, "ROUTE_NOT_FOUND", "nothing");
    daemon.get(&format!("/v1/sandbox/{ID}/nothing")).await.is_bridge(404, "not_found", "nothing");
    daemon.call("PATCH", "/v1/sandboxes", "").await.is_ours(405, "METHOD_NOT_ALLOWED", "PATCH");
    daemon.get(&format!("/v1/sandbox/{ID}/exec")).await.is_bridge(405, "method_not_allowed", "GET");
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let daemon = TestDaemon::new();
    for (given, kept) in [("abc-1", true), ("with space", false)] {
        let request =
            Request::get("/health").header("x-request-id", given).body(Body::empty()).expect("valid");
        let response = tower::ServiceExt::oneshot(daemon.router.clone(), request).await.expect("answered");
        assert_eq!(response.headers()["x-request-id"] == given, kept);
    }
}

#[tokio::test]
async fn terminals_take_the_key_as_a_parameter_and_nothing_else_does() {
    let daemon = TestDaemon::with(&[], KEYED);
    let key = "authorization=Bearer%20secret";
    let answer = daemon.get(&format!("/v1/sandbox/{ID}/pty?cols=1&{key}")).await;
    answer.is_bridge(400, "invalid_request", "WebSocket");
    daemon.get(&format!("/v1/sandboxes/a/pty?{key}")).await.is_ours(400, "VALIDATION_FAILED", "WebSocket");
    for wrong in ["authorization=secret", "authorization=Bearer%20wrong", "Authorization=Bearer%20secret", ""]
    {
        let answer = daemon.get(&format!("/v1/sandbox/{ID}/pty?{wrong}")).await;
        answer.is_bridge(401, "unauthorized", "Unauthorized");
    }
    daemon.get(&format!("/v1/sandboxes?{key}")).await.is_ours(401, "UNAUTHORIZED", "Unauthorized");
    let path = format!("/v1/sandbox/{ID}/file/pty?{key}");
    daemon.get(&path).await.is_bridge(401, "unauthorized", "Unauthorized");
}

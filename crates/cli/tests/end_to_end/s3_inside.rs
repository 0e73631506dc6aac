//! `http://s3.internal`: S3 tools inside a sandbox, without a key.

use super::service::{Service, kill};

/// Puts, gets and lists with Python and its standard library: METHOD URL [BODY], prints status and body.
const CALL: &str = r#"import sys, urllib.request, urllib.error
method, path = sys.argv[1], sys.argv[2]
body = sys.argv[3].encode() if len(sys.argv) > 3 else None
request = urllib.request.Request('http://s3.internal' + path, data=body, method=method)
try:
    answer = urllib.request.urlopen(request, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    print('no answer'); sys.exit()
print(answer.status, dict(answer.headers), answer.read().decode())
"#;

#[track_caller]
fn call(service: &Service, arguments: &[&str]) -> String {
    let mut all = vec!["sandbox", "exec", "demo", "--", "python3", "-c", CALL];
    all.extend_from_slice(arguments);
    let answer = service.ok(&all);
    let (id, secret) = service.keys();
    for hidden in [&id, &secret, &service.endpoint().replace("http://", "")] {
        assert!(!answer.contains(hidden.as_str()), "{hidden} shows: {answer}");
    }
    answer
}

#[track_caller]
fn check(service: &Service, arguments: &[&str], expected: &str) {
    let answer = call(service, arguments);
    assert!(answer.starts_with(expected), "{arguments:?}: {answer}\n{}", service.log());
}

#[test]
fn mounts_and_grants_are_reached_and_nothing_else() {
    let service = Service::start();
    check(&service, &["GET", "/"], "no answer");
    service.ok(&["bucket", "create", "hidden"]);
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create", "--prefix", "/in side/"]);
    service.shell("demo", "echo file >/data/a");
    check(&service, &["GET", "/bucket/in%20side/a"], "200");
    check(&service, &["PUT", "/bucket/in%20side/b", "object"], "200");
    assert_eq!(service.shell("demo", "cat /data/b"), "object");
    assert!(
        call(&service, &["GET", "/bucket?list-type=2&prefix=in%20side/"]).contains("<Key>in side/b</Key>")
    );
    for (method, path) in [
        ("GET", "/bucket/outside"),
        ("PUT", "/bucket/outside"),
        ("GET", "/bucket"),
        ("DELETE", "/bucket"),
        ("GET", "/hidden"),
        ("PUT", "/hidden/x"),
    ] {
        check(&service, &[method, path], "403");
    }
    let grant = service.ok(&["sandbox", "grant", "demo", "hidden", "--read-only", "--expires-in", "600"]);
    check(&service, &["GET", "/hidden"], "200");
    check(&service, &["PUT", "/hidden/x", "y"], "403");
    assert!(call(&service, &["GET", "/"]).contains("<Name>hidden</Name>"));
    let grants = service.json(&["sandbox", "grants", "demo"]);
    assert_eq!((grants[0]["id"].as_str(), grants[1]["id"].as_str()), (Some("/data"), Some(grant.trim())));
    assert!(grants[1]["expiresAt"].is_string(), "{grants}");
    // The grants of another sandbox are its own.
    let other = service.ok(&["sandbox", "exec", "other", "--", "python3", "-c", CALL, "GET", "/hidden"]);
    assert_eq!(other, "no answer\n");
    service.ok(&["sandbox", "revoke", "demo", grant.trim()]);
    check(&service, &["GET", "/hidden"], "403");
    assert!(!service.run(&["sandbox", "revoke", "demo", "/data"]).status.success());
    service.ok(&["sandbox", "unmount", "demo", "/data"]);
    check(&service, &["GET", "/bucket/in%20side/a"], "403");
}

#[test]
fn tools_find_the_endpoint_by_themselves() {
    let service = Service::start();
    service.ok(&["sandbox", "grant", "demo", "bucket", "--create"]);
    let put = "echo hello >f && curl -sf --aws-sigv4 aws:amz:$AWS_REGION:s3 --user $AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -T f $AWS_ENDPOINT_URL/bucket/f && curl -sf $AWS_ENDPOINT_URL/bucket/f";
    assert_eq!(service.ok(&["sandbox", "exec", "demo", "--s3", "--shell", put]), "hello\n");
    let given =
        ["sandbox", "exec", "demo", "--s3", "--env", "AWS_REGION=auto", "--shell", "echo $AWS_REGION"];
    assert_eq!(service.ok(&given), "auto\n");
    assert_eq!(service.shell("demo", "echo $AWS_ENDPOINT_URL"), "\n");
}

#[test]
fn the_endpoint_survives_the_daemon_and_the_gateway() {
    let mut service = Service::start();
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data", "--create"]);
    service.ok(&["sandbox", "grant", "demo", "second", "--create"]);
    let serve_on = "(setsid sh -c 'while [ ! -e /tmp/stop ]; do curl -s -o /dev/null -w \"%{http_code}\" http://s3.internal/second >/data/code; sleep 0.05; done' >/dev/null 2>&1 &)";
    service.shell("demo", serve_on);
    service.wait_until("it is asked", |service| {
        service.shell("demo", "cat /data/code 2>/dev/null || true") == "200"
    });
    service.shell("demo", "rm /data/code");
    service.kill_daemon();
    service.start_daemon();
    service.wait_until("it answers on", |service| {
        service.shell("demo", "cat /data/code 2>/dev/null || true") == "200"
    });
    assert_eq!(service.json(&["sandbox", "grants", "demo"]).as_array().map(Vec::len), Some(2));
    service.shell("demo", "touch /tmp/stop");
    let record = std::fs::read_to_string(service.path("run/gateway.json")).expect("the record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    kill(u32::try_from(record["pid"].as_u64().expect("a pid")).expect("a pid"));
    service
        .wait_until("the next one answers", |service| call(service, &["GET", "/second"]).starts_with("200"));
    check(&service, &["GET", "/bucket?prefix=a"], "200");
}

#[test]
fn nothing_is_left_of_a_destroyed_sandbox() {
    let service = Service::start();
    service.ok(&["sandbox", "grant", "demo", "bucket", "--create"]);
    check(&service, &["GET", "/bucket"], "200");
    service.ok(&["sandbox", "rm", "demo"]);
    check(&service, &["GET", "/bucket"], "no answer");
    let (status, body) = service.http("DELETE", "/v1/sandboxes/demo/grants/none", None);
    assert!(status == 404 && body.contains("GRANT_NOT_FOUND"), "{body}");
    for request in [
        r#"{"bucket": "b", "endpoint": "http://127.0.0.1:1", "prefix": "x"}"#,
        r#"{"bucket": "NO_BINDING"}"#,
        r#"{"bucket": "b", "expiresIn": 0, "endpoint": "http://127.0.0.1:1"}"#,
        r#"{"bucket": "b", "unknown": 1}"#,
    ] {
        assert_eq!(service.http("POST", "/v1/sandboxes/demo/grants", Some(request)).0, 400, "{request}");
    }
}

#[test]
fn a_program_on_the_port_keeps_it() {
    let service = Service::start();
    service.shell("demo", "(setsid python3 -m http.server 80 --bind 127.0.0.1 >/dev/null 2>&1 &) ; until curl -s http://127.0.0.1/ >/dev/null; do sleep 0.05; done");
    let refused = service.run(&["sandbox", "grant", "demo", "bucket", "--create"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("port 80"), "{refused:?}");
    service.ok(&["sandbox", "mount", "demo", "bucket", "/data"]);
    assert_eq!(service.json(&["sandbox", "grants", "demo"]).as_array().map(Vec::len), Some(0));
}

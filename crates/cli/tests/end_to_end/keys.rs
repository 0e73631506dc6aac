//! The life of a key, as the one meets it who gives it to somebody.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use super::service::Service;

/// A signed request: status and body.
fn request(service: &Service, key: &Value, method: &str, path: &str) -> (String, String) {
    let text = |name: &str| key[name].as_str().expect("a string").to_owned();
    let user = format!("{}:{}", text("accessKeyId"), text("secretAccessKey"));
    let output = Command::new("curl")
        .args(["-s", "--max-time", "60", "-X", method, "-w", "\n%{http_code}", "--user", &user])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .arg(format!("{}{path}", service.endpoint()))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_key_is_made_used_and_taken_away() {
    let service = Service::start();
    let data = service.path("data").display().to_string();
    let keys = |arguments: &[&str]| {
        let mut all = vec!["keys", "--data", &data];
        all.extend_from_slice(arguments);
        service.run(&all)
    };
    for bucket in ["mine", "logs", "secret"] {
        service.ok(&["bucket", "create", bucket]);
    }
    let made = |arguments: &[&str]| {
        let mut all = vec!["keys", "--data", &data, "create"];
        all.extend_from_slice(arguments);
        service.json(&all)
    };
    let bound = made(&["bound", "--allow", "mine/reports", "--allow", "logs", "--read-only"]);
    let short = made(&["short", "--expires-in", "1s"]);
    let file = service.path("data/s3/keys.json");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);

    // The running endpoint knows them at once.
    let check = |key: &Value, line: &str, expected: &str| {
        let (method, path) = line.split_once(' ').expect("METHOD PATH");
        let (status, body) = request(&service, key, method, path);
        assert_eq!(status, expected, "{line}: {body}");
        body
    };
    let (id, secret) = service.keys();
    let all = serde_json::json!({ "accessKeyId": id, "secretAccessKey": secret });
    check(&all, "PUT /mine/reports/a", "200");
    check(&all, "PUT /secret/a", "200");
    let seen = check(&bound, "GET /", "200");
    assert!(seen.contains("mine") && seen.contains("logs") && !seen.contains("secret"), "{seen}");
    for (line, status) in [
        ("GET /mine/reports/a", "200"),
        ("GET /mine/other", "403"),
        ("GET /mine?list-type=2&prefix=reports%2F", "200"),
        ("GET /mine?list-type=2", "403"),
        ("GET /logs", "200"),
        ("PUT /logs/a", "403"),
        ("DELETE /mine/reports/a", "403"),
        ("GET /secret/a", "403"),
        ("PUT /new", "403"),
    ] {
        check(&bound, line, status);
    }
    service.wait_until("the short key has ended", |service| {
        request(service, &short, "GET", "/").1.contains("ExpiredToken")
    });

    let listed = String::from_utf8(keys(&["ls"]).stdout).expect("text");
    assert!(listed.contains("bound") && listed.contains("mine/reports, logs") && listed.contains("internal"));
    for key in [&bound, &short] {
        let secret = key["secretAccessKey"].as_str().expect("a string");
        assert!(!listed.contains(secret), "{listed}");
    }
    let removed = keys(&["rm", "bound"]);
    assert!(removed.status.success());
    assert_eq!(request(&service, &bound, "GET", "/").0, "403");
    for (arguments, part) in [
        (vec!["rm", "bound"], "no key named"),
        (vec!["rm", "internal"], "used by Sandkeep"),
        (vec!["create", "short"], "already"),
        (vec!["create", "x", "--allow", "NO"], "not BUCKET"),
        (vec!["create", "x", "--expires-in", "0d"], "between"),
        (vec!["create", "x", "--expires-in", "soon"], "number"),
    ] {
        let refused = keys(&arguments);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(part), "{arguments:?}: {text}");
    }
    let told = keys(&["create", "told"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        text.contains("secret access key")
            && String::from_utf8_lossy(&told.stderr).contains("not shown again")
    );
}

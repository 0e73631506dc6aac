//! The rules of a proxy that signs for sandboxes, and the holes that such proxies have had, one by one by name.

use sandkeep_gateway::Grant;
use sandkeep_objects::Conditions;

use crate::fixture::get;
use crate::origin::{ACCESS_KEY, Fixture};
use crate::proxy::{Sandbox, near_grant};

/// A grant of `in side` in a bucket elsewhere and in an embedded one.
async fn granted() -> Sandbox {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("in side", false), near_grant("near", "in side")]);
    sandbox
}

async fn check(sandbox: &Sandbox, line: &str, status: u16) {
    for bucket in ["far", "near"] {
        sandbox.check(&line.replace("/B", &format!("/{bucket}")), status).await;
    }
}

#[tokio::test]
async fn without_a_grant_everything_is_refused() {
    let sandbox = Sandbox::new().await;
    for line in ["GET /B/in%20side/a", "HEAD /B", "PUT /B/x", "DELETE /B/in%20side/a", "GET /B?location"] {
        check(&sandbox, line, 403).await;
    }
}

#[tokio::test]
async fn a_read_only_grant_refuses_every_other_method() {
    let sandbox = Sandbox::new().await;
    let read_only = Grant { read_only: true, ..near_grant("near", "") };
    sandbox.grant(vec![sandbox.far_grant("", true), read_only]);
    for method in ["PUT", "POST", "DELETE", "PATCH", "PROPFIND"] {
        check(&sandbox, &format!("{method} /B/in%20side/a"), 403).await;
    }
    for method in ["GET", "HEAD"] {
        check(&sandbox, &format!("{method} /B/in%20side/a"), 200).await;
    }
}

#[tokio::test]
async fn the_root_of_a_bucket_answers() {
    check(&granted().await, "HEAD /B", 200).await;
}

#[tokio::test]
async fn only_granted_buckets_are_reached() {
    let sandbox = granted().await;
    for bucket in ["secret", "hidden", "none"] {
        for line in ["GET /B/in%20side/a", "PUT /B/in%20side/a", "HEAD /B", "GET /B?prefix=in%20side/"] {
            sandbox.check(&line.replace("/B", &format!("/{bucket}")), 403).await;
        }
    }
}

#[tokio::test]
async fn keys_are_the_prefix_or_below_it() {
    let sandbox = granted().await;
    for (key, status) in [
        ("in%20side", 200),
        ("in%20side/", 200),
        ("in%20side/deep/er", 200),
        ("in%20side2/a", 403),
        ("in%20sid", 403),
        ("/in%20side/a", 403),
        ("", 403),
    ] {
        check(&sandbox, &format!("PUT /B/{key}"), status).await;
    }
}

#[tokio::test]
async fn listings_name_a_prefix_inside() {
    let sandbox = granted().await;
    for (query, status) in [
        ("prefix=in%20side/", 200),
        ("list-type=2&prefix=in+side/a", 200),
        ("uploads&prefix=in%20side/", 200),
        ("prefix=in%20side", 403),
        ("prefix=in%20side2/", 403),
        ("prefix=", 403),
        ("list-type=2", 403),
        ("delimiter=/", 403),
        ("uploads", 403),
    ] {
        check(&sandbox, &format!("GET /B?{query}"), status).await;
    }
}

#[tokio::test]
async fn sources_of_copies_are_judged() {
    let sandbox = granted().await;
    for (source, status) in [
        ("x-amz-copy-source: /near/in%20side/a", 200),
        ("x-amz-copy-source: /near/in%20side/a?versionId=null", 200),
        ("x-amz-copy-source: /near/in%20side2/a", 403),
        ("x-amz-copy-source: /hidden/in%20side/a", 403),
        ("x-amz-copy-source: nonsense", 400),
        ("x-amz-copy-source: /near/in%20side/a\r\nx-goog-copy-source: /near/in%20side/a", 400),
    ] {
        let (found, answer) = sandbox.send("PUT /near/in%20side/copy", &format!("{source}\r\n"), "").await;
        assert_eq!(found, status, "{source}: {answer}");
    }
}

#[tokio::test]
async fn headers_of_the_client_are_not_passed_on() {
    let fixture = Fixture::new(200, "").await;
    let headers = "authorization: AWS4-HMAC-SHA256 Credential=mine/x\r\nx-amz-date: 20200101T000000Z\r\n\
                   x-amz-security-token: mine\r\nx-goog-date: mine\r\nx-goog-content-sha256: mine\r\n\
                   x-forwarded-for: mine\r\ncookie: mine\r\nx-amz-meta-kept: mine\r\n";
    fixture.send("PUT /far/in%20side/a", headers, "body").await;
    let seen = fixture.seen.lock().expect("not poisoned").pop().expect("it arrived");
    let text = |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(text("authorization").contains(ACCESS_KEY) && !text("authorization").contains("mine"));
    assert!(!text("x-amz-date").contains("2020"));
    assert_eq!(text("host"), fixture.origin.to_string());
    assert_eq!((text("x-amz-meta-kept"), seen.body.as_str()), ("mine", "body"));
    for name in ["x-amz-security-token", "x-goog-date", "x-goog-content-sha256", "x-forwarded-for", "cookie"]
    {
        assert!(seen.headers.get(name).is_none(), "{name} was passed on");
    }
}

#[tokio::test]
async fn a_folder_marker_is_there_afterwards() {
    let sandbox = granted().await;
    check(&sandbox, "PUT /B/in%20side/dir/", 200).await;
    check(&sandbox, "HEAD /B/in%20side/dir/", 200).await;
    check(&sandbox, "DELETE /B/in%20side/dir/", 204).await;
    check(&sandbox, "HEAD /B/in%20side/dir/", 404).await;
}

#[tokio::test]
async fn hole_a_bucket_is_deleted_through_a_grant_of_a_prefix() {
    let sandbox = granted().await;
    check(&sandbox, "DELETE /B", 403).await;
    check(&sandbox, "DELETE /B/", 403).await;
    check(&sandbox, "DELETE /B?prefix=in%20side/", 501).await;
    assert_eq!(sandbox.keys("far").await.len(), 2);
}

#[tokio::test]
async fn hole_a_deletion_of_many_hides_behind_a_prefix() {
    let sandbox = granted().await;
    check(&sandbox, "POST /B?delete&prefix=in%20side/", 501).await;
    let keys = "<Delete><Object><Key>in side/a</Key></Object><Object><Key>in side2/a</Key></Object></Delete>";
    for bucket in ["far", "near"] {
        let (status, answer) = sandbox.send(&format!("POST /{bucket}?delete"), "", keys).await;
        assert_eq!(status, 200, "{answer}");
        assert!(
            answer.contains("<Deleted><Key>in side/a</Key>") && answer.contains("AccessDenied"),
            "{answer}"
        );
        assert_eq!(sandbox.keys(bucket).await, ["in side2/a"]);
    }
}

#[tokio::test]
async fn hole_a_second_prefix_counts() {
    let sandbox = granted().await;
    for query in ["prefix=in%20side/&prefix=", "prefix=&prefix=in%20side/", "prefix=in%20side/&%70refix="] {
        check(&sandbox, &format!("GET /B?{query}"), 400).await;
    }
}

#[tokio::test]
async fn hole_settings_of_a_whole_bucket_are_changed() {
    let sandbox = Sandbox::new().await;
    sandbox.grant(vec![sandbox.far_grant("", false), near_grant("near", "")]);
    for resource in ["policy", "acl", "lifecycle", "cors", "versioning", "website", "encryption", "tagging"] {
        for (method, key) in [("PUT", ""), ("DELETE", ""), ("GET", "")] {
            let line = format!("{method} /far{key}?{resource}");
            let (status, answer) = sandbox.send(&line, "", "").await;
            let told = (method, resource) == ("GET", "versioning");
            assert!(if told { status == 200 } else { [403, 501].contains(&status) }, "{line}: {answer}");
        }
    }
    assert_eq!(sandbox.keys("far").await.len(), 2);
}

#[tokio::test]
async fn hole_a_prefix_with_a_space_never_works() {
    let sandbox = granted().await;
    check(&sandbox, "GET /B/in%20side/a", 200).await;
    check(&sandbox, "GET /B?list-type=2&prefix=in%20side%2F", 200).await;
    check(&sandbox, "GET /B?list-type=2&prefix=in+side%2F", 200).await;
}

#[tokio::test]
async fn hole_metadata_are_dropped() {
    let sandbox = granted().await;
    for bucket in ["far", "near"] {
        let headers = "x-amz-meta-mode: 33188\r\nx-amz-meta-mtime: 1.5\r\ncontent-type: a/b\r\n";
        let (status, answer) = sandbox.send(&format!("PUT /{bucket}/in%20side/m"), headers, "x").await;
        assert_eq!(status, 200, "{answer}");
        let store = sandbox.store(bucket);
        let info = store.head(&"in side/m".parse().expect("a key"), Conditions::default()).await;
        let metadata = info.expect("it is there").metadata;
        assert_eq!((metadata.user["mode"].as_str(), metadata.user["mtime"].as_str()), ("33188", "1.5"));
        assert_eq!(metadata.content_type.as_deref(), Some("a/b"));
        assert_eq!(get(&*store, "in side/m").await, b"x");
    }
}

//! Requests of those who may not, or who pretend.

use std::time::{Duration, SystemTime};

use sandkeep_objects::Credentials;
use sandkeep_objects::sigv4::{
    PayloadHash, Scope, Signer, SigningKey, Timestamp, canonical_request, string_to_sign,
};

use crate::fixture::{Fixture, get, put};
use crate::raw::Raw;

#[tokio::test]
async fn only_known_keys_with_right_signatures_get_in() {
    let fixture = Fixture::new().await;
    let id = fixture.credentials().access_key_id.0;
    Raw::new(&fixture, "GET /bucket").send().await.check(200, "");
    Raw::new(&fixture, "GET /bucket").send_as_it_is().await.check(403, "AccessDenied");
    let wrong = Raw::new(&fixture, "GET /bucket").credentials(Credentials::new(id, "guess"));
    wrong.send().await.check(403, "SignatureDoesNotMatch");
    let unknown = Raw::new(&fixture, "GET /bucket").credentials(Credentials::new("AKIA", "guess"));
    unknown.send().await.check(403, "InvalidAccessKeyId");
    let basic = Raw::new(&fixture, "GET /bucket").header("authorization", "Basic YTpi");
    basic.send_as_it_is().await.check(400, "AuthorizationHeaderMalformed");
}

#[tokio::test]
async fn signatures_hold_for_one_region_and_a_quarter_of_an_hour() {
    let fixture = Fixture::new().await;
    Raw::new(&fixture, "GET /bucket").region("auto").send().await.check(200, "");
    let elsewhere = Raw::new(&fixture, "GET /bucket").region("eu-west-1");
    elsewhere.send().await.check(400, "AuthorizationHeaderMalformed");
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    for time in [SystemTime::now() - minutes(20), SystemTime::now() + minutes(20)] {
        let late = Raw::new(&fixture, "GET /bucket").time(time);
        late.send().await.check(403, "RequestTimeTooSkewed");
    }
    Raw::new(&fixture, "GET /bucket").time(SystemTime::now() - minutes(10)).send().await.check(200, "");
}

#[tokio::test]
async fn headers_that_matter_must_be_signed() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "secret", "text").await;
    let (signed, _) = Raw::new(&fixture, "PUT /bucket/copy").sign();
    let copies = signed.header("x-amz-copy-source", "/bucket/secret");
    copies.send_as_it_is().await.check(403, "AccessDenied");

    let without_host = Raw::new(&fixture, "GET /bucket");
    let header = sign_without_host(&fixture.credentials());
    let mut request = without_host.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    for (name, value) in header {
        request = request.header(name, &value);
    }
    request.send_as_it_is().await.check(403, "AccessDenied");
    assert_eq!(fixture.stored_keys().await, ["secret"]);
}

/// A right signature that covers too little.
fn sign_without_host(credentials: &Credentials) -> [(&'static str, String); 2] {
    let timestamp = Timestamp::new(SystemTime::now());
    let scope = Scope::s3(&timestamp, "us-east-1");
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-date", timestamp.as_str().parse().expect("a value"));
    let signed = ["x-amz-date".to_owned()];
    let canonical = canonical_request("GET", "/bucket", "", &headers, &signed, "UNSIGNED-PAYLOAD");
    let key = SigningKey::derive(&credentials.secret_access_key, &scope);
    let signature = key.sign(&string_to_sign(&timestamp, &scope, &canonical));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=x-amz-date, Signature={}",
        credentials.access_key_id.0,
        signature.as_str()
    );
    [("x-amz-date", timestamp.as_str().to_owned()), ("authorization", authorization)]
}

#[tokio::test]
async fn presigned_requests_hold_as_long_as_they_say() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    let signer = Signer::new(fixture.credentials(), "us-east-1");
    let presign = |ago: u64| {
        let signed = SystemTime::now() - Duration::from_secs(ago);
        let minute = Duration::from_secs(60);
        signer.presign(&http::Method::GET, &fixture.host(), "/bucket/k", "", minute, signed)
    };
    let fetch = |query: String| Raw::new(&fixture, &format!("GET /bucket/k?{query}")).send_as_it_is();
    let answer = fetch(presign(30)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "text"));
    fetch(presign(90)).await.check(403, "AccessDenied");
    fetch(presign(0).replace("Expires=60", "Expires=600")).await.check(403, "SignatureDoesNotMatch");
    fetch(presign(0) + "&response-content-type=text%2Fhtml").await.check(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn dots_in_a_path_are_a_key() {
    let fixture = Fixture::new().await;
    for path in ["/bucket/../../escaped", "/bucket/%2e%2e/x", "/bucket/./y", "/bucket//z", "/bucket/a/../b"] {
        Raw::new(&fixture, &format!("PUT {path}")).body("text").send().await.check(200, "");
    }
    assert_eq!(fixture.stored_keys().await, ["../../escaped", "../x", "./y", "/z", "a/../b"]);
    assert!(!fixture.directory.path().join("escaped").exists());
    Raw::new(&fixture, "GET /bucket/../lock").send().await.check(404, "NoSuchKey");
    Raw::new(&fixture, "GET /../bucket/k").send().await.check(400, "InvalidBucketName");
}

#[tokio::test]
async fn what_is_not_supported_does_nothing() {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    for line in ["DELETE /bucket/k?acl", "PUT /bucket?tagging", "DELETE /bucket?policy"] {
        Raw::new(&fixture, line).send().await.check(501, "NotImplemented");
    }
    let conditional = Raw::new(&fixture, "DELETE /bucket/k").header("x-amz-if-match-size", "7");
    conditional.send().await.check(412, "PreconditionFailed");
    let granted = Raw::new(&fixture, "PUT /bucket/k?acl").header("x-amz-acl", "public-read");
    granted.send().await.check(501, "NotImplemented");
    let everyone = "<AccessControlPolicy><AccessControlList><Grant><Grantee>\
                    <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>\
                    <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>";
    Raw::new(&fixture, "PUT /bucket/k?acl").body(everyone).send().await.check(501, "NotImplemented");
    let ours =
        everyone.replace("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "<ID>sandkeep</ID>");
    let ours = ours.replace("READ", "FULL_CONTROL");
    Raw::new(&fixture, "PUT /bucket/k?acl").body(ours).send().await.check(200, "");
    let owner = Raw::new(&fixture, "GET /bucket/k").header("x-amz-expected-bucket-owner", "123456789012");
    owner.send().await.check(403, "AccessDenied");
    let public = Raw::new(&fixture, "PUT /bucket/k").header("x-amz-acl", "public-read").body("other");
    public.send().await.check(501, "NotImplemented");
    let encrypted = Raw::new(&fixture, "PUT /bucket/k").header("x-amz-server-side-encryption", "AES256");
    encrypted.send().await.check(501, "NotImplemented");
    assert_eq!(get(&*fixture.store, "k").await, b"text");
}

#[tokio::test]
async fn sizes_are_bounded() {
    let fixture = Fixture::new().await;
    let huge = (5_u64 << 30) + 1;
    let put = Raw::new(&fixture, "PUT /bucket/k").header("content-length", &huge.to_string());
    let (answer, _) = put.header("expect", "100-continue").sign().0.send_head_only().await;
    assert_eq!(answer.status, 400);
    assert!(answer.headers.contains("connection: close"), "{answer:?}");

    let keys = "<Object><Key>k</Key></Object>".repeat(1001);
    let many = Raw::new(&fixture, "POST /bucket?delete").body(format!("<Delete>{keys}</Delete>"));
    many.send().await.check(400, "MalformedXML");
    let long = Raw::new(&fixture, "POST /bucket?delete").body(vec![b' '; 2 * 1024 * 1024 + 1]);
    long.send().await.check(400, "MaxMessageLengthExceeded");
    let metadata = Raw::new(&fixture, "PUT /bucket/k").header("x-amz-meta-a", &"a".repeat(2048));
    metadata.send().await.check(400, "MetadataTooLarge");
    let key = Raw::new(&fixture, &format!("PUT /bucket/{}", "k".repeat(1025)));
    key.send().await.check(400, "KeyTooLongError");
    assert!(fixture.stored_keys().await.is_empty());
}

#[tokio::test]
async fn a_refusal_of_a_body_that_waits_closes_the_connection() {
    let fixture = Fixture::new().await;
    let refused = Raw::new(&fixture, "PUT /missing/k").header("content-length", "5");
    let (answer, _) =
        refused.header("expect", "100-continue").payload(PayloadHash::Unsigned).send_head_only().await;
    assert_eq!(answer.status, 403);
    assert!(answer.headers.contains("connection: close"), "{answer:?}");
    let empty =
        Raw::new(&fixture, "PUT /bucket/k").header("content-length", "0").header("expect", "100-continue");
    let (answer, _) = empty.sign().0.send_head_only().await;
    assert!(answer.status == 200 && answer.headers.contains("connection: close"), "{answer:?}");
}

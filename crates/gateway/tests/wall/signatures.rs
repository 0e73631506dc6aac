//! Signatures of other kinds, for other times and other requests than those they came with.

use std::time::{Duration, SystemTime};

use sandkeep_objects::sigv4::{PayloadHash, Signer};

use crate::fixture::{Fixture, put};
use crate::raw::Raw;

/// Nothing but the object that was there is there.
async fn nothing_stored(fixture: &Fixture) {
    assert_eq!(fixture.stored_keys().await, ["k"]);
}

async fn with_object() -> Fixture {
    let fixture = Fixture::new().await;
    put(&*fixture.store, "k", "text").await;
    fixture
}

#[tokio::test]
async fn other_ways_to_sign_are_refused() {
    let fixture = with_object().await;
    let id = fixture.credentials().access_key_id.0;
    let asymmetric = format!(
        "AWS4-ECDSA-P256-SHA256 Credential={id}/20261127/s3/aws4_request, SignedHeaders=host, Signature=00"
    );
    let version_2 = format!("AWS {id}:c2lnbmF0dXJl");
    for authorization in [asymmetric.as_str(), &version_2, "Bearer token", "AWS4-HMAC-SHA256", ""] {
        let request = Raw::new(&fixture, "PUT /bucket/new").header("authorization", authorization);
        request.body("x").send_as_it_is().await.check(400, "AuthorizationHeaderMalformed");
    }
    for payload in
        ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "x"]
    {
        let (request, _) = Raw::new(&fixture, "PUT /bucket/new").sign();
        let request = request.header("x-amz-content-sha256", payload).body("x");
        request.send_as_it_is().await.check(400, "InvalidArgument");
    }
    let token = Raw::new(&fixture, "GET /bucket/k").header("x-amz-security-token", "anything");
    token.send().await.check(400, "InvalidToken");
    nothing_stored(&fixture).await;
}

#[tokio::test]
async fn a_signature_is_good_for_what_it_was_made_for() {
    let fixture = with_object().await;
    let signed = |line: &str| Raw::new(&fixture, line).sign().0.text();
    let send = async |text: String| Raw::text_of(&fixture, &text).await;
    for (from, to) in [
        ("PUT /bucket/new ", "PUT /bucket/other "),
        ("PUT /bucket/new ", "POST /bucket/new "),
        ("PUT /bucket/new ", "PUT /bucket/new?x-id=PutObject "),
        ("host: ", "host: other."),
        ("x-amz-date: 20", "x-amz-date: 21"),
    ] {
        let answer = send(signed("PUT /bucket/new").replacen(from, to, 1)).await;
        assert!((400..=403).contains(&answer.status), "{from} {to}: {answer:?}");
    }
    // The path in another spelling is the same object, and the same signature.
    let spelled = send(signed("GET /bucket/k").replacen("/bucket/k", "/bucket/%6b", 1)).await;
    assert_eq!((spelled.status, spelled.body.as_str()), (200, "text"));
    let tampered = Raw::new(&fixture, "PUT /bucket/new").payload(PayloadHash::of(b"one"));
    tampered.body("two").send().await.check(400, "XAmzContentSHA256Mismatch");
    nothing_stored(&fixture).await;
}

#[tokio::test]
async fn presigned_requests_are_not_for_the_future() {
    let fixture = with_object().await;
    let signer = Signer::new(fixture.credentials(), "us-east-1");
    let presign = |time: SystemTime, seconds: u64| {
        let life = Duration::from_secs(seconds);
        signer.presign(&http::Method::GET, &fixture.host(), "/bucket/k", "", life, time)
    };
    let fetch = |query: String| Raw::new(&fixture, &format!("GET /bucket/k?{query}")).send_as_it_is();
    let now = SystemTime::now();
    fetch(presign(now, 60)).await.check(200, "");
    fetch(presign(now + Duration::from_secs(20 * 60), 60)).await.check(403, "RequestTimeTooSkewed");
    fetch(presign(now, 7 * 24 * 3600 + 1)).await.check(400, "AuthorizationQueryParametersError");
    let both = Raw::new(&fixture, &format!("GET /bucket/k?{}", presign(now, 60))).sign().0;
    both.send_as_it_is().await.check(400, "AuthorizationQueryParametersError");
    let without_host = presign(now, 60).replace("SignedHeaders=host", "SignedHeaders=x-amz-date");
    fetch(without_host).await.check(403, "AccessDenied");
}

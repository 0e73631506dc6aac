//! The examples of AWS's documentation, signed and verified.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use http::request::Parts;
use sandkeep_objects::Credentials;
use sandkeep_objects::sigv4::{
    ChunkSigner, Claim, PayloadHash, Signature, SignedRequest, Signer, VerifyError, decode_query,
};
use sha2::{Digest, Sha256};

const SKEW: Duration = Duration::from_secs(900);

fn credentials() -> Credentials {
    Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

/// 2013-05-24T00:00:00Z, the day of all the examples.
fn day() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_369_353_600)
}

fn signed(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    payload: &PayloadHash,
) -> (Parts, ChunkSigner) {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).expect("valid in tests").into_parts();
    let chunks = Signer::new(credentials(), "us-east-1").sign(&mut parts, payload, day());
    (parts, chunks)
}

fn verify(parts: &Parts) -> Result<ChunkSigner, VerifyError> {
    let request = SignedRequest::of(parts);
    let claim = Claim::of(&request)?.expect("signed");
    assert_eq!(claim.access_key_id, credentials().access_key_id);
    claim.check_time(day(), SKEW)?;
    claim.verify(&request, &credentials().secret_access_key)
}

/// Signs, compares with AWS's signature, verifies.
fn check(method: &str, target: &str, headers: &[(&str, &str)], body: &str, expected: &str) {
    let (parts, _) = signed(method, target, headers, &PayloadHash::of(body.as_bytes()));
    let header = parts.headers["authorization"].to_str().expect("valid in tests");
    assert!(header.ends_with(&format!("Signature={expected}")), "{method} {target}: {header}");
    verify(&parts).expect("valid in tests");
}

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

#[test]
fn the_header_examples_of_aws_sign_and_verify() {
    check(
        "GET",
        "/test.txt",
        &[HOST, ("range", "bytes=0-9")],
        "",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    check(
        "PUT",
        "/test%24file.text",
        &[HOST, ("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        "Welcome to Amazon S3.",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    check(
        "GET",
        "/?lifecycle",
        &[HOST],
        "",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    check(
        "GET",
        "/?max-keys=2&prefix=J",
        &[HOST],
        "",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
}

#[test]
fn the_presigned_example_of_aws_signs_and_verifies() {
    let signer = Signer::new(credentials(), "us-east-1");
    let query =
        signer.presign(&http::Method::GET, HOST.1, "/test.txt", "", Duration::from_secs(86_400), day());
    let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(query.ends_with(&format!("X-Amz-Signature={expected}")), "{query}");

    let target = format!("/test.txt?{query}");
    let (parts, ()) =
        Request::get(&target).header(HOST.0, HOST.1).body(()).expect("valid in tests").into_parts();
    verify(&parts).expect("valid in tests");
    let request = SignedRequest::of(&parts);
    let claim = Claim::of(&request).expect("valid in tests").unwrap();
    assert_eq!(claim.check_time(day() + Duration::from_secs(86_401), SKEW), Err(VerifyError::Expired));

    let other = target.replace("test.txt", "best.txt");
    let (parts, ()) =
        Request::get(other).header(HOST.0, HOST.1).body(()).expect("valid in tests").into_parts();
    assert!(matches!(verify(&parts), Err(VerifyError::SignatureMismatch { .. })));
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
#[test]
fn the_streaming_example_of_aws_signs_chunk_by_chunk() {
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ];
    let (parts, mut ours) =
        signed("PUT", "/examplebucket/chunkObject.txt", &headers, &PayloadHash::SignedChunks);
    let header = parts.headers["authorization"].to_str().expect("valid in tests");
    assert!(header.ends_with("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"), "{header}");
    let mut theirs = verify(&parts).expect("valid in tests");
    let sizes = [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ];
    for (size, expected) in sizes {
        let hash: [u8; 32] = Sha256::digest(vec![b'a'; size]).into();
        assert_eq!(ours.chunk(hash).as_str(), expected);
        assert!(theirs.chunk(hash).matches(&Signature::claimed(expected)));
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
#[test]
fn the_trailer_example_of_aws_signs() {
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ];
    let (parts, mut chunks) =
        signed("PUT", "/examplebucket/chunkObject.txt", &headers, &PayloadHash::SignedChunksTrailer);
    let header = parts.headers["authorization"].to_str().expect("valid in tests");
    assert!(header.ends_with("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"), "{header}");
    let expected = [
        (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ];
    for (size, expected) in expected {
        assert_eq!(chunks.chunk(Sha256::digest(vec![b'a'; size]).into()).as_str(), expected);
    }
    let trailer = chunks.trailer(b"x-amz-checksum-crc32c:sOO8/Q==\n");
    assert_eq!(trailer.as_str(), "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

fn refused(change: impl FnOnce(&mut Parts)) -> VerifyError {
    let headers = [HOST, ("x-amz-copy-source", "/a/b")];
    let (mut parts, _) = signed("PUT", "/a%20b%2Bc?x=1", &headers, &PayloadHash::Unsigned);
    verify(&parts).expect("valid in tests");
    change(&mut parts);
    verify(&parts).expect_err("to be refused")
}

#[test]
fn a_change_on_the_way_is_refused() {
    let insert = |name: &'static str, value: &'static str| {
        move |parts: &mut Parts| drop(parts.headers.insert(name, value.parse().expect("valid in tests")))
    };
    let code = |error: VerifyError| (error.status(), error.code());
    assert_eq!(code(refused(|parts| parts.method = http::Method::DELETE)), (403, "SignatureDoesNotMatch"));
    assert_eq!(
        code(refused(|parts| parts.uri = "/a%20b%2Bd?x=1".parse().expect("valid in tests"))),
        (403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        code(refused(|parts| parts.uri = "/a%20b%2Bc?x=2".parse().expect("valid in tests"))),
        (403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        code(refused(|parts| parts.uri = "/a%20b%2Bc?x=1&y".parse().expect("valid in tests"))),
        (403, "SignatureDoesNotMatch")
    );
    assert_eq!(code(refused(insert("x-amz-copy-source", "/a/c"))), (403, "SignatureDoesNotMatch"));
    assert_eq!(code(refused(insert("x-amz-acl", "public-read"))), (403, "AccessDenied"));
    assert_eq!(code(refused(insert("x-amz-date", "20130524T002000Z"))), (403, "RequestTimeTooSkewed"));
    assert_eq!(code(refused(insert("x-amz-date", "20130524T000001Z"))), (403, "SignatureDoesNotMatch"));
    assert_eq!(
        code(refused(insert("x-amz-date", "20130525T000001Z"))),
        (400, "AuthorizationHeaderMalformed")
    );
    assert_eq!(code(refused(insert("x-amz-date", "yesterday"))), (403, "AccessDenied"));
    assert_eq!(code(refused(insert("x-amz-content-sha256", "zz"))), (400, "InvalidArgument"));
    assert_eq!(code(refused(insert("authorization", "Basic eDp5"))), (400, "AuthorizationHeaderMalformed"));
    let no_host = |parts: &mut Parts| {
        let text = parts.headers["authorization"].to_str().expect("valid in tests").replace("host;", "");
        parts.headers.insert("authorization", text.parse().expect("valid in tests"));
    };
    assert_eq!(refused(no_host), VerifyError::UnsignedHeader { name: "host".to_owned() });
}

/// The same object, spelled as other clients do.
#[test]
fn equivalent_spellings_of_a_path_verify() {
    for (signed_as, sent_as) in
        [("/a%28b%29/%C3%A9", "/a(b)/%c3%a9"), ("/a//b/../c", "/a//b/../c"), ("/a=b", "/a%3Db")]
    {
        let (mut parts, _) = signed("GET", signed_as, &[HOST], &PayloadHash::Unsigned);
        parts.uri = sent_as.parse().expect("valid in tests");
        verify(&parts).expect("valid in tests");
    }
}

#[test]
fn anonymous_requests_claim_nothing() {
    let (parts, ()) = Request::get("/b/k?X-Amz-Meta=1")
        .header(HOST.0, HOST.1)
        .body(())
        .expect("valid in tests")
        .into_parts();
    assert!(Claim::of(&SignedRequest::of(&parts)).expect("valid in tests").is_none());
}

#[test]
fn queries_decode_as_forms_do() {
    let expected = vec![(b"a b".to_vec(), b"c=d".to_vec()), (b"e".to_vec(), b"".to_vec())];
    assert_eq!(decode_query("a+b=c=d&&e"), expected);
}

#[test]
fn nothing_shows_a_secret() {
    let mut credentials = credentials();
    credentials.session_token = Some(sandkeep_objects::SecretKey::new("the-token-canary"));
    let signer = Signer::new(credentials.clone(), "us-east-1");
    let (mut parts, ()) =
        Request::get("/").header(HOST.0, HOST.1).body(()).expect("valid in tests").into_parts();
    let chunks = signer.sign(&mut parts, &PayloadHash::Unsigned, day());
    let shown = format!("{credentials:?} {signer:?} {chunks:?} {parts:?}");
    assert!(!shown.contains("wJalr") && !shown.contains("the-token-canary"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn claims_of_any_shape_are_read_or_refused(
        header in "(AWS4-HMAC-SHA256 |AWS4-ECDSA-P256-SHA256 |Credential=|AKID|/20260101|/us-east-1|/s3|/aws4_request|,|SignedHeaders=host|;|Signature=|[a-f0-9=/ ]){0,14}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)=|AWS4-HMAC-SHA256|&|%2F|%|[a-z0-9/TZ]){0,20}",
        date in "([0-9]{8}T[0-9]{6}Z|[0-9TZ]{0,20})",
    ) {
        let secret = Credentials::new("AKID", "secret").secret_access_key;
        let request = |with_header: bool| {
            let mut builder = Request::get("/bucket/key").header("host", "h").header("x-amz-date", &date);
            if with_header {
                builder = builder.header("authorization", header.trim());
            }
            builder.body(()).expect("a request").into_parts().0
        };
        for (parts, raw_query) in [(request(true), ""), (request(false), query.as_str())] {
            let received = SignedRequest { raw_query, ..SignedRequest::of(&parts) };
            if let Ok(Some(claim)) = Claim::of(&received) {
                // Nobody guesses a signature.
                proptest::prop_assert!(claim.verify(&received, &secret).is_err());
            }
        }
    }
}

//! Signatures: nobody without the secret makes one, and whatever is signed is believed.
//!
//! The input is lines: method, path, query, and headers as `name: value`.

#![no_main]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sandkeep_objects::Credentials;
use sandkeep_objects::sigv2::LinkClaim;
use sandkeep_objects::sigv4::{Claim, PayloadHash, SignedRequest, Signer};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, query) = (line(), line(), line());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let pairs = pairs.filter_map(|(name, value)| {
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
    });
    let headers: HeaderMap = pairs.take(50).collect();
    forged(method, path, query, &headers);
    signed(method, path, query, headers);
});

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "a secret that no input has")
}

/// Whatever an input claims, it has no signature of ours.
fn forged(method: &str, raw_path: &str, raw_query: &str, headers: &HeaderMap) {
    let request = SignedRequest { method, raw_path, raw_query, headers };
    let secret = credentials().secret_access_key;
    if let Ok(Some(claim)) = Claim::of(&request) {
        let _ = claim.check_time(SystemTime::now(), Duration::from_secs(900));
        assert!(claim.verify(&request, &secret).is_err(), "a forged signature was believed");
    }
    if let Ok(Some(link)) = LinkClaim::of(&request) {
        let _ = link.check_time(SystemTime::now());
        assert!(link.verify(&request, None, &secret).is_err(), "a forged link was believed");
    }
}

/// What our own client signs is believed as it is, and as nothing else.
fn signed(method: &str, path: &str, query: &str, mut headers: HeaderMap) {
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<http::Uri>()) else { return };
    if uri.authority().is_some() || !path.starts_with('/') || query.contains("X-Amz-") {
        return;
    }
    for name in ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host"] {
        headers.remove(name);
    }
    headers.insert("host", HeaderValue::from_static("127.0.0.1:9000"));
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let (mut parts, ()) = request.into_parts();
    let signer = Signer::new(credentials(), "us-east-1");
    signer.sign(&mut parts, &PayloadHash::Unsigned, SystemTime::now());
    let verify = |parts: &http::request::Parts| {
        let request = SignedRequest::of(parts);
        let claim = Claim::of(&request).expect("a claim").expect("a claim");
        claim.verify(&request, &credentials().secret_access_key).is_ok()
    };
    assert!(verify(&parts), "a signature was not believed");
    parts.headers.insert("x-amz-added", HeaderValue::from_static("later"));
    assert!(!verify(&parts), "a header was added");
    parts.headers.remove("x-amz-added");
    parts.method = if parts.method == Method::GET { Method::PUT } else { Method::GET };
    assert!(!verify(&parts), "the method was changed");
}

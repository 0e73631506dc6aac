//! The one text of a request that both ends hash.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::sigv4::encoding::{decode_path, decode_query, encode_path, encode_query};
use crate::sigv4::{ALGORITHM, Scope, Timestamp};

/// Joins the six parts of a canonical request. `path` and `query` are canonical already
/// ([`canonical_path`], [`canonical_query`]); `signed_headers` are lower-case names in order.
///
/// A header that is signed but absent counts as empty.
pub fn canonical_request(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    signed_headers: &[String],
    payload_hash: &str,
) -> String {
    let mut text = format!("{method}\n{path}\n{query}\n");
    for name in signed_headers {
        text.push_str(name);
        text.push(':');
        text.push_str(&header_value(headers, name));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers.join(";"));
    text.push('\n');
    text.push_str(payload_hash);
    text
}

/// The path as it must be signed: decoded and encoded again, nothing else normalised.
pub fn canonical_path(raw_path: &str) -> String {
    if raw_path.is_empty() { "/".to_owned() } else { encode_path(&decode_path(raw_path)) }
}

/// The query as it must be signed: encoded again and sorted, without `X-Amz-Signature`.
pub fn canonical_query(raw_query: &str) -> String {
    let decoded = decode_query(raw_query).into_iter().filter(|(name, _)| name != b"X-Amz-Signature");
    let mut pairs: Vec<_> =
        decoded.map(|(name, value)| (encode_query(&name), encode_query(&value))).collect();
    pairs.sort();
    let joined: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

/// What is signed: the algorithm, the time, the scope, and the hash of the canonical request.
pub fn string_to_sign(timestamp: &Timestamp, scope: &Scope, canonical_request: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(canonical_request.as_bytes()));
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{hash}")
}

fn header_value(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<String> = headers.get_all(name).iter().map(trimmed).collect();
    values.join(",")
}

/// Without spaces around it, and single ones within it.
fn trimmed(value: &HeaderValue) -> String {
    // Header values may hold bytes above 0x7f; both ends treat them as UTF-8 as far as they are.
    let text = String::from_utf8_lossy(value.as_bytes());
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

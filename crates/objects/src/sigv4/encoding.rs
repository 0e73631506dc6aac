//! Percent-encoding exactly as SigV4 wants it: everything but unreserved characters, in upper-case hex.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes a path, whose slashes stay.
pub fn encode_path(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED_IN_PATH).to_string()
}

/// Encodes a name or value of a query, slashes too.
pub fn encode_query(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// Decodes a path; a `%` that starts no escape stays as it is.
pub fn decode_path(text: &str) -> Vec<u8> {
    percent_decode(text.as_bytes()).collect()
}

/// Decodes a query into names and values, in the order in which they stand. A `+` is a space.
pub fn decode_query(raw_query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (decode_word(n), decode_word(v)))
        .collect()
}

fn decode_word(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

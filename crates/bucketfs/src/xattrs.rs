//! Extended attributes in one header, as s3fs does it: URL-encoded JSON of names to base64.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What s3fs leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The header's value.
pub(crate) fn encode(xattrs: &BTreeMap<String, Vec<u8>>) -> String {
    let encoded: BTreeMap<&str, String> =
        xattrs.iter().map(|(name, value)| (name.as_str(), STANDARD.encode(value))).collect();
    let json = serde_json::to_string(&encoded).expect("a map of strings is JSON");
    utf8_percent_encode(&json, ENCODED).to_string()
}

/// Reads a header's value; none if it is not of this form.
pub(crate) fn decode(text: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let json = percent_decode_str(text).decode_utf8().ok()?;
    let encoded: BTreeMap<String, String> = serde_json::from_str(&json).ok()?;
    encoded.into_iter().map(|(name, value)| Some((name, STANDARD.decode(value).ok()?))).collect()
}

//! Headers of requests as values, and objects as headers of answers.

use std::collections::BTreeMap;

use http::header::{
    self, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_TYPE, EXPIRES, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sandkeep_objects::{ByteRange, Conditions, ETag, ObjectInfo, ObjectMetadata, WriteConditions};

use crate::dates::{http_date, parse_http_date};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::reply::{Reply, add_header};
use crate::tags;

/// What user metadata start with.
const USER_PREFIX: &str = "x-amz-meta-";

/// Bytes of names and values of user metadata at most, as on S3.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
const USER_METADATA_LIMIT: usize = 2 * 1024;

/// The type of an object that was stored without one.
pub(crate) const DEFAULT_TYPE: &str = "binary/octet-stream";

/// Headers that ask for something this endpoint does not do; ignoring them would be a lie.
const UNSUPPORTED: [&str; 10] = [
    "x-amz-bucket-object-lock-enabled",
    "x-amz-mfa",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
    "x-amz-rename-source",
];

/// The id of the account, and its name.
pub(crate) const ACCOUNT: &str = "sandkeep";

/// Headers with one value, besides those of S3 itself.
const SINGLE: [&str; 12] = [
    "authorization",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// The text of a header; values that are not UTF-8 cannot be stored.
pub(crate) fn text(headers: &HeaderMap, name: impl AsRef<str>) -> Outcome<Option<&str>> {
    let name = name.as_ref();
    let wrong = |_| Fault::invalid_argument(format!("The header {name} is not UTF-8"));
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes())).transpose().map_err(wrong)
}

/// Refuses a header that is there twice although it has one meaning: whoever stands before this endpoint may read the
/// other one. The host must be there.
pub(crate) fn check_doubled(headers: &HeaderMap) -> Outcome<()> {
    let single =
        |name: &str| SINGLE.contains(&name) || (name.starts_with("x-amz-") && !name.starts_with(USER_PREFIX));
    let doubled =
        |name: &&HeaderName| single(name.as_str()) && headers.get_all(*name).iter().nth(1).is_some();
    if !headers.contains_key(header::HOST) {
        return Err(Fault::bad("MissingHeader", "Your request was missing the header host"));
    }
    match headers.keys().find(doubled) {
        Some(name) => Err(Fault::invalid_request(format!("The header {name} is given twice"))),
        None => Ok(()),
    }
}

/// Refuses what cannot be done rather than leaving it out.
pub(crate) fn check_supported(headers: &HeaderMap) -> Outcome<()> {
    let asks = |name: &&str| headers.get(*name).is_some_and(|value| !["", "false"].contains(&as_text(value)));
    if let Some(name) = UNSUPPORTED.iter().find(|name| asks(name)) {
        return Err(Fault::not_implemented(format!("the header {name}")));
    }
    if let Some(name) = headers.keys().find(|name| name.as_str().starts_with("x-amz-grant-")) {
        return Err(Fault::not_implemented(format!("the header {name}")));
    }
    match headers.get("x-amz-acl").map(as_text) {
        None | Some("private" | "bucket-owner-full-control" | "bucket-owner-read") => {}
        Some(
            "public-read" | "public-read-write" | "authenticated-read" | "aws-exec-read"
            | "log-delivery-write",
        ) => {
            return Err(Fault::not_implemented("access of others"));
        }
        Some(_) => return Err(Fault::invalid_argument("There is no such canned ACL")),
    }
    // Everything belongs to one account; whoever expects another one must not be served.
    let others = |name: &&str| headers.get(*name).is_some_and(|owner| as_text(owner) != ACCOUNT);
    if ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"].iter().any(others) {
        return Err(Fault::access_denied("Access Denied: the bucket has another owner"));
    }
    match headers.get("x-amz-storage-class").map(as_text) {
        None | Some("STANDARD" | "REDUCED_REDUNDANCY") => Ok(()),
        Some(_) => Err(Fault::bad("InvalidStorageClass", "The storage class you specified is not valid")),
    }
}

/// What is stored with an object.
pub(crate) fn metadata(headers: &HeaderMap) -> Outcome<ObjectMetadata> {
    let stored = |name: HeaderName| text(headers, name).map(|value| value.map(str::to_owned));
    let metadata = ObjectMetadata {
        content_type: stored(CONTENT_TYPE)?,
        cache_control: stored(CACHE_CONTROL)?,
        content_disposition: stored(CONTENT_DISPOSITION)?,
        content_encoding: stored(CONTENT_ENCODING)?.and_then(|value| without_framing(&value)),
        content_language: stored(CONTENT_LANGUAGE)?,
        expires: stored(EXPIRES)?,
        user: user_metadata(headers)?,
        tags: tags::of_headers(headers)?,
    };
    let size: usize = metadata.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > USER_METADATA_LIMIT {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Fault::bad("MetadataTooLarge", message)
            .with("Size", size.to_string())
            .with("MaxSizeAllowed", USER_METADATA_LIMIT.to_string()));
    }
    Ok(metadata)
}

fn user_metadata(headers: &HeaderMap) -> Outcome<BTreeMap<String, String>> {
    let mut user = BTreeMap::new();
    for name in headers.keys().filter(|name| name.as_str().starts_with(USER_PREFIX)) {
        let values = headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
        let values = values.collect::<Result<Vec<_>, _>>();
        let joined =
            values.map_err(|_| Fault::invalid_argument(format!("The header {name} is not UTF-8")))?;
        user.insert(name.as_str()[USER_PREFIX.len()..].to_owned(), joined.join(","));
    }
    Ok(user)
}

/// `aws-chunked` is how the body travelled, not what it is; the rest stays as it was sent.
fn without_framing(value: &str) -> Option<String> {
    let kept: Vec<&str> =
        value.split(',').filter(|encoding| !["aws-chunked", ""].contains(&encoding.trim())).collect();
    (!kept.is_empty()).then(|| kept.join(",").trim().to_owned())
}

/// Conditions of a read.
pub(crate) fn conditions(headers: &HeaderMap) -> Conditions {
    read_conditions(headers, [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE])
}

/// Conditions of a copy's source.
pub(crate) fn copy_source_conditions(headers: &HeaderMap) -> Conditions {
    let name = |suffix| HeaderName::from_static(suffix);
    let names = [
        name("x-amz-copy-source-if-match"),
        name("x-amz-copy-source-if-none-match"),
        name("x-amz-copy-source-if-modified-since"),
        name("x-amz-copy-source-if-unmodified-since"),
    ];
    read_conditions(headers, names)
}

fn read_conditions(headers: &HeaderMap, names: [HeaderName; 4]) -> Conditions {
    let [if_match, if_none_match, modified_since, unmodified_since] = names;
    let tag = |name| headers.get(name).map(|value| parse_etag(as_text(value)));
    let date = |name| headers.get(name).and_then(|value| parse_http_date(as_text(value)));
    Conditions {
        if_match: tag(if_match),
        if_none_match: tag(if_none_match),
        if_modified_since: date(modified_since),
        if_unmodified_since: date(unmodified_since),
    }
}

/// Conditions of a write.
pub(crate) fn write_conditions(headers: &HeaderMap) -> Outcome<WriteConditions> {
    match (headers.get(IF_MATCH).map(as_text), headers.get(IF_NONE_MATCH).map(as_text)) {
        (None, None) => Ok(WriteConditions::None),
        (None, Some("*")) => Ok(WriteConditions::IfAbsent),
        (None, Some(tag)) => Ok(WriteConditions::IfNoneMatch(parse_etag(tag))),
        (Some(tag), None) => Ok(WriteConditions::IfMatch(parse_etag(tag))),
        _ => Err(Fault::not_implemented("this combination of If-Match and If-None-Match")),
    }
}

/// Takes the quotes off; a list stays one.
pub(crate) fn parse_etag(text: &str) -> ETag {
    let tags = text.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
    ETag(tags.collect::<Vec<_>>().join(","))
}

/// Puts the quotes on.
pub(crate) fn quoted(etag: &ETag) -> String {
    format!("\"{}\"", etag.0)
}

/// `Range`; what cannot be parsed, and several ranges, are ignored as RFC 9110 and S3 do.
pub(crate) fn range(headers: &HeaderMap) -> Option<ByteRange> {
    parse_range(as_text(headers.get(RANGE)?))
}

/// Parses `bytes=FIRST-LAST`, `bytes=FIRST-` and `bytes=-COUNT`.
pub(crate) fn parse_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => digits(last).map(ByteRange::Last),
        (false, true) => digits(first).map(ByteRange::From),
        (false, false) => {
            let (start, last) = (digits(first)?, digits(last)?);
            match last.checked_add(1) {
                Some(end) => (start < end).then_some(ByteRange::Bounded { start, end }),
                None => Some(ByteRange::From(start)),
            }
        }
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX))
}

/// Describes an object in an answer, with the `response-*` parameters that override its headers.
pub(crate) fn describe(reply: &mut Reply, info: &ObjectInfo, query: &Query) -> Outcome<()> {
    let metadata = &info.metadata;
    let stored: [(HeaderName, &Option<String>, &str); 6] = [
        (CONTENT_TYPE, &metadata.content_type, "response-content-type"),
        (CACHE_CONTROL, &metadata.cache_control, "response-cache-control"),
        (CONTENT_DISPOSITION, &metadata.content_disposition, "response-content-disposition"),
        (CONTENT_ENCODING, &metadata.content_encoding, "response-content-encoding"),
        (CONTENT_LANGUAGE, &metadata.content_language, "response-content-language"),
        (EXPIRES, &metadata.expires, "response-expires"),
    ];
    for (name, value, parameter) in stored {
        if let Some(value) = query.text(parameter)?.or(value.as_deref()) {
            add_header(reply, name, value);
        }
    }
    let headers = reply.headers_mut();
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(DEFAULT_TYPE));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    for (name, value) in &metadata.user {
        add_header(reply, format!("{USER_PREFIX}{name}"), value);
    }
    if !metadata.tags.is_empty() {
        add_header(reply, "x-amz-tagging-count", &metadata.tags.len().to_string());
    }
    describe_version(reply, info);
    Ok(())
}

/// The headers that also an answer without content has.
pub(crate) fn describe_version(reply: &mut Reply, info: &ObjectInfo) {
    add_header(reply, header::ETAG, &quoted(&info.etag));
    add_header(reply, LAST_MODIFIED, &http_date(info.last_modified));
}

/// The status of a read: 206 where a range was asked for.
pub(crate) fn read_status(range: Option<ByteRange>) -> StatusCode {
    if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }
}

fn as_text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_or_ignored() {
        assert_eq!(parse_range("bytes=0-9"), Some(ByteRange::Bounded { start: 0, end: 10 }));
        assert_eq!(parse_range("bytes=5-"), Some(ByteRange::From(5)));
        assert_eq!(parse_range("bytes=-5"), Some(ByteRange::Last(5)));
        for ignored in ["bytes=9-0", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=+1-2", ""] {
            assert_eq!(parse_range(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn the_framing_of_the_body_is_not_stored() {
        assert_eq!(without_framing("aws-chunked"), None);
        assert_eq!(without_framing("aws-chunked,gzip"), Some("gzip".to_owned()));
        assert_eq!(without_framing("gzip, br"), Some("gzip, br".to_owned()));
    }
}

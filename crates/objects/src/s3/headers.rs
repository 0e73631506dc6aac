//! Headers that describe objects, both ways.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED,
};

use super::action::Action;
use super::actions::tagging;
use crate::{BucketName, sigv4::encode_path};
use crate::{Conditions, CopySource, ETag, Error, ObjectInfo, ObjectMetadata, Result, WriteConditions};

const USER: &str = "x-amz-meta-";

/// A header's text; bytes that are not UTF-8 are replaced.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What an answer says about an object.
pub(super) fn object_info(headers: &HeaderMap) -> Result<ObjectInfo> {
    let damaged = |what: &str| Error::Corrupt { what: what.to_owned() };
    let total = text(headers, &CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    let length = || text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Ok(ObjectInfo {
        size: total.or_else(length).ok_or_else(|| damaged("the answer has no length"))?,
        etag: etag(headers).ok_or_else(|| damaged("the answer has no ETag"))?,
        last_modified: text(headers, &LAST_MODIFIED)
            .and_then(|date| parse_date(&date))
            .unwrap_or(SystemTime::UNIX_EPOCH),
        metadata: metadata(headers),
        checksum: None,
    })
}

/// The ETag of an answer, without quotes.
pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, &ETAG).map(|tag| unquoted(&tag))
}

/// An ETag without quotes.
pub(super) fn unquoted(tag: &str) -> ETag {
    ETag(tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// A date of HTTP.
pub(super) fn parse_date(date: &str) -> Option<SystemTime> {
    SystemTime::try_from(jiff::fmt::rfc2822::parse(date).ok()?.timestamp()).ok()
}

/// A date for HTTP.
fn http_date(time: SystemTime) -> String {
    let instant = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn metadata(headers: &HeaderMap) -> ObjectMetadata {
    let user = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(USER)?;
        Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    ObjectMetadata {
        content_type: text(headers, &CONTENT_TYPE),
        cache_control: text(headers, &CACHE_CONTROL),
        content_disposition: text(headers, &CONTENT_DISPOSITION),
        content_encoding: text(headers, &CONTENT_ENCODING),
        content_language: text(headers, &CONTENT_LANGUAGE),
        expires: text(headers, &EXPIRES),
        user: user.collect(),
        tags: BTreeMap::new(),
    }
}

impl Action {
    /// Stores these headers with the object.
    pub(super) fn metadata(mut self, metadata: &ObjectMetadata) -> Result<Self> {
        let standard = [
            ("content-type", &metadata.content_type),
            ("cache-control", &metadata.cache_control),
            ("content-disposition", &metadata.content_disposition),
            ("content-encoding", &metadata.content_encoding),
            ("content-language", &metadata.content_language),
            ("expires", &metadata.expires),
        ];
        for (name, value) in standard {
            if let Some(value) = value {
                self = self.header(name, value)?;
            }
        }
        for (name, value) in &metadata.user {
            self = self.header(&format!("{USER}{name}"), value)?;
        }
        if !metadata.tags.is_empty() {
            self = self.header("x-amz-tagging", &tagging::header(&metadata.tags))?;
        }
        Ok(self)
    }

    /// Reads on these conditions; `prefix` is `x-amz-copy-source-` where they are those of a copy's source.
    pub(super) fn conditions(mut self, prefix: &str, conditions: &Conditions) -> Result<Self> {
        let quoted = |tag: &ETag| if tag.0 == "*" { tag.0.clone() } else { format!("\"{}\"", tag.0) };
        let all = [
            ("if-match", conditions.if_match.as_ref().map(quoted)),
            ("if-none-match", conditions.if_none_match.as_ref().map(quoted)),
            ("if-modified-since", conditions.if_modified_since.map(http_date)),
            ("if-unmodified-since", conditions.if_unmodified_since.map(http_date)),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                self = self.header(&format!("{prefix}{name}"), &value)?;
            }
        }
        Ok(self)
    }

    /// Writes on these conditions.
    pub(super) fn write_conditions(self, conditions: &WriteConditions) -> Result<Self> {
        match conditions {
            WriteConditions::None => Ok(self),
            WriteConditions::IfAbsent => self.header("if-none-match", "*"),
            WriteConditions::IfMatch(tag) => self.header("if-match", &format!("\"{}\"", tag.0)),
            WriteConditions::IfNoneMatch(tag) => self.header("if-none-match", &format!("\"{}\"", tag.0)),
        }
    }

    /// Copies from there.
    pub(super) fn copy_source(self, source: &CopySource, own: &BucketName) -> Result<Self> {
        let bucket = source.bucket.as_ref().unwrap_or(own);
        let path = format!("/{bucket}/{}", encode_path(source.key.as_bytes()));
        self.header("x-amz-copy-source", &path)?.conditions("x-amz-copy-source-", &source.conditions)
    }
}

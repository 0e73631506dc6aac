//! Tags of objects.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html>

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use crate::s3::action::Action;
use crate::s3::xml;
use crate::sigv4::encode_query;
use crate::{BucketName, ObjectKey, Result};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tagging {
    #[serde(default)]
    tag_set: TagSet,
}

#[derive(Default, Deserialize)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// A request about the tags of an object.
pub(in crate::s3) fn request(method: Method, bucket: &BucketName, key: &ObjectKey) -> Action {
    Action::object(method, bucket, key).query("tagging", b"")
}

/// Replaces them.
pub(in crate::s3) fn replace(
    bucket: &BucketName,
    key: &ObjectKey,
    tags: &BTreeMap<String, String>,
) -> Result<Action> {
    let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
    let tag = |(key, value): (&String, &String)| {
        format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(key), escape(value))
    };
    let tags: String = tags.iter().map(tag).collect();
    let document = format!(
        "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>{tags}</TagSet></Tagging>"
    );
    request(Method::PUT, bucket, key).checked_document(Bytes::from(document))
}

/// The tags in the answer.
pub(in crate::s3) fn parse(body: &[u8]) -> Result<BTreeMap<String, String>> {
    // Ceph's answer for an object without any.
    if body.is_empty() {
        return Ok(BTreeMap::new());
    }
    let document: Tagging = xml::parse(body)?;
    Ok(document.tag_set.tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// Tags as a header carries them.
pub(in crate::s3) fn header(tags: &BTreeMap<String, String>) -> String {
    let pair = |(key, value): (&String, &String)| {
        format!("{}={}", encode_query(key.as_bytes()), encode_query(value.as_bytes()))
    };
    tags.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_travel_both_ways() {
        let tags: BTreeMap<String, String> =
            [("a b", "<&>"), ("c", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(header(&tags), "a%20b=%3C%26%3E&c=");
        let document = "<Tagging xmlns=\"x\"><TagSet><Tag><Key>a b</Key><Value>&lt;&amp;&gt;</Value></Tag>\
                        <Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>";
        assert_eq!(parse(document.as_bytes()).expect("tags"), tags);
        assert_eq!(parse(b"<Tagging><TagSet></TagSet></Tagging>").expect("none"), BTreeMap::new());
    }
}

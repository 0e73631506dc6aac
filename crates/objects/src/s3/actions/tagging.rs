//! Tags of objects. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::s3::action::Action;
use crate::s3::xml;
use crate::sigv4::encode_query;
use crate::{BucketName, Error, ObjectKey, Result};

#[derive(Deserialize, Serialize)]
#[serde(rename = "Tagging", rename_all = "PascalCase")]
struct Tagging {
    tag_set: TagSet,
}

#[derive(Default, Deserialize, Serialize)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// A request about the tags of an object.
pub(in crate::s3) fn request(method: Method, bucket: &BucketName, key: &ObjectKey) -> Action {
    Action::object(method, bucket, key).query("tagging", b"")
}

/// Replaces them.
pub(in crate::s3) fn replacing(
    bucket: &BucketName,
    key: &ObjectKey,
    tags: BTreeMap<String, String>,
) -> Result<Action> {
    let tags = tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
    let document = quick_xml::se::to_string(&Tagging { tag_set: TagSet { tags } });
    let document = document.map_err(|_| Error::Unsupported { what: "these tags" })?;
    // Required by S3 for this operation.
    let digest = STANDARD.encode(Md5::digest(document.as_bytes()));
    Ok(request(Method::PUT, bucket, key).header("content-md5", &digest)?.body(Bytes::from(document)))
}

/// Those in the answer.
pub(in crate::s3) fn parse(body: &[u8]) -> Result<BTreeMap<String, String>> {
    let found: Tagging = xml::parse(body)?;
    Ok(found.tag_set.tags.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// As the header of a write has them.
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

//! Tags of objects.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>

use std::collections::BTreeMap;

use http::StatusCode;
use sandkeep_objects::{BucketName, ObjectKey};
use serde::Deserialize;

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::reply::{self, Reply};
use crate::tags::checked;
use crate::xml::Xml;

/// What clients send.
#[derive(Debug, Deserialize)]
#[serde(rename = "Tagging")]
struct Tagging {
    #[serde(rename = "TagSet")]
    set: TagSet,
}

#[derive(Debug, Deserialize)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// `GET /BUCKET/KEY?tagging`
pub(super) async fn get_tags(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let tags = call.bucket(bucket).tags(key).await?;
    let mut document = Xml::document("Tagging");
    document.element("TagSet", |set| {
        for (key, value) in &tags {
            set.element("Tag", |tag| {
                tag.text("Key", key).text("Value", value);
            });
        }
    });
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `PUT /BUCKET/KEY?tagging`
pub(super) async fn put_tags(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Fault::malformed_xml())?;
    call.bucket(bucket).set_tags(key, parse(text)?).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// Reads a document of tags, which also forms have.
pub(super) fn parse(text: &str) -> Outcome<BTreeMap<String, String>> {
    let parsed: Tagging = quick_xml::de::from_str(text).map_err(|_| Fault::malformed_xml())?;
    checked(parsed.set.tags.into_iter().map(|tag| (tag.key, tag.value)))
}

/// `DELETE /BUCKET/KEY?tagging`
pub(super) async fn delete_tags(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    call.bucket(bucket).set_tags(key, Default::default()).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

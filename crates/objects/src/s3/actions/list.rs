//! ListObjectsV2. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::Method;
use serde::Deserialize;

use crate::s3::action::Action;
use crate::sigv4::decode_path;
use crate::{BucketName, Error, ListPage, ListRequest, ListedObject, ObjectKey, ObjectMetadata, Result};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
    #[serde(default)]
    contents: Vec<Contents>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    #[serde(rename = "ETag", default)]
    etag: String,
    last_modified: Option<String>,
    user_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

/// The request for a page. Keys come URL-encoded, because XML cannot hold every byte.
pub(in crate::s3) fn request(bucket: &BucketName, request: &ListRequest) -> Action {
    let mut action =
        Action::bucket(Method::GET, bucket).query("list-type", b"2").query("encoding-type", b"url");
    let optional: [(&str, &[u8]); 4] = [
        ("prefix", &request.prefix),
        ("delimiter", &request.delimiter),
        ("start-after", &request.start_after),
        ("continuation-token", request.continuation.as_deref().unwrap_or_default().as_bytes()),
    ];
    for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
        action = action.query(name, value);
    }
    if request.limit > 0 {
        action = action.query("max-keys", request.limit.to_string().as_bytes());
    }
    action
}

/// The page in the answer.
pub(in crate::s3) fn parse(body: &[u8]) -> Result<ListPage> {
    let document: Document = crate::s3::xml::parse(body)?;
    let encoded = document.encoding_type.as_deref() == Some("url");
    let decode =
        |text: &str| if encoded { decode_path(&text.replace('+', " ")) } else { text.as_bytes().to_vec() };
    let object = |contents: Contents| {
        Ok(ListedObject {
            key: ObjectKey::new(decode(&contents.key))?,
            size: contents.size,
            etag: crate::s3::headers::unquoted(&contents.etag),
            last_modified: contents
                .last_modified
                .as_deref()
                .and_then(super::timestamp)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            metadata: contents.user_metadata.map(metadata),
        })
    };
    let next = document.next_continuation_token.filter(|_| document.is_truncated);
    if document.is_truncated && next.is_none() {
        return Err(Error::Corrupt { what: "the listing is cut off without a token to go on".into() });
    }
    Ok(ListPage {
        objects: document.contents.into_iter().map(object).collect::<Result<_>>()?,
        common_prefixes: document.common_prefixes.iter().map(|common| decode(&common.prefix)).collect(),
        next,
    })
}

/// Elements named by headers, in any case.
fn metadata(listed: BTreeMap<String, String>) -> ObjectMetadata {
    let mut metadata = ObjectMetadata::default();
    for (name, value) in listed {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "content-type" => metadata.content_type = Some(value),
            "cache-control" => metadata.cache_control = Some(value),
            "content-disposition" => metadata.content_disposition = Some(value),
            "content-encoding" => metadata.content_encoding = Some(value),
            "content-language" => metadata.content_language = Some(value),
            "expires" => metadata.expires = Some(value),
            name => {
                if let Some(name) = name.strip_prefix("x-amz-meta-") {
                    metadata.user.insert(name.to_owned(), value);
                }
            }
        }
    }
    metadata
}

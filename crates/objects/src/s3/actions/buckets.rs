//! ListBuckets. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>

use std::time::SystemTime;

use serde::Deserialize;

use crate::{BucketInfo, Result};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Buckets", default)]
    buckets: Buckets,
}

#[derive(Default, Deserialize)]
struct Buckets {
    #[serde(rename = "Bucket", default)]
    all: Vec<Bucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Bucket {
    name: String,
    creation_date: Option<String>,
}

/// Buckets in the answer; names that are none of ours are left out.
pub(in crate::s3) fn parse(body: &[u8]) -> Result<Vec<BucketInfo>> {
    let document: Document = crate::s3::xml::parse(body)?;
    let info = |bucket: Bucket| {
        let created = bucket.creation_date.as_deref().and_then(super::timestamp);
        Some(BucketInfo {
            name: bucket.name.parse().ok()?,
            created: created.unwrap_or(SystemTime::UNIX_EPOCH),
        })
    };
    Ok(document.buckets.all.into_iter().filter_map(info).collect())
}

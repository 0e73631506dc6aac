//! DeleteObjects. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use crate::s3::action::Action;
use crate::s3::xml;
use crate::{BucketName, DeleteOutcome, Error, ObjectKey, Result};

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Error", default)]
    errors: Vec<Failed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    key: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The request; none if the keys cannot be sent in XML.
pub(in crate::s3) fn request(bucket: &BucketName, keys: &[ObjectKey]) -> Option<Result<Action>> {
    let body = xml::delete(keys)?;
    Some(Action::bucket(Method::POST, bucket).query("delete", b"").checked_document(Bytes::from(body)))
}

/// The outcome of each key. The answer is quiet: only failures are listed.
pub(in crate::s3) fn parse(body: &[u8], keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
    let document: Document = xml::parse(body)?;
    let failed: HashMap<&str, &Failed> =
        document.errors.iter().map(|failed| (failed.key.as_str(), failed)).collect();
    let outcome =
        |key: &ObjectKey| match std::str::from_utf8(key.as_bytes()).ok().and_then(|key| failed.get(key)) {
            None => Ok(()),
            Some(failed) if failed.code == "NoSuchKey" => Ok(()),
            Some(failed) if failed.code == "AccessDenied" => Err(Error::AccessDenied),
            Some(failed) => {
                Err(Error::Server { status: 200, code: failed.code.clone(), message: failed.message.clone() })
            }
        };
    Ok(keys.iter().map(outcome).collect())
}

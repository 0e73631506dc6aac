//! One file per family of S3 actions: how a request looks and what its answer means. No I/O.

pub(super) mod buckets;
pub(super) mod delete_many;
pub(super) mod list;
pub(super) mod tagging;
pub(super) mod uploads;

use serde::Deserialize;

use crate::{ETag, PutResponse, Result};

/// Body of an answer that made an object or a part.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Made {
    #[serde(rename = "ETag", default)]
    etag: String,
    last_modified: Option<String>,
    /// Set where an error comes with status 200, after a long wait.
    code: Option<String>,
    message: Option<String>,
}

impl Made {
    /// Parses CopyObjectResult, CopyPartResult or CompleteMultipartUploadResult.
    pub(super) fn parse(body: &[u8]) -> Result<PutResponse> {
        let made: Self = super::xml::parse(body)?;
        if let Some(code) = made.code {
            let message = made.message.unwrap_or_default();
            return Err(match code.as_str() {
                "PreconditionFailed" => crate::Error::PreconditionFailed,
                _ => crate::Error::Server { status: 200, code, message },
            });
        }
        let ETag(etag) = super::headers::unquoted(&made.etag);
        let last_modified = made.last_modified.as_deref().and_then(timestamp);
        Ok(PutResponse { etag: ETag(etag), last_modified })
    }
}

/// A time of S3's XML, ISO 8601.
pub(super) fn timestamp(text: &str) -> Option<std::time::SystemTime> {
    text.parse::<jiff::Timestamp>().ok()?.try_into().ok()
}

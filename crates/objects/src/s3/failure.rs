//! S3's error answers as [`Error`].
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::action::Head;
use crate::{Error, ObjectKey};

/// Body of an error answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ErrorDocument {
    pub(super) code: String,
    pub(super) message: String,
    region: Option<String>,
    part_number: Option<u32>,
}

/// What an answer other than a success means for the head.
pub(super) fn error(head: &Head, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let document: ErrorDocument = super::xml::parse(body).unwrap_or_default();
    if let Some(region) = wrong_region(&document, status, headers) {
        return Error::WrongRegion { region };
    }
    from_code(head, &document).or_else(|| from_status(head, status)).unwrap_or_else(|| Error::Server {
        status: status.as_u16(),
        code: document.code,
        message: document.message,
    })
}

/// The region to use instead, which servers tell in three ways.
fn wrong_region(document: &ErrorDocument, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let about_region = matches!(
        document.code.as_str(),
        "AuthorizationHeaderMalformed"
            | "PermanentRedirect"
            | "TemporaryRedirect"
            | "IllegalLocationConstraintException"
    );
    if !about_region && status != StatusCode::MOVED_PERMANENTLY {
        return None;
    }
    let header = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok()).map(str::to_owned);
    header.or_else(|| document.region.clone()).filter(|region| !region.is_empty())
}

fn from_code(head: &Head, document: &ErrorDocument) -> Option<Error> {
    Some(match document.code.as_str() {
        "NoSuchKey" => no_such_key(head),
        "NoSuchBucket" => no_such_bucket(head),
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => Error::BucketExists { bucket: bucket(head) },
        "BucketNotEmpty" => Error::BucketNotEmpty { bucket: bucket(head) },
        "NoSuchUpload" => Error::NoSuchUpload { upload: String::new() },
        "InvalidPart" | "InvalidPartOrder" => {
            Error::InvalidPart { number: document.part_number.unwrap_or(0) }
        }
        "EntityTooSmall" => Error::PartTooSmall { number: document.part_number.unwrap_or(0) },
        "EntityTooLarge" => Error::TooLarge,
        "PreconditionFailed" | "ConditionalRequestConflict" => Error::PreconditionFailed,
        "InvalidRange" => Error::InvalidRange { size: None },
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Error::AccessDenied,
        "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "ExpiredToken"
        | "InvalidToken"
        | "RequestTimeTooSkewed" => Error::InvalidCredentials { code: document.code.clone() },
        "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch" => {
            Error::Corrupt { what: document.code.clone() }
        }
        "NotImplemented" => Error::Unsupported { what: "this operation" },
        // Not to be taken for a missing bucket or key.
        "NoSuchLifecycleConfiguration" | "NoSuchCORSConfiguration" | "NoSuchTagSet" => {
            Error::Server { status: 404, code: document.code.clone(), message: document.message.clone() }
        }
        "OperationAborted" => Error::BucketBusy { bucket: bucket(head) },
        "InsufficientStorage" | "XMinioStorageFull" | "QuotaExceeded" => Error::NoSpace,
        _ => return None,
    })
}

/// For answers to HEAD, which have no body, and servers without codes.
fn from_status(head: &Head, status: StatusCode) -> Option<Error> {
    Some(match status {
        StatusCode::NOT_FOUND if head.key.is_some() => no_such_key(head),
        StatusCode::NOT_FOUND => no_such_bucket(head),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::AccessDenied,
        StatusCode::NOT_MODIFIED => Error::NotModified,
        StatusCode::PRECONDITION_FAILED => Error::PreconditionFailed,
        StatusCode::RANGE_NOT_SATISFIABLE => Error::InvalidRange { size: None },
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
        StatusCode::NOT_IMPLEMENTED => Error::Unsupported { what: "this operation" },
        StatusCode::INSUFFICIENT_STORAGE => Error::NoSpace,
        _ => return None,
    })
}

fn no_such_key(head: &Head) -> Error {
    Error::NoSuchKey { key: head.key.as_ref().map(ObjectKey::display).unwrap_or_default() }
}

fn no_such_bucket(head: &Head) -> Error {
    Error::NoSuchBucket { bucket: bucket(head) }
}

fn bucket(head: &Head) -> String {
    head.bucket.as_ref().map(ToString::to_string).unwrap_or_default()
}

//! Deleting objects.

use http::StatusCode;
use http::header::IF_MATCH;
use sandkeep_objects::{BucketName, DeleteConditions, ObjectKey};

use crate::call::Call;
use crate::dates::{parse_http_date, parse_iso_date};
use crate::fault::{Fault, Outcome};
use crate::headers::{parse_etag, text};
use crate::reply::{self, Reply};
use crate::xml::{Document, Record, Xml};

/// Keys of a bulk deletion at most, as on S3.
const LIMIT: usize = 1000;

/// `DELETE /BUCKET/KEY`
pub(super) async fn delete_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let header = |name: &str| text(&call.headers, name);
    let conditions = conditions(
        header(IF_MATCH.as_str())?,
        header("x-amz-if-match-size")?,
        header("x-amz-if-match-last-modified-time")?,
    )?;
    let store = call.bucket(bucket);
    if conditions.is_empty() {
        store.delete(key).await?;
    } else {
        store.delete_if(key, conditions).await?;
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn conditions(etag: Option<&str>, size: Option<&str>, time: Option<&str>) -> Outcome<DeleteConditions> {
    let invalid = |what: &str| Fault::invalid_argument(format!("The {what} of a condition is not valid"));
    Ok(DeleteConditions {
        if_match: etag.map(|etag| parse_etag(etag.trim())),
        size: size.map(|size| size.trim().parse()).transpose().map_err(|_| invalid("size"))?,
        last_modified: time
            .map(|time| parse_http_date(time.trim()).or_else(|| parse_iso_date(time.trim())))
            .map(|time| time.ok_or_else(|| invalid("time")))
            .transpose()?,
    })
}

/// One key of a bulk deletion.
struct Entry {
    /// As the client wrote it.
    text: String,
    /// The version, if the client named it.
    version: Option<String>,
    /// Whether it still waits for the bulk of the others.
    outcome: Outcome<bool>,
}

/// `POST /BUCKET?delete`
pub(super) async fn delete_objects(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    let document = Document::parse(&body, "Delete", "Object", LIMIT)?;
    if document.records.is_empty() {
        return Err(Fault::malformed_xml());
    }
    let store = call.bucket(bucket);
    let mut entries = Vec::new();
    let mut keys = Vec::new();
    for record in document.records {
        let text = record.get("Key").cloned().ok_or_else(Fault::malformed_xml)?;
        let outcome = key_to_delete(&record).and_then(|(key, conditions)| {
            if !call.authenticated.access.reaches_key(bucket, key.as_bytes()) {
                return Err(Fault::access_denied("Access Denied"));
            }
            Ok((key, conditions))
        });
        let outcome = match outcome {
            Ok((key, conditions)) if conditions.is_empty() => {
                keys.push(key);
                Ok(true)
            }
            Ok((key, conditions)) => {
                let deleted = store.delete_if(&key, conditions).await;
                deleted.map_err(Fault::from).map(|()| false)
            }
            Err(fault) => Err(fault),
        };
        let version = record.get("VersionId").filter(|version| !version.is_empty()).cloned();
        entries.push(Entry { text, version, outcome });
    }
    let mut deleted = store.delete_many(&keys).await?.into_iter();
    for entry in entries.iter_mut().filter(|entry| matches!(entry.outcome, Ok(true))) {
        entry.outcome = deleted.next().unwrap_or(Ok(())).map_err(Fault::from).map(|()| false);
    }
    let quiet = document.texts.get("Quiet").is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true"));
    Ok(reply::xml(StatusCode::OK, result(&entries, quiet)))
}

fn key_to_delete(record: &Record) -> Outcome<(ObjectKey, DeleteConditions)> {
    match record.get("VersionId").map(String::as_str) {
        None | Some("" | "null") => {}
        Some(_) => {
            return Err(Fault::new(StatusCode::NOT_FOUND, "NoSuchVersion", "The version does not exist"));
        }
    }
    let text = |name: &str| record.get(name).map(String::as_str);
    let conditions = conditions(text("ETag"), text("Size"), text("LastModifiedTime"))?;
    Ok((ObjectKey::new(text("Key").unwrap_or_default())?, conditions))
}

fn result(entries: &[Entry], quiet: bool) -> String {
    let mut document = Xml::document("DeleteResult");
    for entry in entries {
        match &entry.outcome {
            Ok(_) if quiet => {}
            Ok(_) => {
                document.element("Deleted", |deleted| {
                    deleted.text("Key", &entry.text).optional("VersionId", entry.version.as_deref());
                });
            }
            Err(fault) => {
                document.element("Error", |error| {
                    error.text("Key", &entry.text).optional("VersionId", entry.version.as_deref());
                    error.text("Code", fault.code).text("Message", &fault.message);
                });
            }
        }
    }
    document.finish()
}

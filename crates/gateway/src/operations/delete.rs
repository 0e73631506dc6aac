//! Deleting objects.

use http::StatusCode;
use http::header::IF_MATCH;
use sandkeep_objects::{BucketName, ObjectKey};

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::{parse_etag, text};
use crate::reply::{self, Reply};
use crate::xml::{Document, Record, Xml};

/// Keys of a bulk deletion at most, as on S3.
const LIMIT: usize = 1000;

/// Conditions of a deletion that the store does not have.
const CONDITIONS: [&str; 2] = ["x-amz-if-match-last-modified-time", "x-amz-if-match-size"];

/// `DELETE /BUCKET/KEY`
pub(super) async fn delete_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    if let Some(name) = CONDITIONS.iter().find(|name| call.headers.contains_key(**name)) {
        return Err(Fault::not_implemented(format!("the header {name} of a deletion")));
    }
    let store = call.bucket(bucket);
    match text(&call.headers, IF_MATCH)? {
        Some(etag) => store.delete_matching(key, parse_etag(etag)).await?,
        None => store.delete(key).await?,
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// One key of a bulk deletion.
struct Entry {
    /// As the client wrote it.
    text: String,
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
        let outcome = key_to_delete(&record).and_then(|key| {
            if !call.authenticated.access.reaches_key(bucket, key.as_bytes()) {
                return Err(Fault::access_denied("Access Denied"));
            }
            Ok(key)
        });
        let outcome = match (outcome, record.get("ETag")) {
            (Ok(key), Some(etag)) => {
                let deleted = store.delete_matching(&key, parse_etag(etag.trim())).await;
                deleted.map_err(Fault::from).map(|()| false)
            }
            (Ok(key), None) => {
                keys.push(key);
                Ok(true)
            }
            (Err(fault), _) => Err(fault),
        };
        entries.push(Entry { text, outcome });
    }
    let mut deleted = store.delete_many(&keys).await?.into_iter();
    for entry in entries.iter_mut().filter(|entry| matches!(entry.outcome, Ok(true))) {
        entry.outcome = deleted.next().unwrap_or(Ok(())).map_err(Fault::from).map(|()| false);
    }
    let quiet = document.texts.get("Quiet").is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true"));
    Ok(reply::xml(StatusCode::OK, result(&entries, quiet)))
}

fn key_to_delete(record: &Record) -> Outcome<ObjectKey> {
    match record.get("VersionId").map(String::as_str) {
        None | Some("" | "null") => {}
        Some(_) => {
            return Err(Fault::new(StatusCode::NOT_FOUND, "NoSuchVersion", "The version does not exist"));
        }
    }
    if let Some(condition) = ["LastModifiedTime", "Size"].iter().find(|name| record.contains_key(**name)) {
        return Err(Fault::not_implemented(format!("the condition {condition} of a deletion")));
    }
    Ok(ObjectKey::new(record.get("Key").map_or("", String::as_str))?)
}

fn result(entries: &[Entry], quiet: bool) -> String {
    let mut document = Xml::document("DeleteResult");
    for entry in entries {
        match &entry.outcome {
            Ok(_) if quiet => {}
            Ok(_) => {
                document.element("Deleted", |deleted| {
                    deleted.text("Key", &entry.text);
                });
            }
            Err(fault) => {
                document.element("Error", |error| {
                    error.text("Key", &entry.text).text("Code", fault.code).text("Message", &fault.message);
                });
            }
        }
    }
    document.finish()
}

//! Uploads by forms of browsers, whose policy was signed by somebody with a key.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sandkeep_objects::sigv4::{encode_path, encode_query};
use sandkeep_objects::{BucketName, ObjectKey, ObjectMetadata, ObjectService, PutRequest, WriteConditions};

use super::tagging;
use crate::KeyRing;
use crate::access::AccessMode;
use crate::authentication::authenticate_form;
use crate::fault::{Fault, Outcome};
use crate::forms::{Fields, Form, Policy, boundary_of, content_length, malformed};
use crate::headers::{check_supported, metadata, quoted, text};
use crate::inbound::Inbound;
use crate::payload::{SPOOL_LIMIT, Spool, Spooled, verified};
use crate::reply::{self, Reply, add_header};
use crate::target::Target;
use crate::xml::Xml;

/// Bytes before the file at most.
const FIELDS_LIMIT: usize = 64 * 1024;

/// The bucket and the boundary, if the request is a form.
pub(super) fn form_of(parts: &Parts) -> Option<(BucketName, String)> {
    let content_type = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let plain = parts.method == Method::POST
        && parts.uri.query().is_none()
        && !parts.headers.contains_key(http::header::AUTHORIZATION);
    match Target::of(&parts.headers, parts.uri.path()).ok()? {
        Target::Bucket(bucket) if plain => Some((bucket, boundary_of(content_type)?.to_owned())),
        _ => None,
    }
}

/// Who may have signed a form, and for which store.
pub(super) struct Signed<'a> {
    pub(super) service: &'a dyn ObjectService,
    pub(super) keys: &'a KeyRing,
    pub(super) regions: &'a [String],
}

/// `POST /BUCKET` with a form
pub(super) async fn post_object(
    signed: Signed<'_>,
    parts: &Parts,
    inbound: &Inbound,
    (bucket, boundary): (BucketName, String),
) -> Outcome<Reply> {
    // With Transfer-Encoding there could be two lengths, of which somebody before this endpoint read the other one.
    if !parts.headers.contains_key(CONTENT_LENGTH) {
        let message = "You must provide the content-length HTTP header.";
        return Err(Fault::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message));
    }
    let mut received = BytesMut::new();
    let mut form = receive_fields(inbound, &mut received, &boundary).await?;
    // Nobody who has no signed policy gets to send a file.
    let access = authenticate_form(&form.fields, signed.keys, signed.regions)?;
    let policy = Policy::parse(form.fields.get("policy").unwrap_or_default())?;
    let key = form.fields.get("key").ok_or_else(malformed)?.replace("${filename}", &form.filename);
    form.fields = with_target(&form.fields, &bucket, &key)?;
    policy.check(&form.fields, SystemTime::now())?;
    let key = ObjectKey::new(key.into_bytes())?;
    if access.mode == AccessMode::ReadOnly || !access.reaches_key(&bucket, key.as_bytes()) {
        return Err(Fault::access_denied("Access Denied"));
    }
    let headers = headers(&form.fields)?;
    check_supported(&headers)?;
    let metadata = ObjectMetadata { tags: tags(&form.fields)?, ..metadata(&headers)? };
    let spooled = receive_file(inbound, received, form.file_at).await?;
    let file = spooled.content.slice(..file_length(&spooled.content, &boundary)?);
    policy.check_length(file.len() as u64)?;
    let request = PutRequest { key: key.clone(), metadata, conditions: WriteConditions::None };
    let stored = signed.service.bucket(&bucket).put(request, verified(&headers, file)?).await?;
    let host = text(&parts.headers, http::header::HOST)?.unwrap_or_default();
    Ok(answer(&form.fields, host, &bucket, &key, &quoted(&stored.etag)))
}

async fn receive_fields(inbound: &Inbound, received: &mut BytesMut, boundary: &str) -> Outcome<Form> {
    while let Some(bytes) = inbound.next().await? {
        received.extend_from_slice(&bytes);
        if let Some(form) = Form::parse(received, boundary)? {
            return Ok(form);
        }
        if received.len() > FIELDS_LIMIT {
            return Err(Fault::bad(
                "MaxPostPreDataLengthExceeded",
                "Your POST request fields were too large.",
            ));
        }
    }
    Err(malformed())
}

/// A form does not say how long its file is, so it is taken in before it is stored.
async fn receive_file(inbound: &Inbound, mut received: BytesMut, at: usize) -> Outcome<Spooled> {
    let mut file = Spool::new(SPOOL_LIMIT + FIELDS_LIMIT);
    file.push(&received.split_off(at))?;
    while let Some(bytes) = inbound.next().await? {
        file.push(&bytes)?;
    }
    Ok(file.finish())
}

/// Bytes of the file at the start of `content`; what follows behind it does not matter.
fn file_length(content: &[u8], boundary: &str) -> Outcome<usize> {
    let length = content_length(content, boundary).ok_or_else(malformed)?;
    let behind = &content[length + 4 + boundary.len()..];
    if !behind.starts_with(b"--") && !behind.starts_with(b"\r\n") {
        return Err(malformed());
    }
    if length > SPOOL_LIMIT {
        return Err(Fault::too_large(SPOOL_LIMIT as u64));
    }
    Ok(length)
}

/// The fields as the policy judges them: with the bucket, and the key as it will be.
fn with_target(fields: &Fields, bucket: &BucketName, key: &str) -> Outcome<Fields> {
    let mut judged = Fields::default();
    judged.insert("bucket".to_owned(), bucket.as_str().to_owned())?;
    for (name, value) in fields.iter() {
        match name {
            "bucket" if value == bucket.as_str() => {}
            "bucket" => return Err(Fault::access_denied("The form is for another bucket")),
            "key" => judged.insert(name.to_owned(), key.to_owned())?,
            _ => judged.insert(name.to_owned(), value.to_owned())?,
        }
    }
    Ok(judged)
}

fn tags(fields: &Fields) -> Outcome<BTreeMap<String, String>> {
    fields.get("tagging").map_or_else(|| Ok(BTreeMap::new()), tagging::parse)
}

/// The fields that are stored with the object or say what it must be, as headers.
fn headers(fields: &Fields) -> Outcome<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter() {
        let name = if name == "acl" { "x-amz-acl" } else { name };
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

fn answer(fields: &Fields, host: &str, bucket: &BucketName, key: &ObjectKey, etag: &str) -> Reply {
    let location = format!("http://{host}/{bucket}/{}", encode_path(key.as_bytes()));
    let mut reply = match (fields.get("success_action_redirect"), fields.get("success_action_status")) {
        (Some(target), _) if target.starts_with("http://") || target.starts_with("https://") => {
            let separator = if target.contains('?') { '&' } else { '?' };
            let (key, etag) = (encode_query(key.as_bytes()), encode_query(etag.as_bytes()));
            let mut reply = reply::empty(StatusCode::SEE_OTHER);
            let target = format!("{target}{separator}bucket={bucket}&key={key}&etag={etag}");
            add_header(&mut reply, LOCATION, &target);
            return reply;
        }
        (_, Some("200")) => reply::empty(StatusCode::OK),
        (_, Some("201")) => {
            let mut document = Xml::document_without_namespace("PostResponse");
            document
                .text("Location", &location)
                .text("Bucket", bucket.as_str())
                .text("Key", &key.display())
                .text("ETag", etag);
            reply::xml(StatusCode::CREATED, document.finish())
        }
        _ => reply::empty(StatusCode::NO_CONTENT),
    };
    add_header(&mut reply, ETAG, etag);
    add_header(&mut reply, LOCATION, &location);
    reply
}

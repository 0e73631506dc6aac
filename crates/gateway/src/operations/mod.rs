//! From a request to its answer; one file for each family of operations.

mod acls;
mod attributes;
mod buckets;
mod checksums;
mod copy;
mod cors;
mod delete;
mod lifecycle;
mod listing;
mod listing_uploads;
mod listing_versions;
mod multipart;
mod parts;
mod post;
mod read;
mod tagging;
mod write;

pub(crate) use copy::copy_source;

use std::sync::Arc;

use data_encoding::HEXUPPER;
use http::header::{CONNECTION, HeaderValue, SERVER};
use http::{Method, Request};
use hyper::body::Incoming;
use sandkeep_objects::{BucketName, ObjectKey};

use crate::authorize::Requested;
use crate::call::Call;
use crate::door::{Admitted, Door, KeyedDoor};
use crate::fair::Line;
use crate::fault::{Fault, Outcome};
use crate::headers::{check_doubled, check_supported};
use crate::inbound::Inbound;
use crate::query::Query;
use crate::reply::{self, Reply, add_header};
use crate::route::{Operation, route};
use crate::target::Target;
use crate::throttle::Throttle;

/// Bytes of a document that a client sends at most: 10,000 parts with checksums, or 1,000 long keys.
const DOCUMENT_LIMIT: u64 = 2 * 1024 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) door: Door,
    pub(crate) regions: Vec<String>,
    /// Whose requests wait for their turn; none: all are served as they come.
    pub(crate) line: Option<Line>,
    /// How fast bodies pass; none: as fast as they can.
    pub(crate) throttle: Option<Arc<Throttle>>,
}

/// Answers a request.
pub(crate) async fn answer(endpoint: &Endpoint, request: Request<Incoming>) -> Reply {
    let turn = match &endpoint.line {
        Some(line) => line.turn().await,
        None => None,
    };
    let (parts, body) = request.into_parts();
    let request_id = request_id();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let inbound = Inbound::new(body, &parts.headers, endpoint.throttle.clone());
    let asked = cors::Asked::of(&parts);
    let outcome = process(endpoint, parts, inbound.clone()).await;
    let mut reply = match outcome {
        Ok(reply) => reply,
        Err(fault) => {
            tracing::debug!(%method, path, request_id, code = fault.code, "refused: {}", fault.message);
            reply_to_fault(&method, &fault, &path, &request_id)
        }
    };
    if let (Some(asked), Some(door)) = (asked, endpoint.door.keyed()) {
        asked.answer(door.service, &mut reply).await;
    }
    if !inbound.settle().await {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    add_header(&mut reply, "x-amz-request-id", &request_id);
    reply.headers_mut().insert(SERVER, HeaderValue::from_static("Sandkeep"));
    if let Some(throttle) = endpoint.throttle.as_ref().filter(|_| method != Method::HEAD) {
        reply = reply::throttled(reply, throttle).await;
    }
    match turn {
        Some(turn) => reply::holding(reply, turn),
        None => reply,
    }
}

async fn process(endpoint: &Endpoint, parts: http::request::Parts, inbound: Inbound) -> Outcome<Reply> {
    check_doubled(&parts.headers)?;
    if let Some(KeyedDoor { service, keys }) = endpoint.door.keyed() {
        if parts.method == Method::OPTIONS {
            return cors::preflight(service, &parts).await;
        }
        if let Some(form) = post::form_of(&parts) {
            let signed = post::Signed { service, keys: &keys.current(), regions: &endpoint.regions };
            return post::post_object(signed, &parts, &inbound, form).await;
        }
    }
    let mut admitted = endpoint.door.admit(&parts, &endpoint.regions)?;
    let target = Target::of(&parts.headers, parts.uri.path())?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let operation = route(&parts.method, &target, &query, &parts.headers)?;
    let source = copy_source(operation, &parts.headers)?;
    let requested = Requested { operation, target: &target, query: &query, source: source.as_ref() };
    admitted.authorize(requested)?;
    check_supported(&parts.headers)?;
    let Admitted { authenticated, service, .. } = admitted;
    let call = Call { service, headers: parts.headers, query, inbound, authenticated };
    match target {
        Target::Service => buckets::list_buckets(&call).await,
        Target::Bucket(bucket) => on_bucket(&call, operation, &bucket, &endpoint.regions).await,
        Target::Object(bucket, key) => on_object(&call, operation, bucket, key).await,
    }
}

async fn on_bucket(
    call: &Call,
    operation: Operation,
    bucket: &BucketName,
    regions: &[String],
) -> Outcome<Reply> {
    match operation {
        Operation::CreateBucket => buckets::create_bucket(call, bucket, regions).await,
        Operation::HeadBucket => buckets::head_bucket(call, bucket, regions).await,
        Operation::DeleteBucket => buckets::delete_bucket(call, bucket).await,
        Operation::GetBucketLocation => buckets::get_location(call, bucket, regions).await,
        Operation::GetBucketVersioning => buckets::get_versioning(call, bucket).await,
        Operation::GetBucketAcl => acls::of_bucket(call, bucket).await,
        Operation::PutBucketAcl => acls::put_of_bucket(call, bucket).await,
        Operation::GetBucketLifecycle => lifecycle::get_lifecycle(call, bucket).await,
        Operation::PutBucketLifecycle => lifecycle::put_lifecycle(call, bucket).await,
        Operation::DeleteBucketLifecycle => lifecycle::delete_lifecycle(call, bucket).await,
        Operation::GetBucketCors => cors::get_cors(call, bucket).await,
        Operation::PutBucketCors => cors::put_cors(call, bucket).await,
        Operation::DeleteBucketCors => cors::delete_cors(call, bucket).await,
        Operation::ListObjects => listing::list_objects(call, bucket).await,
        Operation::ListObjectsV2 => listing::list_objects_v2(call, bucket).await,
        Operation::ListObjectVersions => listing_versions::list_versions(call, bucket).await,
        Operation::ListUploads => listing_uploads::list_uploads(call, bucket).await,
        Operation::DeleteObjects => delete::delete_objects(call, bucket).await,
        _ => Err(Fault::method_not_allowed()),
    }
}

async fn on_object(call: &Call, operation: Operation, bucket: BucketName, key: ObjectKey) -> Outcome<Reply> {
    match operation {
        Operation::GetObject => read::get_object(call, &bucket, key).await,
        Operation::HeadObject => read::head_object(call, &bucket, &key).await,
        Operation::PutObject => write::put_object(call, &bucket, key).await,
        Operation::DeleteObject => delete::delete_object(call, &bucket, &key).await,
        Operation::CopyObject => copy::copy_object(call, &bucket, key).await,
        Operation::CreateUpload => multipart::create_upload(call, &bucket, key).await,
        Operation::CompleteUpload => multipart::complete_upload(call, &bucket, key).await,
        Operation::AbortUpload => multipart::abort_upload(call, &bucket, key).await,
        Operation::UploadPart => parts::upload_part(call, &bucket, key).await,
        Operation::UploadPartCopy => parts::upload_part_copy(call, &bucket, key).await,
        Operation::ListParts => parts::list_parts(call, &bucket, key).await,
        Operation::GetObjectAttributes => attributes::get_attributes(call, &bucket, &key).await,
        Operation::GetObjectAcl => acls::of_object(call, &bucket, &key).await,
        Operation::PutObjectAcl => acls::put_of_object(call, &bucket, &key).await,
        Operation::GetObjectTagging => tagging::get_tags(call, &bucket, &key).await,
        Operation::PutObjectTagging => tagging::put_tags(call, &bucket, &key).await,
        Operation::DeleteObjectTagging => tagging::delete_tags(call, &bucket, &key).await,
        _ => Err(Fault::method_not_allowed()),
    }
}

/// A HEAD has no body to carry the document.
fn reply_to_fault(method: &Method, fault: &Fault, path: &str, request_id: &str) -> Reply {
    let mut reply = reply::fault(fault, path, request_id);
    if method == Method::HEAD {
        let (parts, _) = reply.into_parts();
        reply = reply::empty(parts.status);
        reply.headers_mut().extend(parts.headers);
    }
    reply
}

fn request_id() -> String {
    // Without randomness a request loses its name, nothing more.
    HEXUPPER.encode(&getrandom::u64().unwrap_or_default().to_be_bytes())
}

/// Reads a document as each operation would that takes one.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse_documents(bytes: &[u8]) {
    for (root, record) in
        [("Delete", "Object"), ("CompleteMultipartUpload", "Part"), ("CreateBucketConfiguration", "")]
    {
        if let Ok(document) = crate::xml::Document::parse(bytes, root, record, 100) {
            assert!(document.records.len() <= 100, "more records than allowed");
        }
    }
    let _ = cors::parse(bytes);
    let _ = lifecycle::parse(bytes);
    let _ = acls::parse(bytes);
    let _ = std::str::from_utf8(bytes).map(tagging::parse);
}

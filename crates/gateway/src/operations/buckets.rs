//! Buckets themselves.

use http::StatusCode;
use http::header::LOCATION;
use sandkeep_objects::BucketName;

use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::reply::{self, Reply, add_header};
use crate::xml::{Document, Xml};

/// The region everything is in; a location that is empty means this one.
const REGION: &str = "us-east-1";

/// `GET /`
pub(super) async fn list_buckets(call: &Call) -> Outcome<Reply> {
    let buckets = call.service.list_buckets().await?;
    let prefix = call.query.text("prefix")?.unwrap_or_default();
    let access = &call.authenticated.access;
    let wanted = |name: &BucketName| name.as_str().starts_with(prefix) && access.reaches_bucket(name);
    let mut document = Xml::document("ListAllMyBucketsResult");
    owner(&mut document, "Owner");
    document.element("Buckets", |list| {
        for bucket in buckets.iter().filter(|bucket| wanted(&bucket.name)) {
            list.element("Bucket", |entry| {
                entry.text("Name", bucket.name.as_str()).text("CreationDate", &iso_date(bucket.created));
            });
        }
    });
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `PUT /BUCKET`
pub(super) async fn create_bucket(call: &Call, bucket: &BucketName, regions: &[String]) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    if !body.is_empty() {
        let document = Document::parse(&body, "CreateBucketConfiguration", "", 0)?;
        check_location(document.texts.get("LocationConstraint").map_or("", |text| text.trim()), regions)?;
    }
    call.service.create_bucket(bucket).await?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, LOCATION, &format!("/{bucket}"));
    Ok(reply)
}

fn check_location(location: &str, regions: &[String]) -> Outcome<()> {
    if ["", "auto", REGION].contains(&location) || regions.iter().any(|region| region == location) {
        return Ok(());
    }
    let message = format!("The {location} location constraint is incompatible with this endpoint.");
    Err(Fault::bad("IllegalLocationConstraintException", message))
}

/// `HEAD /BUCKET`
pub(super) async fn head_bucket(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, "x-amz-bucket-region", REGION);
    Ok(reply)
}

/// `DELETE /BUCKET`
pub(super) async fn delete_bucket(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.delete_bucket(bucket).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `GET /BUCKET?location`
pub(super) async fn get_location(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    Ok(reply::xml(StatusCode::OK, Xml::document("LocationConstraint").finish()))
}

/// `GET /BUCKET?versioning`: never enabled.
pub(super) async fn get_versioning(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    Ok(reply::xml(StatusCode::OK, Xml::document("VersioningConfiguration").finish()))
}

/// The account, as owner or initiator.
pub(super) fn owner(document: &mut Xml, name: &str) {
    document.element(name, |owner| {
        owner.text("ID", "sandkeep").text("DisplayName", "sandkeep");
    });
}

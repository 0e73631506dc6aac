//! Buckets themselves.

use http::StatusCode;
use http::header::LOCATION;
use sandkeep_objects::{BucketInfo, BucketName, Error, KeyError};

use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::headers::ACCOUNT;
use crate::reply::{self, Reply, add_header};
use crate::xml::{Document, Xml};

/// The region everything is in, unless settings name another; a location that is empty means this one.
const REGION: &str = "us-east-1";

/// Buckets in an answer at most, as on S3.
const PAGE: usize = 10_000;

/// `GET /`
pub(super) async fn list_buckets(call: &Call) -> Outcome<Reply> {
    let buckets = call.service.list_buckets().await?;
    let prefix = call.query.text("prefix")?.unwrap_or_default();
    let access = &call.authenticated.access;
    let limit = call.query.number::<usize>("max-buckets")?.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(Fault::invalid_argument("max-buckets must be between 1 and 10000"));
    }
    // The name of the last bucket before.
    let after = call.query.text("continuation-token")?.unwrap_or_default();
    let wanted = |name: &str| name.starts_with(prefix) && name > after;
    let visible = |bucket: &&BucketInfo| access.reaches_bucket(&bucket.name) && wanted(bucket.name.as_str());
    let mut page: Vec<&BucketInfo> = buckets.iter().filter(visible).collect();
    page.sort_by(|one, other| one.name.cmp(&other.name));
    let next = page.get(limit).and(page.get(limit - 1)).map(|last| last.name.as_str());
    let mut document = Xml::document("ListAllMyBucketsResult");
    owner(&mut document, "Owner");
    document.element("Buckets", |list| {
        for bucket in page.iter().take(limit) {
            list.element("Bucket", |entry| {
                entry.text("Name", bucket.name.as_str()).text("CreationDate", &iso_date(bucket.created));
            });
        }
    });
    document.optional("Prefix", Some(prefix).filter(|prefix| !prefix.is_empty()));
    document.optional("ContinuationToken", next);
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `PUT /BUCKET`
pub(super) async fn create_bucket(call: &Call, bucket: &BucketName, regions: &[String]) -> Outcome<Reply> {
    check_new_name(bucket.as_str())?;
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    if !body.is_empty() {
        let document = Document::parse(&body, "CreateBucketConfiguration", "", 0)?;
        check_location(document.texts.get("LocationConstraint").map_or("", |text| text.trim()), regions)?;
    }
    let mut reply = reply::empty(StatusCode::OK);
    match call.service.create_bucket(bucket).await {
        // As S3 does in us-east-1; our own client looks at this header.
        Err(Error::BucketExists { .. }) => add_header(&mut reply, sandkeep_objects::EXISTED, "true"),
        other => other?,
    }
    add_header(&mut reply, LOCATION, &format!("/{bucket}"));
    Ok(reply)
}

/// New buckets keep to all rules of S3, so that any other server can take them over. Buckets of other names, made by
/// other ways, can be used all the same.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn check_new_name(name: &str) -> Outcome<()> {
    let is_address = name.parse::<std::net::Ipv4Addr>().is_ok();
    if name.len() < 3 || is_address || ["..", ".-", "-."].iter().any(|pair| name.contains(pair)) {
        return Err(KeyError::InvalidBucketName { name: name.to_owned() }.into());
    }
    Ok(())
}

fn check_location(location: &str, regions: &[String]) -> Outcome<()> {
    if ["", "auto", REGION].contains(&location) || regions.iter().any(|region| region == location) {
        return Ok(());
    }
    let message = format!("The {location} location constraint is incompatible with this endpoint.");
    Err(Fault::bad("IllegalLocationConstraintException", message))
}

/// `HEAD /BUCKET`
pub(super) async fn head_bucket(call: &Call, bucket: &BucketName, regions: &[String]) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, "x-amz-bucket-region", regions.first().map_or(REGION, String::as_str));
    Ok(reply)
}

/// `DELETE /BUCKET`
pub(super) async fn delete_bucket(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.delete_bucket(bucket).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `GET /BUCKET?location`
pub(super) async fn get_location(call: &Call, bucket: &BucketName, regions: &[String]) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    let region = regions.first().filter(|region| *region != REGION);
    let mut document = Xml::document("LocationConstraint");
    document.content(region.map_or("", String::as_str));
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `GET /BUCKET?versioning`: never enabled.
pub(super) async fn get_versioning(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    Ok(reply::xml(StatusCode::OK, Xml::document("VersioningConfiguration").finish()))
}

/// The account, as owner or initiator.
pub(super) fn owner(document: &mut Xml, name: &str) {
    document.element(name, |owner| {
        owner.text("ID", ACCOUNT).text("DisplayName", ACCOUNT);
    });
}

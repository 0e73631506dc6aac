//! What clients ask before they copy or describe: everything belongs to the account.

use http::StatusCode;
use sandkeep_objects::{BucketName, Conditions, ObjectKey};
use serde::Deserialize;

use super::buckets::owner;
use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::{ACCOUNT, text};
use crate::reply::{self, Reply};
use crate::xml::Xml;

/// What clients send.
#[derive(Debug, Deserialize)]
#[serde(rename = "AccessControlPolicy", rename_all = "PascalCase")]
pub(super) struct Policy {
    owner: Option<Owner>,
    #[serde(rename = "AccessControlList")]
    list: List,
}

/// Or somebody to whom access is granted.
#[derive(Debug, Deserialize)]
struct Owner {
    #[serde(rename = "ID")]
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct List {
    #[serde(rename = "Grant", default)]
    grants: Vec<Grant>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Owner,
    permission: String,
}

/// `GET /BUCKET?acl`
pub(super) async fn of_bucket(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    Ok(full_control())
}

/// `GET /BUCKET/KEY?acl`
pub(super) async fn of_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    call.bucket(bucket).head(key, Conditions::default()).await?;
    Ok(full_control())
}

/// `PUT /BUCKET?acl`: succeeds if it changes nothing.
pub(super) async fn put_of_bucket(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    call.service.head_bucket(bucket).await?;
    check_unchanged(call).await
}

/// `PUT /BUCKET/KEY?acl`: succeeds if it changes nothing.
pub(super) async fn put_of_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    call.bucket(bucket).head(key, Conditions::default()).await?;
    check_unchanged(call).await
}

/// A canned ACL in the header that would give access to others was refused before.
async fn check_unchanged(call: &Call) -> Outcome<Reply> {
    let body = call.document(super::DOCUMENT_LIMIT).await?;
    if body.is_empty() {
        let canned = text(&call.headers, "x-amz-acl")?;
        return canned.map(|_| reply::empty(StatusCode::OK)).ok_or_else(Fault::malformed_xml);
    }
    let policy = parse(&body)?;
    let ours = |owner: &Owner| owner.id.as_deref() == Some(ACCOUNT);
    let full = |grant: &Grant| ours(&grant.grantee) && grant.permission == "FULL_CONTROL";
    let grants = &policy.list.grants;
    if policy.owner.as_ref().is_none_or(ours) && !grants.is_empty() && grants.iter().all(full) {
        return Ok(reply::empty(StatusCode::OK));
    }
    Err(Fault::not_implemented("access of others"))
}

pub(super) fn parse(body: &[u8]) -> Outcome<Policy> {
    let document = std::str::from_utf8(body).map_err(|_| Fault::malformed_xml())?;
    quick_xml::de::from_str(document).map_err(|_| Fault::malformed_xml())
}

fn full_control() -> Reply {
    let mut document = Xml::document("AccessControlPolicy");
    owner(&mut document, "Owner");
    document.element("AccessControlList", |list| {
        list.element("Grant", |grant| {
            grant.markup(
                "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
                 <ID>sandkeep</ID><DisplayName>sandkeep</DisplayName></Grantee>",
            );
            grant.text("Permission", "FULL_CONTROL");
        });
    });
    reply::xml(StatusCode::OK, document.finish())
}

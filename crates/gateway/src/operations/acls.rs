//! What clients ask before they copy or describe: everything belongs to the account, and nothing has tags.

use http::StatusCode;
use sandkeep_objects::{BucketName, Conditions, ObjectKey};

use super::buckets::owner;
use crate::call::Call;
use crate::fault::Outcome;
use crate::reply::{self, Reply};
use crate::xml::Xml;

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

/// `GET /BUCKET/KEY?tagging`: tags cannot be set, so there are none. aws-cli asks before it copies in parts.
pub(super) async fn tags_of_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    call.bucket(bucket).head(key, Conditions::default()).await?;
    let mut document = Xml::document("Tagging");
    document.element("TagSet", |_| {});
    Ok(reply::xml(StatusCode::OK, document.finish()))
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

//! What clients ask before they copy or describe: everything belongs to the account.

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

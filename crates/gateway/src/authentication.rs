//! Who sent a request.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::request::Parts;
use sandkeep_objects::sigv2::{self, LinkClaim};
use sandkeep_objects::sigv4::{
    ALGORITHM, ChunkSigner, Claim, PayloadHash, Scope, Signature, SignedRequest, SigningKey, Timestamp,
    VerifyError,
};
use sandkeep_objects::{AccessKeyId, BucketName};

use crate::fault::{Fault, Outcome};
use crate::forms::Fields;
use crate::target::bucket_of_host;
use crate::{Access, AccessKey, KeyRing};

/// How far a client's clock may be off, as on S3.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Regions that every client may sign for.
const ALWAYS_ACCEPTED: [&str; 2] = ["us-east-1", "auto"];

/// What a believed signature says about the body.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    pub(crate) payload: PayloadHash,
    /// What signs its chunks; none: their signatures mean nothing.
    pub(crate) chunks: Option<ChunkSigner>,
    /// What its key may do.
    pub(crate) access: Access,
}

/// Checks the signature of a request.
pub(crate) fn authenticate(parts: &Parts, keys: &KeyRing, regions: &[String]) -> Outcome<Authenticated> {
    let request = SignedRequest::of(parts);
    if let Some(link) = LinkClaim::of(&request)? {
        return authenticate_link(&link, parts, keys);
    }
    let missing = || Fault::access_denied("Anonymous access is not allowed");
    let claim = Claim::of(&request)?.ok_or_else(missing)?;
    check_scope(&claim.scope, regions)?;
    let key = keys.of_id(&claim.access_key_id).ok_or_else(|| unknown(&claim.access_key_id))?;
    if claim.session_token.is_some() {
        return Err(Fault::bad("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    claim.check_time(SystemTime::now(), SKEW)?;
    claim.check_signed_headers(&request)?;
    let chunks = claim.verify_with_key(&request, keys.signing_key(key, &claim.scope))?;
    Ok(Authenticated { payload: claim.payload, chunks: Some(chunks), access: access_of(key)? })
}

/// Checks a link that was presigned with version 2.
fn authenticate_link(link: &LinkClaim, parts: &Parts, keys: &KeyRing) -> Outcome<Authenticated> {
    let key = keys.of_id(&link.access_key_id).ok_or_else(|| unknown(&link.access_key_id))?;
    link.check_time(SystemTime::now())?;
    let bucket = bucket_of_host(&parts.headers);
    let bucket = bucket.as_ref().map(BucketName::as_str);
    link.verify(&SignedRequest::of(parts), bucket, &key.credentials.secret_access_key)?;
    Ok(Authenticated { payload: PayloadHash::Unsigned, chunks: None, access: access_of(key)? })
}

fn access_of(key: &AccessKey) -> Outcome<Access> {
    if key.access.has_expired(SystemTime::now()) {
        return Err(Fault::bad("ExpiredToken", "The access key has expired."));
    }
    Ok(key.access.clone())
}

fn unknown(id: &AccessKeyId) -> Fault {
    let message = "The AWS Access Key Id you provided does not exist in our records.";
    Fault::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message).with("AWSAccessKeyId", &id.0)
}

/// Checks the signature of a form's policy, and returns what its key may do.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>
pub(crate) fn authenticate_form(fields: &Fields, keys: &KeyRing, regions: &[String]) -> Outcome<Access> {
    let Some(policy) = fields.get("policy") else {
        return Err(Fault::access_denied("Anonymous access is not allowed"));
    };
    if fields.get("x-amz-security-token").is_some() {
        return Err(Fault::bad("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    if fields.get("awsaccesskeyid").is_some() {
        return authenticate_old_form(fields, policy, keys);
    }
    let field = |name: &str| needed(fields, name);
    let invalid = || Fault::invalid_argument("The form's credential, algorithm or date is not valid");
    let claimed = Signature::claimed(field("x-amz-signature")?);
    let (id, scope) = field("x-amz-credential")?.split_once('/').ok_or_else(invalid)?;
    let scope = Scope::parse(scope).ok_or_else(invalid)?;
    let dated = Timestamp::parse(field("x-amz-date")?).ok_or_else(invalid)?;
    if field("x-amz-algorithm")? != ALGORITHM || dated.date() != scope.date() {
        return Err(invalid());
    }
    check_scope(&scope, regions)?;
    let id = AccessKeyId(id.to_owned());
    let key = keys.of_id(&id).ok_or_else(|| unknown(&id))?;
    if !SigningKey::derive(&key.credentials.secret_access_key, &scope).sign(policy).matches(&claimed) {
        return Err(VerifyError::SignatureMismatch { string_to_sign: policy.to_owned() }.into());
    }
    access_of(key)
}

/// Checks a policy that was signed with version 2.
fn authenticate_old_form(fields: &Fields, policy: &str, keys: &KeyRing) -> Outcome<Access> {
    let id = AccessKeyId(needed(fields, "awsaccesskeyid")?.to_owned());
    let signature = needed(fields, "signature")?;
    let key = keys.of_id(&id).ok_or_else(|| unknown(&id))?;
    if !sigv2::signs_policy(&key.credentials.secret_access_key, policy, signature) {
        return Err(VerifyError::SignatureMismatch { string_to_sign: policy.to_owned() }.into());
    }
    access_of(key)
}

fn needed<'f>(fields: &'f Fields, name: &str) -> Outcome<&'f str> {
    let missing = || {
        let message = format!("Bucket POST must contain a field named '{name}'.");
        Fault::invalid_argument(message).with("ArgumentName", name)
    };
    fields.get(name).ok_or_else(missing)
}

fn check_scope(scope: &Scope, regions: &[String]) -> Outcome<()> {
    let region = scope.region();
    if scope.service() != "s3" {
        return Err(Fault::bad(
            "AuthorizationHeaderMalformed",
            "The credential scope must name the service s3",
        ));
    }
    if ALWAYS_ACCEPTED.contains(&region) || regions.iter().any(|accepted| accepted == region) {
        return Ok(());
    }
    let expected = regions.first().map_or(ALWAYS_ACCEPTED[0], String::as_str);
    let message = format!(
        "The authorization header is malformed; the region '{region}' is wrong; expecting '{expected}'"
    );
    Err(Fault::bad("AuthorizationHeaderMalformed", message).with("Region", expected))
}

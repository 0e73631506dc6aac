//! Who sent a request.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::request::Parts;
use sandkeep_objects::AccessKeyId;
use sandkeep_objects::sigv4::{
    ALGORITHM, ChunkSigner, Claim, PayloadHash, Scope, Signature, SignedRequest, SigningKey, Timestamp,
    VerifyError,
};

use crate::fault::{Fault, Outcome};
use crate::forms::Fields;
use crate::{Access, KeyRing};

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
    let claim = Claim::of(&request)?.ok_or_else(|| unsigned(&request))?;
    check_scope(&claim.scope, regions)?;
    let key = keys.of_id(&claim.access_key_id).ok_or_else(|| unknown(&claim.access_key_id))?;
    if claim.session_token.is_some() {
        return Err(Fault::bad("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    claim.check_time(SystemTime::now(), SKEW)?;
    claim.check_signed_headers(&request)?;
    let chunks = claim.verify_with_key(&request, keys.signing_key(key, &claim.scope))?;
    if key.access.has_expired(SystemTime::now()) {
        return Err(Fault::bad("ExpiredToken", "The access key has expired."));
    }
    Ok(Authenticated { payload: claim.payload, chunks: Some(chunks), access: key.access.clone() })
}

fn unknown(id: &AccessKeyId) -> Fault {
    let message = "The AWS Access Key Id you provided does not exist in our records.";
    Fault::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message).with("AWSAccessKeyId", &id.0)
}

/// Checks the signature of a form's policy, and returns what its key may do.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>
pub(crate) fn authenticate_form(fields: &Fields, keys: &KeyRing, regions: &[String]) -> Outcome<Access> {
    let missing = || Fault::access_denied("Anonymous access is not allowed");
    let field = |name: &str| fields.get(name).ok_or_else(missing);
    let invalid = || Fault::invalid_argument("The form's credential, algorithm or date is not valid");
    let policy = field("policy")?;
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
    if fields.get("x-amz-security-token").is_some() {
        return Err(Fault::bad("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    if !SigningKey::derive(&key.credentials.secret_access_key, &scope).sign(policy).matches(&claimed) {
        return Err(VerifyError::SignatureMismatch { string_to_sign: policy.to_owned() }.into());
    }
    if key.access.has_expired(SystemTime::now()) {
        return Err(Fault::bad("ExpiredToken", "The access key has expired."));
    }
    Ok(key.access.clone())
}

/// boto3 still presigns with version 2 unless it is told otherwise; say so rather than call it anonymous.
fn unsigned(request: &SignedRequest<'_>) -> Fault {
    if request.raw_query.contains("AWSAccessKeyId=") {
        let message =
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
        return Fault::invalid_request(message);
    }
    Fault::access_denied("Anonymous access is not allowed")
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

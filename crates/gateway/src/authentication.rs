//! Who sent a request.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::request::Parts;
use sandkeep_objects::sigv4::{ChunkSigner, Claim, PayloadHash, SignedRequest};

use crate::fault::{Fault, Outcome};
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
    check_scope(&claim, regions)?;
    let key = keys.of_id(&claim.access_key_id).ok_or_else(|| {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Fault::new(StatusCode::FORBIDDEN, "InvalidAccessKeyId", message)
            .with("AWSAccessKeyId", &claim.access_key_id.0)
    })?;
    if claim.session_token.is_some() {
        return Err(Fault::bad("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    claim.check_time(SystemTime::now(), SKEW)?;
    let chunks = claim.verify(&request, &key.credentials.secret_access_key)?;
    if key.access.has_expired(SystemTime::now()) {
        return Err(Fault::bad("ExpiredToken", "The access key has expired."));
    }
    Ok(Authenticated { payload: claim.payload, chunks: Some(chunks), access: key.access.clone() })
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

fn check_scope(claim: &Claim, regions: &[String]) -> Outcome<()> {
    let region = claim.scope.region();
    if claim.scope.service() != "s3" {
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
